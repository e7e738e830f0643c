// ONNX models against ONNX Runtime's numbers: the fixtures of the library's own tests.
import { open, thrown, wgrnn } from "./library.js";

const file = async (name) => {
  const response = await fetch(`/fixtures/${name}`);
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
};

const array = ({ data, shape }) => ({ data: Float32Array.from(data), shape });

/** The largest difference, or what is wrong with the shape. */
function difference(got, expected) {
  if (!got || String(got.shape) !== String(expected.shape)) return `expected shape ${expected.shape}, got ${got?.shape}`;
  // Whatever is not a number is no small difference.
  const far = (value, i) => (Number.isNaN(value - got.data[i]) ? Infinity : Math.abs(value - got.data[i]));
  return [...expected.data].reduce((most, value, i) => Math.max(most, far(value, i)), 0);
}

/** A model of the folder `onnx_held`, with its data where it has some beside it, and ONNX Runtime's answers. */
async function heldModel(name) {
  const data = { external: "external.data", external_all: "external_all.onnx.data" }[name];
  const bytes = await file(`onnx_held/${name}.onnx`);
  const answers = JSON.parse(new TextDecoder().decode(await file(`onnx_held/${name}.json`))).nodes[0];
  const files = data && { [data]: await file(`onnx_held/${data}`) };
  return { bytes, files, answers, model: wgrnn.OnnxModel.fromBytes(bytes, files) };
}

/** The node that the answers are of: in a branch of an `If`, the one of `then_branch`. */
function answering(model, { name }) {
  const nodes = model.nodes().filter((node) => node.name.endsWith(name));
  return nodes.find((node) => node.name.includes("then_branch")) ?? nodes[0];
}

/** Every model of one node: how far y, h and c are from ONNX Runtime's. */
export async function held(device, names) {
  const target = await open(device);
  const found = [];
  for (const name of names) {
    const { model, answers } = await heldModel(name);
    const node = answering(model, answers);
    const layer = node.layer(target);
    const outputs = await layer.run({ x: array(answers.x) });
    for (const [output, expected] of [["y", "yout"], ["h", "yh"], ["c", "yc"]]) {
      if (!answers[expected]) continue;
      found.push({ name, output, quantized: node.quantized, far: difference(outputs[output], array(answers[expected])) });
    }
    layer.free();
  }
  return found;
}

/** The files of an archive, by their paths. */
async function unpacked(name) {
  const stream = new Blob([await file(name)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const text = (begin, length) => new TextDecoder().decode(bytes.subarray(begin, begin + length)).split("\0")[0];
  const files = new Map();
  for (let at = 0; text(at, 100); ) {
    const size = Number.parseInt(text(at + 124, 12), 8);
    files.set(text(at, 100), bytes.slice(at + 512, at + 512 + size));
    at += 512 + 512 * Math.ceil(size / 512);
  }
  return files;
}

/** A `TensorProto`: its dims, type, name and raw data. */
function tensorOf(bytes) {
  let at = 0;
  const number = () => {
    for (let value = 0, shift = 1; ; shift *= 128) {
      value += (bytes[at] & 127) * shift;
      if (bytes[at++] < 128) return value;
    }
  };
  const [shape, fields] = [[], {}];
  while (at < bytes.length) {
    const key = number();
    const value = number();
    if (key === 8) shape.push(value);
    if (key % 8 === 0) fields[key >> 3] = value;
    else fields[key >> 3] = bytes.slice(at, (at += value));
  }
  const type = { 1: Float32Array, 7: BigInt64Array }[fields[2]];
  return { name: new TextDecoder().decode(fields[8]), tensor: { data: new type(fields[9].buffer), shape } };
}

/** A model that PyTorch exported, with what it was run on. */
function exported(files, name) {
  const own = [...files].filter(([path]) => path.startsWith(`${name}/`)).map(([path, bytes]) => [path.slice(name.length + 1), bytes]);
  const data = Object.fromEntries(own.filter(([path]) => path.endsWith(".data")));
  const tensors = (kind) => own.filter(([path]) => path.includes(`/${kind}_`)).map(([, bytes]) => tensorOf(bytes));
  const inputs = Object.fromEntries(tensors("input").map(({ name, tensor }) => [name, tensor]));
  const model = wgrnn.OnnxModel.fromBytes(files.get(`${name}/model.onnx`), data);
  return { model, inputs, outputs: tensors("output") };
}

const shapesOf = (tensors) => Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape]));

