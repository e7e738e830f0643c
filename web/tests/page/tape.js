// Models written on a tape, beside PyTorch's numbers.
import { CELLS } from "../../demo/checkpoint.js";
import { open, thrown, wgrnn } from "./library.js";
import { convolved, logSoftmax, normalised } from "./loops.js";
import { fixture } from "./safetensors.js";

/** Losses and attention of a model with a residual connection, layer norm, attention and CTC, and PyTorch's. */
export async function network(kind) {
  const device = await open(kind);
  const file = await fixture("pytorch_tape.safetensors");
  const { rate, epsilon } = JSON.parse(file.metadata.sizes);
  const { array } = file;
  const linear = (name) => wgrnn.Linear.trainable(device, array(`${name}.weight`), array(`${name}.bias`));
  const [steps, batch] = array("x").shape;
  const units = array("norm.gain").shape[0];
  const config = { cell: "lstm", inputSize: units, hiddenSize: units };
  const { weights } = wgrnn.RnnWeights.fromSafetensorsPartial(file.bytes, config, "lstm.");
  const rnn = wgrnn.Rnn.trainable(device, config, weights);
  const [input, head] = [linear("input"), linear("head")];
  const norm = new wgrnn.Parameters(device, { gain: array("norm.gain"), bias: array("norm.bias") });
  const lengths = [...array("lengths").data];
  const tensor = (value) => wgrnn.Tensor.fromArray(device, value);
  const tensors = {
    x: tensor(array("x")),
    last: tensor({ data: Uint32Array.from(lengths, (length) => length - 1), shape: [batch] }),
    attention: wgrnn.Tensor.zeros(device, [batch, steps]),
  };
  const labels = array("labels");
  const counts = [...array("label_lengths").data];
  const classes = array("head.weight").shape[0];
  const targets = new wgrnn.CtcTargets(device, [steps, batch, classes], labels.shape[1]);
  const width = labels.shape[1];
  targets.write(counts.map((count, n) => [...labels.data.subarray(n * width, n * width + count)]), lengths);

  const write = (tape) => {
    const [x, last, attention] = [tensors.x, tensors.last, tensors.attention].map((each) => tape.input(each));
    const valid = tape.input(targets.inputLengths());
    const e = tape.linear(input, x);
    const y = tape.rnn(rnn, e, rnn.deviceState(batch), { lengths });
    const n = tape.layerNorm(tape.add(e, y), tape.parameter(norm, "gain"), tape.parameter(norm, "bias"), epsilon);
    const query = tape.take(n, 0, last.insertAxis(1));
    const { context, weights } = tape.memory("dot", n, valid).attend(tape, query);
    tape.copy(weights, attention);
    const contexts = tape.add(tape.scale(n, 0), context);
    const logits = tape.linear(head, tape.concat([n, contexts], 2));
    tape.ctc(logits, tape.input(targets.labels()), valid, tape.input(targets.labelLengths()), {});
    return tape;
  };
  const trainer = write(wgrnn.Tape.training(device)).trainer({ learningRate: rate });
  const evaluation = write(wgrnn.Tape.evaluating(device)).evaluation();
  const got = [];
  const evaluated = [];
  for (let step = 0; step < array("losses").data.length; step++) {
    if (step % 10 === 0) evaluated.push(await evaluation.run());
    trainer.step();
    got.push((await trainer.progress()).lastLoss);
  }
  const attention = await tensors.attention.read();
  evaluation.add();
  evaluation.add();
  const mean = await evaluation.mean();
  return {
    got, expected: [...array("losses").data], evaluated, mean, after: await evaluation.run(),
    attention: [...attention.data], attentionExpected: [...array("attention").data],
  };
}

