// The model that this browser keeps: it outlives a reload, and the closing of the window, until it is forgotten.

import { kept as session } from "../dom.js";
import { bytes, count } from "../format.js";
import { load, remove, save } from "../store.js";

/** A model in training is kept this often, and whenever it pauses. */
const EVERY_MS = 5000;
const VERSION = 1;
const [MODEL, TEXT] = ["model", "text"];

const isPoint = (point) => Number.isFinite(point?.x) && Number.isFinite(point?.y);
const isLines = (lines) =>
  lines?.merge >= 1 && [lines.training, lines.heldOut].every((points) => Array.isArray(points) && points.every(isPoint));
const isSample = (sample) =>
  Number.isFinite(sample?.step) && [sample.title, sample.prompt, sample.text].every((text) => typeof text === "string");

/** Throws what is wrong with a value that should be a model as `write` keeps it. */
function checkModel(model) {
  if (model?.version !== VERSION) throw new Error("it is of another version of this page, or of another page");
  if (!(model.bytes instanceof Uint8Array) || model.bytes.length === 0) throw new Error("its weights are missing");
  if (!isLines(model.lines)) throw new Error("its losses are damaged");
  if (!Array.isArray(model.samples) || !model.samples.every(isSample)) throw new Error("its samples are damaged");
}

const isText = (text) => typeof text?.own === "boolean" && (!text.own || typeof text.text === "string");

export function keptModel(control) {
  const [place, note, button] = [control("kept"), control("kept-note"), control("forget")];
  /** Whether models are to be kept; "Forget it" ends that for this tab. */
  let wanted = session.get("keep") ?? true;
  let [keptStep, keptText, last, failed] = [undefined, undefined, -Infinity, false];
  /** One at a time reads or writes. */
  let tail = Promise.resolve();
  const inTurn = (work) => (tail = tail.then(work));

  function show(state, text, action) {
    place.dataset.state = state;
    control("kept-text").textContent = text;
    button.textContent = action ?? "";
    button.hidden = !action;
  }

  function fails(error) {
    failed = true;
    keptStep = undefined;
    const what = `This browser can’t keep the model over a reload: ${error.message}.`;
    show("failed", `${what} “Save weights” keeps it in a file.`);
  }

  const showForgotten = () => show("off", "This model is not kept in this browser: a reload loses it.", "Keep it");

  return {
    /** { model, text } as they were kept, or undefined. What is damaged is told, not thrown. */
    read: () =>
      inTurn(async () => {
        if (!wanted) return undefined;
        try {
          const [model, text] = [await load(MODEL), await load(TEXT)];
          if (model === undefined) return undefined;
          checkModel(model);
          keptText = isText(text) ? text.text : undefined;
          keptStep = model.step;
          return { model, text: isText(text) ? text : { own: false } };
        } catch (error) {
          // Of storage that can't be read the first write tells more.
          note.textContent = `What this browser kept could not be taken up: ${error.message}. A new model begins.`;
          return undefined;
        }
      }),

    /** What was kept turned out to be none: `why`. */
    refuse(why) {
      keptStep = undefined;
      note.textContent = `What this browser kept could not be taken up: ${why}. A new model begins.`;
    },

    /** Keeps { step, bytes, running, lines, samples } and { own, name, text }; while training, not each time. */
    write: (model, text, { now = true } = {}) =>
      inTurn(async () => {
        if (!wanted || (!now && performance.now() - last < EVERY_MS)) return;
        last = performance.now();
        const values = { [MODEL]: { version: VERSION, ...model } };
        if (keptStep === undefined || text.text !== keptText || !text.own) values[TEXT] = text;
        try {
          await save(values);
          [keptStep, keptText, failed] = [model.step, text.text, false];
          show("kept", `Kept in this browser: step ${count(model.step)}, ${bytes(model.bytes.length)}.`, "Forget it");
        } catch (error) {
          fails(error);
        }
      }),

    /** There is no model any more. */
    clear: () =>
      inTurn(async () => {
        if (keptStep === undefined) return;
        await remove([MODEL, TEXT]).catch(fails);
        if (failed) return;
        keptStep = undefined;
        show("none", "");
      }),

    /** The button: forgets what is kept and keeps no more, or keeps again. `again` writes. */
    toggle(again) {
      note.textContent = "";
      wanted = !wanted;
      session.set("keep", wanted);
      if (wanted) return again();
      return inTurn(async () => {
        try {
          await remove([MODEL, TEXT]);
          keptStep = undefined;
          showForgotten();
        } catch (error) {
          fails(error);
        }
      });
    },

    /** After a model was made while none is to be kept. */
    remind() {
      if (!wanted) showForgotten();
    },

    /** Whether a reload would bring this step back, or one that was there seconds ago. */
    holds: () => wanted && !failed && keptStep !== undefined,
  };
}