/** Every whole model that PyTorch exported: how far its outputs are from ONNX Runtime's, and how large those are. */
export async function whole(device) {
  const target = await open(device);
  const files = await unpacked("onnx_models.tar.gz");
  const found = [];
  for (const name of new Set([...files.keys()].map((path) => path.split("/")[0]))) {
    const { model, inputs: all, outputs } = exported(files, name);
    // It sorts its sequences by their lengths, which no operation on a device does: they have to be known.
    const given = name === "tagger_shuffled" ? { lengths: all.lengths } : {};
    const inputs = Object.fromEntries(Object.entries(all).filter(([name]) => !given[name]));
    const graph = model.graph(target, shapesOf(inputs), given);
    const got = await graph.run(inputs);
    for (const [i, { name: output, tensor }] of outputs.entries()) {
      const largest = [...tensor.data].reduce((most, value) => Math.max(most, Math.abs(Number(value))), 1);
      const isNamed = model.outputs[i] === output && graph.outputs[i].name === output;
      found.push({ name, output, isNamed, largest, far: difference(got[output], tensor) });
    }
  }
  return found;
}

/** Two runs of a graph and of a layer that are begun before either is awaited, and the same one after the other. */
export async function concurrent(device) {
  const target = await open(device);
  const { model, inputs } = exported(await unpacked("onnx_models.tar.gz"), "speech");
  const graph = model.graph(target, shapesOf(inputs));
  const others = { x: { data: inputs.x.data.map((value) => -2 * value), shape: inputs.x.shape } };
  const plain = (outputs) => Object.entries(outputs).map(([name, { data }]) => [name, ...data]);
  const both = (await Promise.all([graph.run(inputs), graph.run(others)])).map(plain);
  const each = [plain(await graph.run(inputs)), plain(await graph.run(others))];
  const { model: one, answers } = await heldModel("split");
  const layer = one.nodes()[0].layer(target);
  const [x, y] = [array(answers.x), array(answers.x)];
  y.data.fill(1);
  const layers = (await Promise.all([layer.run({ x }), layer.run({ x: y })])).map(plain);
  return { graph: [both, each], layer: [layers, [plain(await layer.run({ x })), plain(await layer.run({ x: y }))]] };
}

/** What a model says of itself. */
export async function described() {
  const { model, answers } = await heldModel("in_if_named");
  const fields = ({ name, operator, hiddenSize, direction, batchFirst, activations, reset, coupled, quantized, inputs, outputs }) => ({
    name, operator, hiddenSize, direction, batchFirst, activations, reset, coupled, quantized, inputs: inputs.length,
    outputs: outputs.length,
  });
  const node = answering(model, answers);
  const isClipped = node.clip !== undefined;
  const found = { names: model.nodes().map(({ name }) => name), fields: fields(node), isClipped, operators: model.operators() };
  // What was made of a model outlives it.
  model.free();
  const layer = node.layer(wgrnn.Device.cpu());
  node.free();
  const { y } = await layer.run({ x: array(answers.x) });
  const parts = layer.parts();
  const { model: tagger, inputs } = exported(await unpacked("onnx_models.tar.gz"), "tagger_packed");
  const graph = tagger.graph(wgrnn.Device.cpu(), shapesOf(inputs));
  const { message: unknown } = await thrown(() => tagger.tensor("a/onnx::LSTM_0"));
  const { message: quoted } = await thrown(() => tagger.tensor("batch_first"));
  const { model: split } = await heldModel("const_lens");
  const tensors = split.tensorNames().map((name) => [name, split.tensor(name)]);
  return {
    ...found, unknown, quoted, y: y.shape, inputSize: layer.inputSize, isRnn: parts.length === 1 && parts[0] instanceof wgrnn.Rnn,
    inputs: tagger.inputs, outputs: tagger.outputs, graph: { inputs: graph.inputs, outputs: graph.outputs },
    tensors: tensors.map(([name, { data, shape }]) => [name, data.constructor.name, data.length, shape]),
    lengths: tensors.filter(([, { data }]) => data instanceof BigInt64Array).map(([, { data }]) => [...data].map(Number)),
    hasOperators: ["LSTM", "MatMul", "Gather"].every((name) => wgrnn.OnnxGraph.operators().includes(name)),
  };
}

/** Bytes in which the last place of a text has another one of the same length. */
function replaced(bytes, text, other) {
  const [found, letters] = [bytes.slice(), new TextEncoder().encode(text)];
  const places = [...found.keys()].filter((i) => letters.every((letter, j) => found[i + j] === letter));
  found.set(new TextEncoder().encode(other), places.at(-1));
  return found;
}

/** The lists of nodes of a model without any, and of one whose second node has an attribute that none has. */
export async function listed() {
  const files = await unpacked("onnx_models.tar.gz");
  const { bytes } = await heldModel("in_if_named");
  const models = [exported(files, "cells").model, wgrnn.OnnxModel.fromBytes(replaced(bytes, "hidden_size", "hidden_mind"))];
  const one = (node) => (node instanceof Error ? `Error: ${node.message}` : node.name);
  return models.map((model) => model.nodes().map(one));
}

