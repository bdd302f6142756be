"use strict";
// Which episode and which frame is shown, how fast; keys, fingers, the address; and where episodes come from: from the
// page itself, or from the server through a WebSocket.

const SPEEDS = [1, 2, 5, 10, 20, 50, 100, 200, 500];  // frames a second
const HOLD_S = 2;  // the last frame stays this long before the next episode follows
const WORDS_EVERY_MS = 4000;  // while it plays, a screen reader is told no more often
const KEPT_PLAYS = 40, KEPT_WHOLE = 5;  // others are asked for again
const BESIDE_AFTER_MS = 200;  // curves and the list, once for all that came meanwhile
const ASK_AFTER_MS = 100;  // what is only passed by is not asked for
const MOST_POINTS = 20000;  // of a curve
const ENDED = {
  finished: "the training has ended",
  failed: "the training has failed",
  interrupted: "the training was interrupted",
  killed: "the training was killed",
  deleted: "the file was deleted",
};
const KEYS = [
  [["Space"], "space", "togglePlaying", "pause, go on"],
  [[".", "ArrowRight"], ". →", "stepOn", "one step on"],
  [[",", "ArrowLeft"], ", ←", "stepBack", "one step back"],
  [[">", "Shift+ArrowRight"], ">", "tenOn", "ten steps on"],
  [["<", "Shift+ArrowLeft"], "<", "tenBack", "ten steps back"],
  [["g"], "g", "firstFrame", "first step"],
  [["G"], "G", "lastFrame", "last step"],
  [["+", "="], "+", "faster", "faster"],
  [["-"], "-", "slower", "slower"],
  [["n"], "n", "nextEpisode", "next episode"],
  [["p"], "p", "previousEpisode", "previous episode"],
  [["N"], "N", "newest", "newest, and stay live"],
  [["f", "/"], "f", "filter", "only episodes with these words"],
  [["0", "Escape"], "esc 0", "closePanels", "close the panels"],
  [["?", "h"], "?", "help", "this page"],
];

const $ = (id) => document.getElementById(id);
const plays = new Map();  // by id, as far as they have come
const index = [];  // { id, line, text, kept } of every episode, in the order of the file; filters look at the last two
const filters = [];  // { key, name } of those that the task names
const placeOf = new Map();  // id to its place in the index
const framed = [];  // those of `plays` that have more than their first frame, the newest last
const known = { first: null, number: 0 };  // the number of the first of it in the file, and how many have their place
const curves = new Map();  // name to { progress, monitor }: lists of [step, value]
const link = { isSaved: false, isOpen: false, isFresh: false, isBehind: false, ended: null, dropped: 0, cursor: null, asked: null, wait_ms: 500 };
const at = {
  id: null, frame: 0, playing: !matchMedia("(prefers-reduced-motion: reduce)").matches, live: true,
  speed: SPEEDS.indexOf(10), owed: 0, held: 0, shown_ms: 0, wanted: null, filter: [], choice: null,
};
const panels = { open: new Set(), closedAtEnd: false };
const drawn = { scene: null, play: null, told_ms: 0, size: 0 };

// Episodes.

function addRows(rows, from) {
  // `from` is the number of the first one in the file. Plays that came before their row stand behind all others.
  const early = index.splice(known.number);
  known.first ??= from;
  rows.forEach(({ id, line, kept }, k) => setEntry(from + k - known.first, id, line, kept));
  known.number = Math.max(known.number, from + rows.length - known.first);
  for (const { id, line } of early) if (index[placeOf.get(id)]?.id !== id) setEntry(index.length, id, line);
}

function setEntry(place, id, line, kept = []) {
  placeOf.set(id, place);
  index[place] = { id, line: clipped(line, 300), text: clipped(line, 300).toLowerCase(), kept };
}

