// A line of writing as the network of the lesson `handwriting` reads it: as examples/training/common/data/handwriting.rs makes it. No
// part of a page: it runs under Node too.

/** What the network reads: columns of so many rows, of which the ink takes so many, with so many blank ones around. */
export const ROWS = 24;
const INK = 20;
const MARGIN = 2;
/** A line's width is a multiple of this: a step of the recurrent layer. */
export const STRIDE = 4;
/** The widest line that is read. */
export const WIDEST = 2048;

/** How much darker or lighter than the paper writing has to be. */
const CONTRAST = 0.2;

/** From the first row or column of a picture with ink, which is above 0.5, to the one after the last; undefined without ink. */
function bounds({ ink, width, height }) {
  let [left, right, top, bottom] = [width, 0, height, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!(ink[y * width + x] > 0.5)) continue;
      [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
    }
  }
  return right > 0 ? { left, right, top, bottom } : undefined;
}

/** Means of so many areas along an axis: `get(i, j)` of `length` × `others` numbers becomes `count` × `others`. */
function areas(get, length, others, count) {
  const scale = length / count;
  const out = new Float32Array(count * others);
  for (let k = 0; k < count; k++) {
    const [from, to] = [k * scale, (k + 1) * scale];
    for (let i = Math.floor(from); i < Math.min(Math.ceil(to), length); i++) {
      const part = (Math.min(i + 1, to) - Math.max(i, from)) / scale;
      for (let j = 0; j < others; j++) out[k * others + j] += part * get(i, j);
    }
  }
  return out;
}

/**
 * A picture of ink from 0 to 1 as columns [width, 24]: cut to its ink, scaled to a height of 20 pixels by the means of areas,
 * divided by its largest pixel, and put among blank pixels, so that the width is a multiple of 4. undefined where there is no
 * ink; throws where the line is too long.
 */
export function normalise(picture) {
  const box = bounds(picture);
  if (!box) return undefined;
  const [wide, high] = [box.right - box.left, box.bottom - box.top];
  if (wide * INK > WIDEST * high) {
    const times = Math.floor(wide / high);
    throw new Error(
      `the writing is ${times} times as wide as high, where ${Math.floor(WIDEST / INK)} is the most: take a shorter line of larger digits`,
    );
  }
  const width = Math.max(Math.round((wide * INK) / high), 1);
  const at = (y, x) => picture.ink[(box.top + y) * picture.width + box.left + x];
  const rows = areas(at, high, wide, INK);
  const small = areas((x, y) => rows[y * wide + x], wide, INK, width);
  const darkest = small.reduce((most, value) => Math.max(most, value), 0);
  const total = Math.ceil((width + 2 * MARGIN) / STRIDE) * STRIDE;
  const columns = new Float32Array(total * ROWS);
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < INK; y++) columns[(x + MARGIN) * ROWS + y + MARGIN] = small[x * INK + y] / darkest;
  }
  return { columns, width: total };
}

/**
 * The ink of a picture's pixels (red, green, blue, alpha in bytes), which is what differs from the paper, darker or lighter, from
 * 0 to 1; undefined where all of it is alike.
 */
export function inkOf({ data, width, height }) {
  const grey = Float32Array.from({ length: width * height }, (_, i) => {
    // Through what is transparent white paper is seen.
    const alpha = data[4 * i + 3] / 255;
    return 1 - alpha + (alpha * (data[4 * i] + data[4 * i + 1] + data[4 * i + 2])) / 765;
  });
  const paper = grey.slice().sort()[Math.floor(grey.length / 2)] ?? 0;
  const ink = grey.map((value) => Math.abs(value - paper));
  const most = ink.reduce((most, value) => Math.max(most, value), 0);
  if (!(most > CONTRAST)) return undefined;
  return { ink: ink.map((value) => value / most), width, height };
}
