"use strict";
// Scenes of an episode, and what they say in words and numbers. Nothing here draws.
// The types are those of pipeline/follow/scene.py; what is left out of one has its default.

const LONGEST_TEXT = 20000;  // characters of a text that are shown: rows come from files
const TONES = new Set([
  "plain", "muted", "faint", "accent", "good", "warning", "bad", "agent",
  "hue1", "hue2", "hue3", "hue4", "hue5", "hue6", "hue7",
]);

// A play (pipeline/follow/play.py) holds its first scene, and the fields that change in each later one. Scenes share
// what has not changed, so that whoever draws one sees by identity what is new.

const numFramesHere = (play) => 1 + play.changes.length;
const isWhole = (play) => numFramesHere(play) >= play.num_frames;

function sceneAt(play, frame) {
  play.scenes ??= [play.first];
  while (play.scenes.length <= frame) {
    play.scenes.push(changed(play.scenes.at(-1), play.changes[play.scenes.length - 1]));
  }
  return play.scenes[frame];
}

function changed(scene, change) {
  const now = { ...scene };
  for (const [path, value] of Object.entries(change)) {
    const [name, place] = path.split("/");
    if (place === undefined) now[name] = value;
    else {
      if (now[name] === scene[name]) now[name] = [...scene[name]];
      now[name][place] = value;
    }
  }
  return now;
}

async function inflated(bytes) {
  return JSON.parse(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text());
}

// Texts and numbers, as the terminal shows them.

function clipped(text, longest = LONGEST_TEXT) {
  text = String(text ?? "");
  return text.length <= longest ? text : `${text.slice(0, longest)}… and ${text.length - longest} more characters`;
}

function fixed(value, decimals) {
  // As Python formats it: a tie goes to the even digit, where toFixed rounds it up.
  if (typeof value !== "number") return "–";
  const scaled = Math.abs(value) * 10 ** decimals;
  const isTie = scaled % 1 === 0.5 && Number.isInteger(value * 2 ** (decimals + 1));
  const even = isTie && Math.floor(scaled) % 2 === 0;
  return even ? (Math.sign(value) * Math.floor(scaled) / 10 ** decimals).toFixed(decimals) : value.toFixed(decimals);
}

function signed(value, decimals) {
  // "-.012": the sign always, the zero before the point never; nothing for what is rounded to 0.
  if (typeof value !== "number") return "";
  const text = fixed(value, decimals);
  if (Number(text) === 0) return "";
  const long = value > 0 ? `+${text}` : text;
  return Math.abs(value) < 1 ? long.replace("0.", ".") : long;
}

function shareOf(reading) {
  const low = reading.low ?? 0, high = reading.high ?? 1;
  return high > low ? Math.min(Math.max((reading.value - low) / (high - low), 0), 1) : 0;
}

function shownValue(reading) {
  const number = fixed(reading.value, reading.decimals ?? 2), unit = reading.unit ?? "";
  return ["$", "€", "£"].includes(unit) ? `${unit}${number}` : `${number} ${unit}`.trimEnd();
}

function allowedValues(choices) {
  return choices.options.filter((one) => one.allowed !== false && typeof one.value === "number").map((one) => one.value);
}

function certaintyOf(choices) {
  const values = allowedValues(choices).sort((a, b) => b - a);
  if (values.length < 2) return values.length ? [0, 1] : null;
  const spread = values[0] - values.at(-1), margin = values[0] - values[1];
  return [margin, spread > 0 ? margin / spread : 0];
}

function noteOfChoices(choices) {
  const certainty = certaintyOf(choices), note = choices.note?.text ?? "";
  if (certainty === null) return note;
  const sure = `sure ${fixed(100 * certainty[1], 0)}% (+${fixed(certainty[0], 3)})`;
  return note ? `${note}, ${sure}` : sure;
}

function bestOfOther(choices) {
  const told = choices.options.filter((one) => one.allowed !== false && typeof one.other === "number");
  return told.length ? told.reduce((best, one) => (one.other > best.other ? one : best)).name : null;
}

function pastEvents(scene) {
  return (scene.events ?? []).filter((event) => event.frame <= scene.frame && event.text);
}

function latestEvent(scene) {
  const graver = (a, b) => b.frame > a.frame || (b.frame === a.frame && (b.rank ?? 0) > (a.rank ?? 0));
  const past = pastEvents(scene);
  return past.length ? past.reduce((latest, event) => (graver(latest, event) ? event : latest)) : null;
}

function ago(scene, event) {
  const steps = scene.frame - event.frame;
  return steps === 0 ? "now" : `${steps} ${steps === 1 ? "step" : "steps"} ago`;
}

function panelsOf(scene) {
  const panels = scene.panels ?? [];
  return scene.events ? [{ title: "events", sections: [{ type: "log", events: pastEvents(scene) }] }, ...panels] : panels;
}

// The scene in words, for whoever does not see it.

const plainText = (line) => (line ?? []).map((words) => clipped(words.text, 200)).join("").trim();

function pictureInWords(picture) {
  if (!picture) return "no picture";
  const around = [picture.title, picture.aside, picture.foot, picture.foot_aside].map(plainText).filter(Boolean);
  return [...around, ...contentInWords(picture)].join(", ");
}

function contentInWords(picture) {
  if (picture.type === "grid") {
    const there = picture.cells.filter((cell) => cell.sign?.text || cell.names?.length);
    const told = there.map((cell) => {
      const what = [cell.names?.[0], cell.sign?.text].filter(Boolean).map((name) => clipped(name, 40)).join(" ");
      return `${what} in column ${cell.x + 1}, row ${cell.y + 1}`;
    });
    return [`a grid of ${picture.columns} by ${picture.rows}`, ...told.slice(0, 60)];
  }
  if (picture.type === "images") return [`${picture.images.length} images`, ...picture.images.map(pictureInWords)];
  const shapes = picture.outlines ?? [];
  const names = shapes.map((one) => clipped(one.name, 40)).filter(Boolean);
  return [picture.png == null ? "a map" : "an image", `${shapes.length} shapes`, ...names.slice(0, 60)];
}

function sceneInWords(scene, numFrames) {
  const event = latestEvent(scene);
  const happened = event ? `${clipped(event.text, 200)}, ${ago(scene, event)}` : clipped(scene.caption?.text, 200);
  const read = (scene.readings ?? []).flatMap((section) => section.values).map((one) => {
    return `${clipped(one.name, 40)} ${shownValue(one)}${one.warning ? ", a warning" : ""}`;
  });
  const taken = scene.choices?.options.find((one) => one.taken);
  const chosen = taken ? [`chosen: ${clipped(taken.name, 40)}${taken.value == null ? "" : ` ${fixed(taken.value, 3)}`}`] : [];
  const parts = [`step ${scene.frame} of ${numFrames - 1}`, happened, ...read, ...chosen];
  return `${parts.filter(Boolean).join("; ")}.`;
}
