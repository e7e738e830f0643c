// Measures all contenders of a workload in turns: what is wrong is not timed.
import { contenders as onnxruntime } from "./contenders/onnxruntime-web.js";
import { contenders as tfjs } from "./contenders/tfjs.js";
import { contenders as wgrnn } from "./contenders/wgrnn.js";
import * as reference from "./reference.js";
import { lstmWeights, modelWeights, uniform } from "./weights.js";

const all = [...wgrnn, ...onnxruntime, ...tfjs];
const learningRate = 1e-3;
// Losses of three steps depend on the gradients and on the optimiser.
const checkedSteps = 3;
const tolerance = { forward: 1e-5, training: 1e-4 };

globalThis.adapterInfo = async () => {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return undefined;
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  return { vendor, architecture, device, description, isFallbackAdapter };
};

/**
 * `only` names peers. A round gives each contender a turn of `turnSeconds`, at least one run, until it has used up
 * `budgetSeconds`. `report` is told what is done next.
 */
globalThis.measure = async ({ kind, name, shape, only, rounds, turnSeconds, warmUpSeconds, budgetSeconds }) => {
  const { data, check } = kind === "forward" ? forwardWorkload(shape) : trainingWorkload(shape);
  const entries = all
    .filter((contender) => contender[kind] && only.includes(contender.peer))
    .map((contender) => ({ contender, row: { name: contender.name, peer: contender.peer }, times: [] }));

  for (const entry of entries) {
    await report(`${name}: ${entry.contender.name}`);
    try {
      entry.ready = await entry.contender[kind](data);
      entry.row.device = entry.ready.device;
      await judge(entry, check);
      // The check of training has run more than once already.
      await turn(entry, [], kind === "forward" ? 1 : 0, warmUpSeconds);
    } catch (error) {
      Object.assign(entry.row, { status: "failed", reason: error.message ?? String(error) });
    }
  }

  // Each round begins with another contender.
  const runners = entries.filter(({ row }) => row.status === "right");
  for (let round = 0; round < rounds; round++) {
    await report(`${name}: round ${round + 1} of ${rounds}`);
    for (let place = 0; place < runners.length; place++) {
      const entry = runners[(round + place) % runners.length];
      if (sum(entry.times) > 1000 * budgetSeconds) continue;
      try {
        await turn(entry, entry.times, 1, turnSeconds);
      } catch (error) {
        Object.assign(entry.row, { status: "failed", reason: error.message ?? String(error) });
        runners.splice(runners.indexOf(entry), 1);
      }
    }
  }

  for (const entry of entries) {
    if (entry.row.status === "right") {
      if (kind === "forward") await judge(entry, check);
      else if (!Number.isFinite(entry.last)) Object.assign(entry.row, { status: "wrong", reason: `loss ${entry.last}` });
    }
    if (entry.row.status === "right") entry.row.milliseconds = summary(entry.times);
    await entry.ready?.close();
  }
  return entries.map(({ row }) => row);
};

function forwardWorkload(shape) {
  const weights = lstmWeights(shape, 1);
  const input = uniform(shape.steps * shape.batch * shape.input, 1, 5);
  const expected = reference.lstm(shape, weights, input);
  return {
    data: { shape, weights, input },
    async check(ready) {
      const y = await ready.run();
      return { maxDifference: maxDifference(ready.timeMajor?.(y) ?? y, expected), tolerance: tolerance.forward };
    },
  };
}

function trainingWorkload(shape) {
  const { symbols, steps, batch } = shape;
  const weights = modelWeights(shape, 1);
  const text = (shift) =>
    Uint32Array.from({ length: steps * batch }, (_, at) => {
      const [t, n] = [Math.floor(at / batch), at % batch];
      return ((t + shift) * 7 + n * 13) % symbols;
    });
  const [tokens, targets] = [text(0), text(1)];
  const expected = reference.trainingLosses(shape, weights, tokens, targets, learningRate, checkedSteps);
  return {
    data: { shape, weights, tokens, targets, learningRate },
    async check(ready) {
      const losses = [];
      for (let step = 0; step < checkedSteps; step++) losses.push(await ready.run());
      return { maxDifference: maxDifference(losses, expected), tolerance: tolerance.training, losses };
    },
  };
}

async function judge({ row, ready }, check) {
  const checked = await check(ready);
  const maxDifference = Math.max(checked.maxDifference, row.maxDifference ?? 0);
  Object.assign(row, checked, { maxDifference });
  row.status = maxDifference <= row.tolerance ? "right" : "wrong";
  if (row.status === "wrong") row.reason = `off by ${maxDifference.toPrecision(2)}, allowed are ${row.tolerance}`;
}

/** Runs for a while, at least `atLeast` times; the milliseconds of each run go to `times`. */
async function turn(entry, times, atLeast, seconds) {
  // What others left running in the background comes to rest.
  await new Promise((rested) => setTimeout(rested, 50));
  const start = performance.now();
  for (let run = 0; run < atLeast || performance.now() - start < 1000 * seconds; run++) {
    const before = performance.now();
    entry.last = await entry.ready.run();
    times.push(performance.now() - before);
  }
}

/** NaN is as far off as can be. */
function maxDifference(values, expected) {
  if (values.length !== expected.length) throw new Error(`${values.length} numbers, not ${expected.length}`);
  let most = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(values[i] - expected[i]);
    if (!(difference <= most)) most = Number.isNaN(difference) ? Infinity : difference;
  }
  return most;
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

function summary(times) {
  const sorted = times.toSorted((a, b) => a - b);
  const quantile = (part) => {
    const at = part * (sorted.length - 1);
    const below = Math.floor(at);
    return sorted[below] + (at - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
  };
  const [minimum, lower, median, upper, maximum] = [0, 0.25, 0.5, 0.75, 1].map(quantile);
  return { minimum, lower, median, upper, maximum, runs: sorted.length };
}
