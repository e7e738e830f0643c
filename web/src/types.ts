/** Numbers, row-major: as many as the product of the shape. */
export interface NdArray { data: Float32Array; shape: number[] }
/** 1 or 0 for each step: row-major, in the first two axes of an input. */
export interface Flags { data: Uint8Array; shape: number[] }
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
  /** Of an LSTM's or a GRU's gates, of its candidate, and of an LSTM's c: "sigmoid", "tanh", "tanh". */
  activations?: [Activation, Activation, Activation];
  /** Bounds of an LSTM's c. NaN becomes the smallest value unless it is to stay. */
  cellClip?: { low: number; high: number; propagatesNan?: boolean };
}

/** The arrays of one direction of a Keras layer, as `get_weights` returns them. */
export interface KerasWeights {
  /** [I, G·H]. */
  kernel: NdArray;
  /** [H, G·H]. */
  recurrentKernel: NdArray;
  /** [G·H], or [2, 3·H] of a GRU with `reset_after`; none with `use_bias=False`. */
  bias?: NdArray;
}

/** A model's parts by the caller's names: which prefix of a state dict each has, and what it is. */
export type Parts = Record<string, Part>;

/** `prefix` may leave out its last dot; `shapes` says which shapes tensors of the part have to have. */
export type Part = { prefix: string; shapes?: Record<string, number[]> } & (
  /** `RNN`, `LSTM`, `GRU` or a `Cell` class: of a cell and whatever sizes there are, or of a configuration. */
  | { kind: "rnn"; cell: string }
  | { kind: "rnn"; config: RnnConfig }
  /** An `Embedding`; a `Linear`; all tensors under the prefix, such as those of a `LayerNorm` or a `Conv1d`. */
  | { kind: "embedding" | "linear" | "arrays" }
);

/** A function of a number a, as ONNX defines it. */
export type Activation =
  | "tanh" | "relu" | "sigmoid" | "softsign" | "softplus"
  /** α·a + β; α·tanh(β·a); min(max(α·a + β, 0), 1). */
  | { kind: "affine" | "scaledTanh" | "hardSigmoid"; alpha: number; beta: number }
  /** a if a ≥ 0, else α·a; a if a > α, else 0; a if a ≥ 0, else α·(eᵃ − 1). */
  | { kind: "leakyRelu" | "thresholdedRelu" | "elu"; alpha: number };

/** h, and c of cells that have it: [L·D, N, H]; of S heads [L·D·S, N, H], of an sLSTM's c 3·H. */
export interface State { h: NdArray; c?: NdArray }

export interface RnnCall {
  /** Valid steps of each sequence, from 0 to T; all. Those of `Rnn.batchLengths` may change from run to run of one program. */
  lengths?: number[] | BatchLengths;
  /** In place of lengths: masks in any place, resets within sequences, packed sequences. */
  map?: SequenceMap;
  /** Initial state; zeros. */
  state?: State;
  /** [T, N, D·H], or the last step's [N, D·H]. */
  output?: "all" | "last";
  schedule?: "auto" | "step" | "sequence" | "wavefront";
}

/** How a layer is called on a tape. */
export interface TapeCall {
  lengths?: number[] | BatchLengths;
  /** In place of lengths; the input of packed sequences is [rows, I]. */
  map?: SequenceMap;
  /** [T, N, D·H], or the last step's [N, D·H]. */
  output?: "all" | "last";
  schedule?: "auto" | "step" | "sequence" | "wavefront";
  /** Whether a run begins with the state that the last one left; else with zeros. */
  carry?: boolean;
  /** States are kept of every so many steps only, and the others computed again: less memory, more time. All are kept. */
  keepEvery?: number;
  /** Bytes of memory for the input part of the gates; 64 MiB. */
  inputPartBytes?: number;
}

export interface RnnOutput { y: NdArray; state: State }

/** [T, D·H] of each sequence. */
export interface RaggedOutput { y: NdArray[]; state: State }

/** In the layout of the input. */
export interface PackedOutput { y: PackedSequence; state: State }

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
  lengths?: number[] | BatchLengths;
  /** In place of lengths. */
  map?: SequenceMap;
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

