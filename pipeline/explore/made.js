"use strict";
// What is generated: the form, the queue, what came of it, its steps, and their trajectories on the maps. The server
// keeps all of it; it says on a connection what happens, and is asked for the rest.

const made = new Map();  // by number: what the server says of each, with `steps` as they were in the state `stepsOf`
const tiles = new Map();  // by number
let ahead = {};  // by number: how many are before it
let numAskedMade = 0;
const PATHS = ["hue1", "hue2", "hue3", "hue4", "hue5", "hue6"];
const picture = (text) => (text ? `data:image/png;base64,${text}` : "data:,");
const clipped = (text) => (text.length > 160 ? `${text.slice(0, 160)} …` : text);
const isUnderWay = (one) => one.state === "waiting" || one.state === "running";

// The form, as the task's types have it.

function drawForm() {
  const bundle = here(), kept = parsed(sessionStorage.getItem("form")) ?? {};
  $("no-model").hidden = bundle.form.length > 0;
  $("generate").disabled = !bundle.form.length;
  $("form").replaceChildren(...bundle.form.map((field) => {
    const input = inputOf(field), value = field.name in kept ? kept[field.name] : field.default ?? null;
    setInput(input, field, value);
    input.id = `form-${field.name}`;
    input.addEventListener("input", () => { sessionStorage.setItem("form", JSON.stringify(formValues())); drawCurves(); });
    const label = make("label", field.kind === "boolean" ? "check" : "", ...(field.kind === "boolean" ? [input, field.title] : [field.title, input]));
    label.title = field.help ?? "";
    return label;
  }));
  drawCurves();
}

function inputOf(field) {
  if (field.kind === "choice") {
    const select = make("select");
    fillSelect(select, field.choices.map((one) => [JSON.stringify(one), one === null ? "none" : String(one)]), "");
    return select;
  }
  const input = make("input");
  input.type = { boolean: "checkbox", integer: "number", number: "number" }[field.kind] ?? "text";
  if (input.type === "number") Object.assign(input, { min: field.low ?? "", max: field.high ?? "", step: field.step ?? (field.kind === "integer" ? 1 : "any") });
  return input;
}

function setInput(input, field, value) {
  if (field.kind === "boolean") input.checked = value === true;
  else if (field.kind === "choice") input.value = JSON.stringify(value);
  else input.value = value ?? "";
}

function formValues() {
  return Object.fromEntries(here().form.map((field) => {
    const input = $(`form-${field.name}`), text = input.value;
    if (field.kind === "boolean") return [field.name, input.checked];
    if (field.kind === "choice") return [field.name, parsed(text)];
    return [field.name, input.type === "number" ? (text === "" ? null : Number(text)) : text];
  }));
}

async function generate() {
  if (!here().form.length) return;
  const field = here().form.find(({ name }) => name === limits.seed_field), input = $(`form-${field.name}`);
  if ($("new-seed").checked) {
    input.value = crypto.getRandomValues(new Uint32Array(1))[0] % 2 ** 31;
    input.dispatchEvent(new Event("input"));
  }
  say("");
  const references = at.selected === null ? [] : [at.selected, ...at.neighbours.keys()];
  const answer = await post("api/generate", { bundle: at.bundle, workspace: at.workspace, values: formValues(), references, layer: at.layer });
  if (!answer) return;
  const { number } = await answer.json();
  at.shown.add(number);
  Object.assign(at, { open: number, step: Infinity });
  await askMade();
}

// Findings beside the form, with a mark where the form is.

function drawCurves() {
  const values = here().form.length ? formValues() : {};
  $("curves").replaceChildren(...here().curves.map((curve) => drawCurve(curve, values)));
}

