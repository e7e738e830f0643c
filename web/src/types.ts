/** Numbers, row-major: as many as the product of the shape. */
export interface NdArray { data: Float32Array; shape: number[] }
/** Symbols, row-major. */
export interface Tokens { data: Uint32Array; shape: number[] }

export interface GpuOptions {
  /** Part of the adapter's name. */
  adapter?: string;
  /** Only what every WebGPU adapter has: a device as the weakest ones are. */
  portable?: boolean;
  /** What kernels and schedules are chosen for; by vendor and architecture. */
  class?: "software" | "integrated" | "discrete";
}

export interface AdapterReport {
  /** Vendor and architecture, as far as the browser tells. */
  name: string;
  backend: string;
  class: "software" | "integrated" | "discrete";
  limits: {
    bindingBytes: number; bufferBytes: number; workgroups: number; invocations: number; workgroupBytes: number;
    storageBuffers: number;
  };
  features: { f16: boolean; timestamps: boolean };
  /** Lanes of the smallest and of the largest subgroup. */
  subgroup: [number, number];
}

/** A row of the doctor's table. */
export interface CheckRow {
  name: string;
  /** Comparisons made. */
  cases: number;
  /** The largest error relative to its tolerance, and that tolerance. */
  maxError: number;
  tolerance: number;
  passed: boolean;
  /** What is beyond its tolerance, in words. */
  failures: string[];
  /** Cases that this adapter can't run, with the reason. */
  leftOut: string[];
}

/** A stack of recurrent layers: T steps, N sequences, I inputs, H units, L layers, D directions. */
export interface RnnConfig {
  /** One of `cellNames()`, or "gru" and "elman" for PyTorch's GRU and tanh RNN. */
  cell: string;
  /** I. */
  inputSize: number;
  /** H. */
  hiddenSize: number;
  /** L; 1. */
  layers?: number;
  /** Recurrences side by side with a block of R each; 1. */
  heads?: number;
  /** "forward". */
  direction?: "forward" | "reverse" | "bidirectional";
  /** Units that an LSTM's h is projected to. */
  projection?: number;
  /** Biases of a gate; as in PyTorch. */
  bias?: "none" | "one" | "two";
  /** [N, T, ·] instead of [T, N, ·]. */
  batchFirst?: boolean;
  /** How weights are stored on the device; "single". */
  precision?: "single" | "half";
  layerNorm?: boolean;
  peepholes?: boolean;
  /** Whether an LSTM's forget gate is 1 − i. */
  coupled?: boolean;
  /** Bound of what gates' activations are applied to. */
  clip?: number;
  /** Probability between layers, in training. */
  dropout?: number;
  /** Probabilities of h and c, in training. */
  zoneout?: [number, number];
  /** Probability of h in R·h, in training. */
  recurrentDropout?: number;
}

/** h, and c of cells that have it: [L·D, N, H]; of S heads [L·D·S, N, H], of an sLSTM's c 3·H. */
export interface State { h: NdArray; c?: NdArray }

export interface RnnCall {
  /** Valid steps of each sequence; all. */
  lengths?: number[];
  /** Initial state; zeros. */
  state?: State;
  /** [T, N, D·H], or the last step's [N, D·H]. */
  output?: "all" | "last";
  schedule?: "auto" | "step" | "sequence" | "wavefront";
}

export interface RnnOutput { y: NdArray; state: State }

export interface RnnGradients {
  /** What the forward pass gave. */
  output: RnnOutput;
  /** Gradient of the input. */
  x: NdArray;
  /** Gradient of the initial state. */
  state: State;
  /** Gradients of the weights, by PyTorch's names. */
  weights: Map<string, NdArray>;
}

export interface SessionOptions {
  /** T. */
  steps: number;
  /** N. */
  batch: number;
  lengths?: number[];
  output?: "all" | "last";
  schedule?: "auto" | "step" | "sequence" | "wavefront";
  /** Whether a run begins with the state that the last one left: true of a `Session`, false of a `Predictor`. */
  carry?: boolean;
}

export interface ModelConfig {
  /** Symbols that are read through an embedding of `rnn.inputSize` numbers; without it vectors of that length are read. */
  symbols?: number;
  rnn: RnnConfig;
  /** Scores of a dense layer; as many as symbols, or no dense layer where vectors are read. */
  outputs?: number;
  /** Whether the dense layer's weight is the embedding's table. */
  tied?: boolean;
  /** Probability before and after the recurrent layers, in training. */
  dropout?: number;
}

export interface TrainerOptions extends SessionOptions {
  /** "crossEntropy". */
  loss?: "crossEntropy" | "meanSquaredError" | "binaryCrossEntropy";
  /** "adam". */
  optimizer?: "sgd" | "adam" | "adamw";
  /** 0.001. */
  learningRate?: number;
  /** Of "sgd". */
  momentum?: number;
  nesterov?: boolean;
  /** Of "adam" and "adamw": [0.9, 0.999] and 1e-8. */
  betas?: [number, number];
  epsilon?: number;
  weightDecay?: number;
  /** All gradients are scaled so that their norm is at most this. */
  clipNorm?: number;
  /** Each gradient is kept within ± this. */
  clipValue?: number;
  /** For dropout and zoneout; 0. */
  seed?: number;
  /** States are kept of every so many steps only, and the others computed again: less memory, more time. All are kept. */
  keepEvery?: number;
}

export interface Progress {
  /** Steps taken in all. */
  steps: number;
  /** The loss of the last step, in nats for cross entropies. */
  lastLoss: number;
  /** The mean loss of the steps since it was last asked for. */
  meanLoss: number;
  /** The norm of all gradients in the last step, before clipping. */
  gradientNorm: number;
}
