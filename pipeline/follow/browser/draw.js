"use strict";
// Scenes on the page. Every text goes in as text, never as markup. What has not changed since the last scene is not
// drawn again: scenes share it.

const MOST_PIXELS = 4096 * 4096;  // images come from files: nothing larger is unpacked
const MOST_LINES = 200;  // of a list
const MOST_BINS = 200;  // of a curve

function make(tag, classes = "", ...children) {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  element.append(...children);
  return element;
}

function spoken(words) {
  return make("span", `tone ${toneOf(words.tone)} ${words.strong ? "strong" : ""}`, clipped(words.text));
}

const toneOf = (tone) => (TONES.has(tone) ? tone : "plain");
const spokenLine = (line) => (line ?? []).map(spoken);
const bothEnds = (classes, left, right) => make("div", `ends ${classes}`, make("span", "", ...left), make("span", "", ...right));

// How wide elements are, as they were last laid out: whoever asks an element has the whole page laid out at once.
let rooms = new WeakMap();
const onRoom = new ResizeObserver((all) => { for (const { target } of all) rooms.set(target, target.clientWidth); });

function roomOf(place) {
  if (!rooms.has(place)) {
    rooms.set(place, place.clientWidth);
    onRoom.observe(place);
  }
  return rooms.get(place);
}

// Readings, choices, tables, prose, events.

function drawSection(section) {
  switch (section.type) {
    case "readings": return drawReadings(section);
    case "choices": return drawChoices(section);
    case "table": return drawTable(section);
    case "prose": return make("div", "prose", ...heading(section.title), ...section.lines.map((line) => make("p", "", ...spokenLine(line))));
    case "log": return drawLog(section.events);
    default: return make("p", "", `a section of an unknown kind: ${clipped(section.type, 40)}`);
  }
}

function heading(title, note) {
  if (!title && !note?.text) return [];
  return [bothEnds("heading", [make("h3", "", clipped(title, 100))], note?.text ? [spoken(note)] : [])];
}

function bar(share, tone) {
  const fill = make("div", `fill tone ${toneOf(tone)}`);
  fill.style.width = `${100 * share}%`;
  const track = make("div", "bar", fill);
  track.setAttribute("aria-hidden", "true");
  return track;
}

function rowHead(...children) {
  const head = make("th", "", ...children);
  head.scope = "row";
  return head;
}

function drawReadings(section) {
  const rows = section.values.map((one) => {
    const sign = one.sign ? [make("span", `sign tone ${toneOf(one.tone)}`, clipped(one.sign, 20))] : [];
    const warning = one.warning ? [make("span", "alarm", "!")] : [];
    const row = make("tr", `${one.warning ? "warning" : ""} ${one.strong ? "strong" : ""}`,
      rowHead(...sign, ...warning, clipped(one.name, 80)),
      make("td", "wide", bar(shareOf(one), one.warning ? "bad" : one.tone)),
      make("td", "value", shownValue(one)),
      make("td", "change", signed(one.change, (one.decimals ?? 2) + 1)));
    row.dataset.name = clipped(one.name, 80);
    return row;
  });
  return make("section", "readings", ...heading(section.title, section.note), make("table", "", make("tbody", "", ...rows)));
}

function drawChoices(section) {
  const allowed = allowedValues(section), best = bestOfOther(section);
  const low = Math.min(...allowed), high = Math.max(...allowed);
  const rows = section.options.map((one) => {
    const isAllowed = one.allowed !== false, told = isAllowed && typeof one.value === "number";
    // From the worst allowed value (a twentieth, to be seen) to the best.
    const share = !told ? 0 : high > low ? 0.05 + 0.95 * (one.value - low) / (high - low) : 1;
    const cells = [
      rowHead(make("span", "sign", one.taken ? "▶" : isAllowed ? "" : "✗"), clipped(one.name, 80)),
      make("td", "wide", isAllowed ? bar(share, one.taken ? "accent" : "muted") : "masked"),
      make("td", "value", told ? fixed(one.value, 3) : ""),
    ];
    if (best !== null) {
      const other = isAllowed && typeof one.other === "number" ? fixed(one.other, 3) : "";
      cells.push(make("td", "value other", other), make("td", "sign", one.name === best ? "◆" : ""));
    }
    const row = make("tr", `${one.taken ? "taken" : ""} ${isAllowed ? "" : "masked"}`, ...cells);
    row.dataset.name = clipped(one.name, 80);
    return row;
  });
  const note = best === null ? { text: noteOfChoices(section), tone: section.note?.tone } : { text: "recorded, model ◆", tone: "muted" };
  return make("section", "choices", ...heading(section.title, note), make("table", "", make("tbody", "", ...rows)));
}

