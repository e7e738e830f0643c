// The tape in a browser: its operations and losses, and what is trained on it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser } from "./common.mjs";

const { run } = browser();
const close = (got, expected, allowed, name) => {
  assert.equal(got.length, expected.length, name);
  const far = (value, i) => value !== expected[i] && !(Math.abs(value - expected[i]) <= allowed * Math.max(1, Math.abs(expected[i])));
  got.forEach((value, i) => assert.ok(!far(value, i), `${name}[${i}]: ${value}, ${expected[i]}`));
};

for (const device of ["gpu", "cpu"]) {
  test(`30 steps with a residual, a layer norm, attention and CTC on the ${device} are PyTorch's`, async (t) => {
    const { got, expected, evaluated, mean, after, attention, attentionExpected } = await run("tape", "network", device);
    t.diagnostic(`loss ${got[0].toFixed(3)} to ${got.at(-1).toFixed(3)}`);
    close(got, expected, 2e-5, "losses");
    close(attention, attentionExpected, 1e-4, "attention");
    // An evaluation beside it uses the weights of the trainer, and sees what the next step does.
    close(evaluated, [0, 10, 20].map((step) => got[step]), 1e-6, "evaluated");
    assert.ok(after < got.at(-1) && Math.abs(mean - after) < 1e-6, `${after}, ${mean}`);
  });

  test(`optimisers, groups, micro-batches and averages on the ${device} are PyTorch's`, async () => {
    const far = await run("tape", "trainings", device);
    assert.equal(Object.keys(far).length, 50);
    for (const [name, difference] of Object.entries(far)) assert.ok(difference <= 1, `${name}: ${difference} of what is allowed`);
  });

  test(`every operation of the tape computes on the ${device} what it says`, async () => {
    const found = await run("tape", "operations", device);
    assert.ok(Object.keys(found).length > 25);
    for (const [name, { got, expected }] of Object.entries(found)) close(got.map(Number), expected.map(Number), 2e-6, name);
  });

  test(`every loss on the ${device} is what it says`, async () => {
    const found = await run("tape", "losses", device);
    for (const [name, [got, expected]] of Object.entries(found)) close([got], [expected], 2e-6, name);
  });

  test(`a text goes on from run to run on the ${device}, the same by the same seed`, async () => {
    const { greedy, again, first, second, third, argmax } = await run("tape", "texts", device);
    assert.deepEqual(again, greedy);
    assert.deepEqual(second, first);
    assert.notDeepEqual(third, first);
    assert.deepEqual(argmax, [1]);
    for (const symbol of [...greedy, ...first, ...third]) assert.ok(symbol < 12, `${symbol}`);
  });

  test(`one program on the ${device} serves batches of any lengths`, async () => {
    const { list, ...found } = await run("tape", "lengths", device);
    assert.deepEqual(list, [1, 3]);
    for (const [name, pairs] of Object.entries(found)) {
      for (const [got, expected] of pairs) close(got, expected, 1e-6, name);
      assert.notDeepEqual(pairs[0], pairs[1], name);
    }
  });

  test(`a model on a tape learns on the ${device} as by its own trainer, and feeds its output back`, async () => {
    const { losses, steps, fed, expected } = await run("tape", "models", device);
    assert.deepEqual(losses[1], losses[0]);
    assert.equal(steps, 6);
    close(fed, expected, 1e-6, "fed back");
  });

  test(`training on the ${device} reports, ends where it is told to, and goes on`, async () => {
    const { reports, all, ended, given, faults } = await run("tape", "loops", device);
    assert.deepEqual(reports, [4, 8, 10, 12]);
    assert.deepEqual([all, ended, given], [true, false, [0, 1, 2, 3]]);
    assert.match(faults[0], /^every: expected at least 1, got 0$/);
    assert.match(faults[1], /^feed: expected a function, got undefined$/);
    assert.match(faults[2], /^no batch$/);
  });

  test(`gradients from outside, tied weights, written parameters and both kinds of attention with weights work on the ${device}`, async () => {
    const { given, loss, written, tied, shapes } = await run("tape", "more", device);
    close(given, loss, 1e-6, "gradients");
    close(written, [3, 6], 1e-6, "written");
    assert.deepEqual(tied, ["weight"]);
    assert.deepEqual(shapes, [[2, 3], [2, 4], [2, 3], [2, 4]]);
  });

  test(`options of a trainer, freezing and gradients do something on the ${device}`, async () => {
    const { plain, frozen, group, warmUp, step, clipped, gradient, skipped, diverged } = await run("tape", "trainers", device);
    const weights = [1, -1, 0.5, 2];
    assert.notDeepEqual(plain.first, weights);
    for (const { first, second } of [frozen, group]) {
      assert.deepEqual(first, weights);
      assert.notDeepEqual(second, weights);
    }
    close([warmUp.rate, step.rate, plain.rate], [0.075, 0.1, 0.1], 1e-12, "rates");
    const moved = ({ second }) => Math.max(...second.map((value, i) => Math.abs(value - weights[i])));
    assert.ok(moved(clipped) < 0.01 && moved(plain) > 0.01, `${moved(clipped)}, ${moved(plain)}`);
    // d/dh of the mean of (W h + b)², with h = tanh(W x + b).
    const hidden = [Math.tanh(1 - 2 + 0.5), Math.tanh(0.5 + 4 - 0.5)];
    const y = [hidden[0] - hidden[1] + 0.5, 0.5 * hidden[0] + 2 * hidden[1] - 0.5];
    close(gradient, [y[0] + 0.5 * y[1], -y[0] + 2 * y[1]], 2e-6, "gradient");
    assert.deepEqual([skipped.skipped, skipped.taken], [3, 3]);
    assert.deepEqual(skipped.second, weights);
    assert.match(diverged, /^training: the loss, the gradients or the new weights of step 1 are not finite/);
  });
}