function addPlay(play) {
  if (!plays.has(play.id)) plays.set(play.id, play);  // else it comes again after the connection was lost
  if (!placeOf.has(play.id)) setEntry(index.length, play.id, play.line, play.kept);
  for (const id of plays.keys()) {
    if (plays.size <= KEPT_PLAYS || link.isSaved) break;
    if (id !== at.id && id !== play.id) plays.delete(id);
  }
  if (at.wanted?.id === play.id) show(play.id, at.wanted.frame);
  else if (at.wanted === null && (at.id === null || (link.isBehind && at.live))) show(play.id, 0);
  noteNewest();
}

function noteNewest() {
  if (known.number === index.length && plays.has(index.at(-1)?.id)) link.isBehind = false;
}

function addFrames(play, changes) {
  // Frames take ten times the room of all else: of the episodes that were shown, only the last ones keep theirs.
  if (!play.changes.length) framed.push(play);
  while (framed.length > KEPT_WHOLE) Object.assign(framed.shift(), { changes: [], scenes: null });
  play.changes.push(...changes);
}

function askForFrames() {
  const play = plays.get(at.id);
  if (!play || isWhole(play) || link.asked === at.id || at.wanted || link.isSaved) return;
  link.asked = at.id;
  send({ type: "get", id: at.id });
}

const isChosen = (entry) => at.choice === null || entry.kept.includes(at.choice);
const keeps = (entry) => isChosen(entry) && at.filter.every((word) => entry.text.includes(word));
const isFiltered = () => at.choice !== null || at.filter.some(Boolean);
const numNewer = () => (at.id === null ? 0 : index.slice(placeOf.get(at.id) + 1).filter(keeps).length);
const numFrames = () => plays.get(at.id)?.num_frames ?? 0;
const lastHere = () => numFramesHere(plays.get(at.id)) - 1;

function neighbour(direction) {
  let place = placeOf.get(at.id) + direction;
  while (index[place] && !keeps(index[place])) place += direction;
  return index[place]?.id ?? null;
}

function newestId(isWanted) {
  return index.findLast((entry) => keeps(entry) && isWanted(entry.id))?.id ?? null;
}

function show(id, frame) {
  if (!plays.has(id)) {
    at.wanted = { id, frame };
    say(`fetching ${clipped(id, 60)} …`);
    link.asked = id;
    send({ type: "get", id });
    return;
  }
  if (at.wanted) say("");
  const last = Math.max(plays.get(id).num_frames - 1, 0);
  Object.assign(at, { id, frame: Math.min(frame, last), owed: 0, held: 0, shown_ms: performance.now(), wanted: null });
  panels.closedAtEnd = false;
  draw();
}

// What keys and buttons do. Whatever places the viewer by hand ends live, and `newest` begins it again.

function place(frame) {
  if (at.id === null) return;
  Object.assign(at, { playing: false, live: false, owed: 0, frame: Math.min(Math.max(frame, 0), numFrames() - 1) });
}

function goTo(id) {
  at.live = false;
  if (id === null) say(isFiltered() ? "the filter keeps no other episode" : "there is no other episode");
  else show(id, 0);
}

const acts = {
  togglePlaying() {
    at.playing = !at.playing;
    if (!at.playing) at.live = false;
    else if (at.frame >= numFrames() - 1 && !numNewer()) at.frame = 0;
  },
  stepOn: () => place(at.frame + 1),
  stepBack: () => place(at.frame - 1),
  tenOn: () => place(at.frame + 10),
  tenBack: () => place(at.frame - 10),
  firstFrame: () => place(0),
  lastFrame: () => place(Infinity),
  faster() { at.speed = Math.min(at.speed + 1, SPEEDS.length - 1); },
  slower() { at.speed = Math.max(at.speed - 1, 0); },
  nextEpisode: () => at.id !== null && goTo(neighbour(1)),
  previousEpisode: () => at.id !== null && goTo(neighbour(-1)),
  newest() {
    const id = newestId(() => true);
    if (id === null) return goTo(null);
    at.live = at.playing = true;
    if (id !== at.id) show(id, 0);
  },
  filter() { $("filter").focus(); $("filter").scrollIntoView({ block: "center" }); },
  closePanels() { panels.closedAtEnd = true; panels.open.clear(); },
  help() { if ($("help").open) $("help").close(); else $("help").showModal(); },
};