/** The trainings, schedules and plateaus of a fixture: the largest difference of each, relative to what is allowed. */
export async function trainings(kind) {
  const device = await open(kind);
  const file = await fixture("pytorch_trainer.safetensors");
  const { array } = file;
  const [steps, , rows, inputs] = array("x").shape;
  const outputs = array("target").shape[3];
  const far = {};
  const compare = (name, got, expected, allowed) => {
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    const differences = expected.map((value, i) => Math.abs(value - got[i]));
    far[name] = Math.max(far[name] ?? 0, ...differences.map((each) => (Number.isNaN(each) ? Infinity : each / largest / allowed)));
  };
  for (const one of JSON.parse(file.metadata.trainings)) {
    const linear = wgrnn.Linear.trainable(device, array("weight"), array("bias"));
    const x = wgrnn.Tensor.zeros(device, [rows, inputs]);
    const target = wgrnn.Tensor.zeros(device, [rows, outputs]);
    const tape = wgrnn.Tape.training(device);
    tape.meanSquaredError(tape.linear(linear, tape.input(x)), tape.input(target));
    const options = {
      optimizer: one.optimizer, weightDecay: one.weight_decay, learningRate: 0.02, average: 0.9,
      momentum: one.momentum ?? undefined, alpha: one.alpha ?? undefined, epsilon: one.eps ?? undefined,
      centered: one.centered ?? undefined,
    };
    if (one.bias_factor !== null) {
      options.groups = [
        { parameters: linear.parameters(), arrays: ["bias"], rateFactor: one.bias_factor, weightDecay: one.bias_decay },
      ];
    }
    const trainer = tape.trainer(options);
    const part = ({ data, shape: [, micros, rows, columns] }, step, micro) => {
      const begin = (step * micros + micro) * rows * columns;
      return { data: data.slice(begin, begin + rows * columns), shape: [rows, columns] };
    };
    for (let step = 0; step < steps; step++) {
      for (let micro = 0; micro < one.micro; micro++) {
        x.write(part(array("x"), step, micro));
        target.write(part(array("target"), step, micro));
        if (micro + 1 < one.micro) trainer.accumulate();
        else trainer.step();
      }
      compare(one.name, [(await trainer.progress()).lastLoss], [array(`${one.name}/losses`).data[step]], 5e-6);
    }
    const averages = await trainer.withAverages(() => linear.parameters().read());
    const trained = await linear.parameters().read();
    for (const [prefix, arrays] of [["", trained], ["average_", averages]]) {
      for (const [name, { data }] of arrays) {
        const all = array(`${one.name}/${prefix}${name}`).data;
        compare(`${one.name}, ${prefix}${name}`, [...data], [...all.subarray((steps - 1) * data.length)], 1e-5);
      }
    }
  }
  return far;
}

