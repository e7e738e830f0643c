// The JavaScript API: what it gives, and what it refuses.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser } from "./common.mjs";

const { run } = browser();

test("a GPU says what it is", async () => {
  const { name, isCpu, report } = await run("api", "report");
  assert.ok(name.length > 0 && !isCpu);
  assert.equal(report.backend, "webgpu");
  assert.ok(report.limits.storageBuffers >= 8 && report.limits.bindingBytes >= 1 << 27, JSON.stringify(report));
});

for (const device of ["gpu", "cpu"]) {
  test(`arrays come from the ${device} in the shapes that are documented`, async () => {
    const { y, h, c, last, beyond, type } = await run("api", "shapes", device);
    assert.deepEqual({ y, h, c, last }, { y: [7, 2, 10], h: [4, 2, 5], c: [4, 2, 5], last: [2, 10] });
    assert.deepEqual(beyond, Array(10).fill(0));
    assert.equal(type, "Float32Array");
  });

  test(`calls on the ${device} act in the order in which they are made`, async () => {
    const [both, each, session] = await run("api", "concurrent", device);
    assert.deepEqual(both, each);
    assert.deepEqual(session, each);
    assert.notDeepEqual(each[0], each[1]);
  });

  test(`a state goes on from call to call on the ${device}`, async () => {
    const { whole, parts, session } = await run("api", "carried", device);
    assert.deepEqual(parts, whole);
    assert.deepEqual(session, whole);
  });

  test(`a slot of a stream on the ${device} pauses, and is read, written and reset alone`, async () => {
    const { kept, after, written, paused, first, again, refused } = await run("api", "slots", device);
    assert.deepEqual(after, kept);
    assert.deepEqual(written, kept);
    assert.deepEqual(paused, Array(10).fill(0));
    assert.deepEqual(again, first);
    assert.match(refused[0], /^slot: expected from 0 to 1/);
    assert.match(refused[1], /^length of sequence 0: expected from 0 to 1, got 2$/);
  });

  test(`a model on the ${device} predicts what its predictor does`, async () => {
    const { shape, own, other } = await run("api", "predictions", device);
    assert.deepEqual(shape, [3, 1, 4]);
    assert.deepEqual(own, other);
  });

  test(`the pretrained models give on the ${device} what they give elsewhere`, async () => {
    const { phonemes, none, difference, chunks, segments, expected } = await run("api", "models", device);
    assert.deepEqual(phonemes, ["R IH0 K ER1 AH0 N T", "N EH1 T W ER2 K S"]);
    assert.match(none, /no words/);
    assert.equal(chunks[0], chunks[1]);
    assert.ok(difference < 1e-4, `${difference}`);
    assert.deepEqual(segments.map(({ start, end }) => [start, end]), expected);
  });
}

test("every cell makes a layer", async () => {
  const shapes = await run("api", "cells");
  assert.ok(Object.keys(shapes).length >= 15);
  for (const [cell, shape] of Object.entries(shapes)) assert.deepEqual(shape, [2, 1, 5], cell);
});

test("weights are the same after a file", async () => {
  const [made, read] = await run("api", "weights");
  assert.deepEqual(made.map(([name]) => name), ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]);
  assert.deepEqual(read, made);
});

test("characters are drawn as often as their scores say", async () => {
  const often = async (temperature) => {
    const counts = [0, 0, 0];
    for (const i of await run("api", "chosen", temperature)) counts[i] += 1;
    return counts;
  };
  assert.deepEqual(await often(0), [0, 1000, 0]);
  const [e0, e1, e2] = [1, Math.E ** 2, Math.E];
  const total = e0 + e1 + e2;
  (await often(1)).forEach((count, i) => assert.ok(Math.abs(count - (1000 * [e0, e1, e2][i]) / total) <= 1));
});

