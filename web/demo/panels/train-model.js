// The model of the train panel as bytes: its checkpoints, files, what this browser keeps, and what "Undo" brings back.

import { download, numberOf } from "../dom.js";
import { bytes, count, plural, sentence } from "../format.js";
import { keptModel } from "./train-kept.js";

const MOST_FILE = 500e6;

/**
 * `parts` are those that train.js is made of; `panel` says and shows: { failure, state, setState, restState, say, remark, fails,
 * checkPrompt, goesOn, begins }.
 */
export function trainedModel({ devices, control, view, settings, text }, panel) {
  const keeper = keptModel(control);
  /** The last checkpoint, { step, bytes }: it outlives the device. */
  let safe;
  let savedStep = 0;
  /** A model that was reset or replaced, for "Undo". */
  let previous;

  function show(made, before) {
    view.showModel(made, before);
    savedStep = view.step;
    if (!view.description) return;
    settings.showNetwork(view.description);
    settings.keep(text);
    keeper.remind();
  }

  /** Makes the worker's model that of a checkpoint. The checkpoint stays here. */
  async function adopt(checkpoint, before) {
    const learningRate = numberOf(control("rate")) ?? 0.01;
    const made = await devices.call("train.load", { bytes: checkpoint, learningRate });
    safe = { step: made.steps, bytes: checkpoint };
    show(made, before);
    panel.checkPrompt();
  }

  /** Has this browser keep the last checkpoint; whether it is to go on by itself after a reload. */
  function keep({ now = true } = {}) {
    if (!safe || !view.description) return undefined;
    return keeper.write({ ...safe, running: panel.goesOn(), ...view.shown() }, text.atHand(), { now });
  }

  /** Takes up what this browser kept; whether there was something. */
  async function restore() {
    const found = await keeper.read();
    if (!found) return false;
    panel.setState("busy");
    panel.say("Taking up the model that this browser kept…");
    try {
      text.restore(found.text);
      await adopt(found.model.bytes, found.model);
      panel.say(`Here again at step ${count(view.step)}, as this browser kept it.`);
      panel.setState("paused");
      await keep();
      if (found.model.running) panel.begins();
      return true;
    } catch (error) {
      if (!devices.current) throw error;
      keeper.refuse(error.message);
      panel.say("");
      panel.setState("empty");
      return false;
    }
  }

  /** What "Undo" brings back: the model as it is now. */
  async function remember() {
    if (!view.description || (view.step === 0 && !safe)) return undefined;
    const at = await devices.call("train.checkpoint").catch(() => safe);
    return at && { bytes: at.bytes, ...view.shown(), unsaved: view.step > savedStep };
  }

  async function reset() {
    panel.setState("busy");
    panel.failure.textContent = "";
    panel.remark("");
    try {
      const before = await remember();
      const steps = view.step;
      await devices.call("train.reset");
      [previous, safe] = [before, undefined];
      show();
      await keeper.clear();
      panel.say("Reset.", before && `Undo: back to step ${count(steps)}`);
    } catch (error) {
      panel.fails(error);
    }
    panel.setState(panel.restState());
  }

  async function undo() {
    const before = previous;
    panel.setState("busy");
    try {
      await adopt(before.bytes, before);
      if (before.unsaved) savedStep = 0;
      previous = undefined;
      panel.say(`Back at step ${count(view.step)}.`);
    } catch (error) {
      panel.fails(error);
    }
    panel.setState(panel.restState());
    keep();
  }

  async function save() {
    panel.failure.textContent = "";
    try {
      const checkpoint = await devices.call("train.checkpoint");
      download(checkpoint.bytes, "char_lm.safetensors");
      savedStep = checkpoint.step;
      panel.remark(
        `Saved at step ${count(checkpoint.step)}: ${bytes(checkpoint.bytes.length)}. The example char_lm reads it too.`,
      );
    } catch (error) {
      panel.fails(error);
    }
  }

  async function load(file) {
    panel.failure.textContent = "";
    panel.remark("");
    if (file.size > MOST_FILE) {
      panel.failure.textContent = `${file.name} has ${bytes(file.size)}: no model of this page is that large.`;
      return;
    }
    const was = panel.state();
    panel.setState("busy");
    try {
      const checkpoint = new Uint8Array(await file.arrayBuffer());
      const before = await remember();
      const steps = view.step;
      await adopt(checkpoint);
      previous = before;
      const { hidden, layers, dropout } = view.description;
      const parts = [settings.cellName(), plural(hidden, "hidden unit"), plural(layers, "layer")];
      if (dropout > 0) parts.push(`dropout ${dropout}`);
      panel.say(
        `${file.name}: ${parts.join(", ")}, trained for ${plural(view.step, "step")}.`,
        before && `Undo: back to the model at step ${count(steps)}`,
      );
      panel.setState("paused");
      keep();
    } catch (error) {
      panel.failure.textContent = sentence(`Nothing was taken from ${file.name}: ${error.message}`);
      panel.setState(devices.current ? was : "lost");
    }
  }

  return {
    get safe() {
      return safe;
    },
    get canUndo() {
      return previous !== undefined;
    },
    show,
    adopt,
    keep,
    restore,
    remember,
    reset,
    undo,
    save,
    load,
    /** A checkpoint that training made. */
    hold(checkpoint) {
      safe = checkpoint;
    },
    /** A new model, in the place of the one that `before` remembers. */
    begin(made, before) {
      [previous, safe] = [before, undefined];
      show(made);
    },
    /** The same model on another device. */
    async move() {
      const wasSaved = savedStep;
      await adopt(safe.bytes, view.shown());
      savedStep = wasSaved;
    },
    /** "Forget it" and "Keep it". */
    toggleKept: () => keeper.toggle(keep),
    /** Whether leaving the page would lose steps. */
    unsaved: () => view.description !== undefined && view.step > savedStep && !keeper.holds(),
  };
}
