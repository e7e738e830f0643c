// A character model: its network, its training, and what it writes. Beside it lie its parts:
//
//   train-text.js      the text that it learns     train-view.js      its numbers, its losses
//   train-settings.js  what the controls ask for   train-samples.js   what it writes
//   train-model.js     its checkpoints and files   inside.js          what its units do
//   train-kept.js      the model in this browser
//
// The page begins to train by itself. Such training rests while nobody looks; what a click began goes on.

import { byId, enable, numberOf, show, tell } from "../dom.js";
import { count, fixed, sentence } from "../format.js";
import { trainedModel } from "./train-model.js";
import { NETWORK, trainingSettings } from "./train-settings.js";
import { trainingText } from "./train-text.js";
import { trainingView, whileHidden } from "./train-view.js";

/** Training that no click began ends then: a page that was left open should not keep a processor busy. */
const PATIENCE_MS = 600_000;

export function trainPanel(devices) {
  const panel = byId("train");
  const control = (name) => byId(`train-${name}`);
  const [toggle, status, note, failure] = [control("toggle"), control("status"), control("note"), control("error")];
  const view = trainingView(devices, control);
  const settings = trainingSettings(control);
  const text = trainingText(devices, control, {
    isShown: () => !panel.hidden,
    onChange() {
      settings.keep(text);
      showChanges();
    },
  });

  const state = () => panel.dataset.state;
  const restState = () => (devices.current ? (view.description ? "paused" : "empty") : "lost");
  const model = trainedModel(
    { devices, control, view, settings, text },
    { failure, state, setState, restState, say, remark, fails, checkPrompt, goesOn: () => state() === "running" || resting, begins },
  );

  let controller;
  let running;
  /** Training that the change of a device interrupted. */
  let goesOn = false;
  /** Training that no click began, and whether it waits until somebody looks. */
  let [itself, resting] = [false, false];
  let begun = 0;

  // ---- What the panel shows ----

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
    for (const name of ["text", "network"]) enable(control(`${name}-fields`), idle || next === "running");
    control("undo").hidden = !model.canUndo || !idle || !ready;
    showChanges();
    devices.onBusy();
  }

  /** Whether the controls ask for another network than the one that there is, or for another text. */
  function showChanges() {
    const active = devices.current && ["paused", "running"].includes(state()) && view.description;
    control("anew").hidden = !(active && (settings.differFrom(view.description) || text.differs()));
  }

  function say(words, undo) {
    if (status.textContent !== words) status.textContent = words;
    if (undo) control("undo").textContent = undo;
  }

  function remark(words) {
    note.textContent = words;
    note.hidden = !words;
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
    text.learn();
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
      model.begin(made, before);
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
      const [before, steps] = [await model.remember(), view.step];
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
      model.hold(await devices.call("train.run", {}, { onProgress: heard, signal: controller.signal }));
      view.showStep(model.safe.step);
      say(resting ? `Resting at step ${count(view.step)} until it is looked at.` : `Paused at step ${count(view.step)}.`);
      setState("paused");
      model.keep();
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
    if (itself && performance.now() - begun > PATIENCE_MS) {
      itself = false;
      remark("Training that began by itself pauses after ten minutes. Resume goes on.");
      pause();
    }
    if (!report.kept) return;
    model.hold(report.kept);
    model.keep({ now: false });
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
      if (model.safe) {
        await model.adopt(model.safe.bytes, view.shown());
        say(`Back at step ${count(view.step)}. A lower learning rate may help.`);
      } else {
        await devices.call("train.reset");
        model.show();
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
    if (new URLSearchParams(location.search).get("start") === "no") return;
    [itself, resting, begun] = [true, true, performance.now()];
    attend();
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
  const { reset, undo, save, toggleKept: forget } = model;
  for (const [name, work] of Object.entries({ anew, reset, undo, write, save, forget })) {
    control(name).addEventListener("click", () => work());
  }
  control("load").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    // So that the same file can be chosen again.
    target.value = "";
    if (file) await model.load(file);
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
    if (document.hidden) model.keep();
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
    if (await model.restore()) return;
    setState("empty");
    await set();
    begins();
    if (!itself) text.show();
  }

  /** Another device: the model as it was on the last one. */
  async function moved() {
    text.forget();
    const again = goesOn;
    goesOn = false;
    if (!model.safe) {
      say(view.description ? "The model was lost." : "");
      if (view.description) model.show();
      setState("empty");
      await set();
      if (again) await start();
      else text.show();
      return;
    }
    setState("busy");
    say("Taking the model to this device…");
    try {
      await model.move();
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
    unsaved: () => !itself && model.unsaved(),
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
      const back = model.safe ? `kept as of step ${count(model.safe.step)}` : "lost: it had not been kept yet";
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
