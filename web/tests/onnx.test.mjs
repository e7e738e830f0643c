// ONNX models in a browser: on its GPU, and on the CPU in WebAssembly.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { browser } from "./common.mjs";

const { run } = browser();

const folder = fileURLToPath(new URL("../../tests/fixtures/onnx_held/", import.meta.url));
const names = readdirSync(folder).filter((name) => name.endsWith(".onnx")).map((name) => name.slice(0, -".onnx".length));

for (const device of ["gpu", "cpu"]) {
  test(`nodes with weights in files, branches, loops and eight bits give ONNX Runtime's numbers on the ${device}`, async () => {
    const found = await run("onnx", "held", device, names);
    assert.deepEqual(new Set(found.map(({ name }) => name)), new Set(names));
    for (const { name, output, quantized, far } of found) {
      // As in tests/onnx/sources.rs: ONNX Runtime rounds x and h of a quantised node to eight bits at each of five steps.
      assert.ok(far < (quantized ? 2e-2 : 1e-6), `${name}, ${output}: ${far}`);
    }
    const quantized = new Set(found.filter((one) => one.quantized).map(({ name }) => name));
    assert.ok(quantized.has("dynq") && quantized.has("dynamic_each_i8") && !quantized.has("qdq"), [...quantized].join());
  });

  test(`whole models that PyTorch exports give ONNX Runtime's numbers on the ${device}`, async () => {
    const found = await run("onnx", "whole", device);
    assert.ok(new Set(found.map(({ name }) => name)).size === 10 && found.some(({ name }) => name === "tagger"));
    for (const { name, output, isNamed, largest, far } of found) {
      // As in examples/onnx_conformance/case.rs: 8 ε for each of √1024 terms.
      assert.ok(isNamed && far <= 8 * 2 ** -23 * 32 * largest, `${name}, ${output}: ${far}`);
    }
  });

  test(`runs on the ${device} that are begun together give what each gives alone`, async () => {
    const { graph, layer } = await run("onnx", "concurrent", device);
    for (const [both, each] of [graph, layer]) {
      assert.deepEqual(both, each);
      // Of every output, lest what is compared is the same for all inputs.
      each[0].forEach((output, i) => assert.notDeepEqual(output, each[1][i]));
    }
  });
}

test("a model says what is in it", async () => {
  const found = await run("onnx", "described");
  assert.deepEqual(found.names, ["if/else_branch/other", "if/then_branch/lstm"]);
  assert.deepEqual(found.fields, {
    name: "if/then_branch/lstm", operator: "LSTM", hiddenSize: 4, direction: "forward", batchFirst: false,
    activations: [["sigmoid", "tanh", "tanh"]], reset: "before", coupled: false, quantized: false, inputs: 8, outputs: 3,
  });
  assert.ok(!found.isClipped && found.isRnn && found.hasOperators);
  assert.deepEqual([found.operators.If, found.operators.LSTM], [1, 2]);
  assert.deepEqual([found.y, found.inputSize], [[5, 1, 2, 4], 3]);
  assert.deepEqual(found.inputs, ["tokens", "lengths"]);
  assert.deepEqual(found.graph.inputs, [{ name: "tokens", shape: [3, 7] }, { name: "lengths", shape: [3] }]);
  assert.deepEqual(found.graph.outputs, [{ name: found.outputs[0], shape: [3, 7, 3] }]);
  // Names of tensors are the model's, whatever they look like.
  assert.match(found.unknown, /onnx::LSTM_\d+, .*got 'a\/onnx::LSTM_0'$/);
  assert.match(found.quoted, /got 'batch_first'$/);
  assert.ok(found.tensors.length >= 4);
  for (const [name, kind, count, shape] of found.tensors) {
    assert.equal(count, shape.reduce((all, size) => all * size, 1), name);
    assert.ok(["Float32Array", "BigInt64Array"].includes(kind), name);
  }
  assert.ok(found.lengths.length > 0 && found.lengths.flat().every((length) => length >= 0 && length <= 5));
});

test("a list of nodes has an error in place of a node that can't run, or of all where there is none", async () => {
  const [none, some] = await run("onnx", "listed");
  assert.equal(none.length, 1);
  assert.match(none[0], /^Error: .*an RNN, LSTM or GRU node.*its operators are/);
  assert.equal(some.length, 2);
  assert.equal(some[0], "if/else_branch/other");
  assert.match(some[1], /^Error: .*hidden_mind.*'if\/then_branch\/lstm'/);
});

test("integers may come in any typed array, and lengths also in a plain one", async () => {
  const { expected, graphs, layers, full, empty } = await run("onnx", "integers");
  assert.equal(Object.keys(graphs).length, 7);
  for (const [kind, got] of Object.entries(graphs)) assert.deepEqual(got, expected, kind);
  const [first, ...others] = Object.values(layers);
  assert.equal(others.length, 4);
  for (const other of others) assert.deepEqual(other, first);
  assert.notDeepEqual(first, full);
  assert.deepEqual(empty, [0, 0, 0, 0]);
});

test("given tensors and states take the place of the model's", async () => {
  const [own, other, blind, state] = await run("onnx", "given");
  assert.notDeepEqual(other, own);
  // A layer whose W is 0 does not see x.
  assert.deepEqual(blind, other);
  assert.notDeepEqual(state, own);
});

