// What the API gives and refuses.
import { open, openGpu, thrown, wgrnn } from "./library.js";

const config = { cell: "lstm", inputSize: 3, hiddenSize: 5 };
const ones = (...shape) => ({ data: new Float32Array(shape.reduce((a, b) => a * b)).fill(1), shape });

function layer(device, options = {}) {
  const all = { ...config, ...options };
  const weights = wgrnn.RnnWeights.init(all, 0);
  try {
    return new wgrnn.Rnn(device, all, weights);
  } finally {
    weights.free();
  }
}

/** Shapes of what a two-way stack gives. */
export async function shapes(device) {
  const rnn = layer(await open(device), { layers: 2, direction: "bidirectional" });
  const { y, state } = await rnn.forward(ones(7, 2, 3), { lengths: [7, 4] });
  const last = await rnn.forward(ones(7, 2, 3), { output: "last" });
  const beyond = [...y.data.subarray((6 * 2 + 1) * 10, 7 * 2 * 10)];
  return { y: y.shape, h: state.h.shape, c: state.c.shape, last: last.y.shape, beyond, type: y.data.constructor.name };
}

/** Two calls made before either is awaited, and the same one after the other. */
export async function concurrent(device) {
  const rnn = layer(await open(device));
  const two = ones(4, 1, 3);
  two.data.fill(-2);
  const both = await Promise.all([rnn.forward(ones(4, 1, 3)), rnn.forward(two)]);
  const each = [await rnn.forward(ones(4, 1, 3)), await rnn.forward(two)];
  const session = rnn.session({ steps: 4, batch: 1, carry: false });
  session.write(ones(4, 1, 3));
  session.run();
  const first = session.output();
  session.write(two);
  session.run();
  const second = session.output();
  return [both.map(({ y }) => [...y.data]), each.map(({ y }) => [...y.data]), [[...(await first).data], [...(await second).data]]];
}

/** A state passed on from call to call, by the caller and by a session; both as in one call. */
export async function carried(device) {
  const rnn = layer(await open(device));
  const whole = await rnn.forward(ones(6, 1, 3));
  const first = await rnn.forward(ones(3, 1, 3));
  const second = await rnn.forward(ones(3, 1, 3), { state: first.state });
  const session = rnn.session({ steps: 3, batch: 1 });
  session.write(ones(3, 1, 3));
  session.run();
  session.run();
  const state = await session.state();
  return { whole: [...whole.state.c.data], parts: [...second.state.c.data], session: [...state.c.data] };
}

/** A stream of two sequences: one pauses, its slot is kept, taken and reset. */
export async function slots(device) {
  const rnn = layer(await open(device));
  const stream = rnn.stream(2);
  const first = await stream.push(ones(1, 2, 3));
  const kept = await stream.readSlot(1);
  const paused = await stream.pushWith(ones(2, 2, 3), [2, 0]);
  const after = await stream.readSlot(1);
  stream.resetSlot(1);
  const again = await stream.push(ones(1, 2, 3));
  stream.writeSlot(0, kept);
  const written = await stream.readSlot(0);
  const row = ({ data }, n) => [...data.subarray(n * 5, n * 5 + 5)];
  const refused = [await thrown(() => stream.readSlot(2)), await thrown(() => stream.pushWith(ones(1, 2, 3), [2, 1]))].map(({ message }) => message);
  return {
    kept: [...kept.c.data], after: [...after.c.data], written: [...written.c.data],
    paused: [...row(paused, 1), ...row(paused, 3)], first: row(first, 1), again: row(again, 1), refused,
  };
}

/** A model's outputs from the model and from a predictor. */
export async function predictions(device) {
  const model = new wgrnn.Model(await open(device), { symbols: 4, rnn: config }, 0);
  const tokens = { data: Uint32Array.of(1, 2, 3), shape: [3, 1] };
  const predictor = new wgrnn.Predictor(model, { steps: 3, batch: 1 });
  const [own, other] = [await model.predict(tokens), await predictor.predict(tokens)];
  return { shape: own.shape, own: [...own.data], other: [...other.data] };
}

