// What the declarations must allow and refuse; compiled, not run.
import init, {
  Device, Model, Predictor, Rnn, RnnWeights, Trainer, cellNames, checkKernel, choose,
  type CheckRow, type NdArray, type RnnConfig, type Tokens,
} from "../../pkg/wgrnn.js";

export async function sample(x: NdArray, tokens: Tokens): Promise<number> {
  await init();
  const device: Device = await Device.auto();
  const config: RnnConfig = { cell: cellNames()[0], inputSize: 3, hiddenSize: 5, direction: "bidirectional" };
  const rnn = Rnn.trainable(device, config, RnnWeights.init(config, 0));
  const { y, state } = await rnn.forward(x, { lengths: [2], output: "last" });
  const { weights } = await rnn.gradients(x, y, { state, stateGradient: state });
  const gradient: NdArray | undefined = weights.get("weight_ih_l0");
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
