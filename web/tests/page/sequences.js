// Empty sequences, masks, resets, packed and ragged batches.
import { open, thrown, wgrnn } from "./library.js";

const config = { cell: "lstm", inputSize: 3, hiddenSize: 5, direction: "bidirectional" };
const [T, N, W] = [6, 3, 10];
const waves = (...shape) => ({ data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i)), shape });
const layer = async (kind, trainable = false) => {
  const device = await open(kind);
  const weights = wgrnn.RnnWeights.init(config, 0);
  return [trainable ? wgrnn.Rnn.trainable(device, config, weights) : new wgrnn.Rnn(device, config, weights), device];
};
/** Steps of one sequence of [T, N, features], as an array of its own. */
const steps = ({ data, shape }, n, list) => {
  const features = shape[2];
  const rows = list.flatMap((t) => [...data.subarray((t * shape[1] + n) * features, (t * shape[1] + n + 1) * features)]);
  return { data: Float32Array.from(rows), shape: [list.length, features] };
};
const numbers = ({ data }) => [...data];

/** A length of 0: an output of 0, and the initial state. */
export async function empty(kind) {
  const [rnn] = await layer(kind);
  const state = { h: waves(2, N, 5), c: waves(2, N, 5) };
  const { y, state: last } = await rnn.forward(waves(T, N, 3), { lengths: [2, 0, T], state });
  const own = ({ data }) => [0, 1].flatMap((d) => [...data.subarray((d * N + 1) * 5, (d * N + 2) * 5)]);
  const none = await rnn.forward({ data: new Float32Array(0), shape: [0, N, 3] }, { state });
  return {
    y: numbers(steps(y, 1, [0, 1, 2, 3, 4, 5])), last: own(last.h), initial: own(state.h), none: [none.y.shape, numbers(none.state.h)], h: numbers(state.h)
  };
}

/** A mask with holes beside the steps that count alone; resets beside the parts alone. */
export async function maps(kind) {
  const [rnn] = await layer(kind);
  const x = waves(T, N, 3);
  const valid = [[0, 1, 2, 3, 4, 5], [1, 3, 4], [2, 5]];
  const mask = { data: new Uint8Array(T * N), shape: [T, N] };
  valid.forEach((list, n) => list.forEach((t) => (mask.data[t * N + n] = 1)));
  const masked = await rnn.forward(x, { map: wgrnn.SequenceMap.mask(mask) });
  const alone = await rnn.forwardRagged(valid.map((list, n) => steps(x, n, list)));
  const repeated = await rnn.forward(x, { map: wgrnn.SequenceMap.mask(mask).repeatOutput() });
  const found = valid.map((list, n) => [numbers(steps(masked.y, n, list)), numbers(alone.y[n])]);
  found.push([numbers(masked.state.h), numbers(alone.state.h)]);
  // Forward, step 2 of the second sequence repeats step 1, and backward step 3.
  const row = (t) => numbers(steps(repeated.y, 1, [t]));
  found.push([row(2), [...row(1).slice(0, 5), ...row(3).slice(5)]]);
  const reset = await rnn.forward(x, { map: wgrnn.SequenceMap.resetsAt([[2], [], [1, 4]]) });
  const cut = [[[0, 1], [2, 3, 4, 5]], [[0, 1, 2, 3, 4, 5]], [[0], [1, 2, 3], [4, 5]]];
  const parts = await rnn.forwardRagged(cut.flatMap((lists, n) => lists.map((list) => steps(x, n, list))));
  let part = 0;
  cut.forEach((lists, n) => lists.forEach((list) => found.push([numbers(steps(reset.y, n, list)), numbers(parts.y[part++])])));
  return found;
}

/** Packed sequences there and back, and a layer over them beside a ragged batch. */
export async function packed(kind) {
  const [rnn] = await layer(kind);
  const x = waves(T, N, 3);
  const sequences = [2, 6, 4].map((length, n) => steps(x, n, [0, 1, 2, 3, 4, 5].slice(0, length)));
  const packed = wgrnn.PackedSequence.pack(sequences);
  const again = new wgrnn.PackedSequence(packed.data(), packed.batchSizes(), packed.sortedIndices(), packed.unsortedIndices());
  const { y, state } = await rnn.forwardPacked(again, {});
  const ragged = await rnn.forwardRagged(sequences);
  const found = y.unpack().map((y, n) => [numbers(y), numbers(ragged.y[n])]);
  found.push([numbers(state.h), numbers(ragged.state.h)]);
  packed.unpack().forEach((x, n) => found.push([numbers(x), numbers(sequences[n])]));
  return { found, sizes: packed.batchSizes(), sorted: packed.sortedIndices(), unsorted: packed.unsortedIndices(), shape: y.data().shape };
}

/** A training step on packed rows beside one on padded sequences. */
export async function trained(kind) {
  const lengths = [2, 6, 4];
  const rows = lengths.flatMap((length, n) => Array.from({ length }, (_, t) => t * N + n));
  const x = waves(T, N, 3);
  const losses = [];
  for (const isPacked of [false, true]) {
    const [rnn, device] = await layer(kind, true);
    const head = wgrnn.Linear.trainable(device, waves(4, W));
    const all = (array, width) => (isPacked ? rows.flatMap((row) => [...array.subarray(row * width, (row + 1) * width)]) : array);
    const shape = isPacked ? [rows.length] : [T, N];
    const input = wgrnn.Tensor.fromArray(device, { data: Float32Array.from(all(x.data, 3)), shape: [...shape, 3] });
    const classes = Uint32Array.from({ length: T * N }, (_, row) => (rows.includes(row) ? row % 4 : 0xffffffff));
    const targets = wgrnn.Tensor.fromArray(device, { data: Uint32Array.from(all(classes, 1)), shape });
    const tape = wgrnn.Tape.training(device);
    const call = isPacked ? { map: wgrnn.SequenceMap.concatenated(lengths) } : { lengths };
    const y = tape.rnn(rnn, tape.input(input), rnn.deviceState(N), call);
    tape.crossEntropy(tape.linear(head, y), tape.input(targets));
    const trainer = tape.trainer({ optimizer: "sgd", learningRate: 0.5 });
    const found = [];
    for (let step = 0; step < 5; step++) {
      trainer.step();
      found.push((await trainer.progress()).lastLoss);
    }
    losses.push(found);
  }
  return losses;
}

/** What is refused. */
export async function refused(kind) {
  const [rnn] = await layer(kind);
  const x = waves(T, N, 3);
  const mask = (...shape) => wgrnn.SequenceMap.mask({ data: new Uint8Array(shape[0] * shape[1]), shape });
  const calls = {
    mask: () => rnn.forward(x, { map: mask(N, T) }),
    both: () => rnn.forward(x, { map: mask(T, N), lengths: [1, 1, 1] }),
    reset: () => rnn.forward(x, { map: wgrnn.SequenceMap.resetsAt([[], [T], []]) }),
    sizes: () => wgrnn.SequenceMap.packed([1, 2]),
    flags: () => wgrnn.SequenceMap.mask(x),
    to: () => mask(T, N).resetTo("one"),
    ragged: () => rnn.forwardRagged([waves(2, 3), waves(2, 4)]),
    map: () => rnn.forward(x, { map: 3 })
  };
  const messages = {};
  for (const [name, call] of Object.entries(calls)) messages[name] = (await thrown(call))?.message;
  return messages;
}
