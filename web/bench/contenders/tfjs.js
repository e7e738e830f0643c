// TensorFlow.js on its WebGPU backend: a layer, and a training step of the same layers with its own optimiser.
import { swapAxes, transpose } from "../weights.js";

const folder = "/node_modules/@tensorflow/";
// The whole library: its parts, loaded one by one, lack methods that the layers call.
const scripts = ["tfjs/dist/tf", "tfjs-backend-webgpu/dist/tf-backend-webgpu"];

export const contenders = [{ name: "TensorFlow.js, WebGPU", peer: "tfjs", forward, training }];

async function forward({ shape, weights, input }) {
  const tf = await load();
  const { steps, batch } = shape;
  const layer = lstmLayer(tf, shape);
  const model = tf.sequential({ layers: [layer] });
  setWeights(tf, layer, lstmArrays(shape, weights));
  const x = swapAxes(input, steps, batch);
  return {
    device: tf.getBackend(),
    async run() {
      const y = tf.tidy(() => model.predict(tf.tensor3d(x, [batch, steps, shape.input]), { batchSize: batch }));
      const data = await y.data();
      y.dispose();
      return data;
    },
    timeMajor: (y) => swapAxes(y, batch, steps),
    close: () => model.dispose(),
  };
}

async function training({ shape, weights, tokens, targets, learningRate }) {
  const tf = await load();
  const { symbols, steps, batch, input, hidden } = shape;
  const embedding = tf.layers.embedding({ inputDim: symbols, outputDim: input, batchInputShape: [batch, steps] });
  const layer = lstmLayer(tf, shape);
  const dense = tf.layers.dense({ units: symbols });
  const model = tf.sequential({ layers: [embedding, layer, dense] });
  setWeights(tf, embedding, [[weights.embedding, [symbols, input]]]);
  setWeights(tf, layer, lstmArrays(shape, weights.lstm));
  setWeights(tf, dense, [
    [transpose(weights.dense.weight, symbols, hidden), [hidden, symbols]],
    [weights.dense.bias, [symbols]],
  ]);
  const optimizer = tf.train.adam(learningRate, 0.9, 0.999, 1e-8);
  const [x, t] = [tokens, targets].map((values) => Int32Array.from(swapAxes(values, steps, batch)));
  return {
    device: tf.getBackend(),
    async run() {
      const loss = tf.tidy(() => {
        const read = tf.tensor2d(x, [batch, steps], "int32");
        const next = tf.oneHot(tf.tensor1d(t, "int32"), symbols);
        return optimizer.minimize(() => {
          const scores = model.apply(read, { training: true }).reshape([batch * steps, symbols]);
          return tf.losses.softmaxCrossEntropy(next, scores);
        }, true);
      });
      const [value] = await loss.data();
      loss.dispose();
      return value;
    },
    close() {
      optimizer.dispose();
      model.dispose();
    },
  };
}

// Keras's second implementation: one product for all gates.
function lstmLayer(tf, { batch, steps, input, hidden }) {
  return tf.layers.lstm({
    units: hidden,
    recurrentActivation: "sigmoid",
    // Its default takes minutes here, for weights that are replaced.
    recurrentInitializer: "zeros",
    implementation: 2,
    returnSequences: true,
    batchInputShape: [batch, steps, input],
  });
}

// Gates are i, f, c, o, as PyTorch has them.
function lstmArrays({ input, hidden }, { w, r, bias }) {
  return [
    [transpose(w, 4 * hidden, input), [input, 4 * hidden]],
    [transpose(r, 4 * hidden, hidden), [hidden, 4 * hidden]],
    [bias, [4 * hidden]],
  ];
}

function setWeights(tf, layer, arrays) {
  tf.tidy(() => layer.setWeights(arrays.map(([data, shape]) => tf.tensor(data, shape))));
}

let loaded;

function load() {
  loaded ??= (async () => {
    for (const script of scripts) await loadScript(`${folder}${script}.min.js`);
    const { tf } = globalThis;
    tf.enableProdMode();
    if (!(await tf.setBackend("webgpu"))) throw new Error("TensorFlow.js has no WebGPU here");
    await tf.ready();
    return tf;
  })();
  return loaded;
}

function loadScript(src) {
  return new Promise((done, failed) => {
    const script = document.createElement("script");
    Object.assign(script, { src, onload: done, onerror: () => failed(new Error(`no script at ${src}`)) });
    document.head.append(script);
  });
}