function choose(name) {
  // The filter that is on goes off. What it does not keep gives way to the next that it keeps, live to the newest.
  say("");
  at.choice = at.choice === name ? null : name;
  if (at.id !== null && !keeps(index[placeOf.get(at.id)])) {
    const id = (at.live ? null : neighbour(1)) ?? newestId(() => true);
    if (id === null) say(`no episode matches '${clipped(name, 60)}' yet`);
    else show(id, 0);
  }
  drawEpisodes();
  draw();
}

function act(name) {
  say("");
  acts[name]();
  draw();
}

addEventListener("keydown", (event) => {
  const name = event.key === " " ? "Space" : event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key;
  const isScrolled = event.target.matches(".scroll") && event.key.startsWith("Arrow");
  if (isScrolled || event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input[type=search]")) {
    if (name === "Escape") event.target.blur();
    return;
  }
  if ($("help").open && !["?", "h"].includes(name)) return;  // the browser closes it with Escape
  if (name === "Space" && event.target.matches("button, summary")) return;  // it presses what has the focus
  if (/^[1-9]$/.test(name)) togglePanel(Number(name) - 1);
  const known = KEYS.find(([names]) => names.includes(name)), chosen = filters.find(({ key }) => key === name);
  if (!known && chosen) choose(chosen.name);
  if (!known) return;
  event.preventDefault();
  act(known[2]);
});

document.addEventListener("click", (event) => {
  const { act: name, id, frame, choice } = event.target.closest("button")?.dataset ?? {};
  if (name) act(name);
  else if (choice !== undefined) choose(choice);
  else if (id !== undefined) { goTo(id); draw(); }
  else if (frame !== undefined) { place(Number(frame)); draw(); }
});

let finger = null;
$("picture").addEventListener("pointerdown", (event) => { finger = event.isPrimary ? [event.clientX, event.clientY] : null; });
$("picture").addEventListener("pointerup", (event) => {
  if (!finger) return;
  const [right, down] = [event.clientX - finger[0], event.clientY - finger[1]];
  finger = null;
  if (Math.abs(right) > 60 && Math.abs(right) > 2 * Math.abs(down)) act(right < 0 ? "nextEpisode" : "previousEpisode");
  else if (Math.hypot(right, down) < 10) act("togglePlaying");
});
$("picture").addEventListener("pointercancel", () => { finger = null; });
$("seek").addEventListener("input", () => { place(Number($("seek").value)); draw(); });
$("filter").addEventListener("input", () => { at.filter = $("filter").value.toLowerCase().split(/\s+/); draw(); drawEpisodes(); });
addEventListener("hashchange", goToAddress);

// The address holds the episode and the step.

