// What the declarations must allow and refuse; compiled, not run.
import init, {
  Arrays, CtcTargets, Device, EarlyStopping, Keras, Linear, Model, OnnxGraph, OnnxModel, OnnxNode, PackedSequence, Parameters,
  Predictor, Pytorch, Rnn, RnnWeights, SequenceMap, StateDict, Tape, Tensor, Trainer, cellNames, checkKernel, choose, ctcDecode,
  type Activation, type BeamSearch, type Beams, type CheckRow, type Conv1d, type Flags, type Hypothesis, type LearningRate,
  type NdArray, type OnnxTensor, type PackedOutput, type RaggedOutput, type RnnConfig, type Tokens, type TrainerOptions,
  type Value,
} from "../../pkg/wgrnn.js";

export async function sample(x: NdArray, tokens: Tokens): Promise<number> {
  await init();
  const device: Device = await Device.auto();
  const config: RnnConfig = { cell: cellNames()[0], inputSize: 3, hiddenSize: 5, direction: "bidirectional" };
  const rnn = Rnn.trainable(device, config, RnnWeights.init(config, 0));
  const { y, state } = await rnn.forward(x, { lengths: [2], output: "last" });
  const { weights } = await rnn.gradients(x, y, { state, stateGradient: state });
  const gradient: NdArray | undefined = weights.get("weight_ih_l0");
  const arrays = Arrays.fromBytes(new Uint8Array(8));
  const table: NdArray = arrays.get("emb.weight");
  const read = Pytorch.fromArrays(arrays, "lstm", "encoder.");
  new Rnn(device, { ...read.config, batchFirst: true }, read.weights);
  new Rnn(device, config, RnnWeights.fromNamed(config, { weight_ih_l0: table }));
  const keras = Keras.toOwn("gru", Keras.fromBytes(new Uint8Array(8), "gru_1"));
  const parts = StateDict.fromBytes(new Uint8Array(8), {
    rnn: { prefix: "lstm", kind: "rnn", cell: "lstm" },
    same: { prefix: "lstm", kind: "rnn", config: keras.config },
    head: { prefix: "fc", kind: "linear", shapes: { weight: [2, 4] } },
  }, { partial: true });
  parts.set("head", Object.fromEntries(parts.arrays("head")));
  // @ts-expect-error a dense layer has no cell
  StateDict.fromArrays(arrays, { head: { prefix: "fc", kind: "linear", cell: "lstm" } });
  const session = rnn.session({ steps: 2, batch: 1 });
  session.write(x);
  session.run();
  const stream = rnn.stream(2);
  const pushed: NdArray = await stream.pushWith(x, [1, 0]);
  stream.writeSlot(1, await stream.readSlot(0));
  const model = new Model(device, { symbols: 9, rnn: config }, 0);
  const trainer = new Trainer(model, { steps: 2, batch: 1, optimizer: "sgd", momentum: 0.9 });
  trainer.step(tokens, tokens);
  const { meanLoss } = await trainer.progress();
  const file: Uint8Array = await trainer.toSafetensors({ text: "abc" });
  const notes: Record<string, string> = trainer.loadSafetensors(file);
  const scores = await new Predictor(model, { steps: 1, batch: 1, carry: true }).predict(tokens);
  const predicted: NdArray = await model.predict(tokens);
  const row: CheckRow = await checkKernel(device, "gemm");
  rnn.free();

  // @ts-expect-error: a name that is none
  const wrong: RnnConfig = { cell: "lstm", inputSize: 3, hidden: 5 };
  // @ts-expect-error: plain arrays are not typed ones
  await rnn.forward({ data: [1, 2], shape: [1, 1, 2] });
  // @ts-expect-error: there is no such direction
  const backwards: RnnConfig = { ...config, direction: "backwards" };
  // @ts-expect-error: devices are opened, not made
  const made = new Device();

  const all = [pushed, predicted, gradient, notes, row, wrong, backwards, made];
  return meanLoss + choose(scores.data, 0.7, 20, 0.5) + all.length;
}

export async function sequences(device: Device, rnn: Rnn, x: NdArray): Promise<number> {
  const flags: Flags = { data: new Uint8Array(8), shape: [4, 2] };
  const map: SequenceMap = SequenceMap.mask(flags).withResets(flags).withResetsAt([[1], []]).resetTo("initial").repeatOutput();
  const masked = await rnn.forward(x, { map });
  const ragged: RaggedOutput = await rnn.forwardRagged([x, x], { state: masked.state });
  const packed = PackedSequence.pack(ragged.y);
  const again = new PackedSequence(packed.data(), packed.batchSizes(), packed.sortedIndices(), packed.unsortedIndices());
  const output: PackedOutput = await rnn.forwardPacked(again);
  rnn.batchLengths(4, 2).writeMask(flags);
  const maps = [SequenceMap.resets(flags), SequenceMap.concatenated([1, 2]), SequenceMap.packed([2, 1]), SequenceMap.rows(3, [[0], [2]]), packed.map()];
  return output.y.unpack().length + maps.length;
}