/** Each operation's number for small inputs, and what it should be. */
export async function operations(kind) {
  const device = await open(kind);
  const numbers = (values, ...shape) => ({ data: Float32Array.from(values), shape });
  const indices = (values, ...shape) => ({ data: Uint32Array.from(values), shape });
  const [a, b] = [numbers([1, -2, 3, 4, 0.5, -6], 2, 3), numbers([2, 4, -1], 3)];
  const [length, index] = [indices([2, 0], 2, 1), indices([2, 0], 2, 1)];
  const waves = (count, ...shape) => numbers(Array.from({ length: count }, (_, i) => Math.sin(1.7 * i)), ...shape);
  // [T, N, C]; weights of one group of channels and of two; a bias.
  const [x, w, g, c] = [waves(40, 5, 2, 4), waves(24, 3, 4, 2), waves(36, 6, 2, 3), waves(6, 6)];
  const windows = { stride: 2, dilation: 2, groups: 2, padding: [3, 1] };
  const oneWindow = { stride: 2 ** 32 - 1 };
  const tanh = Math.tanh;
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));
  const softmax = (values) => logSoftmax(values).map(Math.exp);
  const [one, two] = [[1, -2, 3], [4, 0.5, -6]];
  const both = [...one, ...two];
  const b2 = [2, 4, -1, 2, 4, -1];
  const cases = {
    add: [(tape, { a, b }) => tape.add(a, b), both.map((x, i) => x + b2[i])],
    sub: [(tape, { a, b }) => tape.sub(a, b), both.map((x, i) => x - b2[i])],
    mul: [(tape, { a, b }) => tape.mul(a, b), both.map((x, i) => x * b2[i])],
    div: [(tape, { a, b }) => tape.div(a, b), both.map((x, i) => x / b2[i])],
    scale: [(tape, { a }) => tape.scale(a, -3), both.map((x) => -3 * x)],
    activate: [(tape, { a }) => tape.activate(a, "tanh"), both.map(tanh)],
    leaky: [(tape, { a }) => tape.activate(a, { kind: "leakyRelu", alpha: 0.5 }), both.map((x) => (x < 0 ? x / 2 : x))],
    glu: [(tape, { a }) => tape.glu(a.reshape([6]), 0), one.map((x, i) => x * sigmoid(two[i]))],
    map: [
      (tape, { a, b }) => tape.map([a, b], ([a, b]) => a.add(b.tanh().mul(a.sigmoid())).max(b.neg()).sub(1)),
      both.map((x, i) => Math.max(x + tanh(b2[i]) * sigmoid(x), -b2[i]) - 1),
    ],
    chosen: [
      (tape, { a }) => tape.map([a], ([x]) => x.less(0).choose(x.abs().sqrt(), x.coordinate(1))),
      both.map((x, i) => (x < 0 ? Math.sqrt(-x) : i % 3)),
    ],
    functions: [
      (tape, { a }) => tape.map([a], ([x]) => x.mul(x).add(1).ln().exp().div(2).min(9).add(x.equal(3)).add(x.relu()).add(x.number(1))),
      both.map((x) => Math.min((x * x + 1) / 2, 9) + (x === 3) + Math.max(x, 0) + 1),
    ],
    activation: [(tape, { a }) => tape.map([a], ([x]) => x.activation({ kind: "affine", alpha: 2, beta: 1 })), both.map((x) => 2 * x + 1)],
    sum: [(tape, { a }) => tape.sum(a, 0), one.map((x, i) => x + two[i])],
    mean: [(tape, { a }) => tape.mean(a, [0, 1]), [0.5 / 6]],
    max: [(tape, { a }) => tape.max(a, [1]), [3, 4]],
    sumValid: [(tape, { a, length }) => tape.sumValid(a, 1, length), [-1, 0]],
    meanValid: [(tape, { a, length }) => tape.meanValid(a, 1, length), [-0.5, 0]],
    maxValid: [(tape, { a, length }) => tape.maxValid(a, 1, length), [1, -Infinity]],
    take: [(tape, { a, index }) => tape.take(a, 1, index), [3, 4]],
    softmax: [(tape, { a }) => tape.softmax(a, 1), [...softmax(one), ...softmax(two)]],
    masked: [(tape, { a, length }) => tape.softmax(a, 1, length), [...softmax([1, -2]), 0, 0, 0, 0]],
    logSoftmax: [(tape, { a }) => tape.logSoftmax(a, 1, null), [...logSoftmax(one), ...logSoftmax(two)]],
    concat: [(tape, { a }) => tape.concat([a.at(1), a.slice(0, 0, 1).reshape([3])], 0), [...two, ...one]],
    matmul: [(tape, { a }) => tape.matmul(a, a.transpose(0, 1)), [14, -15, -15, 52.25]],
    contiguous: [(tape, { a }) => tape.contiguous(a.transpose(0, 1)).reshape([6]), [1, 4, -2, 0.5, 3, -6]],
    layerNorm: [(tape, { a, b }) => tape.layerNorm(a.at(0), undefined, b), normalised(one, 1e-5).map((x, i) => x + [2, 4, -1][i])],
    dropout: [(tape, { a }) => tape.dropout(a, 0.5), both],
    conv1d: [(tape, { x, w }) => tape.conv1d(x, w), convolved(x, w)],
    windows: [(tape, { x, g, c }) => tape.conv1d(x, g, c, windows), convolved(x, g, c, windows)],
    oneWindow: [(tape, { x, w }) => tape.conv1d(x, w, null, oneWindow), convolved(x, w, null, oneWindow)],
    pad: [(tape, { a }) => tape.pad(a, 1, 2, 1), [0, 0, ...one, 0, 0, 0, ...two, 0]],
  };
  const found = {};
  for (const [name, [write, expected]] of Object.entries(cases)) {
    const tape = wgrnn.Tape.evaluating(device);
    const inputs = { a, b, length, index, x, w, g, c };
    for (const key of Object.keys(inputs)) inputs[key] = tape.input(wgrnn.Tensor.fromArray(device, inputs[key]));
    const value = write(tape, inputs);
    const out = wgrnn.Tensor.zeros(device, value.shape);
    tape.copy(value, tape.input(out));
    await tape.evaluation().run();
    found[name] = { got: [...(await out.read()).data].map(String), expected: expected.map(String) };
  }
  return found;
}

