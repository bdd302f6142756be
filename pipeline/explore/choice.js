"use strict";
// What is looked at and what is chosen: bundles, layers, noise levels, the selected record and its neighbours. All of it
// is in the address. Only neighbours are asked of the server: hovering and selecting touch nothing but this page.

const $ = (id) => document.getElementById(id);
const bundles = new Map();  // by key: what the session says of it, and once it is loaded `ids`, `numbers`, `classes`, ...
const at = {
  bundle: null, layer: null, level: null, deep: false, filter: null, hide: false, beside: null,
  selected: null, selectedLevel: 0, neighbours: new Map(),  // id to { sign: "found" or "chosen", distance }
  count: 8, workspace: null, shown: new Set(), open: null, step: 0,
};
const panes = [];  // one, or two of which the second shows the same records by another model or layer
const limits = { max_neighbours: 20 };
const hovered = { id: null, level: null };
let numAsked = 0;  // answers to older questions come too late

function make(tag, classes = "", ...children) {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  element.append(...children);
  return element;
}

function button(classes, label, ...children) {
  const element = make("button", classes, ...children);
  element.type = "button";
  if (label) element.setAttribute("aria-label", label);
  return element;
}

function fillSelect(select, options, value) {
  select.replaceChildren(...options.map(([name, text]) => new Option(text, name)));
  select.value = value;
}

const percent = (share) => `${Math.round(100 * share)} %`;
const short = (value) => Number(value.toPrecision(3)).toString();
const here = () => bundles.get(at.bundle);
const say = (words) => { $("notice").textContent = words; $("notice").hidden = !words; };

// Asking the server. What it refuses is told, and is null.

async function ask(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    say("the server does not answer: is it still running?");
    return null;
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let told = { what: text };
  try { told = JSON.parse(text); } catch { /* a sentence */ }
  say([told.what, told.where && `(${told.where})`, told.remedy && `– ${told.remedy}`].filter(Boolean).join(" "));
  return null;
}

const post = (address, body) => ask(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}) });

// Bundles.

async function loadBundle(key) {
  const bundle = bundles.get(key);
  bundle.loading ??= (async () => {
    const answer = await ask(`bundles/${key}/records.json`);
    if (!answer) throw new Error("no records");
    Object.assign(bundle, await answer.json(), { places: new Map(), sheets: new Map() });
    bundle.numbers = new Map(bundle.ids.map((id, number) => [id, number]));
    const perSheet = bundle.image.columns ** 2;
    for (let k = 0; k * perSheet < bundle.ids.length; k++) loadSheet(bundle, k);
  })();
  await bundle.loading;
  return bundle;
}

function loadSheet(bundle, number) {
  const image = new Image();
  image.src = `bundles/${bundle.key}/sheet-${number}.png`;
  image.addEventListener("load", () => { drawChosen(); drawPreview(); });
  bundle.sheets.set(number, image);
}

async function placesOf(bundle, layer) {
  if (!bundle.places.has(layer)) {
    const answer = await ask(`bundles/${bundle.key}/coordinates?layer=${encodeURIComponent(layer)}`);
    if (!answer) throw new Error("no coordinates");
    bundle.places.set(layer, new Float32Array(await answer.arrayBuffer()));
  }
  return bundle.places.get(layer);
}

function drawRecord(canvas, bundle, number) {
  const { height, width, columns } = bundle.image, place = number % columns ** 2;
  const sheet = bundle.sheets.get(Math.floor(number / columns ** 2)), brush = canvas.getContext("2d");
  brush.imageSmoothingEnabled = false;
  brush.clearRect(0, 0, canvas.width, canvas.height);
  if (!sheet?.complete || !sheet.naturalWidth) return;
  brush.drawImage(sheet, (place % columns) * width, Math.floor(place / columns) * height, width, height, 0, 0, canvas.width, canvas.height);
}

const classOf = (bundle, number) => bundle.names[bundle.classes[number]];

