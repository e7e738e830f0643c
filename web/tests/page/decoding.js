// Beam search and the labels of CTC, beside plain loops.
import { open, thrown, wgrnn } from "./library.js";
import { alignments, beamSearch, bestPath } from "./loops.js";

const waves = (speed, scale, ...shape) => {
  const length = shape.reduce((product, size) => product * size, 1);
  return { data: Float32Array.from({ length }, (_, i) => scale * Math.sin(speed * i + speed)), shape };
};

const plain = (all) => all.map((sequence) => sequence.map(({ tokens, score, logProbability }) => ({ tokens: [...tokens], score, logProbability })));

/** The texts of a decoder that remembers its state and its last output, of a loop and of the device, run twice. */
export async function beams(kind, options) {
  const device = await open(kind);
  const [batch, symbols, inputs, units] = [2, 6, 3, 4];
  const search = { start: 0, end: 1, steps: 5, ...options };
  const config = { cell: "elman_tanh", inputSize: inputs, hiddenSize: units };
  const weights = wgrnn.RnnWeights.init(config, 5);
  const [table, head, tail] = [waves(1.3, 2, symbols, inputs), waves(2.1, 3, symbols, units), waves(0.7, 1, symbols, units)];
  const decoder = { table, rnn: Object.fromEntries(weights.named()), head, tail };
  const first = waves(0.9, 1, batch, units);

  const rnn = new wgrnn.Rnn(device, config, weights);
  const embedding = wgrnn.Embedding.trainable(device, table);
  const layers = [head, tail].map((weight) => new wgrnn.Linear(device, weight));
  const tape = wgrnn.Tape.evaluating(device);
  const found = tape.beamSearch(search, batch);
  const { rows } = found;
  const state = rnn.deviceState(rows);
  let previous = tape.input(wgrnn.Tensor.zeros(device, [rows, units]));
  for (let step = 0; step < search.steps; step++) {
    const x = tape.embedding(embedding, found.tokens()).insertAxis(0);
    const y = tape.rnn(rnn, x, state, { carry: true }).at(0);
    found.advance(tape, tape.add(tape.linear(layers[0], y), tape.linear(layers[1], previous)));
    found.followState(tape, state);
    previous = found.follow(tape, y);
  }
  const evaluation = tape.evaluation();
  const got = [];
  for (let run = 0; run < 2; run++) {
    const h = Array.from({ length: rows }, (_, i) => [...first.data.subarray(Math.floor(i / (rows / batch)) * units)].slice(0, units));
    state.write({ h: { data: Float32Array.from(h.flat()), shape: [1, rows, units] } });
    evaluation.add();
    got.push(plain(await found.read()));
  }
  const memory = (n) => ({ h: [...first.data.subarray(n * units, (n + 1) * units)], previous: Array(units).fill(0) });
  const usual = { beams: 4, alpha: 0.6, ...search };
  return { rows, got, expected: [0, 1].map((n) => beamSearch(decoder, memory(n), usual)) };
}

/** Labels by both ways of decoding, of a tape and of the host's logits, and of plain loops. */
export async function labels(kind) {
  const device = await open(kind);
  const logits = waves(2.3, 1.5, 4, 2, 3);
  const lengths = [4, 3];
  const tape = wgrnn.Tape.evaluating(device);
  const x = tape.input(wgrnn.Tensor.fromArray(device, logits));
  const steps = tape.input(wgrnn.Tensor.fromArray(device, { data: Uint32Array.from(lengths), shape: [2] }));
  // As many beams as there can be sequences of labels.
  const ways = { path: { blank: 2 }, prefixes: { beams: 81, blank: 2 } };
  const onTape = Object.entries(ways).map(([name, options]) => [name, tape.ctcDecode(x, steps, options)]);
  const whole = tape.ctcDecode(x);
  await tape.evaluation().run();
  const found = {};
  for (const [name, decoded] of onTape) {
    const exact = name === "path" ? bestPath : alignments;
    const expected = lengths.map((steps, n) => exact(logits, n, steps, 2));
    const host = await wgrnn.ctcDecode(device, logits, lengths, ways[name]);
    found[name] = { got: plain(await decoded.read()), host: plain(host), expected };
  }
  const host = plain(await wgrnn.ctcDecode(device, logits));
  found.whole = { got: plain(await whole.read()), host, expected: [0, 1].map((n) => bestPath(logits, n, 4, 0)) };
  return found;
}