/** Each loss for small inputs, and what it should be. */
export async function losses(kind) {
  const device = await open(kind);
  const numbers = (values, ...shape) => wgrnn.Tensor.fromArray(device, { data: Float32Array.from(values), shape });
  const indices = (values, ...shape) => wgrnn.Tensor.fromArray(device, { data: Uint32Array.from(values), shape });
  const [x, t] = [numbers([0, 2, -1], 3), numbers([1, 0.5, NaN], 3)];
  const logits = numbers([0, Math.log(3), 0, 0], 2, 2);
  const classes = indices([1, 0], 2);
  const classWeights = numbers([1, 3], 2);
  const probabilities = numbers([0.5, 0.5, 1, 0], 2, 2);
  const [l34, l14, l2] = [-Math.log(0.75), -Math.log(0.25), Math.log(2)];
  const cases = {
    crossEntropy: [(tape, input) => tape.crossEntropy(input(logits), input(classes)), (l34 + l2) / 2],
    weighted: [(tape, input) => tape.crossEntropy(input(logits), input(classes), { classWeights }), (3 * l34 + l2) / 4],
    smoothed: [
      (tape, input) => tape.crossEntropy(input(logits), input(classes), { labelSmoothing: 0.2, weight: 2 }),
      0.9 * l34 + 0.1 * l14 + l2,
    ],
    probabilities: [(tape, input) => tape.crossEntropy(input(logits), input(probabilities)), ((l34 + l14) / 2 + l2) / 2],
    meanSquaredError: [(tape, input) => tape.meanSquaredError(input(x), input(t)), (1 + 2.25) / 2],
    binaryCrossEntropy: [
      (tape, input) => tape.binaryCrossEntropy(input(x), input(t), { weight: 1 }),
      (l2 + 0.5 * Math.log(1 + Math.exp(-2)) + 0.5 * Math.log(1 + Math.exp(2))) / 2,
    ],
    meanAbsoluteError: [(tape, input) => tape.meanAbsoluteError(input(x), input(t)), 2.5 / 2],
    huber: [(tape, input) => tape.huber(input(x), input(t), 1), (0.5 + 1) / 2],
    loss: [(tape, input) => tape.loss(input(x), { weight: 3 }), 1],
    giveLoss: [(tape, input) => tape.giveLoss(input(x).slice(0, 1, 2), { weight: 0.25 }), 0.5],
    two: [(tape, input) => { tape.loss(input(x)); tape.huber(input(x), input(t), 1, { weight: 2 }); }, 1 / 3 + 1.5],
  };
  const found = {};
  for (const [name, [write, expected]] of Object.entries(cases)) {
    const tape = wgrnn.Tape.evaluating(device);
    write(tape, (tensor) => tape.input(tensor));
    found[name] = [await tape.evaluation().run(), expected];
  }
  return found;
}

/** A text that goes on from run to run on the device: greedily, drawn twice by one seed, and by another one. */
export async function texts(kind) {
  const device = await open(kind);
  const config = { symbols: 12, rnn: { cell: "gru", inputSize: 6, hiddenSize: 10 } };
  const model = new wgrnn.Model(device, config, 3);
  const write = async (options, seed) => {
    const state = model.deviceState(1);
    const symbol = wgrnn.Tensor.zeros(device, [1, 1], "u32");
    const tape = wgrnn.Tape.evaluating(device);
    const x = tape.input(symbol);
    const logits = model.forward(tape, x, state, { carry: true });
    tape.sample(logits.reshape([1, 12]), x.reshape([1]), options);
    const program = tape.evaluation();
    const symbols = [];
    for (let step = 0; step < 16; step++) {
      if (seed) seed.tensor.write({ data: Uint32Array.of(seed.value, step), shape: [2] });
      program.add();
      symbols.push((await symbol.read()).data[0]);
    }
    return symbols;
  };
  const tensor = wgrnn.Tensor.zeros(device, [2], "u32");
  const drawn = (value) => write({ seed: tensor, temperature: 2, topK: 9, topP: 0.99, place: 1 }, { tensor, value });
  const one = wgrnn.Tensor.zeros(device, [1], "u32");
  const tape = wgrnn.Tape.evaluating(device);
  const scores = tape.input(wgrnn.Tensor.fromArray(device, { data: Float32Array.of(0, 3, 1), shape: [1, 3] }));
  tape.argmax(scores, tape.input(one));
  tape.evaluation().add();
  const greedy = await write({});
  return { greedy, again: await write(undefined), first: await drawn(1), second: await drawn(1), third: await drawn(2), argmax: [...(await one.read()).data] };
}

/** One program for batches of any lengths: a session, a predictor and a trainer, each beside one of fixed lengths. */
export async function lengths(kind) {
  const device = await open(kind);
  const config = { cell: "lstm", inputSize: 3, hiddenSize: 5 };
  const rnn = new wgrnn.Rnn(device, config, wgrnn.RnnWeights.init(config, 0));
  const x = { data: Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)), shape: [4, 2, 3] };
  const lists = [[4, 2], [1, 3]];
  const found = { session: [], predictor: [], trainer: [] };
  const perRun = rnn.batchLengths(4, 2);
  const session = rnn.session({ steps: 4, batch: 2, lengths: perRun, carry: false });
  session.write(x);
  const make = () => new wgrnn.Model(device, { rnn: config, outputs: 2 }, 1);
  const model = make();
  const ofModel = model.rnn().batchLengths(4, 2);
  const predictor = new wgrnn.Predictor(model, { steps: 4, batch: 2, lengths: ofModel });
  const targets = { data: Uint32Array.of(0, 1, 1, 0, 0, 1, 1, 0), shape: [4, 2] };
  const trained = make();
  const ofTrained = trained.rnn().batchLengths(4, 2);
  const trainer = new wgrnn.Trainer(trained, { steps: 4, batch: 2, lengths: ofTrained, learningRate: 0, keepEvery: 2 });
  for (const list of lists) {
    perRun.write(list);
    session.run();
    const fixed = rnn.session({ steps: 4, batch: 2, lengths: list, carry: false });
    fixed.write(x);
    fixed.run();
    found.session.push([[...(await session.output()).data], [...(await fixed.output()).data]]);
    ofModel.write(list);
    const other = new wgrnn.Predictor(model, { steps: 4, batch: 2, lengths: list });
    found.predictor.push([[...(await predictor.predict(x)).data], [...(await other.predict(x)).data]]);
    ofTrained.write(list);
    trainer.step(x, targets);
    const beside = new wgrnn.Trainer(make(), { steps: 4, batch: 2, lengths: list, learningRate: 0 });
    beside.step(x, targets);
    found.trainer.push([[(await trainer.progress()).lastLoss], [(await beside.progress()).lastLoss]]);
  }
  return { ...found, list: perRun.list() };
}