function describe(bundle, number, level, cloud) {
  const facts = Object.entries(bundle.facts[number]).map(([name, value]) => `${name} ${value}`);
  const told = [bundle.ids[number], `class ${classOf(bundle, number)}`, ...facts];
  if (level !== null) {
    const point = number * bundle.noise_levels.length + level, [x, y] = cloud.places.slice(2 * point, 2 * point + 2);
    told.push(`noise ${short(bundle.noise_levels[level])}`, `x ${short(x)}`, `y ${short(y)}`);
  }
  return told.join(" · ");
}

// Panes.

function newPane(number) {
  const figure = make("figure", "pane", make("canvas", "points"), make("canvas", "over"), make("figcaption"));
  const over = figure.querySelector(".over");
  over.tabIndex = 0;
  over.setAttribute("role", "application");
  $("panes").append(figure);
  const pane = { number, figure, over, cloud: new Cloud(figure), bundle: null, layer: null, cursor: null };
  listen(pane);
  return pane;
}

async function showPanes() {
  const wanted = [[at.bundle, at.layer], ...(at.beside ? [at.beside] : [])], asked = showPanes.asked = (showPanes.asked ?? 0) + 1;
  for (const [number, [key, layer]] of wanted.entries()) {
    const bundle = await loadBundle(key), places = await placesOf(bundle, layer);
    if (asked !== showPanes.asked) return;  // something else is wanted by now
    panes[number] ??= newPane(number);
    const pane = panes[number];
    if (pane.bundle !== bundle || pane.layer !== layer) {
      Object.assign(pane, { bundle, layer, cursor: null });
      pane.cloud.setData({ places, levels: bundle.noise_levels.map(short), classes: bundle.classes });
    }
  }
  while (panes.length > wanted.length) panes.pop().figure.remove();
  $("panes").classList.toggle("two", panes.length > 1);
  drawAll();
}

// The level of another bundle that has the nearest noise. Levels are told by those of the first map.
function levelOf(from, level, to) {
  if (level === null || from === to) return level;
  const distances = to.noise_levels.map((one) => Math.abs(Math.log((one + 1e-9) / (from.noise_levels[level] + 1e-9))));
  return distances.indexOf(Math.min(...distances));
}
const levelIn = (bundle, level) => levelOf(here(), level, bundle);

function drawAll() {
  for (const pane of panes) pane.cloud.resize();
  drawMaps();
  drawTools();
  drawChosen();
  drawMade();
  keepAddress();
}

function drawMaps() {
  for (const pane of panes) {
    const filter = at.filter === null ? null : pane.bundle.names.indexOf(at.filter);
    pane.cloud.setLook({ level: at.deep ? null : levelIn(pane.bundle, at.level), deep: at.deep, filter: filter < 0 ? null : filter, hide: at.hide });
    markPane(pane);
    pane.cloud.draw();
  }
}

function markPane(pane) {
  const { bundle, cloud } = pane, marks = [];
  const mark = (id, level, sign) => {
    const number = bundle.numbers.get(id);
    if (number !== undefined) marks.push({ point: number * bundle.noise_levels.length + levelIn(bundle, level), sign });
  };
  for (const [id, { sign }] of at.neighbours) mark(id, at.selectedLevel, sign);
  if (at.selected !== null) mark(at.selected, at.selectedLevel, "selected");
  if (hovered.id !== null) mark(hovered.id, hovered.level, hovered.pane === pane ? "hover" : "linked");
  cloud.marks = marks;
  cloud.paths = pathsOf(pane);
}

function drawMarks() {
  for (const pane of panes) { markPane(pane); pane.cloud.drawOver(); }
}

// The state line, the tools, what each layer knows.

function knows(bundle, layer, level) {
  const probes = bundle.layers.find((one) => one.name === layer).probes;
  return Object.entries(probes).map(([what, shares]) => `${what} ${percent(shares[level])}`).join(", ");
}