/** Weights to a file and back. */
export function weights() {
  const made = wgrnn.RnnWeights.init(config, 7);
  const read = wgrnn.RnnWeights.fromSafetensors(made.toSafetensors("encoder."), config, "encoder.");
  const plain = (weights) => [...weights.named()].map(([name, { data, shape }]) => [name, shape, [...data]]);
  return [plain(made), plain(read)];
}

/** Messages of errors, by what was wrong. */
export async function errors() {
  const device = wgrnn.Device.cpu();
  const rnn = layer(device);
  const model = new wgrnn.Model(device, { symbols: 4, rnn: config }, 0);
  const trainer = new wgrnn.Trainer(model, { steps: 2, batch: 1 });
  const tokens = (...data) => ({ data: Uint32Array.from(data), shape: [data.length, 1] });
  const file = async (name) => (await fetch(`/models/${name}.safetensors`)).arrayBuffer();
  const g2p = new wgrnn.G2p(device, await file("g2p_en"));
  const vad = new wgrnn.Vad(device, await file("silero_vad_16k"));
  const calls = {
    shape: () => rnn.forward(ones(2, 1, 4)),
    axes: () => rnn.forward(ones(2, 3)),
    count: () => rnn.forward({ data: new Float32Array(5), shape: [2, 1, 3] }),
    type: () => rnn.forward({ data: [1, 2, 3], shape: [1, 1, 3] }),
    nothing: () => rnn.forward(undefined),
    lengths: () => rnn.forward(ones(2, 1, 3), { lengths: [3] }),
    option: () => rnn.forward(ones(2, 1, 3), { length: [2] }),
    schedule: () => rnn.forward(ones(2, 1, 3), { schedule: "fast" }),
    state: () => rnn.forward(ones(2, 1, 3), { state: { h: ones(1, 1, 5) } }),
    cell: () => layer(device, { cell: "lstn" }),
    size: () => layer(device, { hiddenSize: 0 }),
    fraction: () => layer(device, { hiddenSize: 1.5 }),
    missing: () => new wgrnn.Rnn(device, { cell: "lstm" }, wgrnn.RnnWeights.init(config, 0)),
    file: () => wgrnn.RnnWeights.fromSafetensors(new Uint8Array(20), config, ""),
    frozen: () => rnn.gradients(ones(2, 1, 3), ones(2, 1, 5)),
    symbol: () => trainer.step(tokens(1, 9), tokens(1, 2)),
    target: () => trainer.step(tokens(1, 2), tokens(1, 9)),
    tokens: () => trainer.step(ones(2, 1), tokens(1, 2)),
    optimizer: () => new wgrnn.Trainer(model, { steps: 2, batch: 1, momentum: 0.5 }),
    checkpoint: () => trainer.loadSafetensors(new Uint8Array(100)),
    temperature: () => wgrnn.choose(new Float32Array(3), -1, 0, 0.5),
    kernel: () => wgrnn.checkKernel(device, "gemn"),
    freed: () => {
      const gone = layer(device);
      gone.free();
      return gone.forward(ones(2, 1, 3));
    },
    freedArgument: () => {
      const gone = wgrnn.Device.cpu();
      gone.free();
      return layer(gone);
    },
    freedPromise: () => {
      const gone = new wgrnn.Model(device, { symbols: 4, rnn: config }, 0);
      gone.free();
      const promise = gone.toSafetensors();
      if (!(promise instanceof Promise)) throw new Error("no promise");
      return promise;
    },
    freedTwice: () => {
      const gone = layer(device);
      gone.free();
      gone.free();
      throw new Error("nothing");
    },
    device: () => layer({}),
    weights: () => new wgrnn.Rnn(device, config, undefined),
    seed: () => wgrnn.RnnWeights.init(config, "3"),
    negative: () => new wgrnn.Model(device, { symbols: 4, rnn: config }, -1),
    bytes: () => wgrnn.RnnWeights.fromSafetensors("abc", config, ""),
    prefix: () => wgrnn.RnnWeights.init(config, 0).toSafetensors(5),
    words: () => g2p.pronounce("word"),
    word: () => g2p.pronounce(["word", 5]),
    mixed: () => g2p.pronounce(["don't"]),
    digits: () => g2p.pronounce(["word", "123"], { partly: true }),
    samples: () => vad.probabilities(undefined),
    rate: () => trainer.setLearningRate(undefined),
    rateRange: () => trainer.setLearningRate(-1),
    notes: () => trainer.toSafetensors({ step: 5 }),
    flag: () => layer(device, { batchFirst: "yes" }),
    pair: () => layer(device, { zoneout: [0.5] }),
    lengthsType: () => rnn.forward(ones(2, 1, 3), { lengths: [1, -2] }),
    options: () => new wgrnn.Trainer(model, 3),
  };
  const messages = {};
  for (const [name, call] of Object.entries(calls)) {
    const error = await thrown(call);
    messages[name] = error instanceof Error ? error.message : `no Error: ${error}`;
  }
  return messages;
}