/** What is said of what is wrong. */
export async function errors() {
  const device = wgrnn.Device.cpu();
  const numbers = (...shape) => wgrnn.Tensor.zeros(device, shape);
  const begin = () => wgrnn.Tape.training(device);
  const tape = begin();
  const [x, y, s, w] = [[2, 3], [4], [5, 2, 4], [6, 4, 3]].map((shape) => tape.input(numbers(...shape)));
  const classes = tape.input(wgrnn.Tensor.zeros(device, [2], "u32"));
  const linear = wgrnn.Linear.trainable(device, { data: new Float32Array(6), shape: [2, 3] });
  const trained = (options) => {
    const tape = begin();
    tape.loss(tape.linear(linear, tape.input(numbers(2, 3))));
    return tape.trainer(options);
  };
  const ended = begin();
  ended.loss(ended.linear(linear, ended.input(numbers(2, 3))));
  const trainer = ended.trainer();
  const freed = numbers(2);
  freed.free();
  let kept;
  tape.map([x], ([e]) => (kept = e));
  const calls = {
    shapes: () => tape.add(x, y),
    other: () => begin().add(x, x),
    ended: () => ended.add(x, x),
    endedEvaluation: () => ended.evaluation(),
    tensorForValue: () => tape.add(x, numbers(2, 3)),
    freed: () => tape.input(freed),
    axis: () => tape.sum(x, 2),
    noAxis: () => tape.sum(x, []),
    fraction: () => tape.mean(x, 0.5),
    list: () => tape.concat(x, 0),
    item: () => tape.concat([x, 3], 0),
    optional: () => tape.softmax(x, 1, 4),
    noFunction: () => tape.map([x], "tanh"),
    noExpression: () => tape.map([x], () => 3),
    thrown: () => tape.map([x], () => { throw new Error("no"); }),
    operand: () => tape.map([x], ([e]) => e.add("1")),
    foreign: () => tape.map([x], ([e]) => e.add(kept)),
    late: () => kept.add(1),
    many: () => tape.map(Array(7).fill(x), ([e]) => e),
    none: () => tape.map([], () => kept),
    long: () => tape.map([x], ([e]) => { for (let i = 0; i < 2000; i++) e = e.add(i); return e; }),
    activation: () => tape.activate(x, "tan"),
    constant: () => tape.activate(x, { kind: "elu" }),
    superfluous: () => tape.activate(x, { kind: "elu", alpha: 1, beta: 2 }),
    attention: () => tape.memory("cosine", x),
    attentionLayer: () => tape.memory({ kind: "general", memory: 4 }, x),
    slice: () => x.slice(1, 2, 2),
    reshape: () => x.reshape([5]),
    weight: () => tape.loss(x, { weight: NaN }),
    lossOption: () => tape.loss(x, { weigth: 1 }),
    smoothing: () => tape.crossEntropy(x, classes, { labelSmoothing: 2 }),
    classWeights: () => tape.crossEntropy(x, classes, { classWeights: [1, 2] }),
    indices: () => tape.crossEntropy(x, classes, { classWeights: wgrnn.Tensor.zeros(device, [3], "u32") }),
    ctcArgument: () => tape.ctc(x, x, 3, x),
    optionsObject: () => tape.loss(x, linear),
    optionsList: () => tape.loss(x, [1]),
    reduction: () => tape.ctc(x, x, x, x, { reduction: "none" }),
    blank: () => new wgrnn.CtcTargets(device, [4, 1, 3], 2, { blank: 3 }),
    ctcShape: () => new wgrnn.CtcTargets(device, [4, 1], 2),
    label: () => new wgrnn.CtcTargets(device, [4, 1, 3], 2).write([[1, 7]], [4]),
    noSeed: () => tape.sample(x, classes, { temperature: 0.5 }),
    topK: () => tape.sample(x, classes, { seed: wgrnn.Tensor.zeros(device, [2], "u32"), topK: 0 }),
    stride: () => tape.conv1d(s, w, null, { stride: 0 }),
    dilation: () => tape.conv1d(s, w, null, { dilation: 0 }),
    groups: () => tape.conv1d(s, w, null, { groups: 3 }),
    padding: () => tape.conv1d(s, w, null, { padding: [1, -1] }),
    paddings: () => tape.conv1d(s, w, null, { padding: 1 }),
    threePaddings: () => tape.conv1d(s, w, null, { padding: [1, 2, 3] }),
    convolution: () => tape.conv1d(s, w, null, { pad: 1 }),
    window: () => tape.conv1d(s, w, null, { dilation: 2 ** 32 - 1 }),
    bias: () => tape.conv1d(s, w, 4),
    zeros: () => tape.pad(x, 0, 2 ** 32 - 1, 1),
    padAxis: () => tape.pad(x, 2, 1, 1),
    evaluation: () => tape.evaluation(),
    nothing: () => begin().trainer(),
    unknown: () => trained({ learningrate: 1 }),
    optimizer: () => trained({ optimizer: "sgd", betas: [0.9, 0.99] }),
    schedule: () => trained({ learningRate: { kind: "sine", rate: 1 } }),
    scheduleOption: () => trained({ learningRate: { kind: "cosine", rate: 1, step: 5 } }),
    scheduleMissing: () => trained({ learningRate: { kind: "cosine", rate: 1 } }),
    average: () => trained({ average: 1 }),
    group: () => trained({ groups: [{ parameters: linear }] }),
    groupArray: () => trained({ groups: [{ parameters: linear.parameters(), arrays: ["gain"] }] }),
    inputs: () => trainer.step({ data: new Float32Array(6), shape: [2, 3] }),
    noState: () => trainer.resetState(),
    averages: () => trainer.swapAverages(),
    averagesPromise: () => trainer.withAverages(() => 3),
    element: () => wgrnn.Tensor.zeros(device, [2], "f16"),
    write: () => numbers(2).write({ data: new Uint32Array(2), shape: [2] }),
    arrays: () => new wgrnn.Parameters(device, [1]),
    patience: () => new wgrnn.EarlyStopping(0),
    delta: () => new wgrnn.EarlyStopping(3, { minDelta: -1 }),
    plateau: () => new wgrnn.ReduceOnPlateau(1, { factor: 2 }),
    lengths: () => new wgrnn.Rnn(device, { cell: "lstm", inputSize: 3, hiddenSize: 5 }, wgrnn.RnnWeights.init({ cell: "lstm", inputSize: 3, hiddenSize: 5 }, 0)).session({ steps: 2, batch: 1, lengths: numbers(1) }),
  };
  const messages = {};
  for (const [name, call] of Object.entries(calls)) {
    const error = await thrown(call);
    messages[name] = error instanceof Error ? error.message : `no Error: ${error}`;
  }
  // The tape goes on after all of them.
  messages.after = String(tape.add(x, x).shape);
  return messages;
}