function drawTools() {
  const bundle = here(), layers = bundle.layers.map((one) => one.name);
  fillSelect($("bundle"), [...bundles.values()].map((one) => [one.key, one.title]), at.bundle);
  fillSelect($("layer"), layers.map((name) => [name, name]), at.layer);
  fillSelect($("level"), [["", "all"], ...bundle.noise_levels.map((level, number) => [String(number), short(level)])], at.level === null ? "" : String(at.level));
  fillSelect($("class"), [["", `all (${bundle.num_records.toLocaleString("en")})`], ...bundle.counts.map(({ name, count }) => [name, `${name} (${count.toLocaleString("en")})`])], at.filter ?? "");
  const others = [...bundles.values()].flatMap((one) => one.layers.map(({ name }) => [JSON.stringify([one.key, name]), `${one.title}: ${name}`]));
  fillSelect($("beside"), [["", "nothing"], ...others], at.beside ? JSON.stringify(at.beside) : "");
  $("hide").checked = at.hide;
  $("count").value = at.count;
  $("flat").setAttribute("aria-pressed", !at.deep);
  $("deep").setAttribute("aria-pressed", at.deep);
  $("level").disabled = at.deep;
  const noise = at.level === null || at.deep ? "all noise levels" : `noise ${short(bundle.noise_levels[at.level])}`;
  const shown = at.filter === null ? bundle.num_records : bundle.counts.find(({ name }) => name === at.filter).count;
  $("state").textContent = `${bundle.title} · ${at.layer} · ${noise} · ${shown.toLocaleString("en")} records${at.filter === null ? "" : ` of class ${at.filter}`} · recorded with label: ${bundle.conditioning}`;
  for (const pane of panes) {
    const level = at.deep ? null : levelIn(pane.bundle, at.level), known = level === null ? "" : knows(pane.bundle, pane.layer, level);
    pane.figure.querySelector("figcaption").textContent = [`${pane.bundle.title}: ${pane.layer}`, known && `knows ${known}`].filter(Boolean).join(" · ");
    pane.over.setAttribute("aria-label", `Map of ${pane.bundle.title}, layer ${pane.layer}, ${noise}. Arrow keys go from point to point, Enter selects, plus and minus zoom.`);
  }
  drawLegend(bundle);
  drawKnowledge(bundle);
}

function drawLegend(bundle) {
  $("legend").replaceChildren(...bundle.counts.map(({ name, count }, number) => {
    const dot = make("span", "dot"), one = button("", `class ${name}, ${count} records`, dot, name);
    dot.style.background = classColor(number);
    one.setAttribute("aria-pressed", at.filter === name);
    one.dataset.class = name;
    return make("li", "", one);
  }));
}

// A row a layer, a column a noise level: the accuracy of a probe; a click goes there.
function drawKnowledge(bundle) {
  const names = [...new Set(bundle.layers.flatMap((layer) => Object.keys(layer.probes)))];
  $("knowledge").hidden = !names.length;
  $("knowledge").replaceChildren(...names.map((what) => {
    const heads = bundle.noise_levels.map((level) => Object.assign(make("th", "", short(level)), { scope: "col" }));
    const rows = bundle.layers.filter((layer) => layer.probes[what]).map((layer) => make("tr", "",
      Object.assign(make("th", "", layer.name), { scope: "row" }),
      ...layer.probes[what].map((share, level) => {
        const cell = button("", `${layer.name} at noise ${short(bundle.noise_levels[level])}: ${what} told by ${percent(share)}`, Math.round(100 * share));
        cell.style.setProperty("--heat", share);
        cell.dataset.layer = layer.name;
        cell.dataset.level = level;
        cell.setAttribute("aria-pressed", layer.name === at.layer && level === at.level && !at.deep);
        return make("td", "", cell);
      })));
    const head = make("tr", "", Object.assign(make("th", "", "layer \\ noise"), { scope: "col" }), ...heads);
    return make("table", "", make("caption", "", `What layers know: ${what}, % right by a probe`), make("thead", "", head), make("tbody", "", ...rows));
  }));
}

function drawPreview() {
  const { id, level, pane } = hovered;
  const shown = id !== null ? { id, level, pane } : at.selected !== null && panes[0] ? { id: at.selected, level: at.selectedLevel, pane: panes[0] } : null;
  const number = shown ? shown.pane.bundle.numbers.get(shown.id) : undefined;
  if (number === undefined) return;
  drawRecord($("preview-image"), shown.pane.bundle, number);
  const words = describe(shown.pane.bundle, number, levelIn(shown.pane.bundle, shown.level), shown.pane.cloud);
  if ($("preview-text").textContent !== words) $("preview-text").textContent = words;
}