test("what is wrong with a model or with what it is given is named", async () => {
  const { messages, far } = await run("onnx", "errors");
  const expected = {
    bytes: /^bytes: expected a Uint8Array or an ArrayBuffer, got "abc"$/,
    noBytes: /^bytes: expected a Uint8Array or an ArrayBuffer, got undefined$/,
    empty: /empty/,
    damaged: /ONNX|onnx/,
    text: /HTML/,
    safetensors: /safetensors.*RnnWeights\.fromSafetensors$/,
    noData: /^data: expected the bytes of 'external\.data'.*second argument of OnnxModel\.fromBytes, got none$/,
    otherData: /^data: expected the bytes of 'external\.data'.*got 'weights'$/,
    noFiles: /^data: expected the bytes of 'external\.data'.*got none$/,
    dataType: /^data\.external\.data: expected a Uint8Array or an ArrayBuffer, got "abc"$/,
    dataArray: /^data: expected a Uint8Array or an ArrayBuffer, got an object \(Float32Array\)$/,
    dataNumber: /^data: expected a Uint8Array or an ArrayBuffer, or an object of them by name, got 5n$/,
    keys: /^a key of data: expected a string, got 5$/,
    shortData: /which has 20: was it copied whole\?/,
    oneOfTwo: /^data: expected an object of bytes by name, since .* 'external\.data' and 'internal\.data', got one file$/,
    noNode: /recurrent node: expected 'lstm', got 'gru'/,
    nodeName: /^name: expected a string, got 5$/,
    noTensor: /tensor: expected .*got 'V'/,
    tensorName: /^name: expected a string, got undefined$/,
    runTensor: /tensor 'tokens': .*input of the graph/,
    device: /^device: expected a Device, got an object \(Object\)$/,
    given: /^given: expected an object of tensors, got 3$/,
    givenList: /^given: expected an object of tensors, got an array of 1$/,
    givenType: /^given\..*: expected \{data, shape: number\[\]\} with a Float32Array, or, for integers.*got an array of 2$/,
    givenDoubles: /got data: an object \(Float64Array\)$/,
    givenCount: /expected as many numbers as its shape \[2\] says, got 5/,
    givenAxis: /expected a shape of whole numbers$/,
    givenShape: /W .*expected shape \[1, 16, any\], got \[2\]/,
    givenIntegers: /W .*expected floats, got integers/,
    givenNan: /W .*NaN|finite/,
    givenLarge: /^given\.W: expected integers below 2⁶³, got 9223372036854775808$/,
    nothing: /^inputs: expected an object of options, got undefined$/,
    noX: /^x: expected \{data: Float32Array, shape: number\[\]\}, got undefined$/,
    option: /^inputs: unknown option 'length', expected some of x, lengths, h, c$/,
    axes: /^x: expected 3 axes, got shape \[2, 3\]$/,
    shape: /X .*expected .*\[T, N, 3\].*got \[2, 1, 4\]/,
    lengthsType: /^lengths: expected an array of whole numbers, got "ab"$/,
    lengthsNan: /^lengths\[0\]: expected a whole number from 0 to 4294967295, got NaN$/,
    lengthsBelow: /^lengths\[1\]: expected a whole number from 0 to 4294967295, got -1n$/,
    lengthsLarge: /^lengths\[1\]: expected a whole number from 0 to 4294967295, got 1180591620717411303424n$/,
    lengthsTyped: /^lengths\[0\]: expected a whole number from 0 to 4294967295, got -1$/,
    lengthsBeyond: /lengths from 0 to 5, the steps of x, got 6 for sequence 0$/,
    lengthsCount: /expected shape \[2\], one for each sequence of x, got \[1\]/,
    state: /initial_h.*expected shape \[1, 2, 4\], got \[1, 1, 4\]/,
    cell: /GRU has no cell state: leave 'c' out$/,
    shapeName: /an input with a shape: expected one of 'tokens', 'lengths', got 'words'/,
    shapeType: /^shapes\.tokens: expected an array of whole numbers, got 3$/,
    shapeNan: /^shapes\.tokens\[0\]: expected a whole number from 0 to 4294967295, got NaN$/,
    shapeBelow: /^shapes\.tokens\[0\]: expected a whole number from 0 to 4294967295, got -1$/,
    shapeHuge: /expected .* elements.*got \[65536, 65536, 3\]/,
    shapes: /^shapes: expected an object of shapes, got an array of 2$/,
    noShape: /shape of input 'tokens': expected a shape like .*got none/,
    shapeAxes: /input 'tokens' of the model.*got \[3\]/,
    givenName: /a value given: .*'words'/,
    noInput: /input 'tokens' of the model: expected a tensor of shape \[3, 7\], got none/,
    oneInput: /input 'lengths' of the model: expected a tensor of shape \[3\], got none/,
    inputName: /input of the model: expected one of 'tokens', 'lengths', got 'words'/,
    inputShape: /input 'lengths': expected shape \[3\], got \[1\]/,
    inputType: /^inputs\.lengths: expected \{data, shape: number\[\]\}.*got an array of 3$/,
    inputFloats: /input 'tokens': expected integers, got floats/,
    symbol: /input 'tokens': expected numbers from 0 to 19, got 20/,
    freed: /^this OnnxModel was freed$/,
    freedLayer: /^this OnnxLayer was freed$/,
  };
  assert.deepEqual(Object.keys(messages), Object.keys(expected));
  for (const [name, pattern] of Object.entries(expected)) assert.match(messages[name], pattern, name);
  const rust = /::|usize|u32|f32|i64|null pointer|instance of|panicked|unreachable|`/;
  for (const [name, message] of Object.entries(messages)) assert.doesNotMatch(message, rust, name);
  // After all that was refused, the layer still gives what it gave.
  assert.ok(far < 1e-6, `${far}`);
});