/** What options of a trainer of a tape, and what freezing and gradients, change. */
export async function trainers(kind) {
  const device = await open(kind);
  const found = {};
  const weights = { data: Float32Array.from([1, -1, 0.5, 2]), shape: [2, 2] };
  const run = async (options, steps, change = () => {}) => {
    const [first, second] = [weights, weights].map((each) => wgrnn.Linear.trainable(device, each, { data: Float32Array.of(0.5, -0.5), shape: [2] }));
    const x = wgrnn.Tensor.fromArray(device, { data: Float32Array.of(1, 2), shape: [1, 2] });
    const tape = wgrnn.Tape.training(device);
    const hidden = tape.activate(tape.linear(first, tape.input(x)), "tanh");
    const y = tape.linear(second, hidden);
    const extra = change(tape, { first, second, hidden, x });
    tape.loss(tape.mul(y, y));
    const trainer = tape.trainer({ optimizer: "sgd", learningRate: 0.1, ...options(first, second) });
    for (let step = 0; step < steps; step++) trainer.step();
    const { skipped, steps: taken } = await trainer.progress();
    const read = async (linear) => [...(await linear.parameters().read()).get("weight").data];
    return { first: await read(first), second: await read(second), skipped, taken, rate: trainer.rate, extra, x };
  };
  const plain = () => ({});
  found.plain = await run(plain, 3);
  found.frozen = await run(plain, 3, (tape, { first }) => tape.freeze(first.parameters()));
  found.group = await run((first) => ({ groups: [{ parameters: [first.parameters()], rateFactor: 0 }] }), 3);
  found.warmUp = await run(() => ({ warmUp: 4 }), 2);
  found.step = await run(() => ({ learningRate: { kind: "step", rate: 0.4, factor: 0.5, every: 2 } }), 4);
  found.clipped = await run(() => ({ clipNorm: 0.01 }), 3);
  const gradient = wgrnn.Tensor.zeros(device, [1, 2]);
  await run(plain, 1, (tape, { hidden }) => tape.wantGradient(hidden, gradient));
  found.gradient = [...(await gradient.read()).data];
  // A step that is not finite is skipped where it may be, and else told of.
  const nan = wgrnn.Tensor.fromArray(device, { data: Float32Array.of(NaN), shape: [1] });
  const bad = (tape) => tape.giveLoss(tape.input(nan));
  found.skipped = await run(() => ({ skipNonfinite: 5 }), 3, bad);
  found.diverged = (await thrown(() => run(plain, 3, bad)))?.message;
  for (const each of Object.values(found)) {
    delete each?.x;
    delete each?.extra;
  }
  return found;
}

