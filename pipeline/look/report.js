// Everything here reads the page itself: nothing is loaded, and text goes in as text, never as markup.

(function theme() {
  const root = document.documentElement, button = document.querySelector(".theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  let stored = null;
  try { stored = localStorage.getItem("baton-theme"); } catch { /* files opened from disk may have no storage */ }
  let chosen = stored;
  function apply() {
    const now = chosen || (system.matches ? "dark" : "light");
    root.dataset.theme = now;
    button.textContent = now === "dark" ? "Light page" : "Dark page";
  }
  system.addEventListener("change", apply);
  button.addEventListener("click", () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("baton-theme", chosen); } catch { /* as above */ }
    apply();
  });
  apply();
})();

(function whereAmI() {
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const sections = [...document.querySelectorAll("main section[id]")];
  function mark() {
    let current = sections[0];
    for (const section of sections) if (section.getBoundingClientRect().top < innerHeight * 0.3) current = section;
    for (const [id, link] of links) link.classList.toggle("here", current !== undefined && id === current.id);
  }
  addEventListener("scroll", mark, { passive: true });
  mark();
})();

(function enlarge() {
  const dialog = document.querySelector("dialog");
  const shown = () => [...document.querySelectorAll("figure[id]")].filter((figure) => !figure.hidden);
  if (!dialog || !shown().length) return;
  const picture = dialog.querySelector("img");
  let current = null;
  function show(figure) {
    current = figure;
    const source = figure.querySelector("img");
    picture.src = source.src;
    picture.alt = source.alt;
    picture.classList.remove("whole");
    dialog.querySelector("h3").textContent = figure.querySelector("h3").textContent;
    dialog.querySelector("p").textContent = figure.querySelector("figcaption").textContent;
  }
  function go(by) {
    const figures = shown();
    show(figures[(figures.indexOf(current) + by + figures.length) % figures.length]);
  }
  shown().forEach((figure) => figure.querySelector(".open").addEventListener("click", () => {
    show(figure);
    dialog.showModal();
  }));
  picture.addEventListener("click", () => picture.classList.toggle("whole"));
  dialog.querySelector("[data-go='-1']").addEventListener("click", () => go(-1));
  dialog.querySelector("[data-go='1']").addEventListener("click", () => go(1));
  dialog.querySelector("[data-go='0']").addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") go(-1);
    if (event.key === "ArrowRight") go(1);
  });
})();

// A bar of filters: each control calls changed; wanted are the words that are chosen, {name: word or null}.
function filterBar(filters, items, most, changed) {
  const count = filters.querySelector(".count");
  function add(label, element) {
    const wrap = document.createElement("label");
    wrap.append(label, element);
    filters.insertBefore(wrap, count);
    element.addEventListener("input", changed);
    return element;
  }
  function select(label, texts) {
    const element = document.createElement("select");
    texts.forEach((text, index) => element.append(new Option(text, String(index))));
    return add(label, element);
  }
  function check(label) {
    const element = add("", document.createElement("input"));
    element.type = "checkbox";
    element.after(label);
    return element;
  }
  function tell(found) {
    count.textContent = `${found.toLocaleString("en")} of ${items.length.toLocaleString("en")}`;
  }
  const search = add("", document.createElement("input"));
  search.type = "search";
  search.placeholder = filters.dataset.search;
  search.setAttribute("aria-label", search.placeholder);
  const chosen = choice.controls(items).filter(({ values }) => values && values.length <= most).map((control) => {
    const texts = control.values.map(({ word, count: number }) => `${word === null ? "(none)" : word} (${number})`);
    return { ...control, element: select(`${control.name} `, ["any", ...texts]) };
  });
  const wanted = () => Object.fromEntries(chosen.filter(({ element }) => element.selectedIndex > 0)
    .map(({ name, values, element }) => [name, values[element.selectedIndex - 1].word]));
  function clear() {
    search.value = "";
    for (const { element } of chosen) element.selectedIndex = 0;
  }
  return { matching: () => choice.matching(items, wanted(), search.value), select, check, tell, clear };
}

