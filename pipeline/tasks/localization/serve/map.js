"use strict";
// The fix and its ellipses on a plain map: metres east and north of the fix, which near it is as good as any projection.

{
  const M_PER_DEG = 111320;
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  /** Measurements at the receivers that the model knows, weaker from one to the next. */
  function example(model) {
    const receivers = model?.network?.network?.receivers_known || [];
    const measurements = receivers.slice(0, 5).map(({ name, latitude, longitude }, n) =>
      ({ receiver: name, latitude, longitude, level_dbm: -62 - 6 * n }));
    return { measurements, frequency_mhz: 145 };
  }

  /** Metres east and north of the fix. */
  function local(answer, latitude, longitude) {
    const turn = ((longitude - answer.fix_longitude + 540) % 360) - 180;
    const shrink = Math.cos((answer.fix_latitude * Math.PI) / 180);
    return [turn * M_PER_DEG * shrink, (latitude - answer.fix_latitude) * M_PER_DEG];
  }

  /** A round length of about a quarter of the map, for the scale. */
  function roundLength(most) {
    const power = 10 ** Math.floor(Math.log10(most));
    return power * ([5, 2, 1].find((one) => one * power <= most) || 1);
  }

  const lengthText = (metres) => (metres >= 1000 ? `${+(metres / 1000).toPrecision(3)} km` : `${+metres.toPrecision(3)} m`);

  function draw(canvas, answer, width) {
    const height = Math.round(width * 0.75), ratio = window.devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.clearRect(0, 0, width, height);
    const receivers = answer.measurements.filter((one) => one.latitude != null && one.longitude != null)
      .map((one) => ({ name: one.receiver, at: local(answer, one.latitude, one.longitude) }));
    const reach = [...receivers.map((one) => one.at), ...answer.ellipses.map((one) => [one.semi_major_m, one.semi_major_m])];
    const most = Math.max(1, ...reach.map(([east, north]) => Math.max((Math.abs(east) * height) / width, Math.abs(north))));
    const scale = (height / 2 - 34) / most;
    const place = ([east, north]) => [width / 2 + east * scale, height / 2 - north * scale];
    pen.font = "12px system-ui, sans-serif";
    for (const one of [...answer.ellipses].sort((a, b) => b.probability - a.probability)) drawEllipse(pen, one, place, scale);
    for (const one of receivers) drawReceiver(pen, place(one.at));
    const taken = receivers.map((one) => place(one.at)).map(([x, y]) => [x - 7, y - 7, x + 7, y + 6]);
    taken.push([width / 2 - 9, height / 2 - 9, width / 2 + 9, height / 2 + 9]);
    for (const one of receivers) drawName(pen, one.name, place(one.at), width, taken);
    drawCross(pen, place([0, 0]));
    drawScale(pen, width, height, scale);
  }

  function drawEllipse(pen, one, place, scale) {
    pen.beginPath();
    const turn = ((one.azimuth_deg - 90) * Math.PI) / 180;  // clockwise from north, to clockwise from east
    pen.ellipse(...place([0, 0]), one.semi_major_m * scale, one.semi_minor_m * scale, turn, 0, 2 * Math.PI);
    pen.fillStyle = token("area");
    pen.fill();
    pen.strokeStyle = token("accent");
    pen.lineWidth = 1.2;
    pen.stroke();
  }

  function drawReceiver(pen, [x, y]) {
    pen.beginPath();
    pen.moveTo(x, y - 6);
    pen.lineTo(x + 6, y + 5);
    pen.lineTo(x - 6, y + 5);
    pen.closePath();
    pen.fillStyle = token("warm");
    pen.fill();
  }

  /** A name where it covers nothing, nor leaves the map; left out where there is no such place. */
  function drawName(pen, name, [x, y], width, taken) {
    const wide = pen.measureText(name).width;
    for (const [left, base] of [[x + 9, y + 4], [x - 9 - wide, y + 4], [x - wide / 2, y - 10], [x - wide / 2, y + 19]]) {
      const box = [left, base - 11, left + wide, base + 3];
      const isFree = taken.every((one) => box[0] > one[2] || box[2] < one[0] || box[1] > one[3] || box[3] < one[1]);
      if (left < 2 || left + wide > width - 2 || !isFree) continue;
      pen.fillStyle = token("plain");
      pen.fillText(name, left, base);
      taken.push(box);
      return;
    }
  }

  function drawCross(pen, [x, y]) {
    pen.beginPath();
    for (const [dx, dy] of [[7, 0], [0, 7]]) {
      pen.moveTo(x - dx, y - dy);
      pen.lineTo(x + dx, y + dy);
    }
    pen.strokeStyle = token("bad");
    pen.lineWidth = 2.5;
    pen.stroke();
  }

  function drawScale(pen, width, height, scale) {
    const length = roundLength(width / 4 / scale);
    pen.strokeStyle = pen.fillStyle = token("plain");
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.moveTo(12, height - 18);
    pen.lineTo(12, height - 12);
    pen.lineTo(12 + length * scale, height - 12);
    pen.lineTo(12 + length * scale, height - 18);
    pen.stroke();
    pen.fillText(lengthText(length), 16, height - 18);
    pen.fillText("N", width - 22, 26);
    pen.beginPath();
    pen.moveTo(width - 18, 46);
    pen.lineTo(width - 18, 31);
    pen.lineTo(width - 22, 37);
    pen.moveTo(width - 18, 31);
    pen.lineTo(width - 14, 37);
    pen.stroke();
  }

  function describe(answer) {
    const ellipses = answer.ellipses.map((one) =>
      `${Math.round(one.probability * 100)} % within ${lengthText(one.semi_major_m)} x ${lengthText(one.semi_minor_m)}`);
    return `fix ${answer.fix_latitude.toFixed(5)}, ${answer.fix_longitude.toFixed(5)} (cross); ${ellipses.join(", ")}`;
  }

  function show(element, answer) {
    const figure = document.createElement("figure"), canvas = document.createElement("canvas");
    const caption = document.createElement("figcaption");
    caption.textContent = describe(answer);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", caption.textContent);
    figure.append(canvas, caption);
    element.append(figure);
    const again = () => canvas.isConnected && draw(canvas, answer, Math.max(200, figure.clientWidth));
    again();
    new ResizeObserver(again).observe(figure);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  }

  window.task = { example, show };
}