/** What the host does with held-out losses. */
export async function stopping() {
  const stopping = new wgrnn.EarlyStopping(2, { minDelta: 0.01 });
  const verdicts = [1, 0.8, 0.795, 0.81].map((loss) => stopping.update(loss));
  const again = new wgrnn.EarlyStopping(2, { minDelta: 0.01 });
  again.restore(stopping.note());
  const file = await fixture("pytorch_trainer.safetensors");
  const doubles = ({ data }) => [...data];
  const plateaus = JSON.parse(file.metadata.plateaus).map((one) => {
    const { factor, patience, threshold, cooldown } = one;
    const plateau = new wgrnn.ReduceOnPlateau(one.lr, { factor, patience, threshold, cooldown, least: one.min_lr });
    const got = doubles(file.array(`${one.name}/losses`)).map((loss) => plateau.update(loss));
    return { got, expected: doubles(file.array(`${one.name}/lrs`)) };
  });
  return { verdicts, best: stopping.best, again: again.best, plateaus };
}

/** Losses of three steps of every cell, on tokens and on vectors. */
export async function cells() {
  const device = wgrnn.Device.cpu();
  const found = {};
  // The demo's list is one of its own: a page has it before there is a library.
  const offered = Object.keys(CELLS).sort();
  for (const cell of wgrnn.cellNames()) {
    const rnn = { cell, inputSize: 4, hiddenSize: 4 };
    const model = new wgrnn.Model(device, { symbols: 5, rnn }, 0);
    const trainer = new wgrnn.Trainer(model, { steps: 3, batch: 1, learningRate: 0.1 });
    const tokens = (...data) => ({ data: Uint32Array.from(data), shape: [3, 1] });
    found[cell] = [];
    for (let step = 0; step < 3; step++) {
      trainer.step(tokens(1, 2, 3), tokens(2, 3, 4));
      found[cell].push((await trainer.progress()).lastLoss);
    }
  }
  return { offered, found };
}

/** A model on a tape learns as the same model's own trainer does, and goes on from the same checkpoint. */
export async function models(kind) {
  const device = await open(kind);
  const config = { symbols: 6, rnn: { cell: "lstm", inputSize: 4, hiddenSize: 5 }, dropout: 0.25 };
  const tokens = (...data) => ({ data: Uint32Array.from(data), shape: [2, 2] });
  const [given, wanted] = [tokens(1, 2, 3, 4), tokens(2, 3, 4, 5)];
  const own = new wgrnn.Trainer(new wgrnn.Model(device, config, 2), { steps: 2, batch: 2, carry: true, seed: 4 });
  const model = new wgrnn.Model(device, config, 2);
  const [x, state] = [wgrnn.Tensor.fromArray(device, given), model.deviceState(2)];
  const targets = new wgrnn.Targets(device, [2, 2], 6);
  targets.write(wanted);
  const tape = wgrnn.Tape.training(device);
  tape.crossEntropy(model.forward(tape, tape.input(x), state, { carry: true }), tape.input(targets.tensor()));
  const trainer = tape.trainer({ seed: 4 });
  model.name(trainer);
  trainer.keepState("carried", state);
  const losses = [[], []];
  const both = async () => {
    own.step(given, wanted);
    trainer.step();
    for (const [i, each] of [own, trainer].entries()) losses[i].push((await each.progress()).lastLoss);
  };
  for (let step = 0; step < 4; step++) await both();
  trainer.loadSafetensors(await own.toSafetensors());
  for (let step = 0; step < 2; step++) await both();
  // One output after the other, each of which the next step reads.
  const fed = new wgrnn.Model(device, { rnn: { cell: "elman_tanh", inputSize: 3, hiddenSize: 4 }, outputs: 3 }, 0);
  const first = wgrnn.Tensor.fromArray(device, { data: Float32Array.of(1, -1, 0.5), shape: [1, 3] });
  const feeding = wgrnn.Tape.evaluating(device);
  const all = fed.feedBack(feeding, feeding.input(first), fed.deviceState(1), 3);
  const out = wgrnn.Tensor.zeros(device, all.shape);
  feeding.copy(all, feeding.input(out));
  feeding.evaluation().add();
  const predictor = new wgrnn.Predictor(fed, { steps: 1, batch: 1, carry: true });
  const expected = [];
  let read = { data: Float32Array.of(1, -1, 0.5), shape: [1, 1, 3] };
  for (let step = 0; step < 3; step++) expected.push(...(read = await predictor.predict(read)).data);
  return { losses, steps: trainer.steps, fed: [...(await out.read()).data], expected };
}