function drawCurve(curve, values) {
  const canvas = Object.assign(make("canvas"), { width: 640, height: 300 }), brush = canvas.getContext("2d");
  const points = Object.values(curve.lines).flat(), low = Math.min(...points.map(([x]) => x)), high = Math.max(...points.map(([x]) => x));
  const top = Math.max(1, ...points.map(([, y]) => y)), place = ([x, y]) => [70 + 540 * (x - low) / (high - low || 1), 250 - 220 * y / top];
  Object.assign(brush, { strokeStyle: ink("line"), fillStyle: ink("muted"), font: "22px system-ui, sans-serif", lineWidth: 2 });
  for (const y of [0, top / 2, top]) {
    brush.beginPath(); brush.moveTo(...place([low, y])); brush.lineTo(...place([high, y])); brush.stroke();
    brush.fillText(short(y), 12, place([low, y])[1] + 8);
  }
  brush.fillText(`${short(low)}`, 66, 282);
  brush.fillText(`${curve.x_label}`, 250, 286);
  brush.fillText(`${short(high)}`, 600, 282);
  const told = [];
  Object.entries(curve.lines).forEach(([name, line], number) => {
    const isMine = curve.line_field ? values[curve.line_field] === name : true;
    Object.assign(brush, { strokeStyle: ink(PATHS[number % PATHS.length]), fillStyle: ink(PATHS[number % PATHS.length]), lineWidth: isMine ? 5 : 2 });
    brush.setLineDash([[], [12, 8], [3, 7]][number % 3]);
    brush.beginPath(); for (const point of line) brush.lineTo(...place(point)); brush.stroke();
    brush.setLineDash([]);
    const x = values[curve.field];
    if (typeof x === "number" && isMine) {
      const y = between(line, x);
      told.push(`${name} ${percent(y)}`);
      brush.beginPath(); brush.arc(...place([Math.min(Math.max(x, low), high), y]), 8, 0, 2 * Math.PI); brush.fill();
    }
  });
  const names = Object.keys(curve.lines).map((name, number) => { const one = make("span", "", `${["━", "╍", "┈"][number % 3]} ${name}`); one.style.color = ink(PATHS[number % PATHS.length]); return one; });
  const words = `${curve.title}: ${curve.y_label}` + (told.length ? `; here ${told.join(", ")}` : "");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", words);
  return make("figure", "curve", make("figcaption", "", words), canvas, make("p", "note", ...names));
}

function between(line, x) {
  const after = line.findIndex(([one]) => one >= x);
  if (after <= 0) return line.at(after)[1];
  const [[x0, y0], [x1, y1]] = [line[after - 1], line[after]];
  return y0 + (y1 - y0) * (x - x0) / (x1 - x0 || 1);
}

// What the server says.

async function askMade() {
  const asked = ++numAskedMade, answer = await ask(`api/made?workspace=${encodeURIComponent(at.workspace)}`);
  const all = answer && await answer.json();
  if (!all || asked !== numAskedMade) return;  // an answer that was overtaken says what was
  const numbers = new Set(all.map(({ number }) => number));
  for (const number of [...made.keys()]) if (!numbers.has(number)) made.delete(number);
  for (const one of all) {
    const before = made.get(one.number);
    made.set(one.number, { ...one, steps: before?.steps ?? null, stepsOf: before?.stepsOf ?? null });
  }
  for (const number of [...at.shown]) if (!made.has(number)) at.shown.delete(number);
  if (at.open !== null && !made.has(at.open)) at.open = null;
  await Promise.all([...at.shown, at.open].map(askSteps));
  drawMade();
  drawMarks();
  keepAddress();
}

async function askSteps(number) {
  const one = made.get(number);
  if (!one || one.stepsOf === one.state) return;
  const answer = await ask(`api/made/${number}`), whole = answer && await answer.json();
  const now = made.get(number);
  if (!whole || !now) return;
  if (isUnderWay(whole) && !isUnderWay(now)) { await askSteps(number); return; }  // it ended meanwhile
  const isOld = (now.steps?.length ?? 0) > (whole.steps?.length ?? 0);  // a step came while it was on its way
  made.set(number, { ...whole, steps: isOld ? now.steps : whole.steps, stepsOf: whole.state });
}

