// What is seen of a model in training: its numbers, the chart of its losses, what it writes, and what its units do.

import { LossChart } from "../chart.js";
import { show } from "../dom.js";
import { count, duration, fixed, plural } from "../format.js";
import { insidePart } from "./inside.js";
import { trainingSamples } from "./train-samples.js";

export function trainingView(devices, control) {
  const chart = new LossChart(control("chart"));
  const inside = insidePart(devices);
  const samples = trainingSamples(control("samples"), { onWhole: inside.show });
  /** What the network is made of, as a checkpoint has it; undefined while there is none. */
  let description;
  let step = 0;
  let speed;

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

  function hearLoss(loss) {
    if (!speed) {
      // The first steps' time is that of compiling kernels.
      speed = { characters: 0, seconds: 0 };
    } else {
      // Of the last five seconds or so.
      const keeps = Math.exp(-loss.seconds / 5);
      speed.characters = keeps * speed.characters + loss.characters;
      speed.seconds = keeps * speed.seconds + loss.seconds;
      const rate = speed.characters / speed.seconds;
      show(control("speed"), count(Math.round(rate)), rate);
    }
    showStep(loss.step);
    show(control("loss"), fixed(loss.bits, 2), loss.bits);
    chart.addLoss(loss.step, loss.bits);
  }

  return {
    get description() {
      return description;
    },
    get step() {
      return step;
    },
    showStep,
    describe: () => chart.describe(),
    showSample: samples.show,
    endSample: samples.end,

    /** After the model became another one: its numbers, and of the old one's none but what `shown` gave `before`. */
    showModel(made, before = {}) {
      description = made?.description;
      showStep(made?.steps ?? 0);
      if (before.lines) chart.restore(before.lines, step);
      else chart.clear();
      showLosses();
      samples.restore(before.samples);
      inside.model(description, samples.newest());
      chart.guessing = description && Math.log2([...description.characters].length);
      chart.describe();
    },

    /** A report of `train.run` in worker.js. */
    heard({ loss, heldOut, sample, looking }) {
      if (loss) hearLoss(loss);
      if (heldOut) {
        show(control("held-out"), fixed(heldOut.bits, 2), heldOut.bits);
        chart.addHeldOut(heldOut.step, heldOut.bits);
      }
      if (sample) samples.show(sample);
      if (looking) chart.describe();
    },

    /** What `showModel` shows again, as plain values. */
    shown: () => ({ lines: chart.lines(), samples: samples.all() }),
  };
}

/** Calls `told` with what training did while the page was hidden, once it is back. `step` gives undefined where none goes on. */
export function whileHidden(step, told) {
  let hiddenAt;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      hiddenAt = { step: step(), time: performance.now() };
      return;
    }
    const since = hiddenAt;
    if (since?.step === undefined || step() === undefined) return;
    // Reports that came meanwhile are heard first.
    setTimeout(() => {
      const [steps, seconds] = [(step() ?? since.step) - since.step, (performance.now() - since.time) / 1000];
      if (seconds < 5) return;
      told(
        steps > 0
          ? `While this page was hidden, for ${duration(seconds)}, training went on: ${plural(steps, "step")}.`
          : `The browser stopped this page while it was hidden, for ${duration(seconds)}. Training goes on now.`,
      );
    }, 1000);
  });
}