export async function tapes(device: Device, weight: NdArray, rnn: Rnn): Promise<number> {
  const head = Linear.trainable(device, weight);
  const norm = new Parameters(device, { gain: weight });
  const lengths = rnn.batchLengths(4, 1);
  const targets = new CtcTargets(device, [4, 1, 3], 2, { blank: 2 });
  const input: Tensor = Tensor.zeros(device, [4, 1, 3]);
  const seed = Tensor.zeros(device, [2], "u32");
  const elu: Activation = { kind: "elu", alpha: 1 };
  const write = (tape: Tape): Tape => {
    const x: Value = tape.input(input);
    const y = tape.rnn(rnn, x, rnn.deviceState(1), { lengths, keepEvery: 2, carry: true });
    const valid = tape.input(targets.inputLengths());
    const { context, weights } = tape.memory({ kind: "general", memory: head }, y, valid).attend(tape, tape.mean(y, 0));
    const mapped = tape.map([y, tape.parameter(norm, "gain")], ([y, gain]) => y.mul(gain).add(1).max(y.neg()));
    tape.freeze(norm);
    const shape: number[] = tape.softmax(tape.layerNorm(tape.activate(mapped, elu), null, context), 2).shape;
    tape.crossEntropy(y, valid, { labelSmoothing: 0.1, weight: shape.length });
    tape.ctc(y, tape.input(targets.labels()), valid, tape.input(targets.labelLengths()), { reduction: "sum", weight: 0.5 });
    tape.sample(weights, valid, { seed, temperature: 0.5, topK: 2 });
    return tape;
  };
  const learningRate: LearningRate = { kind: "cosine", rate: 0.1, steps: 5, warmUp: 2 };
  const options: TrainerOptions = {
    optimizer: "rmsprop", alpha: 0.9, learningRate, groups: [{ parameters: norm, rateFactor: 0.5 }], average: 0.99,
  };
  const trainer: Trainer = write(Tape.training(device)).trainer(options);
  trainer.accumulate();
  const all: boolean = await trainer.train(10, 5, () => input.write(weight), ({ meanLoss }) => meanLoss > 0.1);
  const evaluation = write(Tape.evaluating(device)).evaluation();
  const averaged = await trainer.withAverages(() => evaluation.run());
  const verdict = new EarlyStopping(3, { minDelta: 0.1 }).update(await evaluation.mean());
  const { skipped } = await trainer.progress();

  // @ts-expect-error: a tensor is no value: Tape.input makes one of it
  write(Tape.training(device)).add(input, input);
  // @ts-expect-error: there is no such schedule
  trainer.setLearningRate({ kind: "sine", rate: 0.1 });
  // @ts-expect-error: an activation's constant is missing
  const constant: Activation = { kind: "leakyRelu" };
  // @ts-expect-error: T and N are those of a trainer of a model
  const shaped: TrainerOptions = { steps: 3 };
  return averaged + skipped + [all, verdict, constant, shaped].length;
}

export async function decodes(device: Device, x: NdArray, rnn: Rnn): Promise<number> {
  const tape = Tape.evaluating(device);
  const frames = tape.input(Tensor.fromArray(device, x));
  const causal: Conv1d = { stride: 1, dilation: 2, groups: 1, padding: [4, 0] };
  const y: Value = tape.conv1d(tape.pad(frames, 0, 1, 1), frames, null, causal);
  const plain: Value = tape.conv1d(frames, frames);
  const options: BeamSearch = { start: 0, end: 1, steps: 5, alpha: 0.8 };
  const beams: Beams = tape.beamSearch(options, 2);
  const state = rnn.deviceState(beams.rows);
  beams.advance(tape, tape.rnn(rnn, beams.follow(tape, plain), state, { carry: true }));
  beams.followState(tape, state);
  const decoded = tape.ctcDecode(y, beams.tokens(), { beams: 16, blank: 2 });
  const texts: Hypothesis[][] = await beams.read();
  const labels: Uint32Array = (await decoded.read())[0][0].tokens;
  const [[best]] = await ctcDecode(device, x, [3, 2]);

  // @ts-expect-error: zeros stand on both sides
  const padded: Conv1d = { padding: 2 };
  // @ts-expect-error: a search has to end
  tape.beamSearch({ start: 0, end: 1 }, 2);
  // @ts-expect-error: lengths of a tape are a value
  tape.ctcDecode(y, [3, 2]);
  return best.score + best.logProbability + texts.length + labels[0] + [padded].length;
}

export async function onnx(device: Device, bytes: Uint8Array, x: NdArray): Promise<number> {
  const model = OnnxModel.fromBytes(bytes, { "model.onnx.data": bytes });
  const nodes: (OnnxNode | Error)[] = model.nodes();
  const layer = model.node("lstm").layer(device, new Map([["h0", x]]));
  const { y, h, c } = await layer.run({ x, lengths: [1n, 2n], h: x });
  const again = await layer.run({ x, lengths: BigInt64Array.of(2n), c });
  const weight: OnnxTensor = model.tensor(model.tensorNames()[0]);
  const graph: OnnxGraph = model.graph(device, { x: [2, 1, 3] }, { rate: { data: BigInt64Array.of(16000n), shape: [] } });
  const { [graph.outputs[0].name]: output } = await graph.run({ x, lengths: { data: Int32Array.of(1), shape: [1] } });
  const count: number = model.operators().LSTM;
  const one = OnnxModel.fromBytes(bytes, bytes);

  // @ts-expect-error: it may be an error
  nodes[0].layer(device);
  // @ts-expect-error: a layer needs x
  await layer.run({ h });
  // @ts-expect-error: doubles are not taken
  await graph.run({ x: { data: new Float64Array(1), shape: [1] } });
  // @ts-expect-error: models are read, not made
  const made = new OnnxModel();
  return count + [y, again, weight, output, one, made, ...OnnxGraph.operators()].length;
}