/** What is said of a device that was destroyed, by whatever is asked of it, and whether another one works. */
export async function lost() {
  const device = await wgrnn.Device.gpu();
  const rnn = layer(device);
  await rnn.forward(ones(2, 1, 3));
  device.destroy();
  const messages = [];
  for (const call of [() => rnn.forward(ones(2, 1, 3)), () => rnn.forward(ones(3, 1, 3)), () => device.wait(), () => layer(device)]) {
    messages.push((await thrown(call))?.message);
  }
  const again = await layer(await wgrnn.Device.gpu()).forward(ones(2, 1, 3));
  return { messages, again: again.y.shape };
}

/** The same, lost behind the library's back, while work is waited for. */
export async function lostOutside() {
  let device;
  const request = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...values) {
    device = await request.apply(this, values);
    return device;
  };
  const rnn = layer(await wgrnn.Device.gpu());
  GPUAdapter.prototype.requestDevice = request;
  const waiting = rnn.forward(ones(200, 4, 3));
  device.destroy();
  return [(await thrown(() => waiting))?.message, (await thrown(() => rnn.forward(ones(2, 1, 3))))?.message];
}

/** How often buffers are mapped for one call of each. */
export async function mappings(kind) {
  const device = await open(kind);
  const trained = wgrnn.Rnn.trainable(device, config, wgrnn.RnnWeights.init(config, 0));
  const rnn = layer(device);
  const session = rnn.session({ steps: 2, batch: 1 });
  const trainer = new wgrnn.Trainer(new wgrnn.Model(device, { symbols: 4, rnn: config }, 0), { steps: 2, batch: 1, carry: true });
  let count = 0;
  const { mapAsync } = GPUBuffer.prototype;
  GPUBuffer.prototype.mapAsync = function (...values) {
    count += 1;
    return mapAsync.apply(this, values);
  };
  const counted = async (call) => {
    count = 0;
    await call();
    return count;
  };
  const counts = {
    forward: await counted(() => rnn.forward(ones(2, 1, 3))),
    gradients: await counted(() => trained.gradients(ones(2, 1, 3), ones(2, 1, 5))),
    state: await counted(() => session.state()),
    session: await counted(() => session.read()),
    checkpoint: await counted(() => trainer.toSafetensors()),
  };
  GPUBuffer.prototype.mapAsync = mapAsync;
  return counts;
}

/** What is chosen where the browser's adapter is one in software. */
export async function fastest() {
  const device = await wgrnn.Device.auto();
  const { note } = await wgrnn.Device.gpu();
  return { name: device.name, isCpu: device.isCpu, note: device.note, software: note?.includes("in software") };
}

