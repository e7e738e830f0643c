// Losses by step: two lines and what guessing would give, on a canvas.

import { count, fixed } from "./format.js";

/** Points of a line; beyond it neighbours are drawn as one. */
const MOST_POINTS = 1200;
const FONT = "12px system-ui, sans-serif";

/** About so many round numbers from `low` to `high`. */
export function ticks(low, high, about) {
  const rough = (high - low) / Math.max(about, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.999);
  const found = [];
  // `+ 0` makes 0 of −0.
  for (let i = Math.ceil(low / step - 1e-9) + 0; i * step <= high * (1 + 1e-9); i++) found.push(i * step);
  return { values: found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

/** Calls `draw` with a context and its size in CSS pixels when asked to, when the size changes, or the colours do. */
export function redrawing(canvas, draw) {
  let asked = false;
  const ask = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      const { clientWidth: width, clientHeight: height } = canvas;
      if (width === 0 || height === 0) return;
      const ratio = devicePixelRatio || 1;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      const context = canvas.getContext("2d");
      context.scale(ratio, ratio);
      const style = getComputedStyle(canvas);
      draw(context, width, height, (name) => style.getPropertyValue(`--${name}`).trim());
    });
  };
  new ResizeObserver(ask).observe(canvas);
  for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
    matchMedia(query).addEventListener("change", ask);
  }
  return ask;
}

export class LossChart {
  #canvas;
  #redraw;
  /** Lines as { points: [{ x, y }], merge }, by name. */
  #lines;
  /** Points that the next one drawn is the mean of. */
  #pending = [];
  /** Loss of guessing among all characters alike. */
  #guessing;
  #pointer;

  constructor(canvas) {
    this.#canvas = canvas;
    this.#redraw = redrawing(canvas, (...on) => this.#draw(...on));
    this.clear();
    const point = (event) => {
      this.#pointer = event.type === "pointerleave" ? undefined : event.offsetX;
      this.#redraw();
    };
    for (const type of ["pointermove", "pointerdown", "pointerleave"]) canvas.addEventListener(type, point);
  }

  clear() {
    this.restore({ training: [], heldOut: [], merge: 1 });
  }

  set guessing(bits) {
    this.#guessing = bits;
    this.#redraw();
  }

