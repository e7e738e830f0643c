// Files of PyTorch, NumPy and Keras in a browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser } from "./common.mjs";

const { run } = browser();

function match(errors, patterns) {
  assert.equal(errors.length, patterns.length);
  patterns.forEach((pattern, i) => assert.match(errors[i], pattern));
}

test("weights of PyTorch's files in every form give PyTorch's outputs", async () => {
  const { compared, faults } = await run("files", "pytorch");
  assert.equal(compared, 38);
  assert.deepEqual(faults, []);
});

test("layers of Keras's files in every format give Keras's outputs", async () => {
  const { compared, faults } = await run("files", "keras");
  assert.equal(compared, 15);
  assert.deepEqual(faults, []);
});

test("a whole model is read by a map of names, and written with the file's", async () => {
  const all = await run("files", "model");
  assert.deepEqual(all.names.toSorted(), ["batchNorm", "convolution", "decoder", "embedding", "encoder", "head", "middle", "norm"]);
  assert.deepEqual(all.leftOver, []);
  assert.deepEqual(all.config, {
    cell: "lstm", inputSize: 3, hiddenSize: 4, layers: 1, direction: "bidirectional", bias: "two",
  });
  assert.deepEqual(all.decoder, { cell: "gru", inputSize: 5, hiddenSize: 3, layers: 2 });
  assert.deepEqual([all.output, all.symbols, all.trainable], [[2, 1, 8], 7, ["weight"]]);
  assert.deepEqual(all.norms.toSorted(), ["bias", "running_mean", "running_var", "weight"]);
  assert.deepEqual(all.kernel, [5, 8, 3]);
  assert.deepEqual([all.written, all.format, all.tracked, all.partial], [29, "safetensors", "I64", 28]);
  assert.deepEqual(all.head, Array(8).fill(0.5));
  match(all.errors, [
    /missing: e\.weight; of other shapes: fc\.weight \(expected \[3, 4\], got \[2, 4\]\); left over: bn\.bias/,
    /parts\.head\.kind: expected "rnn", "embedding", "linear" or "arrays", got "dense"/,
    /parts\.head: cell and config are of the kind "rnn"/,
    /parts\.rnn\.cell: expected a string, got undefined/,
    /parts\.rnn: expected a cell or a config, got both/,
    /parts\.head\.prefix: expected a string, got 3/,
    /parts\.head: unknown option 'shape'/,
    /partial: expected true or false, got 1/,
    /parts: expected an object of parts, got an array/,
  ]);
});

test("arrays by name come from files and from JavaScript", async () => {
  const all = await run("files", "arrays");
  assert.deepEqual(all.config, {
    cell: "lstm", inputSize: 2, hiddenSize: 3, layers: 1, direction: "forward", bias: "two",
  });
  assert.deepEqual(all.same, [true, true, true]);
  assert.deepEqual(all.formats, ["numPy", "memory", "pyTorch"]);
  assert.deepEqual([all.root, all.found], ["model_state_dict.", "model_state_dict.weight_ih_l0"]);
  assert.deepEqual(all.missing, [null, null, null]);
  assert.deepEqual(all.shape, [16, 3]);
  match(all.errors, [
    /eval, which is code/,
    /a: expected F32.*complex64/,
    /missing tensor c/,
    /cut off/,
    /bytes: expected a Uint8Array or an ArrayBuffer/,
    /arrays\.a: expected \{data: Float32Array/,
    /cell: expected gru/,
    /weights: expected an array of one direction's or of two/,
    /weights\[0\]: unknown option 'recurrent'/,
  ]);
});