/** What a page without WebGPU is told, and gets. */
export async function without() {
  const error = await thrown(() => wgrnn.Device.gpu());
  const device = await wgrnn.Device.auto();
  const { y } = await layer(device).forward(ones(2, 1, 3));
  return { error: error?.message, name: device.name, isCpu: device.isCpu, note: device.note, y: y.shape };
}

/** WebAssembly memory after many objects that were freed, and many that were left to be collected. */
export async function memory() {
  const device = wgrnn.Device.cpu();
  const { default: init } = await import("../../pkg/wgrnn.js");
  const bytes = async () => (await init()).memory.buffer.byteLength;
  const round = async () => {
    for (let i = 0; i < 20; i++) {
      const rnn = layer(device, { hiddenSize: 128 });
      await rnn.forward(ones(2, 1, 3));
      rnn.free();
    }
  };
  await round();
  const before = await bytes();
  await round();
  await round();
  return { before, after: await bytes() };
}

/** The pretrained models. */
export async function models(device) {
  const target = await open(device);
  const bytes = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
  const g2p = new wgrnn.G2p(target, await bytes("/models/g2p_en.safetensors"));
  const phonemes = await g2p.pronounce(["recurrent", "networks"]);
  const none = (await thrown(() => g2p.pronounce([])))?.message;
  const vad = new wgrnn.Vad(target, await bytes("/models/silero_vad_16k.safetensors"));
  const expected = await (await fetch("/fixtures/vad_speech.json")).json();
  const wav = new DataView((await bytes("/fixtures/vad_speech.wav")).buffer);
  const samples = Float32Array.from({ length: (wav.byteLength - 44) / 2 }, (_, i) => wav.getInt16(44 + 2 * i, true) / 32768);
  const probabilities = await vad.probabilities(samples);
  const difference = Math.max(...expected.probabilities.map((p, i) => Math.abs(p - probabilities[i])));
  const segments = wgrnn.Vad.segments(probabilities, samples.length);
  return { phonemes, none, difference, chunks: [probabilities.length, expected.probabilities.length], segments, expected: expected.segments };
}

/** Characters as often as their scores say. */
export const chosen = (temperature) =>
  Array.from({ length: 1000 }, (_, i) => wgrnn.choose(Float32Array.from([0, 2, 1]), temperature, 0, i / 1000));

/** The cells, each of which makes a layer. */
export async function cells() {
  const device = wgrnn.Device.cpu();
  const shapes = {};
  for (const cell of [...wgrnn.cellNames(), "gru", "elman"]) {
    shapes[cell] = (await layer(device, { cell }).forward(ones(2, 1, 3))).y.shape;
  }
  return shapes;
}

/** What a page is told of its GPU. */
export async function report() {
  const device = await openGpu();
  return { name: device.name, isCpu: device.isCpu, report: device.report, note: device.note };
}

/** The state after one run, read while another one is under way; and a model's weights, while it takes a step. */
export async function moments(device) {
  const target = await open(device);
  const rnn = layer(target);
  const session = rnn.session({ steps: 3, batch: 1 });
  const plain = ({ h, c }) => [[...h.data], [...c.data]];
  session.write(ones(3, 1, 3));
  session.run();
  const alone = plain(await session.state());
  session.resetState();
  session.run();
  const promised = session.state();
  session.run();
  const state = plain(await promised);

  const model = new wgrnn.Model(target, { symbols: 4, rnn: config }, 0);
  const trainer = new wgrnn.Trainer(model, { steps: 2, batch: 1, learningRate: 0.1 });
  const before = await model.toSafetensors();
  const weights = model.toSafetensors();
  const tokens = { data: Uint32Array.of(1, 2), shape: [2, 1] };
  trainer.step(tokens, tokens);
  const after = await model.toSafetensors();
  const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
  return { alone, state, weights: same(await weights, before), changed: !same(after, before), steps: trainer.steps };
}