/** The rate of each step; k counts steps from 0. */
export type LearningRate =
  | number
  /** rate · factor^⌊k / every⌋. */
  | { kind: "step"; rate: number; factor: number; every: number }
  /** rate · factorᵏ. */
  | { kind: "exponential"; rate: number; factor: number }
  /** Grows in `warmUp` steps, then falls to `least` in `steps` steps as a cosine does. Both are 0 if they are left out. */
  | { kind: "cosine"; rate: number; steps: number; least?: number; warmUp?: number }
  /** rate · (1 − k / steps)^power; power 1. */
  | { kind: "polynomial"; rate: number; steps: number; power?: number }
  /** PyTorch's `OneCycleLR` and its defaults: 0.3, 25, 1e4, false. */
  | {
      kind: "oneCycle"; rate: number; steps: number; pctStart?: number; divFactor?: number; finalDivFactor?: number;
      linear?: boolean;
    };

/** Parameters with a learning rate and a weight decay of their own. */
export interface ParameterGroup {
  parameters: Parameters | Parameters[];
  /** Names of arrays in them; all. */
  arrays?: string[];
  /** What the learning rate of each step is multiplied by; 1. */
  rateFactor?: number;
  /** In place of the optimiser's. */
  weightDecay?: number;
}

export interface TrainerOptions {
  /** "adam". */
  optimizer?: "sgd" | "adam" | "adamw" | "rmsprop";
  /** 0.001. */
  learningRate?: LearningRate;
  /** Steps in which the learning rate grows linearly before its schedule begins; 0. */
  warmUp?: number;
  /** Of "sgd" and "rmsprop"; 0. */
  momentum?: number;
  /** Of "sgd". */
  nesterov?: boolean;
  /** Of "adam" and "adamw"; [0.9, 0.999]. */
  betas?: [number, number];
  /** Of "rmsprop"; 0.99. */
  alpha?: number;
  /** Of "rmsprop". */
  centered?: boolean;
  /** Of all but "sgd"; 1e-8. */
  epsilon?: number;
  /** 0.01 of "adamw", else 0. */
  weightDecay?: number;
  /** Whether arrays with one axis, such as biases, have weight decay; true. */
  decayVectors?: boolean;
  /** Parameters with options of their own; an array may be in one group at most. */
  groups?: ParameterGroup[];
  /** All gradients are scaled so that their norm is at most this. */
  clipNorm?: number;
  /** Each gradient is kept within ± this. */
  clipValue?: number;
  /** The decay of a moving average of the weights; none is kept. */
  average?: number | { decay: number; biasCorrected?: boolean };
  /** How many steps in a row may be skipped because a number was not finite; 0. */
  skipNonfinite?: number;
  /** For dropout and zoneout; 0. */
  seed?: number;
}

/** A trainer of a `Model`. */
export interface ModelTrainerOptions extends SessionOptions, TrainerOptions {
  /** "crossEntropy". */
  loss?: "crossEntropy" | "meanSquaredError" | "binaryCrossEntropy" | "meanAbsoluteError";
  /** States are kept of every so many steps only, and the others computed again: less memory, more time. All are kept. */
  keepEvery?: number;
}

export interface LossOptions {
  /** What the loss and its gradient are multiplied by; 1. */
  weight?: number;
}

export interface CrossEntropyOptions extends LossOptions {
  /** The part of each target that is spread evenly over all classes; 0. */
  labelSmoothing?: number;
  /** What the loss of each class is multiplied by, [C]. */
  classWeights?: Tensor;
}

export interface CtcOptions {
  /** The class that stands for no label; 0. */
  blank?: number;
  /** "mean": each loss divided by its number of labels, then the mean over sequences. */
  reduction?: "mean" | "sum";
  /** Whether a sequence that no alignment fits has the loss 0 in place of an infinite one. */
  zeroInfinity?: boolean;
}

/** How a convolution moves over the steps. */
export interface Conv1d {
  /** Steps from one window to the next; 1. */
  stride?: number;
  /** Steps between two steps of a window; 1. */
  dilation?: number;
  /** Groups of channels that do not see each other; 1. As many as channels is a convolution of each by itself. */
  groups?: number;
  /** Zeros before the first step and after the last one; [0, 0]. */
  padding?: [number, number];
}