// Choosing: the first click selects, later ones toggle neighbours; a click on the selected one lets all go.

function chooseRecord(id, level) {
  say("");
  if (at.selected === null) Object.assign(at, { selected: id, selectedLevel: level });
  else if (id === at.selected) clearChoice();
  else if (at.neighbours.has(id)) at.neighbours.delete(id);
  else if (at.neighbours.size >= limits.max_neighbours) say(`no more than ${limits.max_neighbours} neighbours can be chosen`);
  else {
    at.neighbours.set(id, { sign: "chosen", distance: null });
    measure();
  }
  drawChoice();
}

function clearChoice() {
  at.selected = null;
  at.neighbours.clear();
}

function drawChoice() {
  drawMarks();
  drawChosen();
  drawPreview();
  keepAddress();
}

// What the server knows: the nearest `count` in the space of activations, and the distances of those in `ids`.
async function askNeighbours(count, ids) {
  const asked = new URLSearchParams({ bundle: at.bundle, layer: at.layer, level: at.selectedLevel, id: at.selected, count });
  for (const id of ids) asked.append("ids", id);
  const number = ++numAsked, answer = await ask(`api/neighbours?${asked}`);
  return answer && number === numAsked ? answer.json() : null;
}

async function suggest() {
  if (at.selected === null) return say("select a record on the map first");
  const found = await askNeighbours(at.count, []);
  if (!found) return;
  at.neighbours = new Map(found.map(([id, distance]) => [id, { sign: "found", distance }]));
  drawChoice();
}

async function measure() {
  if (at.selected === null || !at.neighbours.size) return;
  const found = await askNeighbours(0, at.neighbours.keys());
  for (const [id, distance] of found ?? []) if (at.neighbours.has(id)) at.neighbours.get(id).distance = distance;
  drawChosen();
}

function drawChosen() {
  const bundle = here();
  if (!bundle?.numbers) return;
  const all = at.selected === null ? [] : [[at.selected, { sign: "selected", distance: null }], ...at.neighbours];
  $("chosen").replaceChildren(...all.filter(([id]) => bundle.numbers.has(id)).map(([id, { sign, distance }]) => {
    const number = bundle.numbers.get(id), canvas = Object.assign(make("canvas"), { width: 64, height: 64 });
    drawRecord(canvas, bundle, number);
    const told = sign === "selected" ? "selected" : distance === null ? "…" : short(distance);
    const one = button(`tile ${sign}`, `${id}, class ${classOf(bundle, number)}, ${sign}${distance === null ? "" : `, distance ${short(distance)}`}`, canvas, make("span", "", told), make("span", "muted", classOf(bundle, number)));
    one.dataset.record = id;
    return make("li", "", one);
  }));
  const labels = new Map();
  for (const id of at.neighbours.keys()) {
    const name = classOf(bundle, bundle.numbers.get(id));
    labels.set(name, (labels.get(name) ?? 0) + 1);
  }
  const count = at.neighbours.size, classes = [...labels].sort((a, b) => b[1] - a[1]).map(([name, number]) => `${number} of class ${name}`);
  $("chosen-note").textContent = count ? `${count} neighbours: ${classes.join(", ")}; distances between activations of ${at.layer} at noise ${short(bundle.noise_levels[at.selectedLevel])}` : "";
}

// Pointers, wheels and keys on a map.