test("what is wrong is named", async () => {
  const messages = await run("api", "errors");
  const expected = {
    shape: /input.*expected shape.*got \[2, 1, 4\]/,
    axes: /input: expected 3 axes, got shape \[2, 3\]/,
    count: /input: expected as many numbers as its shape \[2, 1, 3\] says, got 5/,
    type: /input: expected \{data: Float32Array, shape: number\[\]\}/,
    nothing: /input: expected \{data: Float32Array/,
    lengths: /length/,
    option: /call: unknown option 'length', expected some of lengths, map, output/,
    schedule: /^call: schedule: expected one of "auto", "step", "sequence", "wavefront", got "fast"$/,
    state: /^state's c: expected shape/,
    cell: /cell: expected .*lstm.*; got lstn/,
    size: /^hiddenSize: expected from 1/,
    fraction: /^configuration: hiddenSize: expected a whole number from 0 to 4294967295, got 1\.5$/,
    missing: /^configuration: 'inputSize' is missing$/,
    file: /safetensors/,
    frozen: /Rnn\.trainable/,
    symbol: /input: expected symbols less than 4, got 9/,
    target: /target 1: expected less than 4, or 0xffffffff/,
    tokens: /input: expected \{data: Uint32Array/,
    optimizer: /only sgd and rmsprop have momentum/,
    checkpoint: /safetensors/,
    temperature: /temperature: expected a number from 0, got -1/,
    kernel: /kernel: there is no 'gemn'/,
    freed: /^this Rnn was freed$/,
    freedArgument: /^device: this Device was freed$/,
    freedPromise: /^this Model was freed$/,
    freedTwice: /^nothing$/,
    device: /^device: expected a Device, got an object \(Object\)$/,
    weights: /^weights: expected an RnnWeights, got undefined$/,
    seed: /^seed: expected a whole number from 0 to 4294967295, got "3"$/,
    negative: /^seed: expected a whole number from 0 to 4294967295, got -1$/,
    bytes: /^bytes: expected a Uint8Array or an ArrayBuffer, got "abc"$/,
    prefix: /^prefix: expected a string, got 5$/,
    words: /^words: expected an array of strings, got "word"$/,
    word: /^words\[1\]: expected a string, got 5$/,
    mixed: /^words: 'don't': the network can't read ''', and takes it for an unknown letter, which has to be asked for/,
    digits: /^words: '123' can't be pronounced: the network knows the letters a to z, not '1', '2', '3'$/,
    samples: /^samples: expected a Float32Array, got undefined$/,
    rate: /^rate: expected a number, or an object with the kind of a schedule, got undefined$/,
    rateRange: /^learningRate: expected .*, got -1$/,
    notes: /^notes\.step: expected a string, got 5$/,
    flag: /^configuration: batchFirst: expected true or false, got "yes"$/,
    pair: /^configuration: zoneout: expected an array of length 2, got an array of 1$/,
    lengthsType: /^call: lengths\[1\]: expected a whole number from 0 to 4294967295, got -2$/,
    options: /^training: expected an object of options, got 3$/
  };
  assert.deepEqual(Object.keys(messages), Object.keys(expected));
  for (const [name, pattern] of Object.entries(expected)) assert.match(messages[name], pattern, name);
  const rust = /::|usize|u32|f32|null pointer|instance of|IGNORED|`/;
  for (const [name, message] of Object.entries(messages)) assert.doesNotMatch(message, rust, name);
});

for (const device of ["gpu", "cpu"]) {
  test(`output and state of the ${device} come back by one buffer and one wait`, async () => {
    const counts = await run("api", "mappings", device);
    const once = device === "gpu" ? 1 : 0;
    for (const [name, count] of Object.entries(counts)) assert.equal(count, once, name);
    assert.equal(Object.keys(counts).length, 5);
  });
}

test("the fastest device is the CPU where the GPU is one in software, and says so", async () => {
  const { name, isCpu, note, software } = await run("api", "fastest");
  assert.ok(software && isCpu, note);
  assert.equal(name, "CPU");
  assert.match(note, /^using the CPU: .* is a GPU in software/);
});

test("a lost device is an error of whatever is asked of it, and another one works", async () => {
  const { messages, again } = await run("api", "lost");
  for (const message of messages) assert.match(message, /device (was )?lost|destroyed/i);
  assert.deepEqual(again, [2, 1, 5]);
  for (const message of await run("api", "lostOutside")) assert.match(message, /device (was )?lost|destroyed/i);
});

test("objects that are freed leave no memory behind", async () => {
  const { before, after } = await run("api", "memory");
  assert.equal(after, before);
});

for (const device of ["gpu", "cpu"]) {
  test(`what is read from the ${device} is of one moment`, async () => {
    const { alone, state, weights, changed, steps } = await run("api", "moments", device);
    assert.deepEqual(state, alone);
    assert.ok(weights, "weights that were asked for before a step are those of before");
    assert.ok(changed);
    assert.equal(steps, 1);
  });
}

test("every option of a layer does something", async () => {
  const { none, ...seen } = await run("api", "options");
  // What they change is the library's own to test; here, that each reaches it.
  const same = ({ names, shape, y }) => JSON.stringify([names, shape, y]) === JSON.stringify([none.names, none.shape, none.y]);
  for (const [name, one] of Object.entries(seen)) assert.ok(!same(one), name);
  const texts = Object.values(seen).map((one) => JSON.stringify(one));
  assert.equal(new Set(texts).size, texts.length);
  assert.deepEqual(seen.heads.shape, [4, 1, 10]);
  assert.deepEqual(seen.projection.shape, [4, 1, 2]);
  assert.deepEqual(seen.batchFirst.shape, [1, 4, 5]);
});

test("every option of training does something", async () => {
  const losses = await run("api", "trainings");
  for (const [name, of] of Object.entries(losses)) {
    assert.ok(of.every(Number.isFinite) && of[3] !== of[0], `${name}: ${of}`);
  }
  const texts = Object.values(losses).map(String);
  assert.equal(new Set(texts).size, texts.length, JSON.stringify(losses));
});

test("a GPU is opened by name, or as the weakest ones are", async () => {
  const { same, other, bytes, y, rejected } = await run("api", "devices");
  assert.ok(same);
  assert.match(other, /no GPU named 'quantum': this browser gives/);
  assert.equal(bytes, 1 << 27);
  assert.deepEqual(y, [2, 1, 5]);
  assert.match(rejected, /unknown option 'adaptor'/);
});