test("every cell learns, and the demo offers it", async () => {
  const { offered, found } = await run("tape", "cells");
  assert.deepEqual(offered, Object.keys(found).sort());
  assert.ok(offered.length >= 15);
  for (const [cell, losses] of Object.entries(found)) assert.ok(losses[2] < losses[0], `${cell}: ${losses}`);
});

test("early stopping and plateaus are what the library's are", async () => {
  const { verdicts, best, again, plateaus } = await run("tape", "stopping");
  assert.deepEqual(verdicts, ["improved", "improved", "waiting", "stop"]);
  assert.deepEqual([best, again], [0.8, 0.8]);
  assert.equal(plateaus.length, 2);
  for (const { got, expected } of plateaus) close(got, expected, 1e-12, "plateau");
});

test("what is wrong on a tape is named", async () => {
  const messages = await run("tape", "errors");
  const expected = {
    shapes: /^add: expected shape .*got \[4\]/,
    other: /belongs to another plan/,
    ended: /^the tape has ended/,
    endedEvaluation: /^the tape has ended/,
    tensorForValue: /^b: expected a Value, got an object \(Tensor\)$/,
    freed: /^tensor: this Tensor was freed$/,
    axis: /^axes: expected axes of \[2, 3\], none of them twice, got \[2\]$/,
    noAxis: /^axes: expected at least one, got none$/,
    fraction: /^axes: expected a whole number/,
    list: /^values: expected an array, got an object \(Value\)$/,
    item: /^values\[1\]: expected a Value, got 3$/,
    optional: /^lengths: expected a Value, got 4$/,
    noFunction: /^function: expected a function, got "tanh"$/,
    noExpression: /^result of the mapped function: expected an Expression, got 3$/,
    thrown: /^mapped function: no$/,
    operand: /^mapped function: operand: expected an Expression or a number, got "1"$/,
    foreign: /^mapped function: operand: expected an Expression of this function/,
    late: /^expression: it is used after the function/,
    many: /^values that are mapped: expected 1 to 6, got 7$/,
    none: /another function|expected 1 to 6, got 0/,
    long: /^mapped function: .*more terms than one kernel may have/,
    activation: /^activation: expected tanh, relu, .*; got tan$/,
    constant: /^activation: 'alpha' of elu is missing$/,
    superfluous: /^activation: elu has no beta$/,
    attention: /^attention: expected "dot", "general" or "additive", got "cosine"$/,
    attentionLayer: /^attention: memory: expected a Linear, got 4$/,
    slice: /^range of a slice: expected at least one element/,
    reshape: /^reshaped value: expected shape \[2, 3\], got \[5\]$/,
    weight: /^weight of a loss: expected a finite number/,
    lossOption: /^options of a loss: unknown option 'weigth', expected some of weight$/,
    smoothing: /^labelSmoothing: expected a number from 0 to 1, got 2$/,
    classWeights: /^classWeights: expected a Tensor, got an array of 2$/,
    indices: /^classWeights: expected a Tensor of numbers, got one of indices$/,
    ctcArgument: /^inputLengths: expected a Value, got 3$/,
    optionsObject: /^options of a loss: expected an object of options, got an object \(Linear\)$/,
    optionsList: /^options of a loss: expected an object of options, got an array of 1$/,
    reduction: /^options of CTC: reduction: expected .*"mean".*got "none"$/,
    blank: /^blank of CTC: expected a class, less than 3, got 3$/,
    ctcShape: /^shape: expected \[T, N, C\], got \[4, 1\]$/,
    label: /^label 1 of sequence 0: expected less than 3/,
    noSeed: /^sampling: seed: expected a Tensor of indices/,
    topK: /^topK of sampling: expected at least 1, got 0$/,
    stride: /^stride of a convolution: expected at least 1, got 0$/,
    dilation: /^dilation of a convolution: expected at least 1, got 0$/,
    groups: /^groups of a convolution: expected a number that divides 4 channels and 6 outputs, got 3$/,
    padding: /^options of a convolution: padding\[1\]: expected a whole number .*got -1$/,
    paddings: /^options of a convolution: padding: expected an array, got 1$/,
    threePaddings: /^options of a convolution: padding: expected an array of length 2, got an array of 3$/,
    convolution: /^options of a convolution: unknown option 'pad', expected some of stride, dilation, groups, padding$/,
    window: /^input of a convolution: expected shape at least one window of 3 steps, 4294967295 apart/,
    bias: /^bias: expected a Value, got 4$/,
    zeros: /^zeros around an axis: expected fewer, got more than any array holds$/,
    padAxis: /^axis: expected one of the axes of \[2, 3\], got 2$/,
    evaluation: /^tape: expected one made by Tape\.evaluating, got one for training$/,
    nothing: /^tape: expected trainable layers that are not frozen, and a loss, got none$/,
    unknown: /^training: unknown option 'learningrate', expected some of /,
    optimizer: /^training: only adam and adamw have betas$/,
    schedule: /^training: learningRate: expected a kind of step, .*; got sine$/,
    scheduleOption: /^training: learningRate: unknown option 'step'/,
    scheduleMissing: /^training: learningRate: 'steps' is missing$/,
    average: /^decay of the moving average: expected from 0 to less than 1, got 1$/,
    group: /^training: groups\[0\]: parameters: expected a Parameters, got an object \(Linear\)$/,
    groupArray: /^arrays of .*: expected some of weight, got gain$/,
    inputs: /^input: expected none, got an object \(Object\); a trainer made of a tape reads the tensors/,
    noState: /^the trainer carries no state/,
    averages: /^averages of the weights: expected options with TrainerOptions\.average, got none$/,
    averagesPromise: /^averages of the weights/,
    element: /^element: expected "f32" or "u32", got "f16"$/,
    write: /^array: expected \{data: Float32Array/,
    arrays: /^arrays: expected an object of arrays, got an array of 1$/,
    patience: /^patience of early stopping: expected at least 1, got 0$/,
    delta: /^minDelta of early stopping: expected finite and at least 0, got -1$/,
    plateau: /^factor of a plateau: expected from 0 to less than 1, got 2$/,
    lengths: /^session: lengths: expected a BatchLengths, got an object \(Tensor\)$/,
  };
  const { after, ...all } = messages;
  assert.deepEqual(Object.keys(all), Object.keys(expected));
  for (const [name, pattern] of Object.entries(expected)) assert.match(all[name], pattern, name);
  const rust = /::|usize|u64|i32|null pointer|instance of|IGNORED|`|[a-z]_[a-z]/;
  for (const [name, message] of Object.entries(all)) assert.doesNotMatch(message, rust, name);
  assert.equal(after, "2,3");
});