function listen(pane) {
  const { over, cloud } = pane, fingers = new Map();
  let moved = 0;
  const place = (event) => { const box = over.getBoundingClientRect(); return [event.clientX - box.x, event.clientY - box.y]; };
  over.addEventListener("pointerdown", (event) => { fingers.set(event.pointerId, place(event)); moved = 0; });
  over.addEventListener("pointermove", (event) => {
    const [x, y] = place(event), before = fingers.get(event.pointerId);
    if (!before) return hover(pane, x, y);
    const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, one]) => one);
    moved += Math.hypot(x - before[0], y - before[1]);
    if (moved < 4 && !others.length) return undefined;
    over.setPointerCapture(event.pointerId);
    if (others.length) cloud.zoomAt(...others[0], Math.hypot(x - others[0][0], y - others[0][1]) / Math.max(Math.hypot(before[0] - others[0][0], before[1] - others[0][1]), 1));
    else cloud.drag(x - before[0], y - before[1], event.shiftKey);
    fingers.set(event.pointerId, [x, y]);
    return redraw(pane);
  });
  over.addEventListener("pointerup", (event) => {
    const wasDown = fingers.delete(event.pointerId), point = wasDown && moved < 4 ? cloud.pick(...place(event)) : null;
    if (point !== null) choosePoint(pane, point);
    if (moved >= 4) keepAddress();
  });
  over.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
  over.addEventListener("pointerleave", () => setHover(pane, null));
  over.addEventListener("wheel", (event) => {
    event.preventDefault();
    cloud.zoomAt(...place(event), Math.exp(-event.deltaY / 400));
    redraw(pane);
    keepAddress();
  }, { passive: false });
  over.addEventListener("keydown", (event) => mapKey(pane, event));
  over.addEventListener("blur", () => { pane.cursor = null; });
}

function redraw(pane) {
  pane.waits ??= requestAnimationFrame(() => { pane.waits = null; markPane(pane); pane.cloud.draw(); });
}

function hover(pane, x, y) {
  const onPath = pane.cloud.pickPath(x, y);
  if (onPath) {
    $("preview-text").textContent = `${onPath.path.name} · step ${onPath.step + 1} of ${onPath.path.steps.length} · noise ${short(onPath.path.steps[onPath.step].level)}`;
    return;
  }
  setHover(pane, pane.cloud.pick(x, y));
}

function setHover(pane, point) {
  const numLevels = pane.bundle.noise_levels.length, id = point === null ? null : pane.bundle.ids[Math.floor(point / numLevels)];
  const level = point === null ? null : levelOf(pane.bundle, point % numLevels, here());
  if (id === hovered.id && level === hovered.level) return;
  Object.assign(hovered, { id, level, pane });
  pane.over.classList.toggle("on", point !== null);
  drawMarks();
  drawPreview();
}

