// A model of one LSTM node, by ONNX Runtime's WebGPU provider and on the CPU. It does not train.
import { lstmModel } from "../onnx.js";

const folder = "/node_modules/onnxruntime-web/dist/";

export const contenders = [
  {
    name: "onnxruntime-web, WebGPU",
    peer: "onnxruntime-web",
    // A node that the provider cannot run is an error instead of being run on the CPU unseen.
    forward: (workload) =>
      session(workload, "ort.webgpu.bundle.min.mjs", {
        executionProviders: ["webgpu"],
        extra: { session: { disable_cpu_ep_fallback: "1" } },
      }),
  },
  {
    name: "onnxruntime-web, wasm",
    peer: "onnxruntime-web",
    forward: (workload) => session(workload, "ort.wasm.bundle.min.mjs", { executionProviders: ["wasm"] }),
  },
];

async function session({ shape, weights, input }, bundle, options) {
  const ort = await import(folder + bundle);
  // Its default is half the cores.
  ort.env.wasm.numThreads = crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  const session = await ort.InferenceSession.create(lstmModel(shape, weights), options);
  const size = [shape.steps, shape.batch, shape.input];
  const [provider] = options.executionProviders;
  return {
    device: provider === "webgpu" ? "the LSTM node on WebGPU" : `wasm, threads: ${ort.env.wasm.numThreads}`,
    async run() {
      const x = new ort.Tensor("float32", input, size);
      const { Y } = await session.run({ X: x });
      return Y.getData();
    },
    close: () => session.release(),
  };
}
