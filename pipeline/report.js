"use strict";
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
  const dialog = document.querySelector("dialog"), figures = [...document.querySelectorAll("figure[id]")];
  if (!dialog || !figures.length) return;
  const picture = dialog.querySelector("img");
  let index = 0;
  function show(number) {
    index = (number + figures.length) % figures.length;
    const source = figures[index].querySelector("img");
    picture.src = source.src;
    picture.alt = source.alt;
    picture.classList.remove("whole");
    dialog.querySelector("h3").textContent = figures[index].querySelector("h3").textContent;
    dialog.querySelector("p").textContent = figures[index].querySelector("figcaption").textContent;
  }
  figures.forEach((figure, number) => figure.querySelector(".open").addEventListener("click", () => {
    show(number);
    dialog.showModal();
  }));
  picture.addEventListener("click", () => picture.classList.toggle("whole"));
  dialog.querySelector("[data-go='-1']").addEventListener("click", () => show(index - 1));
  dialog.querySelector("[data-go='1']").addEventListener("click", () => show(index + 1));
  dialog.querySelector("[data-go='0']").addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") show(index - 1);
    if (event.key === "ArrowRight") show(index + 1);
  });
})();

(function records() {
  const box = document.querySelector(".records"), data = document.getElementById("records-data");
  if (!box || !data) return;
  const { columns, rows, figures } = JSON.parse(data.textContent);
  const PAGE = 50, MAX_CHOICES = 12;
  const filters = box.querySelector(".filters"), body = box.querySelector("tbody");
  const count = box.querySelector(".count"), more = box.querySelector(".more"), heads = [...box.querySelectorAll("th")];
  let shown = PAGE, sorted = -1, upward = true;
  const wanted = { text: "", pictured: false, values: new Map() };
  const asText = (value) => value === null ? "–" : typeof value === "boolean" ? (value ? "yes" : "no") : String(value);

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
      row.forEach((value) => {
        const cell = document.createElement("td");
        cell.textContent = asText(value);
        if (typeof value !== "number") cell.className = "text";
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