function choosePoint(pane, point) {
  const numLevels = pane.bundle.noise_levels.length, id = pane.bundle.ids[Math.floor(point / numLevels)];
  if (!here().numbers.has(id)) return say("the first map does not have this record");
  return chooseRecord(id, levelOf(pane.bundle, point % numLevels, here()));
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function mapKey(pane, event) {
  const { cloud } = pane, middle = [cloud.width / cloud.ratio / 2, cloud.height / cloud.ratio / 2];
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (ARROWS[event.key]) {
    pane.cursor = cloud.step(pane.cursor, ...ARROWS[event.key]);
    if (pane.cursor !== null) setHover(pane, pane.cursor);
  } else if (event.key === "Enter" && pane.cursor !== null) choosePoint(pane, pane.cursor);
  else if ("+=-".includes(event.key)) { cloud.zoomAt(...middle, event.key === "-" ? 1 / 1.4 : 1.4); redraw(pane); keepAddress(); }
  else return;
  event.preventDefault();
  event.stopPropagation();
}

// The address.

function keepAddress() {
  if (!here() || !panes[0]) return;
  const { x, y, zoom, yaw, pitch } = panes[0].cloud.camera, signs = { f: "found", m: "chosen" };
  const told = new URLSearchParams({ b: at.bundle, l: at.layer, n: at.level ?? "all", k: at.count, w: at.workspace });
  if (at.deep) told.set("v", "3");
  if (at.filter !== null) told.set("c", at.filter);
  if (at.hide) told.set("h", "1");
  if (at.beside) told.set("b2", JSON.stringify(at.beside));
  if (at.selected !== null) told.set("s", JSON.stringify([at.selected, at.selectedLevel]));
  for (const [name, sign] of Object.entries(signs)) {
    const ids = [...at.neighbours].filter(([, one]) => one.sign === sign).map(([id]) => id);
    if (ids.length) told.set(name, JSON.stringify(ids));
  }
  if (at.shown.size) told.set("t", [...at.shown].join("."));
  if (at.open !== null) told.set("o", `${at.open}.${at.step}`);
  const camera = [x, y, zoom, yaw, pitch].map((one) => Number(one.toFixed(4)));
  if (String(camera) !== "0,0,1,0.6,0.5") told.set("z", camera.join("_"));
  clearTimeout(keepAddress.waits);
  keepAddress.waits = setTimeout(() => history.replaceState(null, "", `#${told}`), 100);  // browsers refuse too many
}

function parsed(text) {
  try { return JSON.parse(text); } catch { return null; }
}

// What the address says, as far as it is there: one that was sent may name what this server does not have.
function readAddress() {
  const told = new URLSearchParams(location.hash.slice(1)), first = [...bundles.values()][0];
  const bundle = bundles.get(told.get("b")) ?? first, layer = bundle.layers.find((one) => one.name === told.get("l"));
  if (told.has("b") && bundle.key !== told.get("b")) say("this server has not the activations that the address names: these are others");
  const best = bestPlace(bundle), level = told.get("n") === "all" ? null : Number(told.get("n") ?? best.level);
  const beside = parsed(told.get("b2")), selected = parsed(told.get("s"));
  Object.assign(at, {
    bundle: bundle.key,
    layer: (layer ?? best.layer).name,
    level: level === null || bundle.noise_levels[level] !== undefined ? level : best.level,
    deep: told.get("v") === "3",
    filter: bundle.counts.some(({ name }) => name === told.get("c")) ? told.get("c") : null,
    hide: told.get("h") === "1",
    beside: beside && bundles.get(beside[0])?.layers.some(({ name }) => name === beside[1]) ? beside : null,
    count: Math.min(Math.max(Number(told.get("k")) || 8, 1), limits.max_neighbours),
    workspace: told.get("w"),
    selected: typeof selected?.[0] === "string" ? selected[0] : null,
    selectedLevel: bundle.noise_levels[selected?.[1]] === undefined ? level ?? 0 : selected[1],
    shown: new Set((told.get("t") ?? "").split(".").filter(Boolean).map(Number)),
  });
  const neighbours = [["f", "found"], ["m", "chosen"]].flatMap(([name, sign]) => [parsed(told.get(name))].flat().filter((id) => typeof id === "string").map((id) => [id, { sign, distance: null }]));
  at.neighbours = new Map(neighbours.slice(0, limits.max_neighbours));
  const [open, step] = (told.get("o") ?? "").split(".").map(Number);
  Object.assign(at, { open: told.has("o") && Number.isFinite(open) ? open : null, step: step || 0 });
  return (told.get("z") ?? "").split("_").map(Number);
}

// Where the model knows most of the classes: what is shown first.
function bestPlace(bundle) {
  const all = bundle.layers.flatMap((layer) => Object.values(layer.probes).slice(0, 1).flatMap((shares) => shares.map((share, level) => ({ layer, level, share }))));
  return all.reduce((best, one) => (one.share > best.share ? one : best), { layer: bundle.layers[0], level: bundle.noise_levels.length - 1, share: -1 });
}

// Records that the bundle does not have are no choice.
function dropUnknown() {
  const { numbers } = here(), lost = [at.selected, ...at.neighbours.keys()].filter((id) => id !== null && !numbers.has(id));
  if (!lost.length) return;
  if (lost.includes(at.selected)) clearChoice();
  for (const id of lost) at.neighbours.delete(id);
  say(`these activations have no record ${lost.join(", ")}`);
}

async function showBundle(key) {
  const bundle = bundles.get(key), { layer, level } = bestPlace(bundle);
  at.level = at.level === null ? null : bundle.noise_levels[at.level] === here().noise_levels[at.level] ? at.level : level;
  at.layer = bundle.layers.some((one) => one.name === at.layer) ? at.layer : layer.name;
  at.bundle = key;
  if (!bundle.counts.some(({ name }) => name === at.filter)) at.filter = null;
  at.selectedLevel = Math.min(at.selectedLevel, bundle.noise_levels.length - 1);
  await loadBundle(key);
  dropUnknown();
  await showPanes();
  drawForm();
  measure();
}