function goToAddress() {
  const [id, frame] = location.hash.slice(1).split("/").map(decoded);
  if (!id) return;
  Object.assign(at, { live: false, playing: false });
  if (plays.has(id) || placeOf.has(id)) show(id, Math.max(Number(frame) || 0, 0));
  else if (index.length) say(`there is no episode ${clipped(id, 60)} here`);
  else at.wanted = { id, frame: Number(frame) || 0 };
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

setInterval(function keepAddress() {  // browsers refuse one that changes at every frame
  const address = `#${encodeURIComponent(at.id)}/${at.frame}`;
  if (at.id !== null && at.wanted === null && location.hash !== address) history.replaceState(null, "", address);
}, 250);

// Time.

let then_ms = performance.now();
function tick(now_ms) {
  const passed_s = Math.min((now_ms - then_ms) / 1000, 0.25);  // a page in the background stands still
  then_ms = now_ms;
  if (at.playing && at.id !== null && advance(passed_s)) draw();
  if (now_ms - at.shown_ms > ASK_AFTER_MS) askForFrames();
  requestAnimationFrame(tick);
}

function advance(passed_s) {
  if (at.frame < numFrames() - 1) {
    at.owed += SPEEDS[at.speed] * passed_s;
    const steps = Math.max(Math.min(Math.floor(at.owed), lastHere() - at.frame), 0);
    at.owed = steps < Math.floor(at.owed) ? 0 : at.owed - steps;  // what has not come yet is waited for
    at.frame += steps;
    return steps > 0;
  }
  at.held += passed_s;
  if (at.held < HOLD_S) return false;
  const newest = at.live ? newestId((id) => plays.has(id)) : neighbour(1);
  const follows = newest !== null && placeOf.get(newest) > placeOf.get(at.id);
  if (follows && !at.wanted) show(newest, 0);
  if (!follows && !at.live && (link.isSaved || link.ended)) at.playing = false;  // nothing more is to come
  return !at.playing;
}

// Drawing.

function say(words) {
  $("notice").textContent = words;
  $("notice").hidden = !words;
}

function drawState() {
  const told = [
    link.isSaved ? "a saved recording" : "",
    link.isSaved || link.isOpen ? "" : "the connection is lost: trying again",
    ENDED[link.ended] ?? (link.isOpen ? "connected" : ""),
    link.played > link.recorded ? `recorded ${link.recorded} of ${link.played} played` : "",
    link.dropped_by_trainer ? `trainer dropped ${link.dropped_by_trainer}` : "",
    clipped(link.unplayed, 200),
    link.dropped ? `${link.dropped} dropped on the way to this page` : "",
  ].filter(Boolean).join(" · ");
  if ($("state").textContent !== told) $("state").textContent = told;
  $("waiting").textContent = clipped(link.waiting || "waiting for the first episode", 300);
  $("waiting").hidden = at.id !== null;
}

function draw() {
  drawState();
  const play = plays.get(at.id);
  for (const id of ["episode", "transport"]) $(id).hidden = !play;
  if (!play) return;
  const scene = sceneAt(play, Math.min(at.frame, lastHere()));  // its later frames may still be on their way
  drawFacts(play, scene);
  drawTransport(play, scene);
  drawScene(play, scene);
  Object.assign(drawn, { scene, play });
  tellInWords(play, scene);
}

function drawFacts(play, scene) {
  $("place").textContent = `episode ${placeOf.get(play.id) + 1} of ${index.length}`;
  const [badge, tone] = !at.playing ? ["‖ paused", "paused"] : at.live && !link.isSaved ? ["● live", "live"] : ["▶ replay", "replay"];
  $("badge").textContent = badge;
  $("badge").className = tone;
  $("headline").textContent = (scene.headline ?? []).map((fact) => clipped(fact, 200)).join(" · ");
}

function drawTransport(play, scene) {
  const newer = numNewer(), last = play.num_frames - 1;
  $("seek").max = last;
  $("seek").value = scene.frame;
  $("seek").setAttribute("aria-valuetext", `step ${scene.frame} of ${last}`);
  $("step").textContent = `${scene.frame} / ${last}`;
  $("speed").textContent = `${SPEEDS[at.speed]}/s`;
  $("play").textContent = at.playing ? "‖" : "▶";
  $("play").setAttribute("aria-label", at.playing ? "Pause (space)" : "Play (space)");
  $("newest").textContent = newer ? `${newer.toLocaleString("en")} newer` : "newest";
  $("newest").classList.toggle("news", newer > 0 && !at.live);
  if (drawn.play?.id !== play.id || drawn.scene.events !== scene.events) drawMarks(scene.events ?? [], last);
}

function drawMarks(events, last) {
  const highest = new Map();  // of those in one place the highest shows
  for (const event of events) {
    const cell = Math.round(200 * event.frame / Math.max(last, 1));
    if ((event.rank ?? 0) > (highest.get(cell)?.rank ?? 0)) highest.set(cell, event);
  }
  $("marks").replaceChildren(...[...highest.values()].map((event) => {
    const mark = make("button", `tone ${toneOf(event.tone)}`, clipped(event.sign ?? "•", 2));
    Object.assign(mark, { type: "button", tabIndex: -1, title: `${event.frame}: ${clipped(event.text, 200)}` });
    mark.dataset.frame = event.frame;
    mark.style.left = `${100 * Math.min(event.frame / Math.max(last, 1), 1)}%`;
    return mark;
  }));
}

function drawScene(play, scene) {
  const before = drawn.scene ?? {}, isNew = (...names) => names.some((name) => before[name] !== scene[name]);
  if (isNew("picture") || drawn.size !== innerWidth) {
    drawPicture($("picture"), scene.picture, Math.min(innerHeight * 0.58, 620));
    drawn.size = innerWidth;
  }
  if (isNew("frame", "events", "caption")) drawCaption(scene);
  if (isNew("readings", "choices", "notes")) {
    const choices = scene.choices ? [{ type: "choices", ...scene.choices }] : [];
    $("sections").replaceChildren(...[...(scene.readings ?? []), ...choices, ...(scene.notes ?? [])].map(drawSection));
  }
  if (isNew("trend")) drawTrend($("trend"), scene.trend);
  if (isNew("legend")) $("legend").replaceChildren(...(scene.legend ?? []).map((line) => make("p", "", ...spokenLine(line))));
  drawPanels(play, scene);
  if (drawn.play !== play) drawBesideSoon();
}

let isBesideDue = false;

function drawBesideSoon() {  // when the picture is on the screen: curves and the list can wait for that
  if (isBesideDue) return;
  isBesideDue = true;
  setTimeout(() => requestAnimationFrame(() => {
    isBesideDue = false;
    drawCurves();
    drawEpisodes();
  }), BESIDE_AFTER_MS);
}

function drawCaption(scene) {
  const event = latestEvent(scene);
  if (!event) return $("caption").replaceChildren(...(scene.caption?.text ? [spoken(scene.caption)] : []));
  const isNews = scene.frame - event.frame <= 3;
  const sign = spoken({ text: `${event.sign ?? "•"} `, tone: event.tone, strong: true });
  const text = spoken({ text: clipped(event.text, 1000), tone: isNews ? "plain" : "muted" });
  return $("caption").replaceChildren(sign, text, make("span", "ago", ago(scene, event)));
}

function drawPanels(play, scene) {
  const all = panelsOf(scene), isLast = at.frame === play.num_frames - 1;
  while ($("panels").children.length > all.length) $("panels").lastChild.remove();
  while ($("panels").children.length < all.length) $("panels").append(newPanel($("panels").children.length));
  all.forEach((panel, number) => {
    const place = $("panels").children[number], title = clipped(panel.title, 80);
    const isOpen = panels.open.has(number) || Boolean(panel.opens_at_end && isLast && !panels.closedAtEnd);
    place.firstChild.textContent = `${number + 1} ${title}`;
    place.firstChild.setAttribute("aria-expanded", isOpen);
    place.classList.toggle("open", isOpen);
    const sections = isOpen ? panel.sections : [], news = sections.map(whatIsNew);
    const isSame = drawn.play === play && news.length === place.news?.length && news.every((one, k) => one === place.news[k]);
    if (!isSame) place.lastChild.replaceChildren(...sections.map(drawSection));
    place.news = news;
  });
}

const whatIsNew = (section) => (section.type === "log" ? section.events.length : section);  // a log only grows

function newPanel(number) {
  const button = make("button", "title");
  button.type = "button";
  button.addEventListener("click", () => togglePanel(number));
  return make("section", "panel", button, make("div", "inside"));
}

function togglePanel(number) {
  const place = $("panels").children[number];
  if (!place) return;
  if (!place.classList.contains("open")) {
    panels.open.add(number);
  } else {
    panels.open.delete(number);
    panels.closedAtEnd ||= at.frame === numFrames() - 1;
  }
  draw();
}

function drawEpisodes() {
  const found = index.filter(keeps), newest = found.slice(-MOST_LINES).reverse();
  $("episodes").hidden = index.length < 2;
  markHere();
  if ($("list").matches(":hover, :focus-within")) return;  // nothing moves under a pointer
  const more = found.length > newest.length ? `, the newest ${newest.length} of them here` : "";
  for (const button of $("filters").children) button.ariaPressed = String(button.dataset.choice === at.choice);
  $("found").textContent = isFiltered() ? `${found.length} of ${index.length} episodes${more}` : `${index.length} episodes${more}`;
  $("list").replaceChildren(...newest.map(({ id, line }) => {
    const button = make("button", "", line);
    button.type = "button";
    button.dataset.id = id;
    return make("li", "", button);
  }));
  markHere();
}

function markHere() {
  for (const button of $("list").querySelectorAll("button")) button.ariaCurrent = button.dataset.id === at.id ? "true" : null;
}
for (const left of ["pointerleave", "focusout"]) $("list").addEventListener(left, () => requestAnimationFrame(drawEpisodes));

function drawCurves() {
  const step = plays.get(at.id)?.summary?.step, shown = [...curves].filter(([, curve]) => moves(curve));
  $("learning").hidden = !shown.length;
  while ($("curves").children.length > shown.length) $("curves").lastChild.remove();
  while ($("curves").children.length < shown.length) $("curves").append(make("figure"));
  shown.forEach(([name, curve], number) => drawCurve($("curves").children[number], name, curve, step));
}

function tellInWords(play, scene) {
  const now_ms = performance.now();
  if (at.playing && now_ms - drawn.told_ms < WORDS_EVERY_MS) return;
  const words = sceneInWords(scene, play.num_frames);
  if ($("words").textContent !== words) $("words").textContent = words;
  drawn.told_ms = now_ms;
}

function drawAllAgain() {
  inks.clear();
  rooms = new WeakMap();
  Object.assign(drawn, { scene: null, play: null });
  draw();
}
addEventListener("resize", () => requestAnimationFrame(drawAllAgain));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAllAgain);

