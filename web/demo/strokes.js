// Lines that a pen draws: on a canvas as they are seen, and as the ink that the network reads. A stroke is a list of points
// [x, y] in heights of the pad.

/** Digits as a hand writes them, in a box one high: for whoever has no mouse at hand. */
const GLYPHS = [
  [[[0.3, 0], [0.08, 0.2], [0.03, 0.5], [0.1, 0.85], [0.3, 1], [0.5, 0.85], [0.57, 0.5], [0.5, 0.15], [0.3, 0]]],
  [[[0.3, 0], [0.27, 0.5], [0.25, 1]]],
  [[[0.05, 0.25], [0.14, 0.06], [0.32, 0], [0.5, 0.1], [0.53, 0.3], [0.4, 0.58], [0.2, 0.82], [0.03, 1], [0.2, 0.97], [0.6, 0.99]]],
  [[[0.08, 0.1], [0.28, 0], [0.5, 0.1], [0.5, 0.32], [0.26, 0.47], [0.5, 0.58], [0.55, 0.8], [0.35, 1], [0.06, 0.92]]],
  [[[0.15, 0], [0.05, 0.5], [0.1, 0.57], [0.58, 0.53]], [[0.48, 0.02], [0.46, 0.5], [0.43, 1]]],
  [[[0.12, 0.02], [0.08, 0.42], [0.3, 0.38], [0.53, 0.55], [0.5, 0.85], [0.3, 1], [0.05, 0.92]], [[0.12, 0.02], [0.55, 0]]],
  [[[0.42, 0], [0.2, 0.2], [0.06, 0.55], [0.1, 0.88], [0.3, 1], [0.5, 0.88], [0.5, 0.66], [0.32, 0.55], [0.1, 0.7]]],
  [[[0.03, 0.06], [0.3, 0.04], [0.57, 0.02], [0.42, 0.4], [0.27, 1]]],
  [[[0.5, 0.12], [0.3, 0], [0.1, 0.14], [0.2, 0.36], [0.45, 0.6], [0.5, 0.85], [0.3, 1], [0.08, 0.86], [0.15, 0.62], [0.42, 0.36], [0.5, 0.12]]],
  [[[0.52, 0.2], [0.32, 0.02], [0.1, 0.18], [0.12, 0.42], [0.32, 0.5], [0.52, 0.3], [0.54, 0.12], [0.51, 0.6], [0.44, 1]]],
];

/** Share of the ink's height that the pen is wide, as in the lines that the network learned from. */
const PEN = 0.12;
/** Height in pixels that strokes are drawn at before they are made smaller. */
const DRAWN = 96;

/** Strokes of a text of digits, from the left edge, in the middle of a pad so many heights wide: smaller where it is long. */
export function written(digits, padWidth) {
  const advance = 0.8;
  const size = Math.min(0.62, (padWidth - 0.2) / (digits.length * advance));
  const left = Math.max((padWidth - digits.length * advance * size) / 2, 0.1);
  const top = (1 - size) / 2;
  return [...digits].flatMap((digit, at) =>
    GLYPHS[Number(digit)].map((stroke) => stroke.map(([x, y]) => [left + (at * advance + x) * size, top + y * size])),
  );
}

/** Draws a stroke as a smooth line, or a dot; `scale` is of its points, and the context has its pen's width and colour. */
export function drawStroke(context, points, scale, [left, top] = [0, 0]) {
  const at = ([x, y]) => [(x - left) * scale, (y - top) * scale];
  const [first, ...others] = points.map(at);
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(...first);
  if (others.length === 0) context.lineTo(first[0] + 0.01, first[1]);
  for (const [i, point] of others.entries()) {
    const next = others[i + 1];
    // Through the middles of the sides, to the last point.
    if (next) context.quadraticCurveTo(...point, (point[0] + next[0]) / 2, (point[1] + next[1]) / 2);
    else context.lineTo(...point);
  }
  context.stroke();
}

/** The ink of strokes, for `normalise` of ink.js; undefined where there are none. */
export function inkOfStrokes(strokes) {
  const points = strokes.flat();
  if (points.length === 0) return undefined;
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  // A dot or a dash is as small as it is on the pad.
  const high = Math.max(bottom - top, 0.12);
  const scale = DRAWN / high;
  const pen = PEN * DRAWN;
  const [width, height] = [(right - left) * scale, (bottom - top) * scale].map((size) => Math.ceil(size + 2 * pen));
  // What is too long to be read is told by its shape: it need not be drawn in full.
  const canvas = new OffscreenCanvas(Math.min(width, 16_000), height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.lineWidth = pen;
  for (const stroke of strokes) drawStroke(context, stroke, scale, [left - pen / scale, top - pen / scale]);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const ink = Float32Array.from({ length: canvas.width * canvas.height }, (_, i) => data[4 * i + 3] / 255);
  return { ink, width: canvas.width, height: canvas.height };
}
