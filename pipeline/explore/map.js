"use strict";
// A map: its points, its camera, and what is drawn over them. Points are blended into one buffer, which is faster than
// asking the canvas for each; a grid of the screen finds the point under the pointer.

const LIGHT = ["#1f6fb4", "#d15a00", "#1f8a50", "#c0286a", "#7450b0", "#856300", "#0b8895", "#b03a36", "#56677a", "#c43fa9"];
const DARK = ["#6cb4f0", "#ff9d4d", "#5fd394", "#ff7eb0", "#b79cf0", "#dcc062", "#4fd3e0", "#ff8b86", "#a9b8c6", "#f59ae6"];
const CELL = 24, REACH = 12;  // pixels: of the grid, and around the pointer
const MARGIN = 0.9;  // of half the shorter side
const HEIGHT = 1.3;  // of the tower of noise levels in 3-D, against the width of a map of 2
const FAINT = 0.16;
const FEW = 1000, MANY = 30000;  // records, of which each is drawn larger, or smaller

const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
const classColor = (number) => (isDark() ? DARK : LIGHT)[number] ?? `hsl(${(number * 137.5) % 360} 60% ${isDark() ? 70 : 42}%)`;
const inks = new Map();  // by name, until the theme changes; asking the style takes longer than drawing
const rgbs = new Map();  // by colour

function ink(name) {
  if (!inks.has(name)) inks.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return inks.get(name);
}

function rgb(color) {
  if (!rgbs.has(color)) {
    const brush = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
    brush.fillStyle = color;
    brush.fillRect(0, 0, 1, 1);
    rgbs.set(color, [...brush.getImageData(0, 0, 1, 1).data].slice(0, 3));
  }
  return rgbs.get(color);
}

const packed = ([r, g, b]) => 0xff000000 | b << 16 | g << 8 | r;  // a pixel, as its bytes lie in memory

class Cloud {
  // `places` is [numRecords, numLevels, 2]; a point is a record at a level: record * numLevels + level.
  constructor(figure) {
    this.figure = figure;
    this.canvas = figure.querySelector("canvas.points");
    this.overlay = figure.querySelector("canvas.over");
    this.camera = { x: 0, y: 0, zoom: 1, yaw: 0.6, pitch: 0.5 };
    this.marks = [];
    this.paths = [];
  }