const told = {
  async queue(message) {
    ahead = message.ahead;
    await askMade();
  },
  async step({ number, step }) {
    const one = made.get(number);
    if (!one) return;
    if (one.stepsOf !== "running") Object.assign(one, { state: "running", steps: [], stepsOf: "running" });
    if (one.steps.length === step.number) one.steps.push(step);
    else if (one.steps.length < step.number) { one.stepsOf = null; await askSteps(number); }  // some came before this page
    if (at.open === number) at.step = Infinity;  // the newest is looked at while they come
    drawMade();
    drawMarks();
  },
  behind: () => askMade(),
  notice: (message) => say(message.what),
};

// The gallery, and the steps of the one that is open.

function drawMade() {
  if (!at.workspace) return;
  const items = [...made.values()].reverse().map(tileOf), gallery = $("gallery");
  if (items.length !== gallery.children.length || items.some((item, k) => item !== gallery.children[k])) gallery.replaceChildren(...items);
  $("nothing").hidden = items.length > 0;
  const query = new URLSearchParams({ workspace: at.workspace, bundle: at.bundle });
  for (const kind of ["examples", "predictions"]) $(kind).href = `api/rows/${kind}.jsonl?${query}`;
  drawSteps();
}

function progressOf(one) {
  if (one.state === "waiting") return ahead[one.number] ? `waits, ${ahead[one.number]} before it` : "waits";
  if (one.state === "running") return one.steps?.length ? `step ${one.steps.length} of ${one.steps[0].num_steps}` : "begins";
  return one.state === "done" ? one.facts.map(([name, value]) => `${name} ${value}`).join(" · ") : one.state;
}

// A tile stays the same element: one that is drawn anew under a finger is not pressed.
function newTile(number) {
  const tile = button("tile", null, make("img"), make("span"), make("span", "muted")), stop = button("", `cancel made-${number}`, "Cancel");
  tile.dataset.made = number;
  tile.firstChild.alt = "";
  stop.dataset.cancel = number;
  const bar = make("progress");
  bar.setAttribute("aria-label", `progress of made-${number}`);
  return make("li", "", tile, bar, stop);
}

function tileOf(one) {
  if (!tiles.has(one.number)) tiles.set(one.number, newTile(one.number));
  const item = tiles.get(one.number), [tile, bar, stop] = item.children, [image, progress, title] = tile.children;
  const words = `${one.request[limits.class_field] ?? "none"} · seed ${one.request[limits.seed_field]}`, source = picture(one.image ?? one.steps?.at(-1)?.image);
  tile.className = `tile ${one.state} ${at.open === one.number ? "open" : ""}`;
  tile.setAttribute("aria-label", `made-${one.number}, class ${words}: ${progressOf(one)}`);
  if (image.src !== source) image.src = source;
  progress.textContent = progressOf(one);
  title.textContent = words;
  bar.hidden = stop.hidden = !isUnderWay(one);
  Object.assign(bar, { max: one.steps?.[0]?.num_steps ?? 1, value: one.steps?.length ?? 0 });
  return item;
}

