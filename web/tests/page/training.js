// A character model learns as PyTorch's did, from the same weights on the same text.
import { open, wgrnn } from "./library.js";
import { fixture } from "./safetensors.js";

async function prepare(device) {
  const file = await fixture("char_lm_losses.safetensors");
  const sizes = JSON.parse(file.metadata.sizes);
  const { N, T, features, hidden, symbols } = sizes;
  const config = { symbols, rnn: { cell: "lstm", inputSize: features, hiddenSize: hidden } };
  const model = new wgrnn.Model(await open(device), config, 0);
  model.loadSafetensors(file.bytes, "weights/");
  const trainer = new wgrnn.Trainer(model, {
    steps: T, batch: N, carry: true, learningRate: sizes.rate, clipNorm: sizes.clip,
  });
  const { data, shape: [, width] } = file.array("tokens");
  /** [T, N] of the window that begins so many characters in. */
  const window = (begin) => ({
    data: Uint32Array.from({ length: T * N }, (_, i) => data[(i % N) * width + begin + Math.floor(i / N)]),
    shape: [T, N],
  });
  const step = (k) => trainer.step(window(k * T), window(k * T + 1));
  return { file, model, trainer, step };
}

/** The losses of the first steps, and PyTorch's. */
export async function losses(device, steps) {
  const { file, trainer, step } = await prepare(device);
  const got = [];
  for (let k = 0; k < steps; k++) {
    step(k);
    got.push((await trainer.progress()).lastLoss);
  }
  return { got, expected: [...file.array("losses").data.subarray(0, steps)] };
}

/** The mean loss of steps that nobody waited for, and the mean of those that somebody did. */
export async function means(device, steps) {
  const { trainer, step } = await prepare(device);
  for (let k = 0; k < steps; k++) step(k);
  const { meanLoss, steps: taken } = await trainer.progress();
  const { got } = await losses(device, steps);
  return { mean: meanLoss, taken, expected: got.reduce((sum, loss) => sum + loss) / steps };
}

/** Losses of a training that was saved and loaded on the way, and of one that was not. */
export async function resumed(device, before, after) {
  const first = await prepare(device);
  for (let k = 0; k < before; k++) first.step(k);
  const bytes = await first.trainer.toSafetensors({ text: "abc" });
  const second = await prepare(device);
  second.step(7);
  const notes = second.trainer.loadSafetensors(bytes);
  const got = [];
  const expected = [];
  for (let k = before; k < before + after; k++) {
    for (const [{ trainer, step }, list] of [[first, expected], [second, got]]) {
      step(k);
      list.push((await trainer.progress()).lastLoss);
    }
  }
  const cut = bytes.slice(0, bytes.length - 5);
  let fault;
  try {
    second.trainer.loadSafetensors(cut);
  } catch (error) {
    fault = error.message;
  }
  return { got, expected, notes, ownNotes: wgrnn.Trainer.notesOfSafetensors(bytes), steps: second.trainer.steps, fault };
}

/** Whether a page's own tasks go on while it trains: the longest time between two of them, in ms. */
export async function longestPause(device, steps) {
  const { trainer, step } = await prepare(device);
  step(0);
  await trainer.progress();
  let [last, longest, going] = [performance.now(), 0, true];
  const channel = new MessageChannel();
  channel.port1.onmessage = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (going) channel.port2.postMessage(0);
  };
  channel.port2.postMessage(0);
  const begin = performance.now();
  for (let k = 1; k <= steps; k++) {
    step(k);
    await trainer.progress();
  }
  going = false;
  return { longest, each: (performance.now() - begin) / steps };
}