function drawTable(section) {
  const align = (column) => (section.align[column] === "r" ? "right" : "left");
  const heads = (section.heads ?? []).map((head, column) => {
    const cell = make("th", align(column), clipped(head, 100));
    cell.scope = "col";
    return cell;
  });
  const rows = section.rows.map((row) => make("tr", "", ...row.map((words, column) => tableCell(words, align(column)))));
  const head = heads.length ? [make("thead", "", make("tr", "", ...heads))] : [];
  const scroller = make("div", "scroll", make("table", "table", ...head, make("tbody", "", ...rows)));
  scroller.tabIndex = 0;  // so that it can be scrolled by keys
  return scroller;
}

function tableCell(words, align) {
  const cell = make("td", words.heat ? `hot ${align}` : align, spoken(words));
  if (words.heat) cell.style.setProperty("--heat", Math.min(Math.max(words.heat, 0), 1));
  return cell;
}

function drawLog(events) {
  if (!events.length) return make("p", "tone muted", "nothing has happened yet");
  const newest = events.slice(-MOST_LINES).reverse();
  return make("ol", "log", ...newest.map((event) => {
    const go = make("button", "frame", String(event.frame));
    go.type = "button";
    go.dataset.frame = event.frame;
    go.setAttribute("aria-label", `to step ${event.frame}`);
    return make("li", "", go, make("span", `sign tone ${toneOf(event.tone)}`, clipped(event.sign ?? "•", 4)), make("span", "", clipped(event.text)));
  }));
}

// Pictures: words above and below, and a canvas between.

const images = new Map();  // by their base64 text, the newest last; null for one that is too large

function imageOf(png, whenLoaded) {
  if (!images.has(png)) {
    images.set(png, numPixels(png) > MOST_PIXELS ? null : new Image());
    if (images.get(png)) images.get(png).src = `data:image/png;base64,${png}`;
    if (images.size > 64) images.delete(images.keys().next().value);
  }
  const image = images.get(png);
  if (image?.complete) return image.naturalWidth ? image : null;
  image?.addEventListener("load", whenLoaded, { once: true });
  return null;
}

function numPixels(png) {
  // Width and height stand in the first chunk of the file, from its 16th byte on.
  try {
    const bytes = Uint8Array.from(atob(png.slice(0, 32)), (sign) => sign.charCodeAt(0));
    const numbers = new DataView(bytes.buffer);
    return numbers.getUint32(16) * numbers.getUint32(20);
  } catch {
    return Infinity;
  }
}

function drawPicture(place, picture, height) {
  if (!picture) return place.replaceChildren();
  const head = bothEnds("above", spokenLine(picture.title), spokenLine(picture.aside));
  const foot = bothEnds("below", spokenLine(picture.foot), spokenLine(picture.foot_aside));
  const middle = between(place, head, foot, picture.type === "images" ? "div" : "canvas");
  if (picture.type === "images") drawSheet(middle, picture, height);
  else drawCanvas(middle, picture, Math.max(height, 80), [head, foot]);
}

function between(place, head, foot, tag) {
  // The element between both: the one of the scene before where there is one, so that a finger on it stays on it.
  const there = place.children[1];
  if (there?.localName !== tag) {
    place.replaceChildren(head, make(tag), foot);
  } else {
    place.firstChild.replaceWith(head);
    place.lastChild.replaceWith(foot);
  }
  return place.children[1];
}