/** Integers in every form that they may come in: tokens and lengths of a graph, lengths of a layer, shapes. */
export async function integers() {
  const cpu = wgrnn.Device.cpu();
  const { model, inputs, outputs } = exported(await unpacked("onnx_models.tar.gz"), "tagger_packed");
  const numbers = (as) => (tensor) => ({ data: as.from([...tensor.data].map(Number)), shape: tensor.shape });
  const graph = model.graph(cpu, { tokens: new Int32Array(inputs.tokens.shape), lengths: inputs.lengths.shape.map(BigInt) });
  const [{ name }] = outputs;
  const found = { expected: [...(await graph.run(inputs))[name].data], graphs: {}, layers: {} };
  for (const as of [Int32Array, Uint32Array, Int16Array, Uint16Array, Int8Array, Uint8Array]) {
    const [tokens, lengths] = [inputs.tokens, inputs.lengths].map(numbers(as));
    found.graphs[as.name] = [...(await graph.run(new Map(Object.entries({ tokens, lengths }))))[name].data];
  }
  const unsigned = ({ data, shape }) => ({ data: BigUint64Array.from(data), shape });
  const big = { tokens: unsigned(inputs.tokens), lengths: unsigned(inputs.lengths) };
  found.graphs.BigUint64Array = [...(await graph.run(big))[name].data];
  const { model: one, answers } = await heldModel("split");
  const layer = one.nodes()[0].layer(cpu);
  const x = array(answers.x);
  for (const lengths of [[3, 5], [3n, 5n], BigInt64Array.of(3n, 5n), Int32Array.of(3, 5), Uint32Array.of(3, 5)]) {
    const kind = `${lengths.constructor.name} of ${typeof lengths[0]}`;
    found.layers[kind] = [...(await layer.run({ x, lengths })).y.data];
  }
  const empty = (await layer.run({ x, lengths: [0, 5] })).h;
  return { ...found, full: [...(await layer.run({ x })).y.data], empty: [...empty.data.subarray(0, 4)] };
}

/** Values in place of those that the model holds. */
export async function given() {
  const { model, answers } = await heldModel("external_all");
  const node = answering(model, answers);
  const cpu = wgrnn.Device.cpu();
  const x = array(answers.x);
  const own = await node.layer(cpu).run({ x });
  const w = model.tensor(node.inputs[1]);
  const zeros = { data: new Float32Array(w.data.length), shape: w.shape };
  const other = await node.layer(cpu, { [node.inputs[1]]: zeros, unread: zeros }).run({ x });
  const blind = await node.layer(cpu, new Map([[node.inputs[1], zeros]])).run({ x: { data: x.data.map(() => 1), shape: x.shape } });
  const h = { data: new Float32Array(8).fill(0.5), shape: [1, 2, 4] };
  const state = await node.layer(cpu).run({ x, h, c: h });
  return [own, other, blind, state].map(({ y }) => [...y.data]);
}