  addLoss(x, y) {
    const { training } = this.#lines;
    this.#pending.push({ x, y });
    if (this.#pending.length >= this.#lines.merge) training.push(mean(this.#pending.splice(0)));
    if (training.length > MOST_POINTS) {
      this.#lines.merge *= 2;
      this.#lines.training = halved(training);
    }
    this.#changed();
  }

  addHeldOut(x, y) {
    this.#lines.heldOut.push({ x, y });
    if (this.#lines.heldOut.length > MOST_POINTS) this.#lines.heldOut = halved(this.#lines.heldOut);
    this.#changed();
  }

  /** All that was drawn, to be restored later. */
  lines() {
    return structuredClone(this.#lines);
  }

  /** Takes lines, up to a step. */
  restore({ training, heldOut, merge }, step = Infinity) {
    const upTo = (points) => points.filter(({ x }) => x <= step);
    this.#lines = { training: upTo(training), heldOut: upTo(heldOut), merge };
    this.#pending = [];
    this.#changed();
  }

  /** In words, for those who don't see it. */
  describe() {
    const { training, heldOut } = this.#lines;
    const [first, last] = [training[0], training.at(-1)];
    let text = "Loss by step: nothing yet";
    if (last) {
      const at = ({ x, y }) => `${fixed(y, 2)} bits per character at step ${count(x)}`;
      text = `Loss by step: training from ${at(first)} to ${at(last)}`;
      if (heldOut.length > 0) text += `; held out ${at(heldOut.at(-1))}`;
    }
    this.#canvas.setAttribute("aria-label", text);
  }

  #changed() {
    this.#canvas.dataset.points = this.#lines.training.length;
    this.#canvas.dataset.heldOutPoints = this.#lines.heldOut.length;
    this.#redraw();
  }

  #draw(context, width, height, colour) {
    const { training, heldOut } = this.#lines;
    const all = [...training, ...heldOut];
    const frame = { left: 34, right: 12, top: 10, bottom: 24 };
    const right = width - frame.right;
    const bottom = height - frame.bottom;

    let [low, high, from, to] = [0, Math.ceil((this.#guessing ?? 5) + 0.5), 0, 100];
    if (all.length > 0) {
      const losses = all.map(({ y }) => y).sort((a, b) => a - b);
      // A few very high losses at the beginning should not press all others flat.
      const top = losses[Math.floor((losses.length - 1) * 0.995)];
      const pad = Math.max((top - losses[0]) * 0.08, 0.05);
      [low, high] = [Math.max(losses[0] - pad, 0), top + pad];
      from = Math.min(...all.map(({ x }) => x));
      if (from < (training.at(-1) ?? all.at(-1)).x * 0.2) from = 0;
      to = Math.max(...all.map(({ x }) => x), from + 20);
    }
    const place = {
      x: (x) => frame.left + ((x - from) / (to - from)) * (right - frame.left),
      y: (y) => bottom - ((y - low) / (high - low)) * (bottom - frame.top),
    };

    context.font = FONT;
    context.textBaseline = "middle";
    context.lineJoin = "round";
    const vertical = ticks(low, high, (bottom - frame.top) / 44);
    for (const value of vertical.values) {
      const y = Math.round(place.y(value)) + 0.5;
      line(context, colour("line"), [
        [frame.left, y],
        [right, y],
      ]);
      text(context, colour("muted"), "right", fixed(value, vertical.digits), frame.left - 7, y);
    }
    const horizontal = ticks(from, to, width / 110);
    for (const value of horizontal.values.filter(Number.isInteger)) {
      const x = Math.round(place.x(value)) + 0.5;
      line(context, colour("line"), [
        [x, bottom],
        [x, bottom + 4],
      ]);
      const near = x > right - 16 ? "right" : "center";
      text(context, colour("muted"), near, count(value), near === "right" ? right : x, bottom + 14);
    }

    context.save();
    context.beginPath();
    context.rect(frame.left, frame.top - 2, right - frame.left + 2, bottom - frame.top + 4);
    context.clip();
    const guess = this.#guessing;
    if (guess >= low && guess <= high) {
      const y = place.y(guess);
      context.setLineDash([3, 4]);
      line(context, colour("muted"), [
        [frame.left, y],
        [right, y],
      ]);
      context.setLineDash([]);
      const under = y < frame.top + 16;
      text(context, colour("muted"), "right", `guessing: ${fixed(guess, 2)}`, right, under ? y + 10 : y - 9);
    }
    const path = (points) => points.map(({ x, y }) => [place.x(x), place.y(y)]);
    line(context, colour("faint"), path(training), 1);
    line(context, colour("training"), path(smooth(training)), 2);
    line(context, colour("held-out"), path(heldOut), 2);
    for (const [x, y] of path(heldOut)) dot(context, colour("held-out"), x, y, 2.5);
    context.restore();

    if (this.#pointer !== undefined && all.length > 0) {
      this.#drawPointer(context, colour, place, { left: frame.left, right, top: frame.top, bottom });
    }
  }

  #drawPointer(context, colour, place, box) {
    const nearest = (points) => points.reduce((best, point) => (away(point) < away(best) ? point : best), points[0]);
    const away = ({ x }) => Math.abs(place.x(x) - this.#pointer);
    const at = nearest(this.#lines.training.length > 0 ? this.#lines.training : this.#lines.heldOut);
    const x = place.x(at.x);
    line(context, colour("muted"), [
      [x, box.top],
      [x, box.bottom],
    ]);
    const parts = [`step ${count(at.x)}: ${fixed(at.y, 3)}`];
    const held = this.#lines.heldOut.length > 0 ? nearest(this.#lines.heldOut) : undefined;
    if (held && Math.abs(place.x(held.x) - x) < 8) parts.push(`held out ${fixed(held.y, 3)}`);
    dot(context, colour("training"), x, place.y(at.y), 4);
    const label = parts.join(", ");
    const wide = context.measureText(label).width + 16;
    const left = Math.min(Math.max(x - wide / 2, box.left), box.right - wide);
    context.fillStyle = colour("ink");
    context.beginPath();
    context.roundRect(left, box.top, wide, 22, 5);
    context.fill();
    text(context, colour("surface"), "left", label, left + 8, box.top + 11.5);
  }
}

const mean = (points) => ({
  x: points.at(-1).x,
  y: points.reduce((sum, { y }) => sum + y, 0) / points.length,
});

const halved = (points) => {
  const half = [];
  for (let i = 0; i < points.length; i += 2) half.push(mean(points.slice(i, i + 2)));
  return half;
};

/** Each point as the mean of its neighbours on either side, as many as it has on both. */
function smooth(points) {
  const sums = [0];
  for (const { y } of points) sums.push(sums.at(-1) + y);
  const most = Math.floor(points.length / 40);
  return points.map(({ x }, at) => {
    const near = Math.min(most, at, points.length - 1 - at);
    return { x, y: (sums[at + near + 1] - sums[at - near]) / (2 * near + 1) };
  });
}

function line(context, colour, points, width = 1) {
  if (points.length === 0) return;
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.stroke();
}

function dot(context, colour, x, y, radius) {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

function text(context, colour, align, words, x, y) {
  context.fillStyle = colour;
  context.textAlign = align;
  context.fillText(words, x, y);
}