// Where episodes come from.

function addCurves(news) {
  for (const kind of ["progress", "monitor"]) {
    for (const [name, points] of Object.entries(news[kind] ?? {})) {
      if (!curves.has(name)) curves.set(name, { progress: [], monitor: [] });
      const curve = curves.get(name);
      curve[kind] = curve[kind].concat(points.filter(([, value]) => typeof value === "number"));
      if (curve[kind].length > MOST_POINTS) curve[kind] = curve[kind].filter((_, number) => number % 2 === 0);
    }
  }
}

const moves = ({ progress, monitor }) => new Set([...progress, ...monitor].map(([, value]) => value)).size > 1;

const take = {
  hello(message) {
    // To a new page the last episodes are told from the oldest on: it goes through them to the newest.
    Object.assign(link, { isOpen: true, isFresh: true, isBehind: at.id === null, ended: message.ended, asked: null, wait_ms: 500 });
    nameIt(message);
  },
  play(message) {
    link.dropped = message.dropped ?? link.dropped;
    link.cursor = message.cursor ?? link.cursor;
    addPlay({ ...message.head, changes: [] });
    send({ type: "ack", id: message.id });
  },
  changes(message) {
    const play = plays.get(message.id);
    if (!play || message.from !== numFramesHere(play)) return;  // it comes again, and is known
    addFrames(play, message.changes);
    if (isWhole(play)) send({ type: "ack", id: play.id });
  },
  index(message) {
    addRows(message.rows, message.from);
    noteNewest();
    if (link.isFresh && at.wanted) askForWanted();
    link.isFresh = false;
  },
  curves(message) {
    if (message.whole) curves.clear();
    addCurves(message);
  },
  state: (message) => Object.assign(link, { ...message, type: undefined }),
  restart(message) {
    for (const all of [plays, placeOf, curves]) all.clear();
    framed.length = index.length = known.number = 0;
    known.first = null;
    Object.assign(at, { id: null, frame: 0, wanted: null });
    Object.assign(link, { cursor: null, isFresh: true, asked: null });
    say(`${clipped(message.what, 300)}: starting over`);
  },
  error(message) {
    at.wanted = null;
    say(clipped(message.what, 300));
  },
};