document.querySelectorAll(".gallery").forEach(function gallery(box) {
  const list = box.querySelector(".figures"), filters = box.querySelector(".filters"), none = box.querySelector(".none");
  const elements = [...list.querySelectorAll("figure")];
  const figures = elements.map((element) => ({
    facts: Object.fromEntries([...element.querySelectorAll(".facts li")].map((li) => [
      li.dataset.name, JSON.parse(li.dataset.value),
    ])),
    text: [element.querySelector("h3"), element.querySelector("figcaption"), element.querySelector("pre")]
      .map((part) => part ? part.textContent : "").join("\n"),
  }));
  const bar = filterBar(filters, figures, Infinity, () => draw());
  const orders = [{ name: null, upward: true, text: box.dataset.order || "as listed" }];
  for (const { name } of choice.controls(figures).filter((control) => !control.values)) {
    orders.push({ name, upward: true, text: `${name}, lowest first` }, { name, upward: false, text: `${name}, highest first` });
  }
  const order = bar.select("order ", orders.map(({ text }) => text)), small = bar.check("small pictures");
  const reset = document.createElement("button");
  reset.type = "button";
  reset.textContent = "Show all";
  filters.insertBefore(reset, filters.querySelector(".count"));

  function draw() {
    const { name, upward } = orders[order.selectedIndex];
    const found = choice.ordered(figures, bar.matching(), name, upward);
    elements.forEach((element) => { element.hidden = true; });
    for (const index of found) {
      elements[index].hidden = false;
      list.append(elements[index]);
    }
    list.classList.toggle("small", small.checked);
    none.hidden = found.length > 0;
    reset.disabled = found.length === figures.length;
    bar.tell(found.length);
  }
  function showAll() {
    bar.clear();
    draw();
  }
  reset.addEventListener("click", showAll);
  addEventListener("hashchange", () => {
    const target = elements.find((element) => `#${element.id}` === location.hash);
    if (!target) return;
    if (target.hidden) showAll();
    target.scrollIntoView();
  });
  draw();
});

(function records() {
  const box = document.querySelector(".records"), data = document.getElementById("records-data");
  if (!box || !data) return;
  const { columns, rows, figures } = JSON.parse(data.textContent);
  const PAGE = 50, MAX_CHOICES = 12, LONG = 60;
  const body = box.querySelector("tbody"), more = box.querySelector(".more"), heads = [...box.querySelectorAll("th")];
  const hasFigures = Object.keys(figures).length > 0;
  let shown = PAGE, sorted = null, upward = true;
  const asText = (value) => value === null ? "–" : typeof value === "boolean" ? (value ? "yes" : "no") : String(value);
  // A column looks the same in every row, whatever it lacks there.
  const looks = columns.map((_, k) => {
    if (!rows.some((row) => row[k] !== null && typeof row[k] !== "number")) return "";
    return rows.some((row) => asText(row[k]).length > LONG) ? "text long" : "text";
  });
  const items = rows.map((row) => ({
    facts: Object.fromEntries(row.map((value, k) => [columns[k], typeof value === "boolean" ? asText(value) : value])),
    text: row.map(asText).join("\n"),
  }));
  const bar = filterBar(box.querySelector(".filters"), items, MAX_CHOICES, () => { shown = PAGE; draw(); });
  const pictured = hasFigures ? bar.check("with pictures") : null;

  function draw() {
    const chosen = bar.matching().filter((index) => !pictured?.checked || figures[rows[index][0]]);
    const found = choice.ordered(items, chosen, sorted, upward);
    body.replaceChildren(...found.slice(0, shown).map((index) => {
      const row = rows[index];
      const line = document.createElement("tr");
      row.forEach((value, k) => {
        const cell = document.createElement("td");
        const text = asText(value);
        cell.className = looks[k];
        if (text.length > LONG) cell.append(Object.assign(document.createElement("span"), { textContent: text, title: text }));
        else cell.textContent = text;
        line.append(cell);
      });
      if (hasFigures) {
        const cell = document.createElement("td");
        cell.className = "text";
        (figures[row[0]] || []).forEach(([number, title], k) => {
          const link = document.createElement("a");
          link.href = `#figure-${number}`;
          link.textContent = String(number);
          link.title = title;
          cell.append(k ? ", " : "Figure ", link);
        });
        line.append(cell);
      }
      return line;
    }));
    bar.tell(found.length);
    more.hidden = found.length <= shown;
    more.textContent = `Show ${Math.min(PAGE * 4, found.length - shown)} more`;
  }
  heads.forEach((head, k) => {
    const button = head.querySelector("button");
    if (button) button.addEventListener("click", () => {
      upward = sorted === columns[k] ? !upward : true;
      sorted = columns[k];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", upward ? "ascending" : "descending");
      draw();
    });
  });
  more.addEventListener("click", () => { shown += PAGE * 4; draw(); });
  addEventListener("beforeprint", () => { shown = Math.max(shown, 200); draw(); });
  draw();
})();
