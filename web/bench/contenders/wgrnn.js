// wgrnn on a GPU and on the CPU, both in wasm.
import { toSafetensors } from "../weights.js";

export const contenders = [
  contender("wgrnn, WebGPU", (wgrnn) => wgrnn.Device.gpu()),
  contender("wgrnn, wasm", (wgrnn) => wgrnn.Device.cpu()),
];

function contender(name, open) {
  return {
    name,
    peer: "wgrnn",
    forward: (workload) => forward(workload, open),
    training: (workload) => training(workload, open),
  };
}

async function forward({ shape, weights, input }, open) {
  const wgrnn = await load();
  const device = await open(wgrnn);
  const { steps, batch } = shape;
  const file = toSafetensors(lstmArrays(shape, weights, ""));
  const read = wgrnn.RnnWeights.fromSafetensors(file, config(shape), "");
  const rnn = new wgrnn.Rnn(device, config(shape), read);
  const session = rnn.session({ steps, batch, carry: false });
  const x = { data: input, shape: [steps, batch, shape.input] };
  return {
    device: device.name,
    async run() {
      session.write(x);
      session.run();
      return (await session.output()).data;
    },
    close: () => [session, rnn, read, device].forEach((part) => part.free()),
  };
}

async function training({ shape, weights, tokens, targets, learningRate }, open) {
  const wgrnn = await load();
  const device = await open(wgrnn);
  const { symbols, steps, batch, input, hidden } = shape;
  const model = new wgrnn.Model(device, { symbols, rnn: config(shape), outputs: symbols }, 0);
  model.loadSafetensors(
    toSafetensors({
      "embedding.weight": { data: weights.embedding, shape: [symbols, input] },
      ...lstmArrays(shape, weights.lstm, "rnn."),
      "head.weight": { data: weights.dense.weight, shape: [symbols, hidden] },
      "head.bias": { data: weights.dense.bias, shape: [symbols] },
    }),
    "",
  );
  const options = { steps, batch, carry: false, loss: "crossEntropy", optimizer: "adam", learningRate };
  const trainer = new wgrnn.Trainer(model, options);
  const [x, t] = [tokens, targets].map((data) => ({ data, shape: [steps, batch] }));
  return {
    device: device.name,
    async run() {
      trainer.step(x, t);
      return (await trainer.progress()).lastLoss;
    },
    close: () => [trainer, model, device].forEach((part) => part.free()),
  };
}

function config({ input, hidden }) {
  return { cell: "lstm", inputSize: input, hiddenSize: hidden, bias: "one" };
}

function lstmArrays({ input, hidden }, { w, r, bias }, prefix) {
  return {
    [`${prefix}weight_ih_l0`]: { data: w, shape: [4 * hidden, input] },
    [`${prefix}weight_hh_l0`]: { data: r, shape: [4 * hidden, hidden] },
    [`${prefix}bias_ih_l0`]: { data: bias, shape: [4 * hidden] },
  };
}

let loaded;

function load() {
  loaded ??= import("/pkg/wgrnn.js").then(async (wgrnn) => {
    await wgrnn.default();
    return wgrnn;
  });
  return loaded;
}