/** Messages of errors, by what was wrong. */
export async function errors() {
  const cpu = wgrnn.Device.cpu();
  const { fromBytes } = wgrnn.OnnxModel;
  const { bytes, files, model, answers } = await heldModel("external");
  const data = files["external.data"];
  const node = answering(model, answers);
  const layer = node.layer(cpu);
  const x = array(answers.x);
  const tagger = exported(await unpacked("onnx_models.tar.gz"), "tagger_packed");
  const { tokens, lengths } = tagger.inputs;
  const graph = tagger.model.graph(cpu, shapesOf(tagger.inputs));
  const gru = (await heldModel("pieces_gru_17")).model.nodes()[0].layer(cpu);
  const wName = node.inputs[1];
  // Its last name of a file becomes another one of the same length.
  const two = replaced(bytes, "external.data", "internal.data");
  const freed = fromBytes(bytes, files);
  freed.free();
  const calls = {
    bytes: () => fromBytes("abc"),
    noBytes: () => fromBytes(),
    empty: () => fromBytes(new Uint8Array(0)),
    damaged: () => fromBytes(bytes.slice(0, 200), files),
    text: () => fromBytes(new TextEncoder().encode("<!DOCTYPE html>")),
    safetensors: () => fromBytes(wgrnn.RnnWeights.init({ cell: "lstm", inputSize: 1, hiddenSize: 1 }, 0).toSafetensors("")),
    noData: () => fromBytes(bytes),
    otherData: () => fromBytes(bytes, { weights: data }),
    noFiles: () => fromBytes(bytes, new Map()),
    dataType: () => fromBytes(bytes, { "external.data": "abc" }),
    dataArray: () => fromBytes(bytes, new Float32Array(data.buffer)),
    dataNumber: () => fromBytes(bytes, 5n),
    keys: () => fromBytes(bytes, new Map([[5, data]])),
    shortData: () => fromBytes(bytes, data.subarray(0, 20)).node("lstm").layer(cpu),
    oneOfTwo: () => fromBytes(two, data),
    noNode: () => model.node("gru"),
    nodeName: () => model.node(5),
    noTensor: () => model.tensor("V"),
    tensorName: () => model.tensor(undefined),
    runTensor: () => tagger.model.tensor("tokens"),
    device: () => node.layer({}),
    given: () => node.layer(cpu, 3),
    givenList: () => node.layer(cpu, [1]),
    givenType: () => node.layer(cpu, { [wName]: [1, 2] }),
    givenDoubles: () => node.layer(cpu, { [wName]: { data: new Float64Array(2), shape: [2] } }),
    givenCount: () => node.layer(cpu, { [wName]: { data: new Float32Array(5), shape: [2] } }),
    givenAxis: () => node.layer(cpu, { [wName]: { data: new Float32Array(2), shape: [NaN] } }),
    givenShape: () => node.layer(cpu, { [wName]: { data: new Float32Array(2), shape: [2] } }),
    givenIntegers: () => node.layer(cpu, { [wName]: { data: BigInt64Array.of(1n), shape: [1] } }),
    givenNan: () => node.layer(cpu, { [wName]: { data: new Float32Array(48).fill(NaN), shape: [1, 16, 3] } }),
    givenLarge: () => node.layer(cpu, { [wName]: { data: BigUint64Array.of(2n ** 63n), shape: [1] } }),
    nothing: () => layer.run(),
    noX: () => layer.run({}),
    option: () => layer.run({ x, length: [5, 5] }),
    axes: () => layer.run({ x: { data: new Float32Array(6), shape: [2, 3] } }),
    shape: () => layer.run({ x: { data: new Float32Array(8), shape: [2, 1, 4] } }),
    lengthsType: () => layer.run({ x, lengths: "ab" }),
    lengthsNan: () => layer.run({ x, lengths: [NaN, 1] }),
    lengthsBelow: () => layer.run({ x, lengths: [5n, -1n] }),
    lengthsLarge: () => layer.run({ x, lengths: [5n, 2n ** 70n] }),
    lengthsTyped: () => layer.run({ x, lengths: BigInt64Array.of(-1n, 5n) }),
    lengthsBeyond: () => layer.run({ x, lengths: [6, 5] }),
    lengthsCount: () => layer.run({ x, lengths: [5] }),
    state: () => layer.run({ x, h: { data: new Float32Array(4), shape: [1, 1, 4] } }),
    cell: () => gru.run({ x, c: { data: new Float32Array(8), shape: [1, 2, 4] } }),
    shapeName: () => tagger.model.graph(cpu, { words: [3, 7] }),
    shapeType: () => tagger.model.graph(cpu, { tokens: 3 }),
    shapeNan: () => tagger.model.graph(cpu, { tokens: [NaN, 7], lengths: [3] }),
    shapeBelow: () => tagger.model.graph(cpu, { tokens: [-1, 7], lengths: [3] }),
    shapeHuge: () => model.graph(cpu, { [model.inputs[0]]: [65536, 65536, 3] }),
    shapes: () => tagger.model.graph(cpu, [3, 7]),
    noShape: () => tagger.model.graph(cpu),
    shapeAxes: () => tagger.model.graph(cpu, { tokens: [3], lengths: [3] }),
    givenName: () => tagger.model.graph(cpu, shapesOf(tagger.inputs), { words: tokens }),
    noInput: () => graph.run(),
    oneInput: () => graph.run({ tokens }),
    inputName: () => graph.run({ tokens, lengths, words: tokens }),
    inputShape: () => graph.run({ tokens, lengths: { data: BigInt64Array.of(1n), shape: [1] } }),
    inputType: () => graph.run({ tokens, lengths: [1, 2, 3] }),
    inputFloats: () => graph.run({ lengths, tokens: { data: new Float32Array(21), shape: [3, 7] } }),
    symbol: () => graph.run({ lengths, tokens: { data: new Int32Array(21).fill(20), shape: [3, 7] } }),
    freed: () => freed.nodes(),
    freedLayer: () => {
      const gone = node.layer(cpu);
      gone.free();
      return gone.run({ x });
    },
  };
  const messages = {};
  for (const [name, call] of Object.entries(calls)) {
    const error = await thrown(call);
    messages[name] = error instanceof Error ? error.message : `no Error: ${error}`;
  }
  // Whatever was refused left everything as it was.
  return { messages, far: difference((await layer.run({ x })).y, array(answers.yout)) };
}
