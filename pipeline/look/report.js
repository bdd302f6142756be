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

document.querySelectorAll(".gallery").forEach(function gallery(box) {
  const list = box.querySelector(".figures"), filters = box.querySelector(".filters");
  const count = box.querySelector(".count"), none = box.querySelector(".none");
  const elements = [...list.querySelectorAll("figure")];
  const figures = elements.map((element) => ({
    facts: Object.fromEntries([...element.querySelectorAll(".facts li")].map((li) => [
      li.dataset.name, JSON.parse(li.dataset.value),
    ])),
    text: [element.querySelector("h3"), element.querySelector("figcaption"), element.querySelector("pre")]
      .map((part) => part ? part.textContent : "").join("\n"),
  }));
  const controls = choice.controls(figures);

  function add(label, element) {
    const wrap = document.createElement("label");
    wrap.append(label, element);
    filters.insertBefore(wrap, count);
    element.addEventListener("input", draw);
    return element;
  }
  function select(label, texts) {
    const element = document.createElement("select");
    texts.forEach((text, index) => element.append(new Option(text, String(index))));
    return add(label, element);
  }
  const search = add("", document.createElement("input"));
  search.type = "search";
  search.placeholder = "Search id and text";
  search.setAttribute("aria-label", "Search id and text");
  const chosen = controls.filter((control) => control.values).map((control) => {
    const texts = control.values.map(({ word, count: number }) => `${word === null ? "(none)" : word} (${number})`);
    return { ...control, element: select(`${control.name} `, ["any", ...texts]) };
  });
  const orders = [{ name: null, upward: true, text: box.dataset.order || "as listed" }];
  for (const { name } of controls.filter((control) => !control.values)) {
    orders.push({ name, upward: true, text: `${name}, lowest first` }, { name, upward: false, text: `${name}, highest first` });
  }
  const order = select("order ", orders.map(({ text }) => text));
  const small = add("", document.createElement("input"));
  small.type = "checkbox";
  small.after("small pictures");
  const reset = document.createElement("button");
  reset.type = "button";
  reset.textContent = "Show all";
  filters.insertBefore(reset, count);

  function draw() {
    const words = Object.fromEntries(chosen.filter(({ element }) => element.selectedIndex > 0)
      .map(({ name, values, element }) => [name, values[element.selectedIndex - 1].word]));
    const { name, upward } = orders[order.selectedIndex];
    const found = choice.ordered(figures, choice.matching(figures, words, search.value), name, upward);
    elements.forEach((element) => { element.hidden = true; });
    for (const index of found) {
      elements[index].hidden = false;
      list.append(elements[index]);
    }
    list.classList.toggle("small", small.checked);
    none.hidden = found.length > 0;
    reset.disabled = found.length === figures.length;
    count.textContent = `${found.length.toLocaleString("en")} of ${figures.length.toLocaleString("en")}`;
  }
  function showAll() {
    search.value = "";
    for (const { element } of chosen) element.selectedIndex = 0;
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
  const filters = box.querySelector(".filters"), body = box.querySelector("tbody");
  const count = box.querySelector(".count"), more = box.querySelector(".more"), heads = [...box.querySelectorAll("th")];
  let shown = PAGE, sorted = -1, upward = true;
  const wanted = { text: "", pictured: false, values: new Map() };
  const asText = (value) => value === null ? "–" : typeof value === "boolean" ? (value ? "yes" : "no") : String(value);
  // A column looks the same in every row, whatever it lacks there.
  const looks = columns.map((_, k) => {
    if (!rows.some((row) => row[k] !== null && typeof row[k] !== "number")) return "";
    return rows.some((row) => asText(row[k]).length > LONG) ? "text long" : "text";
  });

  function input(label, element, on) {
    const wrap = document.createElement("label");
    wrap.append(label, element);
    element.addEventListener(on, () => { shown = PAGE; draw(); });
    filters.insertBefore(wrap, count);
    return element;
  }
  const search = input("", document.createElement("input"), "input");
  search.type = "search";
  search.placeholder = "Search all columns";
  search.setAttribute("aria-label", "Search all columns");
  columns.forEach((column, k) => {
    const values = [...new Set(rows.map((row) => asText(row[k])))];
    const words = rows.some((row) => typeof row[k] === "string" || typeof row[k] === "boolean");
    if (!words || values.length < 2 || values.length > MAX_CHOICES) return;
    const select = document.createElement("select");
    for (const value of ["any", ...values.sort()]) select.append(new Option(value, value));
    input(column + " ", select, "change");
    wanted.values.set(k, select);
  });
  const pictured = Object.keys(figures).length ? input("", document.createElement("input"), "change") : null;
  if (pictured) {
    pictured.type = "checkbox";
    pictured.after("with pictures");
  }

  function matching() {
    const text = search.value.trim().toLowerCase();
    const found = rows.filter((row) => {
      if (pictured && pictured.checked && !figures[row[0]]) return false;
      for (const [k, select] of wanted.values) if (select.selectedIndex > 0 && asText(row[k]) !== select.value) return false;
      return !text || row.some((value) => asText(value).toLowerCase().includes(text));
    });
    if (sorted < 0) return found;
    const sign = upward ? 1 : -1;
    return found.sort((a, b) => {
      const x = a[sorted], y = b[sorted];
      if (x === y) return 0;
      if (x === null) return 1;
      if (y === null) return -1;
      return (typeof x === "number" && typeof y === "number" ? x - y : asText(x) < asText(y) ? -1 : 1) * sign;
    });
  }

  function draw() {
    const found = matching();
    body.replaceChildren(...found.slice(0, shown).map((row) => {
      const line = document.createElement("tr");
      row.forEach((value, k) => {
        const cell = document.createElement("td");
        const text = asText(value);
        cell.className = looks[k];
        if (text.length > LONG) cell.append(Object.assign(document.createElement("span"), { textContent: text, title: text }));
        else cell.textContent = text;
        line.append(cell);
      });
      if (Object.keys(figures).length) {
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
    count.textContent = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
    more.hidden = found.length <= shown;
    more.textContent = `Show ${Math.min(PAGE * 4, found.length - shown)} more`;
  }
  heads.forEach((head, k) => {
    const button = head.querySelector("button");
    if (button) button.addEventListener("click", () => {
      upward = sorted === k ? !upward : true;
      sorted = k;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", upward ? "ascending" : "descending");
      draw();
    });
  });
  more.addEventListener("click", () => { shown += PAGE * 4; draw(); });
  addEventListener("beforeprint", () => { shown = Math.max(shown, 200); draw(); });
  draw();
})();