  setData({ places, levels, classes }) {
    Object.assign(this, { places, levels, numLevels: levels.length, classes });
    let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let k = 0; k < places.length; k += 2) {
      left = Math.min(left, places[k]); right = Math.max(right, places[k]);
      low = Math.min(low, places[k + 1]); high = Math.max(high, places[k + 1]);
    }
    this.middle = [(left + right) / 2, (low + high) / 2];
    this.half = Math.max(right - left, high - low) / 2 || 1;
  }

  // `level` is null for all of them; `filter` a class or null.
  setLook({ level, deep, filter, hide }) {
    Object.assign(this, { level, deep, filter, hide });
  }

  resize() {
    const ratio = devicePixelRatio || 1, box = this.canvas.getBoundingClientRect();
    this.ratio = ratio;
    this.width = Math.max(Math.round(box.width * ratio), 1);
    this.height = Math.max(Math.round(box.height * ratio), 1);
    for (const canvas of [this.canvas, this.overlay]) Object.assign(canvas, { width: this.width, height: this.height });
    this.image = this.canvas.getContext("2d").createImageData(this.width, this.height);
    this.columns = Math.ceil(this.width / CELL);
    this.cells = new Int32Array(this.columns * Math.ceil(this.height / CELL));
  }

  // From the data to pixels: x = xx * px + xy * py + x0, and y likewise, with yr * rise (a level as a share, 0 the
  // highest noise).
  projection() {
    const { x, y, zoom, yaw, pitch } = this.camera, [mx, my] = this.middle;
    const scale = this.scale() * zoom, unit = scale / this.half, [cx, cy] = [this.width / 2, this.height / 2];
    const [cos, sin, tilt, up] = this.deep ? [Math.cos(yaw), Math.sin(yaw), Math.sin(pitch), Math.cos(pitch)] : [1, 0, 1, 0];
    const [xx, xy, yx, yy] = [unit * cos, unit * sin, unit * sin * tilt, -unit * cos * tilt], yr = scale * HEIGHT * up;
    return { xx, xy, yx, yy, yr, x0: cx - x * scale - xx * mx - xy * my, y0: cy + y * scale - yr / 2 - yx * mx - yy * my };
  }

  // Pixels of half the map, not zoomed.
  scale() {
    return MARGIN * Math.min(this.width, this.height) / 2 * (this.deep ? 0.7 : 1);
  }

  rise(level) {
    return this.numLevels > 1 ? level / (this.numLevels - 1) : 0;
  }

  draw() {
    const { places, numLevels, classes, width, height } = this, numPoints = places.length / 2;
    this.next ??= new Int32Array(0);
    if (this.next.length < numPoints) [this.next, this.xs, this.ys] = [new Int32Array(numPoints), new Float32Array(numPoints), new Float32Array(numPoints)];
    const pixels = new Int32Array(this.image.data.buffer);
    pixels.fill(packed(rgb(ink("ground"))));
    this.cells.fill(-1);
    const { xx, xy, yx, yy, yr, x0, y0 } = this.projection(), { reach, offsets, covers } = this.stamp(), grey = packed(rgb(ink("muted")));
    const colors = Array.from({ length: Math.max(...new Set(classes), 0) + 1 }, (_, number) => packed(rgb(classColor(number))));
    const levels = this.level === null ? [...Array(numLevels).keys()] : [this.level];
    for (const isFront of this.filter === null ? [true] : [false, true]) {  // those that were asked for lie on top
      if (!isFront && this.hide) continue;
      for (const level of levels) {
        const rise = this.rise(level), told = !isFront ? FAINT : levels.length > 1 ? 0.2 + 0.7 * rise : 0.85;
        const shares = Int32Array.from(covers, (cover) => Math.round(cover * told));
        for (let record = 0; record < classes.length; record++) {
          if (this.filter !== null && (classes[record] === this.filter) !== isFront) continue;
          const point = record * numLevels + level, px = places[2 * point], py = places[2 * point + 1];
          const sx = xx * px + xy * py + x0, sy = yx * px + yy * py + yr * rise + y0;
          if (!(sx >= reach && sy >= reach && sx < width - reach && sy < height - reach)) continue;
          blend(pixels, (sy | 0) * width + (sx | 0), offsets, shares, isFront ? colors[classes[record]] : grey);
          if (!isFront) continue;
          this.xs[point] = sx;
          this.ys[point] = sy;
          const cell = (sy / CELL | 0) * this.columns + (sx / CELL | 0);
          this.next[point] = this.cells[cell];
          this.cells[cell] = point;
        }
      }
    }
    this.canvas.getContext("2d").putImageData(this.image, 0, 0);
    this.drawOver();
  }

  // A disc with soft edges: where its pixels lie from that in the middle, and how much of each it covers, of 256.
  stamp() {
    const num = this.classes.length, first = num > MANY ? 1.2 : num > FEW ? 1.9 : 2.8, grown = first + 0.6 * Math.log2(Math.max(this.camera.zoom, 1));
    const radius = this.ratio * Math.min(grown, 4.5), reach = Math.ceil(radius), offsets = [], covers = [];
    for (let y = -reach; y <= reach; y++) {
      for (let x = -reach; x <= reach; x++) {
        const cover = Math.min(Math.max(radius + 0.5 - Math.hypot(x, y), 0), 1);
        if (cover <= 0.05) continue;
        offsets.push(y * this.width + x);
        covers.push(256 * cover);
      }
    }
    return { reach, offsets: Int32Array.from(offsets), covers };
  }

  // The point nearest to a place of the screen (CSS pixels from the corner of the map), or null.
  pick(x, y) {
    const [px, py] = [x * this.ratio, y * this.ratio], reach = REACH * this.ratio;
    let [best, nearest] = [reach * reach, null];
    const [first, last] = [(py - reach) / CELL | 0, (py + reach) / CELL | 0];
    for (let row = Math.max(first, 0); row <= last && row * this.columns < this.cells.length; row++) {
      for (let column = Math.max((px - reach) / CELL | 0, 0); column <= Math.min((px + reach) / CELL | 0, this.columns - 1); column++) {
        for (let point = this.cells[row * this.columns + column]; point >= 0; point = this.next[point]) {
          const distance = (this.xs[point] - px) ** 2 + (this.ys[point] - py) ** 2;
          if (distance < best) [best, nearest] = [distance, point];
        }
      }
    }
    return nearest;
  }

  // The nearest drawn point in a direction from another one, for keys.
  step(from, dx, dy) {
    const [x, y] = from === null ? [this.width / 2, this.height / 2] : this.pixel(from);
    let [best, found] = [Infinity, from];
    for (let cell = 0; cell < this.cells.length; cell++) {
      for (let point = this.cells[cell]; point >= 0; point = this.next[point]) {
        const [right, down] = [this.xs[point] - x, this.ys[point] - y], along = right * dx + down * dy;
        const aside = Math.abs(right * dy) + Math.abs(down * dx);
        if (point !== from && along > 0 && along + 2 * aside < best) [best, found] = [along + 2 * aside, point];
      }
    }
    return found;
  }

  pixel(point) {
    return pixelAt(this.projection(), this.places[2 * point], this.places[2 * point + 1], this.rise(point % this.numLevels));
  }

  // Marks are { point, sign }; paths { steps: [{ x, y, rise, level }], masked: [{ x, y } or null], color, at }.
  drawOver() {
    const brush = this.overlay.getContext("2d");
    brush.clearRect(0, 0, this.width, this.height);
    if (this.deep) this.drawFloors(brush);
    for (const path of this.paths) this.drawPath(brush, path);
    for (const { point, sign } of this.marks) {
      if (this.level === null || point % this.numLevels === this.level) this.drawMark(brush, this.pixel(point), sign);
    }
  }

  drawFloors(brush) {
    const project = this.projection(), [mx, my] = this.middle, half = this.half;
    brush.strokeStyle = ink("line");
    brush.lineWidth = this.ratio;
    for (let level = 0; level < this.numLevels; level++) {
      brush.beginPath();
      for (const [x, y] of [[-1, -1], [1, -1], [1, 1], [-1, 1]]) brush.lineTo(...pixelAt(project, mx + x * half, my + y * half, this.rise(level)));
      brush.closePath();
      brush.stroke();
      const [x, y] = pixelAt(project, mx + half, my - half, this.rise(level));
      Object.assign(brush, { fillStyle: ink("muted"), font: `${12 * this.ratio}px system-ui, sans-serif` });
      brush.fillText(`noise ${this.levels[level]}`, x + 4 * this.ratio, y);
    }
  }

  // Signs differ in form, not only in colour.
  drawMark(brush, [x, y], sign) {
    const r = this.ratio, sizes = { hover: 7, selected: 9, found: 7, chosen: 7, linked: 10 };
    const ring = () => {
      brush.beginPath();
      if (sign === "chosen") brush.rect(x - 7 * r, y - 7 * r, 14 * r, 14 * r);
      else brush.arc(x, y, sizes[sign] * r, 0, 2 * Math.PI);
      if (sign === "selected") brush.moveTo(x + 5 * r, y), brush.arc(x, y, 5 * r, 0, 2 * Math.PI);
    };
    brush.setLineDash(sign === "linked" ? [3 * r, 3 * r] : []);
    for (const [color, width] of [[ink("ground"), 5], [ink(sign === "hover" || sign === "linked" ? "plain" : sign), 2]]) {
      brush.strokeStyle = color;
      brush.lineWidth = width * r;
      ring();
      brush.stroke();
    }
    brush.setLineDash([]);
  }

  pathPixels(path) {
    const project = this.projection();
    return path.steps.map(({ x, y, rise }) => pixelAt(project, x, y, rise));
  }

  // A line from a ring to a diamond; what was put in for a step is a cross beside it.
  drawPath(brush, path) {
    const dots = this.pathPixels(path), r = this.ratio, project = this.projection();
    if (!dots.length) return;
    for (const [color, width] of [[ink("ground"), 4.5], [path.color, 2]]) {
      Object.assign(brush, { strokeStyle: color, lineWidth: width * r, lineJoin: "round" });
      brush.beginPath();
      for (const dot of dots) brush.lineTo(...dot);
      brush.stroke();
    }
    brush.lineWidth = 1.5 * r;
    path.masked.forEach((masked, k) => {
      if (!masked) return;
      const [x, y] = pixelAt(project, masked.x, masked.y, path.steps[k].rise);
      brush.setLineDash([2 * r, 3 * r]);
      brush.beginPath(); brush.moveTo(...dots[k]); brush.lineTo(x, y); brush.stroke();
      brush.setLineDash([]);
      brush.beginPath(); brush.moveTo(x - 3 * r, y - 3 * r); brush.lineTo(x + 3 * r, y + 3 * r);
      brush.moveTo(x - 3 * r, y + 3 * r); brush.lineTo(x + 3 * r, y - 3 * r); brush.stroke();
    });
    brush.fillStyle = path.color;
    for (const [x, y] of dots) { brush.beginPath(); brush.arc(x, y, 2.5 * r, 0, 2 * Math.PI); brush.fill(); }
    this.drawEnds(brush, dots, path.color);
    if (path.at !== null && dots[path.at]) this.drawMark(brush, dots[path.at], "hover");
  }

  drawEnds(brush, dots, color) {
    const r = this.ratio, [sx, sy] = dots[0], [ex, ey] = dots.at(-1);
    Object.assign(brush, { fillStyle: ink("ground"), strokeStyle: color, lineWidth: 2 * r });
    brush.beginPath(); brush.arc(sx, sy, 5 * r, 0, 2 * Math.PI); brush.fill(); brush.stroke();
    brush.fillStyle = color;
    brush.strokeStyle = ink("ground");
    brush.beginPath();
    for (const [x, y] of [[0, -7], [7, 0], [0, 7], [-7, 0]]) brush.lineTo(ex + x * r, ey + y * r);
    brush.closePath(); brush.fill(); brush.stroke();
  }

  // The step of a path under the pointer, or null.
  pickPath(x, y) {
    for (const path of [...this.paths].reverse()) {
      const k = this.pathPixels(path).findIndex(([px, py]) => Math.hypot(px - x * this.ratio, py - y * this.ratio) < 6 * this.ratio);
      if (k >= 0) return { path, step: k };
    }
    return null;
  }

  zoomAt(x, y, factor) {
    const camera = this.camera, zoom = Math.min(Math.max(camera.zoom * factor, 0.5), 200);
    const shift = (1 / camera.zoom - 1 / zoom) / this.scale();
    camera.x += (x * this.ratio - this.width / 2) * shift;
    camera.y -= (y * this.ratio - this.height / 2) * shift;
    camera.zoom = zoom;
  }

  // A drag moves the map, or turns the tower (with `slides`, moves that, too).
  drag(dx, dy, slides) {
    const camera = this.camera;
    if (this.deep && !slides) {
      camera.yaw += dx / 150;
      camera.pitch = Math.min(Math.max(camera.pitch + dy / 200, 0.05), Math.PI / 2);
      return;
    }
    camera.x -= dx * this.ratio / (this.scale() * camera.zoom);
    camera.y += dy * this.ratio / (this.scale() * camera.zoom);
  }
}

const pixelAt = ({ xx, xy, yx, yy, yr, x0, y0 }, x, y, rise) => [xx * x + xy * y + x0, yx * x + yy * y + yr * rise + y0];

// Red and blue are mixed in one product, green in another: half of the work of three.
function blend(pixels, middle, offsets, shares, color) {
  const others = color & 0xff00ff, green = color & 0xff00;
  for (let k = 0; k < offsets.length; k++) {
    const place = middle + offsets[k], old = pixels[place], share = shares[k], before = old & 0xff00ff, dark = old & 0xff00;
    pixels[place] = 0xff000000 | (before + (Math.imul(others - before, share) >> 8) & 0xff00ff) | (dark + (Math.imul(green - dark, share) >> 8) & 0xff00);
  }
}