/** What is said of what is wrong. */
export async function errors() {
  const device = wgrnn.Device.cpu();
  const [tape, other] = [wgrnn.Tape.evaluating(device), wgrnn.Tape.evaluating(device)];
  const input = (...shape) => tape.input(wgrnn.Tensor.zeros(device, shape));
  const indices = (...shape) => tape.input(wgrnn.Tensor.zeros(device, shape, "u32"));
  const config = { cell: "lstm", inputSize: 2, hiddenSize: 3 };
  const rnn = new wgrnn.Rnn(device, config, wgrnn.RnnWeights.init(config, 0));
  const usual = { start: 0, end: 1, steps: 2, beams: 3 };
  const search = (options, batch = 1) => tape.beamSearch({ ...usual, ...options }, batch);
  const [early, begun, done] = [search({}, 2), search({}, 2), search({}, 2)];
  const [logits, few, one] = [input(6, 4), input(5, 4), input(6, 1)];
  begun.advance(tape, logits);
  for (let step = 0; step < 2; step++) done.advance(tape, logits);
  const host = { data: new Float32Array(24), shape: [4, 2, 3] };
  const frames = input(4, 2, 3);
  const calls = {
    beams: () => search({ beams: 0 }),
    many: () => search({ beams: 257 }),
    half: () => search({ beams: 1.5 }),
    steps: () => search({ steps: 0 }),
    endless: () => search({ steps: 2 ** 32 - 1 }),
    alpha: () => search({ alpha: NaN }),
    missing: () => tape.beamSearch({ start: 0, end: 1 }, 1),
    none: () => tape.beamSearch(undefined, 1),
    unknown: () => search({ beam: 2 }),
    batch: () => search({}, 0),
    huge: () => search({}, 2 ** 32 - 1),
    negative: () => search({}, -1),
    rows: () => early.advance(tape, few),
    end: () => early.advance(tape, one),
    start: () => search({ start: 9 }, 2).advance(tape, logits),
    tokens: () => early.advance(tape, early.tokens()),
    axes: () => early.advance(tape, logits.reshape([24])),
    value: () => early.advance(tape, 3),
    tape: () => early.advance(logits, logits),
    foreign: () => early.advance(other, logits),
    early: () => early.follow(tape, logits),
    earlyState: () => early.followState(tape, rnn.deviceState(6)),
    follow: () => begun.follow(tape, few),
    state: () => begun.followState(tape, rnn.deviceState(5)),
    foreignState: () => begun.followState(other, rnn.deviceState(6)),
    over: () => done.advance(tape, logits),
    ctcBeams: () => tape.ctcDecode(frames, null, { beams: 0 }),
    blank: () => tape.ctcDecode(frames, null, { blank: 3 }),
    ctcAxes: () => tape.ctcDecode(logits),
    lengths: () => tape.ctcDecode(frames, indices(3)),
    numbers: () => tape.ctcDecode(frames, input(2)),
    noValue: () => tape.ctcDecode(frames, [4, 2]),
    view: () => tape.ctcDecode(frames.transpose(0, 1)),
    ctcOption: () => tape.ctcDecode(frames, null, { alpha: 1 }),
    hostLogits: () => wgrnn.ctcDecode(device, [1, 2]),
    hostAxes: () => wgrnn.ctcDecode(device, { data: new Float32Array(2), shape: [2] }),
    hostLength: () => wgrnn.ctcDecode(device, host, [4, 5]),
    hostLengths: () => wgrnn.ctcDecode(device, host, [4]),
    hostNumber: () => wgrnn.ctcDecode(device, host, [4, 0.5]),
    hostBlank: () => wgrnn.ctcDecode(device, host, null, { blank: 7 }),
    hostBeams: () => wgrnn.ctcDecode(device, host, null, { beams: 300 }),
    device: () => wgrnn.ctcDecode(tape, host),
  };
  const messages = {};
  for (const [name, call] of Object.entries(calls)) {
    const error = await thrown(call);
    messages[name] = error instanceof Error ? error.message : `no Error: ${error}`;
  }
  // The tape and the beams go on after all of them.
  early.advance(tape, logits);
  await tape.evaluation().run();
  messages.ended = (await thrown(() => begun.advance(tape, logits)))?.message;
  messages.after = (await early.read()).length;
  return messages;
}