function drawSheet(sheet, picture, height) {
  const columns = Math.max(picture.columns, 1), rows = Math.max(Math.ceil(picture.images.length / columns), 1);
  sheet.className = "sheet";
  sheet.style.setProperty("--columns", columns);
  while (sheet.children.length < picture.images.length) sheet.append(make("div", "tile"));
  while (sheet.children.length > picture.images.length) sheet.lastChild.remove();
  picture.images.forEach((image, number) => drawPicture(sheet.children[number], image, height / rows - 30));
}

function drawCanvas(canvas, picture, height, around) {
  const isGrid = picture.type === "grid", room = roomOf(canvas.parentElement);
  const [wide, high] = isGrid ? [picture.columns, picture.rows] : [picture.width || 1, picture.height || 1];
  const scale = Math.min(room / wide, height / high);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", pictureInWords(picture));
  for (const words of around) words.style.width = `${Math.max(wide * scale, Math.min(room, 240))}px`;
  const draw = () => {
    const pen = penOf(canvas, wide * scale, high * scale);
    if (isGrid) drawGrid(pen, picture, scale);
    else drawPlane(pen, picture, scale, again);
  };
  const again = () => canvas.picture === picture && draw();  // an image has come: if it is still wanted
  canvas.picture = picture;
  draw();
}

function penOf(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(Math.round(width * ratio), 1);
  canvas.height = Math.max(Math.round(height * ratio), 1);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  return pen;
}

const inks = new Map();  // colours of the theme, by name: asking for one has all styles found anew

function ink(name) {
  if (!inks.has(name)) inks.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return inks.get(name);
}

const font = (size, strong) => `${strong ? "600 " : ""}${size}px system-ui, sans-serif`;

function drawGrid(pen, grid, cell) {
  const [left, right, top, bottom] = grid.sight ?? [0, grid.columns - 1, 0, grid.rows - 1];
  pen.fillStyle = ink("ground");
  pen.fillRect(0, 0, grid.columns * cell, grid.rows * cell);
  if (grid.sight) {
    pen.fillStyle = ink("lit");
    pen.fillRect(left * cell, top * cell, (right - left + 1) * cell, (bottom - top + 1) * cell);
  }
  pen.strokeStyle = ink("line");
  pen.lineWidth = 1;
  for (let x = 0; x <= grid.columns; x += 1) stroke(pen, [[x * cell, 0], [x * cell, grid.rows * cell]]);
  for (let y = 0; y <= grid.rows; y += 1) stroke(pen, [[0, y * cell], [grid.columns * cell, y * cell]]);
  for (const one of grid.cells) drawCell(pen, one, cell);
  if (!grid.sight) return;
  pen.strokeStyle = ink("accent");
  pen.lineWidth = 2;
  pen.strokeRect(left * cell + 1, top * cell + 1, (right - left + 1) * cell - 2, (bottom - top + 1) * cell - 2);
}

