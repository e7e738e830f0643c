// Numbers as colours: a sheet of cells on a canvas, one of which is marked. Blue below zero, orange above.

import { redrawing } from "./chart.js";

/** Rows whose values vary most, in their order: what a sheet has room for. */
export function liveliest(values, rows, columns, most) {
  const all = Array.from({ length: rows }, (_, row) => row);
  if (rows <= most) return all;
  const spread = all.map((row) => {
    let [sum, squares] = [0, 0];
    for (let column = 0; column < columns; column++) {
      const value = values[column * rows + row];
      sum += value;
      squares += value * value;
    }
    return squares / columns - (sum / columns) ** 2;
  });
  return all
    .sort((a, b) => spread[b] - spread[a])
    .slice(0, most)
    .sort((a, b) => a - b);
}

/** A value from -1 to 1 as a CSS colour: the further from 0, the more of a colour in the surface. */
export function tint(value, { cold, hot, surface }, most = 100) {
  const share = Math.min(Math.abs(value), 1) * most;
  return `color-mix(in srgb, ${value < 0 ? cold : hot} ${share.toFixed(1)}%, ${surface})`;
}

/** The sheet's shades by step, so that a cell costs no parsing of a colour. */
const SHADES = 64;

export class HeatMap {
  #canvas;
  #row;
  #column;
  #redraw;
  /** { rows, columns, value(row, column) from -1 to 1, head(column) }, and the size of its cells. */
  #sheet;
  #cell = { width: 8, height: 6 };
  #head;

  /** `row` and `column` are elements over the canvas that mark a cell; `head` is the height of the row of characters. */
  constructor({ canvas, row, column, head = 18 }) {
    [this.#canvas, this.#row, this.#column, this.#head] = [canvas, row, column, head];
    this.#redraw = redrawing(canvas, (...on) => this.#draw(...on));
  }

  show(sheet, { width, height }) {
    this.#sheet = sheet;
    this.#cell = { width, height };
    Object.assign(this.#canvas.style, {
      width: `${sheet.columns * width}px`,
      height: `${this.#head + sheet.rows * height}px`,
    });
    this.#redraw();
  }

  /** The cell at a place on the canvas; undefined where there is none. */
  at(x, y) {
    if (!this.#sheet) return undefined;
    const row = Math.floor((y - this.#head) / this.#cell.height);
    const column = Math.floor(x / this.#cell.width);
    const within = column >= 0 && column < this.#sheet.columns && row < this.#sheet.rows;
    return within ? { row: Math.max(row, 0), column } : undefined;
  }

  mark(row, column) {
    const { width, height } = this.#cell;
    const [tall, wide] = [this.#head + this.#sheet.rows * height, this.#sheet.columns * width];
    Object.assign(this.#row.style, { top: `${this.#head + row * height}px`, height: `${height}px`, width: `${wide}px` });
    Object.assign(this.#column.style, { left: `${column * width}px`, width: `${width}px`, height: `${tall}px` });
    this.#row.hidden = this.#column.hidden = false;
  }

  /** The left and right edge of a column, to scroll to it. */
  edges(column) {
    return [column * this.#cell.width, (column + 1) * this.#cell.width];
  }

  #draw(context, width, height, colour) {
    if (!this.#sheet) return;
    const { rows, columns, value, head } = this.#sheet;
    const cell = this.#cell;
    const shades = shadesOf({ cold: colour("cold"), hot: colour("hot"), surface: colour("surface") });
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const bounded = Math.max(-1, Math.min(1, value(row, column)));
        context.fillStyle = shades[Math.round((bounded + 1) * SHADES)];
        context.fillRect(column * cell.width, this.#head + row * cell.height, cell.width, cell.height);
      }
    }
    context.fillStyle = colour("ink");
    context.font = `${Math.min(13, cell.width * 1.6)}px ui-monospace, Menlo, Consolas, monospace`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let column = 0; column < columns; column++) {
      context.fillText(head(column), (column + 0.5) * cell.width, this.#head / 2);
    }
  }
}

/** Shades from the coldest to the hottest, as the canvas parses them fastest. */
function shadesOf(colours) {
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (name) => {
    probe.fillStyle = name;
    probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data];
  };
  const [cold, hot, surface] = [colours.cold, colours.hot, colours.surface].map(rgb);
  return Array.from({ length: 2 * SHADES + 1 }, (_, at) => {
    const share = at / SHADES - 1;
    const full = share < 0 ? cold : hot;
    const mixed = [0, 1, 2].map((i) => Math.round(surface[i] + Math.abs(share) * (full[i] - surface[i])));
    return `rgb(${mixed.join(" ")})`;
  });
}
