// What a network that reads makes of a line: the columns that it sees, and below each step the probability of each label.

import { redrawing } from "../chart.js";
import { show } from "../dom.js";
import { fixed } from "../format.js";
import { ROWS, STRIDE } from "../ink.js";

/** Width of the labels at the left, and height of a label's row. */
const LEFT = 46;
const ROW = 18;
const GAP = 10;
/** Width of a column: from legible to no larger than the pad's. */
const [NARROW, WIDE] = [2, 9];

const labelOf = (index) => (index === 0 ? "no digit" : String(index - 1));

export function readingView(control) {
  const [result, canvas, step] = [control("result"), control("canvas"), control("step")];
  /** { columns, width, text, steps, classes, probabilities }. */
  let seen;
  let cell = WIDE;

  const redraw = redrawing(canvas, (context, width, height, colour) => {
    if (!seen) return;
    drawColumns(context, colour);
    drawProbabilities(context, colour);
    const x = LEFT + step.valueAsNumber * STRIDE * cell;
    context.strokeStyle = colour("ink");
    context.lineWidth = 1.5;
    context.strokeRect(x + 0.75, 0.75, STRIDE * cell - 1.5, height - 1.5);
  });

  function drawColumns(context, colour) {
    context.fillStyle = colour("ink");
    for (let x = 0; x < seen.width; x++) {
      for (let y = 0; y < ROWS; y++) {
        context.globalAlpha = seen.columns[x * ROWS + y];
        if (context.globalAlpha > 0) context.fillRect(LEFT + x * cell, y * cell, cell, cell);
      }
    }
    context.globalAlpha = 1;
  }

  function drawProbabilities(context, colour) {
    const { steps, classes, probabilities } = seen;
    const top = ROWS * cell + GAP;
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (let label = 0; label < classes; label++) {
      const y = top + label * ROW;
      context.fillStyle = colour("muted");
      context.fillText(label === 0 ? "none" : labelOf(label), LEFT - 8, y + ROW / 2);
      context.fillStyle = colour("line");
      context.fillRect(LEFT, y + ROW - 1, steps * STRIDE * cell, 1);
      context.fillStyle = colour(label === 0 ? "wave" : "hot");
      for (let at = 0; at < steps; at++) {
        // As high as it is probable.
        const high = probabilities[at * classes + label] * (ROW - 2);
        context.fillRect(LEFT + at * STRIDE * cell, y + ROW - 1 - high, STRIDE * cell - 1, high);
      }
    }
  }

  function size() {
    const room = control("map").clientWidth - LEFT;
    if (!seen || room <= 0) return;
    cell = Math.max(NARROW, Math.min(WIDE, Math.floor(room / seen.width)));
    canvas.style.width = `${LEFT + seen.width * cell}px`;
    canvas.style.height = `${ROWS * cell + GAP + seen.classes * ROW}px`;
    redraw();
  }

  /** Says what the chosen step is taken for. */
  function choose(at) {
    const { steps, classes, probabilities } = seen;
    step.value = Math.max(0, Math.min(at, steps - 1));
    const row = [...probabilities.subarray(step.value * classes, (Number(step.value) + 1) * classes)];
    const best = row.map((probability, label) => ({ probability, label })).sort((a, b) => b.probability - a.probability);
    const said = best.slice(0, 2).map(({ probability, label }) => `${labelOf(label)} ${fixed(100 * probability, 0)} %`);
    const words = `Step ${Number(step.value) + 1} of ${steps}: ${said.join(", ")}`;
    show(control("value"), words, best[0].label);
    step.setAttribute("aria-valuetext", words);
    redraw();
  }

  const point = ({ offsetX, type, pointerType }) => {
    // A finger that moves scrolls.
    if (!seen || (type === "pointermove" && pointerType !== "mouse")) return;
    choose(Math.floor((offsetX - LEFT) / (STRIDE * cell)));
  };
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  step.addEventListener("input", () => seen && choose(step.valueAsNumber));
  new ResizeObserver(size).observe(control("map"));

  return {
    show(found) {
      seen = found;
      result.hidden = false;
      control("text").textContent = found.text || "–";
      control("text").dataset.text = found.text;
      canvas.setAttribute(
        "aria-label",
        `The line as the network sees it, ${found.width} columns, and the probability of each digit at each of ${found.steps} steps: it reads ${found.text || "no digit"}`,
      );
      step.max = found.steps - 1;
      size();
      choose(step.valueAsNumber);
    },
    clear() {
      seen = undefined;
      result.hidden = true;
      control("text").textContent = "–";
      delete control("text").dataset.text;
    },
  };
}