function stroke(pen, points) {
  pen.beginPath();
  points.forEach(([x, y], number) => (number ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
}

function drawCell(pen, one, cell) {
  const x = (one.x + 0.5) * cell, y = one.y * cell, small = Math.min(Math.max(cell * 0.24, 8), 15);
  const sign = one.sign?.text ? one.sign : null, names = (one.names ?? []).map((name) => clipped(name, 40));
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  if (names.length) {
    pen.font = font(small, one.strong);
    pen.fillStyle = ink(toneOf(one.tone) === "agent" ? "plain" : toneOf(one.tone));
    const name = names.find((name) => pen.measureText(name).width <= cell - 4) ?? names.at(-1);
    if (cell >= 22 || !sign) pen.fillText(name, x, y + (sign || cell < 22 ? cell * 0.3 : cell * 0.5), cell - 2);
  }
  if (!sign) return;
  const size = Math.min(Math.max(cell * 0.34, 9), 24), middle = y + cell * (names.length && cell >= 22 ? 0.68 : 0.5);
  const text = clipped(sign.text, 40), tone = toneOf(sign.tone);
  const isSet = Boolean(sign.strong) || tone === "agent";
  const fits = Math.min(size, names.length && !isSet ? small : size);
  pen.font = font(fits, sign.strong);
  if (isSet) {
    const width = Math.min(pen.measureText(text).width + 8, cell);
    pen.fillStyle = ink(tone === "agent" ? "plain" : tone);
    pen.fillRect(x - width / 2, middle - fits * 0.65, width, fits * 1.3);
  }
  pen.fillStyle = isSet ? ink("ground") : ink(tone);
  pen.fillText(text, x, middle, cell - 2);
}

function drawPlane(pen, plane, scale, again) {
  pen.fillStyle = ink("ground");
  pen.fillRect(0, 0, plane.width * scale, plane.height * scale);
  const isImage = plane.png != null;
  if (isImage) {
    const image = plane.png ? imageOf(plane.png, again) : null;
    pen.fillStyle = "#3c3c3c";
    pen.fillRect(0, 0, plane.width * scale, plane.height * scale);
    if (image) {
      pen.imageSmoothingEnabled = image.naturalWidth * 2 > plane.width * scale;  // pixels of a small one stay sharp
      pen.drawImage(image, 0, 0, plane.width * scale, plane.height * scale);
    }
  } else {
    pen.strokeStyle = ink("line");
    pen.strokeRect(0.5, 0.5, plane.width * scale - 1, plane.height * scale - 1);
  }
  const outlines = [...(plane.outlines ?? [])].sort((a, b) => Boolean(b.dashed) - Boolean(a.dashed));
  for (const one of outlines) drawOutline(pen, one, scale, isImage, plane);
}

function drawOutline(pen, outline, scale, isOverImage, plane) {
  const points = outline.points.map(([x, y]) => [x * scale, y * scale]);
  if (!points.length) return;
  const color = toneColor(outline.tone, isOverImage);
  const path = pathOf(outline.kind ?? "polygon", points);
  pen.setLineDash(outline.dashed ? [6, 4] : []);
  if (outline.kind === "point") {
    pen.fillStyle = color;
    pen.fill(path);
  } else {
    if (isOverImage) {  // a dark line below makes one of any colour seen on any image
      pen.strokeStyle = "rgb(0 0 0 / .6)";
      pen.lineWidth = 4;
      pen.stroke(path);
    }
    pen.strokeStyle = color;
    pen.lineWidth = 2;
    pen.stroke(path);
  }
  pen.setLineDash([]);
  if (outline.name) drawName(pen, outline, points, [color, isOverImage], [plane.width * scale, plane.height * scale]);
}

function toneColor(tone, isOverImage) {
  const name = toneOf(tone) === "agent" ? "accent" : toneOf(tone);
  return ink(isOverImage ? `image-${name}` : name) || ink(name);
}

function pathOf(kind, points) {
  const path = new Path2D(), [[x, y]] = points;
  if (kind === "point") path.arc(x, y, 4, 0, 2 * Math.PI);
  else if (kind === "box") path.rect(x, y, points[1][0] - x, points[1][1] - y);
  else if (kind === "ellipse") {
    const [[ax, ay], [bx, by]] = points.slice(1);
    path.ellipse(x, y, Math.hypot(ax - x, ay - y), Math.hypot(bx - x, by - y), Math.atan2(ay - y, ax - x), 0, 2 * Math.PI);
  } else {
    points.forEach(([px, py], number) => (number ? path.lineTo(px, py) : path.moveTo(px, py)));
    path.closePath();
  }
  return path;
}

function drawName(pen, outline, points, [color, isOverImage], [width, height]) {
  const text = clipped(outline.name, 40);
  pen.font = font(13, true);
  pen.textAlign = "left";
  pen.textBaseline = "top";
  const wide = pen.measureText(text).width + 6;
  const top = points.reduce((best, point) => (point[1] < best[1] ? point : best));
  const offset = outline.kind === "point" ? 6 : 0;
  const x = Math.min(Math.max(top[0] + offset, 0), Math.max(width - wide, 0)), y = Math.min(Math.max(top[1] + offset, 0), Math.max(height - 17, 0));
  pen.fillStyle = isOverImage ? "rgb(0 0 0 / .7)" : ink("ground");
  pen.fillRect(x, y, wide, 17);
  pen.fillStyle = color;
  pen.fillText(text, x + 3, y + 2);
}

// The trend of the last episodes, and curves of the training.

function drawTrend(place, trend) {
  place.replaceChildren();
  if (!trend?.values.length) return;
  const { values, title, high } = trend, told = (value) => fixed(value, trend.decimals ?? 0);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const words = `last ${told(values.at(-1))}, mean ${told(mean)}, best ${told(Math.max(...values))} of ${high}`;
  const canvas = make("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${clipped(title, 80)}: ${words}`);
  place.append(bothEnds("heading", [make("h3", "", `${clipped(title, 80)}, last ${values.length}`)], [words]), canvas);
  const width = roomOf(place), height = 44, pen = penOf(canvas, width, height);
  const step = Math.min(width / values.length, 24);
  values.forEach((value, number) => {
    const tall = Math.max(Math.min(value / (high || 1), 1) * height, 1);
    pen.fillStyle = ink(number === values.length - 1 ? "accent" : "calm");
    pen.fillRect(number * step, height - tall, Math.max(step - 1, 1), tall);
  });
}

function drawCurve(place, name, curve, step) {
  const series = [["progress", binned(curve.progress ?? [])], ["monitor", curve.monitor ?? []]].filter(([, points]) => points.length);
  const all = series.flatMap(([, points]) => points);
  const last = series.at(-1)[1].at(-1);
  const canvas = make("canvas");
  const numbers = all.map(([, value]) => value), low = Math.min(...numbers), high = Math.max(...numbers);
  const words = `now ${short(last[1])}, from ${short(low)} to ${short(high)}, up to step ${short(last[0])}`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${name}: ${words}`);
  place.replaceChildren(bothEnds("heading", [make("h3", "", clipped(name, 60).replaceAll("_", " "))], [short(last[1])]), canvas,
    bothEnds("scale", [`${short(low)} to ${short(high)}`], [`step ${short(last[0])}`]));
  const width = roomOf(place), height = 90, pen = penOf(canvas, width, height);
  const end = Math.max(...all.map(([at]) => at)), start = Math.min(...all.map(([at]) => at));
  const x = (at) => 4 + (width - 8) * (end > start ? (at - start) / (end - start) : 0.5);
  const y = (value) => height - 5 - (height - 10) * (high > low ? (value - low) / (high - low) : 0.5);
  pen.fillStyle = ink("ground");
  pen.fillRect(0, 0, width, height);
  if (step != null && step >= start && step <= end) {
    pen.strokeStyle = ink("muted");
    pen.setLineDash([3, 3]);
    stroke(pen, [[x(step), 0], [x(step), height]]);
    pen.setLineDash([]);
  }
  for (const [kind, points] of series) {
    pen.strokeStyle = pen.fillStyle = ink(kind === "monitor" ? "warning" : "accent");
    pen.lineWidth = 1.5;
    stroke(pen, points.map(([at, value]) => [x(at), y(value)]));
    if (kind === "monitor") for (const [at, value] of points) pen.fillRect(x(at) - 2, y(value) - 2, 4, 4);
  }
}

function binned(points) {
  // Means of neighbours, so that no more points are drawn than can be told apart.
  const each = Math.ceil(points.length / MOST_BINS), bins = [];
  if (each <= 1) return points;
  for (let start = 0; start < points.length; start += each) {
    const some = points.slice(start, start + each);
    bins.push([0, 1].map((axis) => some.reduce((sum, point) => sum + point[axis], 0) / some.length));
  }
  return bins;
}

function short(number) {
  // "812", "29k", "1.2M", "0.0134"
  if (typeof number !== "number") return "–";
  const size = Math.abs(number);
  if (size >= 1e6) return `${(number / 1e6).toFixed(size < 1e8 ? 1 : 0)}M`;
  if (size >= 1e4) return `${(number / 1e3).toFixed(0)}k`;
  return String(Number(number.toPrecision(4)));
}
