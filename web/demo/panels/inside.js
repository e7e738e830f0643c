// What the hidden units do while the model writes: a heat map to point at, and the text coloured by one unit.

import { byId, element, show } from "../dom.js";
import { count, fixed, plural, sentence } from "../format.js";
import { HeatMap, liveliest, tint } from "../heatmap.js";
import { nameOf } from "../text.js";

/** Characters of a text that are looked at, and units that have a row. */
const MOST_CHARACTERS = 160;
const MOST_UNITS = 128;
/** Least size of a cell: what a finger can point at is chosen with the sliders. */
const [LEAST_WIDTH, LEAST_HEIGHT, MOST_HEIGHT] = [9, 3, 8];
const TALL = 400;

/** Characters that can't be seen, as a column's head. */
const shownAs = (character) => ({ "\n": "↵", "\r": "↵", "\t": "⇥", " ": "" })[character] ?? character;

const PARTS = { h: "hidden state h", c: "cell state c" };

export function insidePart(devices) {
  const control = (name) => byId(`inside-${name}`);
  const [place, map, canvas, failure] = [byId("inside"), control("map"), control("canvas"), control("error")];
  const [layer, part, unit, character] = ["layer", "part", "unit", "character"].map(control);
  const heat = new HeatMap({ canvas, row: control("row"), column: control("column") });
  /** What is shown: { characters, values [characters, units], units, rows, most }. */
  let seen;
  /** The text to be shown, and the newest one that came while somebody pointed at the map. */
  let [text, waiting] = [undefined, undefined];
  let description;
  /** What was asked for last: older answers are not shown. */
  let asked;

  const pointedAt = () => map.matches(":hover") || place.contains(document.activeElement);

  function options(select, values) {
    const before = select.value;
    select.replaceChildren(...values.map(([value, textContent]) => element("option", { value, textContent })));
    if (values.some(([value]) => value === before)) select.value = before;
    select.disabled = values.length < 2;
  }

  function clear(words) {
    seen = undefined;
    place.dataset.state = "empty";
    control("view").hidden = true;
    control("empty").hidden = false;
    control("empty").textContent = words;
  }

  async function look() {
    if (!devices.current || !description || !text) return;
    const turn = (asked = Symbol());
    try {
      const characters = [...text].slice(0, MOST_CHARACTERS);
      const chosen = { layer: Number(layer.value), part: part.value || "h" };
      const found = await devices.call("train.inside", { text: characters.join(""), ...chosen });
      if (turn !== asked) return;
      failure.textContent = "";
      fill({ characters, ...found });
    } catch (error) {
      if (turn !== asked || error.lost || error.fatal) return;
      failure.textContent = sentence(error.message);
    }
  }

  function fill({ characters, values, units, parts }) {
    options(
      part,
      parts.map((name) => [name, PARTS[name]]),
    );
    const rows = liveliest(values, units, characters.length, MOST_UNITS);
    const most = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
    const first = seen === undefined || seen.units !== units;
    seen = { characters, values, units, rows, most };
    control("view").hidden = false;
    control("empty").hidden = true;
    place.dataset.state = "shown";
    control("low").textContent = fixed(-most, 2);
    control("high").textContent = fixed(most, 2);
    control("which").hidden = rows.length === units;
    control("which").textContent = `The ${count(rows.length)} of ${count(units)} units whose values vary most.`;
    unit.max = rows.length - 1;
    character.max = characters.length - 1;
    if (first) unit.value = rows.indexOf(liveliest(values, units, characters.length, 1)[0]);
    const what = `${PARTS[part.value]} of ${plural(rows.length, "unit")} after each of ${plural(characters.length, "character")}`;
    canvas.setAttribute("aria-label", `Heat map: ${what}`);
    size();
    choose(Number(unit.value), Number(character.value));
  }

  const valueAt = (row, column) => seen.values[column * seen.units + seen.rows[row]];

  function size() {
    if (!seen || map.clientWidth === 0) return;
    const { characters, rows, most } = seen;
    heat.show(
      {
        rows: rows.length,
        columns: characters.length,
        value: (row, column) => valueAt(row, column) / most,
        head: (column) => shownAs(characters[column]),
      },
      {
        width: Math.max(Math.floor(map.clientWidth / characters.length), LEAST_WIDTH),
        height: Math.min(Math.max(Math.floor(TALL / rows.length), LEAST_HEIGHT), MOST_HEIGHT),
      },
    );
  }

  /** Marks a cell, says what it is, and colours the text by its unit. */
  function choose(row, column, { follow = false } = {}) {
    const { characters, rows, most } = seen;
    row = Math.max(0, Math.min(row, rows.length - 1));
    column = Math.max(0, Math.min(column, characters.length - 1));
    [unit.value, character.value] = [row, column];
    const value = valueAt(row, column);
    const where = `unit ${rows[row]} after ${nameOf(characters[column])}, character ${column + 1} of ${characters.length}`;
    show(control("value"), `${sentence(where).slice(0, -1)}: ${fixed(value, 3)}`, value);
    unit.setAttribute("aria-valuetext", `unit ${rows[row]}`);
    character.setAttribute("aria-valuetext", `${nameOf(characters[column])}, ${column + 1} of ${characters.length}`);
    heat.mark(row, column);
    if (follow) {
      const [left, right] = heat.edges(column);
      if (left < map.scrollLeft) map.scrollLeft = left;
      else if (right > map.scrollLeft + map.clientWidth) map.scrollLeft = right - map.clientWidth;
    }
    colourText(row, column, most);
  }

  function colourText(row, column, most) {
    const colours = { cold: "var(--cold)", hot: "var(--hot)", surface: "var(--surface)" };
    const marks = seen.characters.map((textContent, at) => {
      const mark = element("span", { textContent });
      // No more than half of it, so that letters can be read.
      mark.style.backgroundColor = tint(valueAt(row, at) / most, colours, 50);
      if (at === column) mark.className = "at";
      return mark;
    });
    control("text").replaceChildren(...marks);
    control("text").setAttribute("aria-label", `The sample, coloured by unit ${seen.rows[row]}`);
  }

  function take() {
    if (waiting === undefined || pointedAt()) return;
    [text, waiting] = [waiting, undefined];
    look();
  }

  // ---- Controls ----

  const point = ({ offsetX, offsetY, type, pointerType }) => {
    // A finger that moves scrolls.
    if (type === "pointermove" && pointerType !== "mouse") return;
    const cell = seen && heat.at(offsetX, offsetY);
    if (cell) choose(cell.row, cell.column);
  };
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  map.addEventListener("keydown", (event) => {
    const [down, right] =
      { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -1e9], End: [0, 1e9] }[
        event.key
      ] ?? [];
    if (down === undefined || !seen || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    choose(Number(unit.value) + down, Number(character.value) + right, { follow: true });
  });
  for (const slider of [unit, character]) {
    slider.addEventListener("input", () => seen && choose(unit.valueAsNumber, character.valueAsNumber, { follow: true }));
  }
  for (const select of [layer, part]) select.addEventListener("change", look);
  map.addEventListener("pointerleave", take);
  place.addEventListener("focusout", () => setTimeout(take));
  new ResizeObserver(() => {
    if (!seen) return;
    size();
    choose(Number(unit.value), Number(character.value));
  }).observe(map);

  return {
    /** A text that the model wrote; it waits while somebody points at the last one. */
    show(written) {
      waiting = written;
      take();
    },
    /** Another model, and the newest text that it wrote. */
    model(made, newest) {
      asked = undefined;
      [description, text, waiting] = [made, newest, undefined];
      failure.textContent = "";
      clear("The picture comes with the first sample.");
      const layers = Array.from({ length: made?.layers ?? 1 }, (_, at) => [String(at), String(at + 1)]);
      options(layer, layers);
      options(part, [["h", PARTS.h]]);
      look();
    },
  };
}