/** What options of a configuration change: names of weights, shape of the output, the output itself. */
export async function options() {
  const device = wgrnn.Device.cpu();
  const all = {
    none: {},
    layers: { layers: 2 },
    heads: { heads: 2 },
    reverse: { direction: "reverse" },
    bidirectional: { direction: "bidirectional" },
    projection: { projection: 2 },
    oneBias: { bias: "one" },
    noBias: { bias: "none" },
    layerNorm: { layerNorm: true },
    peepholes: { peepholes: true },
    coupled: { coupled: true },
    clip: { clip: 0.01 },
    half: { precision: "half" },
    zoneout: { zoneout: [0.5, 0.25] },
    batchFirst: { batchFirst: true },
  };
  const x = ones(4, 1, 3);
  x.data.set([3, -2, 1]);
  const seen = {};
  for (const [name, options] of Object.entries(all)) {
    const weights = wgrnn.RnnWeights.init({ ...config, ...options }, 0);
    const names = [...weights.named().keys()];
    const { y } = await layer(device, options).forward(options.batchFirst ? { ...x, shape: [1, 4, 3] } : x);
    seen[name] = { names, shape: y.shape, y: [...y.data] };
  }
  return seen;
}

/** The losses of a few steps by options of training, and what refuses them. */
export async function trainings() {
  const device = wgrnn.Device.cpu();
  const all = {
    adam: {},
    sgd: { optimizer: "sgd" },
    momentum: { optimizer: "sgd", momentum: 0.9 },
    nesterov: { optimizer: "sgd", momentum: 0.9, nesterov: true },
    decay: { optimizer: "sgd", weightDecay: 0.5 },
    adamDecay: { weightDecay: 0.5 },
    adamw: { optimizer: "adamw", weightDecay: 0.5 },
    betas: { betas: [0.5, 0.9] },
    epsilon: { epsilon: 0.1 },
    clipNorm: { optimizer: "sgd", clipNorm: 0.01 },
    clipValue: { optimizer: "sgd", clipValue: 0.001 },
    learningRate: { learningRate: 0.02 },
    squares: { loss: "meanSquaredError" },
    binary: { loss: "binaryCrossEntropy" },
    last: { output: "last" },
    carry: { carry: true },
    dropout: { model: { dropout: 0.5 } },
    seed: { model: { dropout: 0.5 }, seed: 3 },
    tied: { model: { tied: true, rnn: { ...config, inputSize: 5 } } },
  };
  const losses = {};
  for (const [name, { model: modelOptions = {}, ...options }] of Object.entries(all)) {
    const model = new wgrnn.Model(device, { symbols: 4, rnn: config, ...modelOptions }, 1);
    const trainer = new wgrnn.Trainer(model, { steps: 3, batch: 1, learningRate: 0.1, ...options });
    const classes = !options.loss;
    const last = options.output === "last";
    const tokens = { data: Uint32Array.of(1, 2, 3), shape: [3, 1] };
    const targets = !classes ? ones(3, 1, 4) : last ? { data: Uint32Array.of(2), shape: [1] } : { ...tokens, data: Uint32Array.of(2, 3, 0) };
    losses[name] = [];
    for (let step = 0; step < 4; step++) {
      trainer.step(tokens, targets);
      losses[name].push((await trainer.progress()).lastLoss);
    }
  }
  return losses;
}

/** GPUs by options. */
export async function devices() {
  const own = await wgrnn.Device.gpu();
  const part = await wgrnn.Device.gpu({ adapter: own.name.slice(2, 8).toUpperCase() });
  const other = (await thrown(() => wgrnn.Device.gpu({ adapter: "quantum" })))?.message;
  const weakest = await wgrnn.Device.gpu({ portable: true, class: "discrete" });
  const { y } = await layer(weakest).forward(ones(2, 1, 3));
  const rejected = await wgrnn.Device.gpu({ adaptor: "x" }).catch((error) => error.message);
  return { same: part.name === own.name, other, bytes: weakest.report.limits.bindingBytes, y: y.shape, rejected };
}