/** What a loop reports, whether it ends, and what is said of what is wrong. */
export async function loops(kind) {
  const device = await open(kind);
  const linear = wgrnn.Linear.trainable(device, { data: Float32Array.of(2), shape: [1, 1] });
  const x = wgrnn.Tensor.zeros(device, [1, 1]);
  const tape = wgrnn.Tape.training(device);
  const y = tape.linear(linear, tape.input(x));
  tape.loss(tape.mul(y, y));
  const trainer = tape.trainer({ learningRate: 0.01 });
  const feed = async (step) => x.write({ data: Float32Array.of(step % 3), shape: [1, 1] });
  const reports = [];
  const report = async ({ steps }) => reports.push(steps);
  const all = await trainer.train(10, 4, feed, report);
  const ended = await trainer.train(20, 6, feed, ({ steps }) => reports.push(steps) < 0);
  const model = new wgrnn.Model(device, { symbols: 4, rnn: { cell: "gru", inputSize: 2, hiddenSize: 3 } }, 0);
  const own = new wgrnn.Trainer(model, { steps: 1, batch: 1 });
  const given = [];
  const tokens = { data: Uint32Array.of(1), shape: [1, 1] };
  await own.train(4, 4, (step) => given.push(step) && [tokens, tokens], () => {});
  const faults = [
    () => trainer.train(30, 0, feed, report),
    () => trainer.train(30, 1, undefined, report),
    () => trainer.train(30, 1, () => { throw new Error("no batch"); }, report),
  ].map(thrown);
  return { reports, all, ended, given, faults: (await Promise.all(faults)).map((error) => error?.message) };
}

/** Gradients given and computed; what written weights give; names of tied ones; shapes of attention. */
export async function more(kind) {
  const device = await open(kind);
  const numbers = (values, ...shape) => ({ data: Float32Array.from(values), shape });
  const tensor = (...of) => wgrnn.Tensor.fromArray(device, numbers(...of));
  const weight = numbers([1, 2, 3, 4], 2, 2);
  const gradients = async (write) => {
    const linear = wgrnn.Linear.trainable(device, weight);
    const tape = wgrnn.Tape.training(device);
    const y = tape.linear(linear, tape.input(tensor([1, -1], 1, 2)));
    write(tape, y);
    const trainer = tape.trainer({ optimizer: "sgd", learningRate: 0 });
    trainer.step();
    await trainer.progress();
    return [...(await linear.parameters().gradients()).get("weight").data];
  };
  // The mean of y² has the gradient y, of two numbers.
  const loss = await gradients((tape, y) => tape.loss(tape.mul(y, y)));
  const given = await gradients((tape, y) => tape.giveGradient(y, tape.contiguous(y)));
  const embedding = wgrnn.Embedding.trainable(device, weight);
  const tied = wgrnn.Linear.tied(embedding);
  const linear = wgrnn.Linear.trainable(device, weight);
  const out = wgrnn.Tensor.zeros(device, [1, 2]);
  const tape = wgrnn.Tape.evaluating(device);
  tape.copy(tape.linear(linear, tape.input(tensor([1, 2], 1, 2))), tape.input(out));
  const program = tape.evaluation();
  linear.parameters().write({ weight: numbers([1, 1, 2, 2], 2, 2) });
  linear.refresh();
  program.add();
  const shapes = [];
  const seeing = wgrnn.Tape.evaluating(device);
  const layer = (rows, columns) => new wgrnn.Linear(device, numbers(Array(rows * columns).fill(0.1), rows, columns));
  const [encoded, query] = [tensor(Array(24).fill(0.5), 4, 2, 3), tensor(Array(10).fill(1), 2, 5)].map((each) => seeing.input(each));
  for (const attention of [
    { kind: "general", memory: layer(5, 3) },
    { kind: "additive", query: layer(6, 5), memory: layer(6, 3), score: layer(1, 6) },
  ]) {
    const { context, weights } = seeing.memory(attention, encoded).attend(seeing, query);
    shapes.push(context.shape, weights.shape);
  }
  return { given, loss, written: [...(await out.read()).data], tied: tied.parameters().names(), shapes };
}
