"use strict";
// The page: who one is, what keys and buttons do, and the connection on which the server says what happens.

const KEYS = [
  [["n"], "n", "suggest", "suggest neighbours of the selected record"],
  [["c", "Escape"], "c esc", "clearChoice", "let the selected record and its neighbours go"],
  [["g"], "g", "generate", "generate"],
  [["l"], "l", "nextLayer", "next layer"],
  [["["], "[", "moreNoise", "more noise"],
  [["]"], "]", "lessNoise", "less noise"],
  [["3"], "3", "turn", "2-D or 3-D"],
  [["0"], "0", "wholeMap", "the whole map"],
  [[",", "ArrowLeft"], ", ←", "stepBack", "one step of the generation back"],
  [[".", "ArrowRight"], ". →", "stepOn", "one step on"],
  [["t"], "t", "clearTrajectories", "clear trajectories"],
  [["?", "h"], "?", "help", "this page"],
];
const SIGNS = [
  "a double ring: selected", "a ring: a neighbour that was found", "a square: a neighbour that you chose",
  "a dashed ring: the same record on the other map", "a line from a ring to a diamond: a generation, from noise to image",
  "a cross: where a step was after the mask",
];

const acts = {
  suggest,
  generate,
  clearChoice() { clearChoice(); drawChoice(); },
  flat: () => setDeep(false),
  deep: () => setDeep(true),
  turn: () => setDeep(!at.deep),
  wholeMap() { for (const { cloud } of panes) Object.assign(cloud.camera, { x: 0, y: 0, zoom: 1, yaw: 0.6, pitch: 0.5 }); drawMaps(); keepAddress(); },
  nextLayer() { const names = here().layers.map(({ name }) => name); setLayer(names[(names.indexOf(at.layer) + 1) % names.length]); },
  moreNoise: () => setLevel(Math.max((at.level ?? here().noise_levels.length) - 1, 0)),
  lessNoise: () => setLevel(Math.min((at.level ?? -1) + 1, here().noise_levels.length - 1)),
  stepBack: () => goToStep(Math.min(at.step, (made.get(at.open)?.steps?.length ?? 1) - 1) - 1),
  stepOn: () => goToStep(at.step + 1),
  closeSteps() { at.open = null; drawMade(); drawMarks(); keepAddress(); },
  clearTrajectories() { at.shown.clear(); drawMade(); drawMarks(); keepAddress(); },
  again: settingsAgain,
  async remove() { if (await post(`api/made/${at.open}/remove`)) await askMade(); },
  async addWorkspace() {
    const answer = await post("api/workspaces", { name: $("new-workspace").value }), names = answer && await answer.json();
    if (!names) return;
    await showWorkspace($("new-workspace").value.trim().split(/\s+/).join(" "), names);
    $("new-workspace").value = "";
  },
  async logIn() { if (await post("api/login", { name: $("name").value, password: $("password").value })) location.reload(); },
  async logOut() { if (await post("api/logout")) location.reload(); },
  help() { if ($("help").open) $("help").close(); else $("help").showModal(); },
};

function setDeep(deep) {
  at.deep = deep;
  acts.wholeMap();
  drawTools();
}

function setLayer(layer) {
  at.layer = layer;
  measure();
  return showPanes();
}

function setLevel(level) {
  at.level = level;
  if (level !== null) at.selectedLevel = level;
  drawMaps();
  drawTools();
  drawPreview();
  keepAddress();
  measure();
}

function setFilter(name) {
  at.filter = name;
  drawMaps();
  drawTools();
  keepAddress();
}

async function showWorkspace(name, names) {
  Object.assign(at, { workspace: name, open: null });
  at.shown.clear();
  fillSelect($("workspace"), names.map((one) => [one, one]), name);
  await askMade();
}

document.addEventListener("click", (event) => {
  const { act, class: name, layer, level, record, made: number, cancel, step } = event.target.closest("button")?.dataset ?? {};
  if (act) acts[act]();
  else if (name !== undefined) setFilter(at.filter === name ? null : name);
  else if (layer !== undefined) { at.deep = false; setLevel(Number(level)); setLayer(layer); }
  else if (record !== undefined) chooseRecord(record, at.selectedLevel);
  else if (number !== undefined) openMade(Number(number));
  else if (cancel !== undefined) post(`api/made/${cancel}/cancel`);
  else if (step !== undefined) goToStep(Number(step));
});

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input:not([type=checkbox]), select")) {
    if (event.key === "Enter" && event.target.id === "password") acts.logIn();
    return;
  }
  if ($("help").open && !["?", "h"].includes(event.key)) return;
  const known = KEYS.find(([names]) => names.includes(event.key));
  if (!known || $("all").hidden) return;
  event.preventDefault();
  acts[known[2]]();
});

