// A character model: its network, its training, and what it writes. Its text is the matter of train-text.js.

import { LossChart } from "../chart.js";
import { CELLS, cellOf } from "../checkpoint.js";
import { byId, download, element, enable, kept, numberOf, show, tell } from "../dom.js";
import { bytes, count, duration, fixed, plural, sentence } from "../format.js";
import { trainingText } from "./train-text.js";

const MOST_SAMPLES = 30;
const MOST_FILE = 500e6;

export function trainPanel(devices) {
  const panel = byId("train");
  const control = (name) => byId(`train-${name}`);
  const [toggle, status, note, failure] = [control("toggle"), control("status"), control("note"), control("error")];
  const chart = new LossChart(control("chart"));
  const cells = Object.entries(CELLS).map(([value, textContent]) => element("option", { value, textContent }));
  control("cell").replaceChildren(...cells);

  /** What the network is made of, as a checkpoint has it; undefined while there is none. */
  let description;
  /** The last checkpoint, { step, bytes }: it outlives the device. */
  let safe;
  let savedStep = 0;
  let step = 0;
  /** A model that was reset or replaced, for "Undo". */
  let previous;
  let controller;
  let running;
  let speed;
  /** Training that the change of a device interrupted. */
  let goesOn = false;

  // ---- What the panel shows ----

  const state = () => panel.dataset.state;

  function setState(next) {
    panel.dataset.state = next;
    const ready = devices.current !== undefined;
    const idle = next === "empty" || next === "paused";
    toggle.textContent = { empty: "Start", running: "Pause", stopping: "Pausing…" }[next] ?? "Resume";
    enable(toggle, ready && (idle || next === "running"));
    enable(control("reset"), ready && description && idle);
    for (const name of ["write", "save"]) enable(control(name), ready && description && (idle || next === "running"));
    control("load").disabled = !ready || !idle;
    control("text-fields").disabled = !idle;
    control("network-fields").disabled = description !== undefined || !idle;
    control("locked").hidden = description === undefined;
    control("undo").hidden = !previous || !idle || !ready;
    devices.onBusy();
  }

  function say(text, undo) {
    status.textContent = text;
    if (undo) control("undo").textContent = undo;
  }

  function remark(text) {
    note.textContent = text;
    note.hidden = !text;
  }

  function showStep(now) {
    step = now;
    show(control("step"), description ? count(step) : "–", description ? step : undefined);
  }

  /** The last of each line of the chart. */
  function showLosses() {
    const { training, heldOut } = chart.lines();
    for (const [name, points] of [
      ["loss", training],
      ["held-out", heldOut],
    ]) {
      const bits = points.at(-1)?.y;
      show(control(name), bits === undefined ? "–" : fixed(bits, 2), bits);
    }
    show(control("speed"), "–");
    speed = undefined;
  }

  /** After the model became another one: its numbers, and nothing of the old one's. */
  function showModel(made, { lines, samples } = {}) {
    description = made?.description;
    showStep(made?.steps ?? 0);
    savedStep = step;
    if (lines) chart.restore(lines, step);
    else chart.clear();
    showLosses();
    control("samples").replaceChildren(...(samples ?? []));
    chart.guessing = description && Math.log2([...description.characters].length);
    chart.describe();
    if (!description) return;
    for (const name of ["cell", "hidden", "layers", "batch", "length"]) {
      control(name).value = description[name];
      if (name !== "cell") tell(control(name));
    }
    keepSettings();
  }

  const text = trainingText(devices, control, {
    isShown: () => !panel.hidden,
    onChange: () => keepSettings(),
  });

  // ---- Settings ----

  const SETTINGS = ["cell", "hidden", "layers", "batch", "length", "rate", "every", "prompt", "temperature"];

  function keepSettings() {
    const values = Object.fromEntries(SETTINGS.map((name) => [name, control(name).value]));
    kept.set("train", { ...values, own: text.typed(), ownChosen: text.isOwn() });
  }

  function restoreSettings() {
    const values = kept.get("train");
    if (!values) return;
    for (const name of SETTINGS) if (values[name] !== undefined) control(name).value = values[name];
    control("cell").value = cellOf(values.cell) ?? Object.keys(CELLS)[0];
    control("text").value = values.own ?? "";
    control("text-own").checked = values.ownChosen ?? false;
  }

  /** What the controls ask for, or undefined where one of them is wrong. */
  function network() {
    const [hidden, layers, batch, length] = ["hidden", "layers", "batch", "length"].map((name) =>
      numberOf(control(name)),
    );
    const learningRate = numberOf(control("rate"));
    if ([hidden, layers, batch, length, learningRate].includes(undefined)) {
      control("network").open = true;
      return undefined;
    }
    return { cell: control("cell").value, hidden, layers, batch, length, dropout: 0, learningRate };
  }

  /** What applies from now on; `rate` too where it was changed. */
  async function set(withRate = false) {
    const every = numberOf(control("every"));
    const learningRate = withRate ? numberOf(control("rate")) : undefined;
    const temperature = control("temperature").valueAsNumber;
    show(control("temperature-value"), fixed(temperature, 2), temperature);
    keepSettings();
    if (!devices.current) return;
    const settings = { temperature, prompt: control("prompt").value };
    if (every !== undefined) settings.every = every;
    if (learningRate !== undefined) settings.learningRate = learningRate;
    await devices.call("train.set", settings).catch(fails);
  }

  /** Whether the model knows the prompt's characters. */
  function checkPrompt() {
    const known = description && new Set(description.characters);
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
  const start = () => (starting ??= begin().finally(() => (starting = undefined)));

  const toText = () => (text.isOwn() ? control("text") : control("text-sample")).focus();

  async function begin() {
    failure.textContent = "";
    remark("");
    keepSettings();
    if (!(await text.read())) {
      toText();
      return;
    }
    if (!description) {
      const asked = network();
      if (!asked) {
        panel.querySelector("[aria-invalid=true]")?.focus();
        return;
      }
      say("Making the model…");
      setState("busy");
      try {
        const made = await devices.call("train.create", asked);
        previous = undefined;
        safe = undefined;
        showModel(made);
      } catch (error) {
        fails(error);
        setState(devices.current ? "empty" : "lost");
        return;
      }
    }
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

  async function run() {
    controller = new AbortController();
    setState("running");
    say(devices.current.isCpu ? "Training." : "Training. The first step takes longest: kernels are compiled.");
    try {
      safe = await devices.call("train.run", {}, { onProgress: heard, signal: controller.signal });
      showStep(safe.step);
      say(`Paused at step ${count(step)}.`);
      setState("paused");
    } catch (error) {
      await broken(error);
    } finally {
      chart.describe();
    }
  }

  function heard({ loss, heldOut, sample, looking, kept: checkpoint }) {
    if (loss) hearLoss(loss);
    if (heldOut) {
      show(control("held-out"), fixed(heldOut.bits, 2), heldOut.bits);
      chart.addHeldOut(heldOut.step, heldOut.bits);
    }
    if (sample) showSample(sample);
    if (checkpoint) safe = checkpoint;
    if (looking) chart.describe();
  }

  function hearLoss(loss) {
    if (!speed) {
      say("Training.");
      // The first steps' time is that of compiling kernels.
      speed = { characters: 0, seconds: 0 };
    } else {
      // Of the last five seconds or so.
      const keep = Math.exp(-loss.seconds / 5);
      speed.characters = keep * speed.characters + loss.characters;
      speed.seconds = keep * speed.seconds + loss.seconds;
      const rate = speed.characters / speed.seconds;
      show(control("speed"), count(Math.round(rate)), rate);
    }
    showStep(loss.step);
    show(control("loss"), fixed(loss.bits, 2), loss.bits);
    chart.addLoss(loss.step, loss.bits);
  }

  /** Training failed: what was kept is taken up again, unless the device is gone with the rest. */
  async function broken(error) {
    if (!devices.current) {
      setState("lost");
      return;
    }
    failure.textContent = `Stopped: ${sentence(error.message)}`;
    try {
      if (safe) {
        await adopt(safe.bytes, { lines: chart.lines(), samples: [...control("samples").children] });
        say(`Back at step ${count(step)}. A lower learning rate may help.`);
      } else {
        await devices.call("train.reset");
        showModel();
        say("The model was reset. A lower learning rate may help.");
      }
      setState(description ? "paused" : "empty");
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

  /** Makes the worker's model that of a checkpoint. The checkpoint stays here. */
  async function adopt(checkpoint, shown) {
    const learningRate = numberOf(control("rate")) ?? 0.005;
    const made = await devices.call("train.load", { bytes: checkpoint, learningRate });
    safe = { step: made.steps, bytes: checkpoint };
    showModel(made, shown);
    checkPrompt();
  }

  /** What "Undo" brings back: the model as it is now. */
  async function remember() {
    if (!description || (step === 0 && !safe)) return undefined;
    const at = await devices.call("train.checkpoint").catch(() => safe);
    return (
      at && {
        bytes: at.bytes,
        lines: chart.lines(),
        samples: [...control("samples").children],
        unsaved: step > savedStep,
      }
    );
  }

  async function reset() {
    setState("busy");
    failure.textContent = "";
    remark("");
    try {
      const before = await remember();
      const steps = step;
      await devices.call("train.reset");
      [previous, safe] = [before, undefined];
      showModel();
      say("Reset.", before && `Undo: back to step ${count(steps)}`);
    } catch (error) {
      fails(error);
    }
    setState(devices.current ? (description ? "paused" : "empty") : "lost");
  }

  async function undo() {
    const before = previous;
    setState("busy");
    try {
      await adopt(before.bytes, before);
      if (before.unsaved) savedStep = 0;
      previous = undefined;
      say(`Back at step ${count(step)}.`);
    } catch (error) {
      fails(error);
    }
    setState(devices.current ? (description ? "paused" : "empty") : "lost");
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
      const steps = step;
      await adopt(checkpoint);
      previous = before;
      const { hidden, layers, dropout } = description;
      const parts = [control("cell").selectedOptions[0].text, plural(hidden, "hidden unit"), plural(layers, "layer")];
      if (dropout > 0) parts.push(`dropout ${dropout}`);
      say(
        `${file.name}: ${parts.join(", ")}, trained for ${plural(step, "step")}.`,
        before && `Undo: back to the model at step ${count(steps)}`,
      );
      setState("paused");
    } catch (error) {
      failure.textContent = sentence(`Nothing was taken from ${file.name}: ${error.message}`);
      setState(devices.current ? was : "lost");
    }
  }

  // ---- Samples ----

  let current;

  /** A sample as it grows, above those before it. */
  function showSample({ step: at, bits, prompt, text, done }) {
    if (!current) {
      const head = [`Step ${count(at)}`, ...(bits === undefined ? [] : [`${fixed(bits, 2)} bits per character`])].join(
        ", ",
      );
      const body = element("p", { className: "sample", dataset: { testid: "sample", step: at } });
      current = element("li", { className: "writing" }, element("h4", { textContent: head }), body);
      const list = control("samples");
      list.prepend(current);
      while (list.children.length > MOST_SAMPLES) list.lastChild.remove();
    }
    const body = current.querySelector(".sample");
    body.replaceChildren(...(prompt ? [element("b", { textContent: prompt })] : []), text);
    if (done) {
      current.classList.remove("writing");
      current = undefined;
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
      await devices.call("train.sample", {}, { onProgress: ({ sample }) => showSample(sample) });
    } catch (error) {
      fails(error);
    }
    current?.classList.remove("writing");
    current = undefined;
    setState(state());
  }

  function fails(error) {
    // The page's notice says it.
    if (error.lost || error.fatal) return;
    failure.textContent = sentence(error.message);
  }

  // ---- Controls ----

  toggle.addEventListener("click", () => (state() === "running" ? pause() : start()));
  control("reset").addEventListener("click", reset);
  control("undo").addEventListener("click", undo);
  control("write").addEventListener("click", write);
  control("save").addEventListener("click", save);
  control("load").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    // So that the same file can be chosen again.
    target.value = "";
    if (file) await load(file);
  });
  control("form").addEventListener("submit", (event) => event.preventDefault());
  for (const name of ["hidden", "layers", "batch", "length"]) {
    control(name).addEventListener("change", () => {
      numberOf(control(name));
      text.checkLength();
      keepSettings();
    });
  }
  control("cell").addEventListener("change", keepSettings);
  control("rate").addEventListener("change", () => set(true));
  for (const name of ["every", "prompt", "temperature"]) {
    control(name).addEventListener("input", () => {
      set();
      checkPrompt();
    });
  }

  // The worker trains on while the page is hidden, unless the browser stops all of it.
  let hiddenAt;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      hiddenAt = state() === "running" ? { step, time: performance.now() } : undefined;
      return;
    }
    const since = hiddenAt;
    if (!since || state() !== "running") return;
    // Reports that came meanwhile are heard first.
    setTimeout(() => {
      const [steps, seconds] = [step - since.step, (performance.now() - since.time) / 1000];
      if (seconds < 5) return;
      remark(
        steps > 0
          ? `While this page was hidden, for ${duration(seconds)}, training went on: ${plural(steps, "step")}.`
          : `The browser stopped this page while it was hidden, for ${duration(seconds)}. Training goes on now.`,
      );
    }, 1000);
  });

  restoreSettings();
  // On a phone the network comes after what is more often looked at.
  if (matchMedia("(max-width: 719px)").matches) control("network").open = false;
  text.show();
  set();
  setState("empty");

  return {
    busy: () => ["running", "stopping", "busy"].includes(state()),
    /** Whether leaving would lose something. */
    unsaved: () => description !== undefined && step > savedStep,
    shown() {
      if (devices.current && !["running", "stopping"].includes(state())) text.show();
    },
    async suspend() {
      goesOn = state() === "running";
      await pause();
    },
    lost() {
      goesOn = false;
      setState("lost");
      current?.classList.remove("writing");
      current = undefined;
      if (!description) return undefined;
      const back = safe ? `kept as of step ${count(safe.step)}` : "lost: it had not been kept yet";
      say(`Interrupted at step ${count(step)}.`);
      return `The model is ${back}.`;
    },
    async opened() {
      text.forget();
      const [again, at] = [goesOn, safe];
      goesOn = false;
      if (!at) {
        say(description ? "The model was lost." : "");
        if (description) showModel();
        setState("empty");
        await set();
        text.show();
        return;
      }
      setState("busy");
      say("Taking the model to this device…");
      const wasSaved = savedStep;
      try {
        await adopt(at.bytes, { lines: chart.lines(), samples: [...control("samples").children] });
        savedStep = wasSaved;
        say(`Here at step ${count(step)}.`);
        setState("paused");
      } catch (error) {
        fails(error);
        // The checkpoint is still there for another device.
        setState("paused");
      }
      await set();
      if (again) await start();
      else text.show();
    },
  };
}
