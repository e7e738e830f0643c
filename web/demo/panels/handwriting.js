// A line of digits, drawn or in a picture, and read while it is drawn. What the network sees, and what it takes each of its steps
// for, is the matter of handwriting-view.js.

import { redrawing } from "../chart.js";
import { byId, enable, onDrop, tell } from "../dom.js";
import { bytes, duration, sentence } from "../format.js";
import { inkOf, normalise } from "../ink.js";
import { drawStroke, inkOfStrokes, written } from "../strokes.js";
import { readingView } from "./handwriting-view.js";

const MOST_FILE = 100e6;
/** A picture is made smaller than this before its ink is looked for. */
const MOST_PIXELS = 4e6;
const MOST_DIGITS = 12;
/** Width of the pen on the pad, in heights of the pad. */
const PEN = 0.035;

export function handwritingPanel(devices) {
  const panel = byId("handwriting");
  const control = (name) => byId(`handwriting-${name}`);
  const [pad, status, failure, digits] = ["pad", "status", "error", "digits"].map(control);
  const view = readingView(control);
  /** What is on the pad: strokes, or a picture in their place. */
  let strokes = [];
  let picture;
  /** The line that is to be read: { columns, width }; it waits while another one is read. */
  let [line, reading] = [undefined, false];
  /** Whether the worker has the network. */
  let ready = false;

  const redraw = redrawing(pad, (context, width, height, colour) => {
    if (picture) {
      const scale = Math.min(width / picture.width, height / picture.height);
      const [wide, high] = [picture.width * scale, picture.height * scale];
      context.drawImage(picture, (width - wide) / 2, (height - high) / 2, wide, high);
      return;
    }
    context.strokeStyle = colour("line");
    for (const y of [0.18, 0.82]) {
      context.beginPath();
      context.moveTo(0, Math.round(y * height) + 0.5);
      context.lineTo(width, Math.round(y * height) + 0.5);
      context.stroke();
    }
    context.strokeStyle = colour("ink");
    context.lineWidth = PEN * height;
    for (const stroke of strokes) drawStroke(context, stroke, height);
  });

  function setState(state) {
    panel.dataset.state = state;
    enable(control("undo"), strokes.length > 0);
    enable(control("clear"), strokes.length > 0 || picture !== undefined);
    control("hint").hidden = strokes.length > 0 || picture !== undefined;
    devices.onBusy();
  }

  function fails(message) {
    failure.textContent = message;
    status.textContent = "";
    setState("failed");
  }

  function clear() {
    [strokes, picture, line] = [[], undefined, undefined];
    view.clear();
    failure.textContent = "";
    status.textContent = "";
    redraw();
    setState("idle");
  }

  // ---- Reading ----

  /** Takes what is on the pad as the line to be read. */
  function take(ink) {
    redraw();
    failure.textContent = "";
    try {
      line = ink && normalise(ink);
      if (line) read();
      else clear();
    } catch (error) {
      line = undefined;
      view.clear();
      fails(sentence(error.message));
    }
  }

  const takeStrokes = () => take(inkOfStrokes(strokes));

  async function load() {
    status.textContent = "Loading the network…";
    setState("busy");
    await devices.call("handwriting.weights", {});
    ready = true;
    status.textContent = "";
  }

  /** Reads the line, and the one that it became meanwhile. */
  async function read() {
    if (reading || !devices.current) return;
    reading = true;
    try {
      if (!ready) await load();
      while (line) {
        const now = line;
        setState("busy");
        const found = await devices.call("handwriting", { columns: now.columns.slice(), width: now.width });
        if (line === undefined) break;
        view.show({ ...now, ...found });
        const steps = `${found.steps} steps in ${duration(found.seconds)}`;
        status.textContent = found.text ? `It reads ${found.text}: ${steps}.` : `It finds no digit: ${steps}.`;
        if (line === now) break;
      }
      setState(line ? "done" : "idle");
    } catch (error) {
      if (!error.lost && !error.fatal) fails(sentence(error.message));
    } finally {
      reading = false;
    }
  }

  // ---- The pad ----

  /** Strokes in progress, by pointer. */
  const pens = new Map();

  function pointsOf(event) {
    const { left, top, height } = pad.getBoundingClientRect();
    const some = event.getCoalescedEvents?.() ?? [];
    return (some.length > 0 ? some : [event]).map(({ clientX, clientY }) => [
      (clientX - left) / height,
      (clientY - top) / height,
    ]);
  }

  pad.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    pad.setPointerCapture(event.pointerId);
    if (picture) clear();
    const stroke = pointsOf(event);
    pens.set(event.pointerId, stroke);
    strokes.push(stroke);
    takeStrokes();
  });
  pad.addEventListener("pointermove", (event) => {
    const stroke = pens.get(event.pointerId);
    if (!stroke) return;
    stroke.push(...pointsOf(event));
    takeStrokes();
  });
  for (const type of ["pointerup", "pointercancel"]) {
    pad.addEventListener(type, ({ pointerId }) => pens.delete(pointerId));
  }

  control("undo").addEventListener("click", () => {
    strokes.pop();
    takeStrokes();
  });
  control("clear").addEventListener("click", clear);
  control("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = digits.value.replace(/\s/g, "");
    const right = /^[0-9]+$/.test(text) && text.length <= MOST_DIGITS;
    tell(digits, right ? "" : `Digits from 0 to 9, at most ${MOST_DIGITS}: 2026`);
    if (!right) return;
    clear();
    strokes = written(text, pad.clientWidth / pad.clientHeight);
    takeStrokes();
  });

  // ---- Files ----

  async function open(file) {
    failure.textContent = "";
    try {
      if (file.size === 0) throw new Error(`‘${file.name}’ is empty: choose a picture of a line of digits`);
      if (file.size > MOST_FILE) {
        throw new Error(`‘${file.name}’ has ${bytes(file.size)}: cut the line of digits out of it`);
      }
      const { image, pixels } = await decode(file);
      const ink = inkOf(pixels);
      if (!ink) {
        throw new Error(
          `‘${file.name}’ has no writing on it: take a picture of a line of digits, darker or lighter than the paper`,
        );
      }
      clear();
      picture = image;
      take(ink);
    } catch (error) {
      fails(sentence(error.message));
    }
  }

  async function openWeights(file) {
    failure.textContent = "";
    if (!devices.current) return;
    try {
      if (file.size > MOST_FILE) throw new Error(`it has ${bytes(file.size)}, more than such a network has`);
      await devices.call("handwriting.weights", { bytes: new Uint8Array(await file.arrayBuffer()) });
      ready = true;
      control("network").textContent = `Network: ${file.name}.`;
      if (line) read();
    } catch (error) {
      if (error.lost || error.fatal) return;
      const way = "Take the file that the lesson handwriting saves.";
      failure.textContent = `${sentence(`Nothing was taken from ${file.name}: ${error.message}`)} ${way}`;
    }
  }

  for (const [name, work] of Object.entries({ file: open, weights: openWeights })) {
    control(name).addEventListener("change", async ({ target }) => {
      const [file] = target.files;
      // So that the same file can be chosen again.
      target.value = "";
      if (file) await work(file);
    });
  }
  onDrop(control("place"), open);
  setState("idle");

  return {
    busy: () => panel.dataset.state === "busy",
    shown() {
      redraw();
      if (devices.current && !ready && !reading) read();
    },
    lost() {
      ready = false;
      status.textContent = "";
      setState(line ? "idle" : "failed");
    },
    /** What is on the pad is read again; a file's network is gone with its worker. */
    opened() {
      ready = reading = false;
      control("network").textContent = "";
      if (line || !panel.hidden) read();
    },
  };
}

/** A picture's pixels, as it is or smaller. Throws what is wrong with it. */
async function decode(file) {
  let image;
  try {
    image = await createImageBitmap(file);
  } catch {
    throw new Error(`‘${file.name}’ is no picture that this browser can decode: take a PNG or a JPEG`);
  }
  const scale = Math.min(1, Math.sqrt(MOST_PIXELS / (image.width * image.height)));
  const [width, height] = [image.width, image.height].map((size) => Math.max(Math.round(size * scale), 1));
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  return { image, pixels: context.getImageData(0, 0, width, height) };
}