function drawSteps() {
  const one = at.open === null ? null : made.get(at.open);
  $("steps").hidden = !one;
  if (!one) return;
  const steps = one.steps ?? [], last = Math.max(steps.length - 1, 0), now = Math.min(at.step, last), step = steps[now];
  $("steps-title").textContent = `made-${one.number} · ${progressOf(one)}`;
  $("step-image").src = picture(now === last && one.image ? one.image : step?.image);
  $("step-noised").src = picture(step?.noised);
  $("step-noised").hidden = !step?.noised;
  $("step-text").textContent = one.error ?? (step ? `step ${now + 1} of ${step.num_steps} · noise ${short(step.noise_level)}${Object.keys(step.masked_places).length ? " · masked" : ""}` : "no steps yet");
  Object.assign($("step"), { max: last, value: now });
  $("on-map").checked = at.shown.has(one.number);
  $("image-file").href = picture(one.image);
  $("image-file").download = `made-${one.number}.png`;
  $("image-file").hidden = !one.image;
  const facts = [...Object.entries(one.request).filter(([name, value]) => !["schema", "task"].includes(name) && value !== null && value !== ""), ...one.facts];
  $("facts").replaceChildren(...facts.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", clipped(typeof value === "object" ? JSON.stringify(value) : String(value)))]));
  drawStrip(steps, now);
}

function drawStrip(steps, now) {
  const strip = $("strip");
  while (strip.children.length > steps.length) strip.lastChild.remove();
  steps.forEach((step, k) => {
    if (!strip.children[k] || strip.children[k].step !== step) {
      const [image, inset] = [make("img"), make("img", "inset")];
      Object.assign(image, { src: picture(step.image), alt: "" });
      Object.assign(inset, { src: picture(step.noised), alt: "", hidden: !step.noised });
      const tile = button("tile", `step ${k + 1}, noise ${short(step.noise_level)}`, make("span", "stage", image, inset), make("span", "", short(step.noise_level)));
      tile.dataset.step = k;
      const item = Object.assign(make("li", "", tile), { step });
      if (strip.children[k]) strip.children[k].replaceWith(item); else strip.append(item);
    }
    strip.children[k].firstChild.classList.toggle("open", k === now);
  });
}

function goToStep(step) {
  const steps = made.get(at.open)?.steps ?? [];
  at.step = Math.min(Math.max(step, 0), Math.max(steps.length - 1, 0));
  drawSteps();
  drawMarks();
  keepAddress();
}

// Trajectories: of each that is shown, on the map of the layer that is looked at.

function pathsOf(pane) {
  return [...at.shown].map((number) => made.get(number)).filter((one) => one?.steps && one.bundle === pane.bundle.key).map((one) => {
    const steps = one.steps.filter((step) => step.places[pane.layer]);
    const masked = steps.map((step) => step.masked_places[pane.layer]).map((place) => place && { x: place[0], y: place[1] });
    return {
      name: `made-${one.number}`,
      number: one.number,
      color: ink(PATHS[one.number % PATHS.length]),
      steps: steps.map((step) => ({ x: step.places[pane.layer][0], y: step.places[pane.layer][1], level: step.noise_level, rise: riseOf(pane.bundle, step.noise_level) })),
      masked,
      at: at.open === one.number ? Math.min(at.step, steps.length - 1) : null,
    };
  });
}

// Where a noise level is between those that were recorded, as a share of the height.
function riseOf(bundle, noise) {
  const levels = bundle.noise_levels.map((one) => Math.log(one + 1e-9)), wanted = Math.log(noise + 1e-9), last = levels.length - 1;
  const after = levels.findIndex((one) => one <= wanted);
  if (last === 0 || after === 0) return 0;
  if (after < 0) return 1;
  return (after - 1 + (levels[after - 1] - wanted) / (levels[after - 1] - levels[after])) / last;
}

async function openMade(number) {
  Object.assign(at, { open: number, step: isUnderWay(made.get(number)) ? Infinity : 0 });
  await askSteps(number);
  if (!isUnderWay(made.get(number))) at.step = Math.max((made.get(number).steps?.length ?? 1) - 1, 0);
  drawMade();
  drawMarks();
  keepAddress();
  $("steps").scrollIntoView({ block: "nearest" });
}

// The form and the choice as they were for the one that is open, with its seed.
function settingsAgain() {
  const { values, references } = made.get(at.open).asked, known = references.filter((id) => here().numbers.has(id));
  for (const field of here().form) if (field.name in values) setInput($(`form-${field.name}`), field, values[field.name]);
  $("new-seed").checked = false;
  sessionStorage.setItem("form", JSON.stringify(values));
  at.selected = known[0] ?? null;
  at.neighbours = new Map(known.slice(1).map((id) => [id, { sign: "chosen", distance: null }]));
  drawCurves();
  drawChoice();
  measure();
}