const changes = {
  bundle: (value) => showBundle(value),
  layer: (value) => setLayer(value),
  level: (value) => setLevel(value === "" ? null : Number(value)),
  class: (value) => setFilter(value === "" ? null : value),
  beside(value) { at.beside = parsed(value); showPanes(); },
  hide() { at.hide = $("hide").checked; setFilter(at.filter); },
  count(value) { at.count = Math.min(Math.max(Number(value) || 8, 1), limits.max_neighbours); keepAddress(); },
  workspace: (value) => showWorkspace(value, [...$("workspace").options].map((one) => one.value)),
  step: (value) => goToStep(Number(value)),
  "on-map"() { if ($("on-map").checked) at.shown.add(at.open); else at.shown.delete(at.open); drawMarks(); keepAddress(); },
};
for (const [id, change] of Object.entries(changes)) $(id).addEventListener("input", () => change($(id).value));
$("log").addEventListener("toggle", async () => {
  const answer = $("log").open && await ask("api/log"), lines = answer ? await answer.json() : [];
  $("log-lines").replaceChildren(...lines.slice(-200).reverse().map(({ unix_s, what }) => make("li", "", `${new Date(1000 * unix_s).toLocaleString()} · ${what}`)));
});
for (const [target, name] of [[window, "resize"], [matchMedia("(prefers-color-scheme: dark)"), "change"]]) {
  target.addEventListener(name, () => requestAnimationFrame(() => { inks.clear(); if (panes.length) { drawAll(); drawCurves(); } }));
}
addEventListener("hashchange", () => location.reload());  // an address that somebody put in here

// The connection.

const link = { isOpen: false, wasOpen: false, wait_ms: 500, socket: null };

function connect() {
  const socket = link.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
  socket.addEventListener("open", () => {
    if (link.wasOpen) say("");
    Object.assign(link, { isOpen: true, wasOpen: true, wait_ms: 500 });
    askMade();
  });
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    if (Object.hasOwn(told, message.type)) told[message.type](message);
  });
  socket.addEventListener("close", () => {
    if (link.isOpen) say("the connection is lost: trying again; what you asked for goes on");
    link.isOpen = false;
    setTimeout(connect, link.wait_ms);
    link.wait_ms = Math.min(2 * link.wait_ms, 5000);
  });
}

function showSession(session) {
  $("title").textContent = `explore · ${session.task}`;
  document.title = `${session.task} - baton explore`;
  Object.assign(limits, session);
  $("user").textContent = session.user || "anonymous";
  $("log-out").hidden = !session.is_named;
  for (const bundle of session.bundles) {
    bundles.set(bundle.key, { ...bundle, counts: bundle.classes, names: bundle.classes.map(({ name }) => name), classes: null });
  }
}

async function begin() {
  for (const [, shown, , help] of KEYS) $("keys").append(make("dt", "", make("kbd", "", shown)), make("dd", "", help));
  $("keys").append(make("dt", "", make("kbd", "", "arrows")), make("dd", "", "on a map: from point to point; Enter selects; + and - zoom"));
  for (const sign of SIGNS) $("signs").append(make("li", "", sign));
  const answer = await ask(`api/session${location.search}`);
  if (!answer) { $("state").textContent = ""; return; }
  const session = await answer.json();
  if (session.user === null) {
    $("login").hidden = false;
    $("by-password").hidden = !session.ways_in.includes("password");
    $("by-provider").hidden = !session.ways_in.includes("provider");
    $("state").textContent = session.task;
    return;
  }
  showSession(session);
  const camera = readAddress();
  if (!session.workspaces.includes(at.workspace)) at.workspace = session.workspaces[0];
  fillSelect($("workspace"), session.workspaces.map((one) => [one, one]), at.workspace);
  await loadBundle(at.bundle);
  dropUnknown();
  $("all").hidden = false;
  if (camera.length === 5 && camera.every(Number.isFinite)) {
    panes[0] = newPane(0);
    ["x", "y", "zoom", "yaw", "pitch"].forEach((name, k) => { panes[0].cloud.camera[name] = camera[k]; });
  }
  await showPanes();
  drawPreview();
  drawForm();
  measure();
  connect();
}

begin();