/** How a beam search goes: the best texts Y by log P(Y) / ((5 + |Y|) / 6)^α, where |Y| counts the tokens with the end. */
export interface BeamSearch {
  /** The token that begins each text, and the one that ends it. */
  start: number;
  end: number;
  /** The most tokens of a text. */
  steps: number;
  /** K, how many texts of a sequence are followed at once: 1, which is greedy, to 256; 4. */
  beams?: number;
  /** α: 0 ranks by log P(Y), larger numbers prefer longer texts; 0.6. */
  alpha?: number;
}

/** How labels are found from the logits of CTC. */
export interface CtcDecoding {
  /** How many sequences of labels are followed at once by prefix beam search, 1 to 256; without it the labels are those of the most probable
   * class of each step. */
  beams?: number;
  /** The class that stands for no label; 0. */
  blank?: number;
}

/** A text or a sequence of labels that was found. */
export interface Hypothesis {
  /** Its tokens, or labels, without the end token. */
  tokens: Uint32Array;
  /** What hypotheses are ranked by. */
  score: number;
  /** The logarithm of its probability. */
  logProbability: number;
}

/** How well a query q fits a step m of the memory: q · m, q · W m, or v · tanh(W q + U m) with W, U and v as query, memory and score. */
export type Attention =
  | "dot"
  | { kind: "general"; memory: Linear }
  | { kind: "additive"; query: Linear; memory: Linear; score: Linear };

/** How symbols are drawn; without a seed the largest logit is taken. */
export interface Sampling {
  /** Indices [2]: a seed and a step. The same pair gives the same draws again. */
  seed?: Tensor;
  /** What logits are divided by; 1. 0 takes the largest one. */
  temperature?: number;
  /** Only the k largest logits. */
  topK?: number;
  /** Only the most probable symbols whose probabilities sum to at least p. */
  topP?: number;
  /** Tells draws of one run apart; 0. */
  place?: number;
}

export interface PlateauOptions {
  /** What the rate is multiplied by; 0.1. */
  factor?: number;
  /** How many updates without a better loss are let pass; 10. */
  patience?: number;
  /** How much better a loss has to be than the best, relative to that; 1e-4. */
  threshold?: number;
  /** How many updates follow a lower rate before losses are compared again; 0. */
  cooldown?: number;
  /** The smallest rate; 0. */
  least?: number;
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
  /** How many steps were skipped since training began: see `skipNonfinite`. */
  skipped: number;
}

/** Whatever a model has integers for. */
export type IntegerArray =
  | BigInt64Array | BigUint64Array | Int32Array | Uint32Array | Int16Array | Uint16Array | Int8Array | Uint8Array;

/** A tensor of an ONNX model as this package gives it: floats of 32 bits, whatever kind the model has; integers and truth values of 64 bits. */
export type OnnxTensor = NdArray | { data: BigInt64Array; shape: number[] };

/** Tensors by the names that they have in a model. */
export type OnnxTensors =
  | Record<string, NdArray | { data: IntegerArray; shape: number[] }>
  | Map<string, NdArray | { data: IntegerArray; shape: number[] }>;

/** Shapes of a model's inputs by name. */
export type OnnxShapes = Record<string, number[] | bigint[] | IntegerArray> | Map<string, number[] | bigint[] | IntegerArray>;

/** The files that a model's data lie in, by the names that the model has for them; or the only one. */
export type OnnxData =
  | Uint8Array | ArrayBuffer | Record<string, Uint8Array | ArrayBuffer> | Map<string, Uint8Array | ArrayBuffer>;

/** What a node of an ONNX model is run on. What is left out is as the model holds it, or else as said here. */
export interface OnnxInputs {
  /** [T, N, I], or [N, T, I] where batches come first. */
  x: NdArray;
  /** `sequence_lens`: the valid steps of each sequence, from 0 to T; all. */
  lengths?: number[] | bigint[] | IntegerArray;
  /** `initial_h`: [D, N, H], or [N, D, H] where batches come first; zeros. */
  h?: NdArray;
  /** `initial_c` of an LSTM, as h; zeros. */
  c?: NdArray;
}

/** What a node gives: y [T, D, N, H], or [N, T, D, H] where batches come first; h and, of an LSTM, c after each sequence's last step. */
export interface OnnxOutputs { y: NdArray; h: NdArray; c?: NdArray }
