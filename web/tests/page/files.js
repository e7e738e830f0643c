// Files of other frameworks: the fixtures of the library's own tests.
import { open, wgrnn } from "./library.js";
import { fixture } from "./safetensors.js";

const epsilon = 2 ** -23;

async function bytes(path) {
  const answer = await fetch(`/fixtures/${path}`);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** As `tests/files/common.rs`: 16 ε of the largest element expected, or of 1. */
function difference(name, got, expected) {
  if (String(got.shape) !== String(expected.shape)) return [`${name}: shape ${got.shape} for ${expected.shape}`];
  let [most, largest] = [0, 1];
  expected.data.forEach((value, i) => {
    largest = Math.max(largest, Math.abs(value));
    const far = Math.abs(value - got.data[i]);
    most = Number.isNaN(far) ? Infinity : Math.max(most, far);
  });
  return most <= 16 * epsilon * largest ? [] : [`${name}: ${most} apart`];
}

function message(call) {
  try {
    call();
  } catch (error) {
    return error.message;
  }
  return "no error";
}

export async function pytorch() {
  const device = await open("cpu");
  const expected = await fixture("pytorch_files/expected.safetensors");
  const faults = [];
  const cases = JSON.parse(expected.metadata.cases);
  for (const { name, file, cell, prefix } of cases) {
    const { config, weights } = wgrnn.Pytorch.fromBytes(await bytes(`pytorch_files/${file}`), cell, prefix);
    const { y } = await new wgrnn.Rnn(device, config, weights).forward(expected.array(`${name}/input`));
    faults.push(...difference(name, y, expected.array(`${name}/output`)));
  }
  return { compared: cases.length, faults };
}

export async function keras() {
  const device = await open("cpu");
  const expected = await fixture("keras_files/expected.safetensors");
  const faults = [];
  const cases = JSON.parse(expected.metadata.cases);
  for (const file of ["model.keras", "model.weights.h5", "model.h5"]) {
    const content = await bytes(`keras_files/${file}`);
    for (const { name, cell, prefix } of cases) {
      const theirs = wgrnn.Keras.fromBytes(content, file === "model.h5" ? prefix : name);
      const { config, weights } = wgrnn.Keras.toOwn(cell, theirs);
      const { y } = await new wgrnn.Rnn(device, config, weights).forward(expected.array("input"));
      faults.push(...difference(`${name} of ${file}`, y, expected.array(`${name}/output`)));
    }
  }
  return { compared: 3 * cases.length, faults };
}

const parts = {
  embedding: { prefix: "emb", kind: "embedding" },
  encoder: { prefix: "lstm", kind: "rnn", cell: "lstm" },
  norm: { prefix: "norm", kind: "arrays" },
  convolution: { prefix: "conv.", kind: "arrays" },
  batchNorm: { prefix: "bn", kind: "arrays" },
  decoder: { prefix: "gru", kind: "rnn", config: { cell: "gru", inputSize: 5, hiddenSize: 3, layers: 2 } },
  middle: { prefix: "mid", kind: "linear" },
  head: { prefix: "fc", kind: "linear", shapes: { weight: [2, 4] } },
};

export async function model() {
  const device = await open("cpu");
  const file = await bytes("pytorch_files/tagger.pt");
  const model = wgrnn.StateDict.fromBytes(file, parts);
  const { config, weights } = model.rnn("encoder");
  const x = { data: new Float32Array(6).fill(1), shape: [2, 1, 3] };
  const { y } = await new wgrnn.Rnn(device, config, weights).forward(x);
  const embedding = model.embedding(device, "embedding");
  model.linear(device, "middle");
  const head = model.linearTrainable(device, "head");
  model.set("head", new Map([["weight", { data: new Float32Array(8).fill(0.5), shape: [2, 4] }]]));
  const decoder = model.rnn("decoder");
  model.setRnn("decoder", wgrnn.RnnWeights.init(decoder.config, 1));
  const written = wgrnn.Arrays.fromBytes(model.toSafetensors());
  const wrong = (map, options) => message(() => wgrnn.StateDict.fromBytes(file, map, options));
  return {
    names: model.names(),
    leftOver: model.leftOver(),
    config,
    output: y.shape,
    symbols: embedding.symbols(),
    trainable: [...head.parameters().names()],
    norms: [...model.arrays("batchNorm").keys()],
    kernel: model.array("convolution", "weight").shape,
    written: written.names().length,
    format: written.format(),
    head: [...written.get("fc.weight").data],
    tracked: written.kind("bn.num_batches_tracked"),
    decoder: decoder.config,
    partial: wgrnn.StateDict.fromBytes(file, { head: parts.head }, { partial: true }).leftOver().length,
    errors: [
      wrong({ head: { prefix: "fc", kind: "linear", shapes: { weight: [3, 4] } }, emb: { prefix: "e", kind: "embedding" } }),
      wrong({ head: { prefix: "fc", kind: "dense" } }),
      wrong({ head: { prefix: "fc", kind: "linear", cell: "lstm" } }),
      wrong({ rnn: { prefix: "lstm", kind: "rnn" } }),
      wrong({ rnn: { prefix: "lstm", kind: "rnn", cell: "lstm", config: parts.decoder.config } }),
      wrong({ head: { prefix: 3, kind: "linear" } }),
      wrong({ head: { prefix: "fc", kind: "linear", shape: {} } }),
      wrong(parts, { partial: 1 }),
      wrong([]),
    ],
  };
}

export async function arrays() {
  const npz = wgrnn.Arrays.fromBytes(await bytes("numpy_files/lstm.npz"));
  const { config, weights } = wgrnn.Pytorch.fromArrays(npz, "lstm", "rnn.");
  const named = Object.fromEntries(weights.named());
  const again = wgrnn.RnnWeights.fromNamed(config, named);
  const own = wgrnn.Arrays.fromNamed(named);
  const third = wgrnn.RnnWeights.fromArrays(own, config);
  const fourth = wgrnn.RnnWeights.fromBytes(await bytes("numpy_files/lstm.npz"), config, "rnn.");
  const numbers = (weights) => [...weights.named()].map(([name, { data }]) => [name, [...data]]);
  const same = [again, third, fourth].map((other) => JSON.stringify(numbers(other)) === JSON.stringify(numbers(weights)));
  const nested = wgrnn.Arrays.fromBytes(await bytes("pytorch_files/model_state_dict.pt"));
  const code = await bytes("pytorch_files/refused/eval.pt");
  const refused = wgrnn.Arrays.fromBytes(await bytes("pytorch_files/refused/complex.pt"));
  return {
    config,
    same,
    formats: [npz.format(), own.format(), nested.format()],
    root: nested.root(),
    found: nested.find("weight_ih_l0"),
    missing: [nested.find("none") ?? null, nested.shape("none") ?? null, nested.kind("none") ?? null],
    shape: nested.shape("optimizer_state_dict.state.0.exp_avg"),
    errors: [
      message(() => wgrnn.Arrays.fromBytes(code)),
      message(() => refused.get("a")),
      message(() => refused.get("c")),
      message(() => wgrnn.Arrays.fromBytes(code.slice(0, 100))),
      message(() => wgrnn.Arrays.fromBytes("text")),
      message(() => wgrnn.Arrays.fromNamed({ a: [1] })),
      message(() => wgrnn.Pytorch.fromArrays(npz, "lstmm", "rnn.")),
      message(() => wgrnn.Keras.toOwn("lstm", [])),
      message(() => wgrnn.Keras.toOwn("lstm", [{ kernel: named.weight_ih_l0, recurrent: named.weight_hh_l0 }])),
    ],
  };
}
