// A character model: its network, its training, and what it writes. Beside it lie its parts:
//
//   train-text.js      the text that it learns     train-view.js      its numbers, its losses
//   train-settings.js  what the controls ask for   train-samples.js   what it writes
//   train-kept.js      the model in this browser   inside.js          what its units do
//
// The page begins to train by itself. Such training rests while nobody looks; what a click began goes on.

import { byId, download, enable, numberOf, show, tell } from "../dom.js";
import { bytes, count, fixed, plural, sentence } from "../format.js";
import { keptModel } from "./train-kept.js";
import { NETWORK, trainingSettings } from "./train-settings.js";
import { trainingText } from "./train-text.js";
import { trainingView, whileHidden } from "./train-view.js";

const MOST_FILE = 500e6;

export function trainPanel(devices) {
  const panel = byId("train");
  const control = (name) => byId(`train-${name}`);
  const [toggle, status, note, failure] = [control("toggle"), control("status"), control("note"), control("error")];
  const view = trainingView(devices, control);
  const settings = trainingSettings(control);
  const keeper = keptModel(control);
  const text = trainingText(devices, control, {
    isShown: () => !panel.hidden,
    onChange: () => settings.keep(text),
  });

  /** The last checkpoint, { step, bytes }: it outlives the device. */
  let safe;
  let savedStep = 0;
  /** A model that was reset or replaced, for "Undo". */
  let previous;
  let controller;
  let running;
  /** Training that the change of a device interrupted. */
  let goesOn = false;
  /** Training that no click began, and whether it waits until somebody looks. */
  let [itself, resting] = [false, false];

  // ---- What the panel shows ----

  const state = () => panel.dataset.state;
  const restState = () => (devices.current ? (view.description ? "paused" : "empty") : "lost");
  const deviceName = () => (devices.current.isCpu ? "the CPU, in WebAssembly" : devices.current.name);

  function setState(next) {
    panel.dataset.state = next;
    const ready = devices.current !== undefined;
    const idle = next === "empty" || next === "paused";
    const active = ready && (idle || next === "running");
    toggle.textContent = { empty: "Start", running: "Pause", stopping: "Pausing…" }[next] ?? "Resume";
    enable(toggle, active);
    enable(control("reset"), ready && view.description && idle);
    for (const name of ["write", "save"]) enable(control(name), active && view.description);
    control("load").disabled = !ready || !idle;
    control("text-fields").disabled = !idle;
    enable(control("network-fields"), idle || next === "running");
    control("undo").hidden = !previous || !idle || !ready;
    showChanges();
    devices.onBusy();
  }

  /** Whether the controls ask for another network than the one that there is. */
  function showChanges() {
    const active = devices.current && ["paused", "running"].includes(state());
    control("anew").hidden = !(active && view.description && settings.differFrom(view.description));
  }

  function say(words, undo) {
    if (status.textContent !== words) status.textContent = words;
    if (undo) control("undo").textContent = undo;
  }

  function remark(words) {
    note.textContent = words;
    note.hidden = !words;
  }

  function showModel(made, before) {
    view.showModel(made, before);
    savedStep = view.step;
    if (!view.description) return;
    settings.showNetwork(view.description);
    settings.keep(text);
    keeper.remind();
  }

  function fails(error) {
    // The page's notice says it.
    if (error.lost || error.fatal) return;
    failure.textContent = sentence(error.message);
  }

  // ---- Settings ----

  /** What applies from now on; `rate` too where it was changed. */
  async function set(withRate = false) {
    const every = numberOf(control("every"));
    const learningRate = withRate ? numberOf(control("rate")) : undefined;
    const temperature = control("temperature").valueAsNumber;
    show(control("temperature-value"), fixed(temperature, 2), temperature);
    settings.keep(text);
    if (!devices.current) return;
    const asked = { temperature, prompt: control("prompt").value };
    if (every !== undefined) asked.every = every;
    if (learningRate !== undefined) asked.learningRate = learningRate;
    await devices.call("train.set", asked).catch(fails);
  }

  /** Whether the model knows the prompt's characters. */
  function checkPrompt() {
    const known = view.description && new Set(view.description.characters);
    const unknown = known ? [...new Set(control("prompt").value)].filter((character) => !known.has(character)) : [];
    tell(
      control("prompt"),
      unknown.length > 0 ? `The model’s text has no ${unknown.map((one) => `‘${one}’`).join(", ")}` : "",
    );
    return unknown.length === 0;
  }

  // ---- Training ----

  /** One at a time: a second click comes before the first one's answers. */
  let starting;
  const start = (make) => (starting ??= begin(make).finally(() => (starting = undefined)));

  /** Where a fault is; not where no click asked for anything. */
  const focus = (place) => itself || place?.focus();
  const toText = () => focus(text.isOwn() ? control("text") : control("text-sample"));

  async function begin(make = createFirst) {
    failure.textContent = "";
    remark("");
    settings.keep(text);
    if (!(await text.read(make === createFirst ? view.description : undefined))) {
      toText();
      return;
    }
    if (!(await make())) return;
    try {
      await devices.call("train.read");
    } catch (error) {
      tell(control("text"), `${sentence(error.message)} Take another text, or reset.`);
      setState(devices.current ? "paused" : "lost");
      toText();
      return;
    }
    await set();
    checkPrompt();
    running = run();
  }

  const createFirst = () => (view.description ? true : create());

  /** Makes the network that the controls ask for; `before` is what "Undo" brings back. Whether it is there. */
  async function create(before) {
    const asked = settings.network();
    if (!asked) {
      focus(panel.querySelector("[aria-invalid=true]"));
      return false;
    }
    say("Making the model…");
    setState("busy");
    try {
      const made = await devices.call("train.create", asked);
      [previous, safe] = [before, undefined];
      showModel(made);
      return true;
    } catch (error) {
      fails(error);
      say("");
      setState(restState());
      return false;
    }
  }

  /** Training of another network, in the place of the one that there is. */
  async function anew() {
    if (!settings.network()) {
      focus(panel.querySelector("[aria-invalid=true]"));
      return;
    }
    itself = resting = false;
    await pause();
    await start(async () => {
      setState("busy");
      const [before, steps] = [await remember(), view.step];
      const made = await create(before);
      if (made && before) control("undo").textContent = `Undo: back to the model at step ${count(steps)}`;
      return made;
    });
  }

  async function run() {
    controller = new AbortController();
    setState("running");
    const compiles = devices.current.isCpu ? "" : " The first step takes longest: kernels are compiled.";
    say(`Training on ${deviceName()}.${compiles}`);
    try {
      safe = await devices.call("train.run", {}, { onProgress: heard, signal: controller.signal });
      view.showStep(safe.step);
      say(resting ? `Resting at step ${count(view.step)} until it is looked at.` : `Paused at step ${count(view.step)}.`);
      setState("paused");
      keep();
      attend();
    } catch (error) {
      await broken(error);
    } finally {
      view.describe();
    }
  }

  function heard(report) {
    // The first step's kernels are compiled by now.
    if (report.loss && state() === "running") say(`Training on ${deviceName()}.`);
    view.heard(report);
    if (!report.kept) return;
    safe = report.kept;
    keep({ now: false });
  }

  /** Training failed: what was kept is taken up again, unless the device is gone with the rest. */
  async function broken(error) {
    resting = false;
    if (!devices.current) {
      setState("lost");
      return;
    }
    failure.textContent = `Stopped: ${sentence(error.message)}`;
    try {
      if (safe) {
        await adopt(safe.bytes, view.shown());
        say(`Back at step ${count(view.step)}. A lower learning rate may help.`);
      } else {
        await devices.call("train.reset");
        showModel();
        say("The model was reset. A lower learning rate may help.");
      }
      setState(view.description ? "paused" : "empty");
    } catch (worse) {
      fails(worse);
      setState(devices.current ? "paused" : "lost");
    }
  }

  function pause() {
    controller?.abort();
    if (state() === "running") setState("stopping");
    return running;
  }

  /** Training that began by itself rests while the page or the panel is hidden, and goes on when it is seen. */
  function attend() {
    const seen = !document.hidden && !panel.hidden;
    if (!seen && itself && state() === "running") {
      resting = true;
      pause();
    } else if (seen && resting && devices.current && ["empty", "paused"].includes(state())) {
      resting = false;
      start();
    }
  }

  function begins() {
    itself = resting = true;
    attend();
  }

  // ---- The model as a file, and in this browser ----

  /** Makes the worker's model that of a checkpoint. The checkpoint stays here. */
  async function adopt(checkpoint, before) {
    const learningRate = numberOf(control("rate")) ?? 0.01;
    const made = await devices.call("train.load", { bytes: checkpoint, learningRate });
    safe = { step: made.steps, bytes: checkpoint };
    showModel(made, before);
    checkPrompt();
  }

  /** Has this browser keep the last checkpoint; whether it is to go on by itself after a reload. */
  function keep({ now = true } = {}) {
    if (!safe || !view.description) return undefined;
    const goingOn = state() === "running" || resting;
    return keeper.write({ ...safe, running: goingOn, ...view.shown() }, text.atHand(), { now });
  }

  /** Takes up what this browser kept; whether there was something. */
  async function restore() {
    const found = await keeper.read();
    if (!found) return false;
    setState("busy");
    say("Taking up the model that this browser kept…");
    try {
      text.restore(found.text);
      await adopt(found.model.bytes, found.model);
      say(`Here again at step ${count(view.step)}, as this browser kept it.`);
      setState("paused");
      await keep();
      if (found.model.running) begins();
      return true;
    } catch (error) {
      if (!devices.current) throw error;
      keeper.refuse(error.message);
      say("");
      setState("empty");
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
    setState("busy");
    failure.textContent = "";
    remark("");
    try {
      const before = await remember();
      const steps = view.step;
      await devices.call("train.reset");
      [previous, safe] = [before, undefined];
      showModel();
      await keeper.clear();
      say("Reset.", before && `Undo: back to step ${count(steps)}`);
    } catch (error) {
      fails(error);
    }
    setState(restState());
  }

  async function undo() {
    const before = previous;
    setState("busy");
    try {
      await adopt(before.bytes, before);
      if (before.unsaved) savedStep = 0;
      previous = undefined;
      say(`Back at step ${count(view.step)}.`);
    } catch (error) {
      fails(error);
    }
    setState(restState());
    keep();
  }

  async function save() {
    failure.textContent = "";
    try {
      const checkpoint = await devices.call("train.checkpoint");
      download(checkpoint.bytes, "char_lm.safetensors");
      savedStep = checkpoint.step;
      remark(
        `Saved at step ${count(checkpoint.step)}: ${bytes(checkpoint.bytes.length)}. The example char_lm reads it too.`,
      );
    } catch (error) {
      fails(error);
    }
  }

  async function load(file) {
    failure.textContent = "";
    remark("");
    if (file.size > MOST_FILE) {
      failure.textContent = `${file.name} has ${bytes(file.size)}: no model of this page is that large.`;
      return;
    }
    const was = state();
    setState("busy");
    try {
      const checkpoint = new Uint8Array(await file.arrayBuffer());
      const before = await remember();
      const steps = view.step;
      await adopt(checkpoint);
      previous = before;
      const { hidden, layers, dropout } = view.description;
      const parts = [settings.cellName(), plural(hidden, "hidden unit"), plural(layers, "layer")];
      if (dropout > 0) parts.push(`dropout ${dropout}`);
      say(
        `${file.name}: ${parts.join(", ")}, trained for ${plural(view.step, "step")}.`,
        before && `Undo: back to the model at step ${count(steps)}`,
      );
      setState("paused");
      keep();
    } catch (error) {
      failure.textContent = sentence(`Nothing was taken from ${file.name}: ${error.message}`);
      setState(devices.current ? was : "lost");
    }
  }

  async function write() {
    failure.textContent = "";
    await set();
    if (!checkPrompt()) {
      control("prompt").focus();
      return;
    }
    enable(control("write"), false);
    try {
      await devices.call("train.sample", {}, { onProgress: ({ sample }) => view.showSample(sample) });
    } catch (error) {
      fails(error);
    }
    view.endSample();
    setState(state());
  }

  // ---- Controls ----

  toggle.addEventListener("click", () => {
    itself = resting = false;
    if (state() === "running") pause();
    else start();
  });
  for (const [name, work] of Object.entries({ anew, reset, undo, write, save })) {
    control(name).addEventListener("click", work);
  }
  control("forget").addEventListener("click", () => keeper.toggle(keep));
  control("load").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    // So that the same file can be chosen again.
    target.value = "";
    if (file) await load(file);
  });
  control("form").addEventListener("submit", (event) => event.preventDefault());
  for (const name of NETWORK) {
    control(name).addEventListener("input", showChanges);
    control(name).addEventListener("change", () => {
      if (name !== "cell") numberOf(control(name));
      text.checkLength();
      settings.keep(text);
      showChanges();
    });
  }
  control("rate").addEventListener("change", () => set(true));
  for (const name of ["every", "prompt", "temperature"]) {
    control(name).addEventListener("input", () => {
      set();
      checkPrompt();
    });
  }

  document.addEventListener("visibilitychange", () => {
    attend();
    if (document.hidden) keep();
  });
  // What a click began the worker trains on, unless the browser stops all of it.
  whileHidden(() => (state() === "running" ? view.step : undefined), remark);

  settings.restore();
  // On a phone the network comes after what is more often looked at.
  if (matchMedia("(max-width: 719px)").matches) control("network").open = false;
  text.show();
  set();
  setState("empty");

  /** The page is ready for the first time: the model that was kept, or a new one, which begins by itself. */
  async function first() {
    if (await restore()) return;
    setState("empty");
    await set();
    if (new URLSearchParams(location.search).get("start") === "no") text.show();
    else begins();
  }

  /** Another device: the model as it was on the last one. */
  async function moved() {
    text.forget();
    const [again, at] = [goesOn, safe];
    goesOn = false;
    if (!at) {
      say(view.description ? "The model was lost." : "");
      if (view.description) showModel();
      setState("empty");
      await set();
      if (again) await start();
      else text.show();
      return;
    }
    setState("busy");
    say("Taking the model to this device…");
    const wasSaved = savedStep;
    try {
      await adopt(at.bytes, view.shown());
      savedStep = wasSaved;
      say(`Here at step ${count(view.step)}.`);
    } catch (error) {
      // The checkpoint is still there for another device.
      fails(error);
    }
    setState("paused");
    await set();
    if (again) await start();
    else text.show();
    attend();
  }

  let opened = first;

  return {
    busy: () => ["running", "stopping", "busy"].includes(state()),
    /** Whether leaving would lose something. */
    unsaved: () => view.description !== undefined && !itself && view.step > savedStep && !keeper.holds(),
    shown() {
      attend();
      if (devices.current && !["running", "stopping"].includes(state())) text.show();
    },
    left: attend,
    async suspend() {
      goesOn = state() === "running";
      await pause();
    },
    lost() {
      goesOn = false;
      setState("lost");
      view.endSample();
      if (!view.description) return undefined;
      const back = safe ? `kept as of step ${count(safe.step)}` : "lost: it had not been kept yet";
      say(`Interrupted at step ${count(view.step)}.`);
      return `The model is ${back}.`;
    },
    async opened() {
      const work = opened;
      opened = moved;
      await work();
    },
  };
}