function nameIt({ task, run, filters: named = [] }) {
  filters.splice(0, Infinity, ...named);
  $("filters").replaceChildren(...named.map(({ key, name }) => {
    const button = make("button", "", clipped(name, 60));
    Object.assign(button, { type: "button", title: `key ${key}`, ariaPressed: String(name === at.choice) });
    button.dataset.choice = name;
    return button;
  }));
  $("keys").replaceChildren(...[
    ...KEYS.map(([, shown, , help]) => [shown, help]),
    ...named.map(({ key, name }) => [key, `only ${name}, and all again`]),
    ["1 … 9", "open or close a panel"],
  ].flatMap(([shown, help]) => [make("dt", "", make("kbd", "", clipped(shown, 10))), make("dd", "", clipped(help, 80))]));
  $("title").textContent = [task, run].filter(Boolean).map((name) => clipped(name, 80)).join(" · ") || "baton follow";
  document.title = `${$("title").textContent} - baton follow`;
}

let socket = null;
const send = (message) => { if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message)); };

function connect() {
  const token = new URLSearchParams(location.search).get("token");
  const query = token ? `?token=${encodeURIComponent(token)}` : "";
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live${query}`);
  socket.addEventListener("open", () => send({ type: "start", after: link.cursor }));
  socket.binaryType = "arraybuffer";
  let before = Promise.resolve();  // messages are taken in their order, however long one takes to unpack
  socket.addEventListener("message", ({ data }) => {
    before = before.then(async () => {
      const message = typeof data === "string" ? JSON.parse(data) : await inflated(data);
      if (!Object.hasOwn(take, message.type)) return;
      take[message.type](message);
      drawNews(message.type);
    }).catch(reportError);
  });
  socket.addEventListener("close", () => {
    link.isOpen = false;
    draw();
    setTimeout(connect, link.wait_ms);
    link.wait_ms = Math.min(2 * link.wait_ms, 5000);
  });
}

function drawNews(type) {
  if (at.playing && at.id !== null) advance(0);  // who waits at an end sees a new episode now, not a frame later
  draw();
  if (["curves", "index", "play", "restart"].includes(type)) drawBesideSoon();
}

function askForWanted() {
  const { id, frame } = at.wanted;
  if (placeOf.has(id)) {
    show(id, frame);
    return;
  }
  at.wanted = null;
  say(`there is no episode ${clipped(id, 60)} here: this is the newest`);
  const newest = newestId((known) => plays.has(known));
  if (newest !== null) show(newest, 0);
}

async function unpacked({ packed, ...play }) {
  return { ...play, changes: await inflated(Uint8Array.from(atob(packed), (sign) => sign.charCodeAt(0))) };
}

async function begin() {
  nameIt({});
  goToAddress();
  const saved = $("plays");
  if (!saved) connect();
  else {
    Object.assign(link, { isSaved: true });
    at.live = false;
    const training = JSON.parse($("training")?.textContent ?? "{}");
    addCurves(training);
    nameIt(training);
    (await Promise.all(JSON.parse(saved.textContent).map(unpacked))).forEach(addPlay);
    if (at.wanted) askForWanted();
    drawEpisodes();
  }
  draw();
  requestAnimationFrame(tick);
}

begin();
