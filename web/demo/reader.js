// A network that reads lines of writing, in the worker: convolutions over the columns, recurrent layers of both directions,
// a dense layer, and CTC's decoding. Its sizes are those of its weights, by the names that the lesson `handwriting` gives them.

import { ROWS, STRIDE } from "./ink.js";

/** Widths that a program is made for: a line is read by the narrowest that it fits into. */
const WIDTHS = [64, 128, 256, 512, 1024, 2048];
const BEAMS = 8;

export class Reader {
  #wgrnn;
  #device;
  #model;
  #convolution;
  #programs = new Map();

  /** Throws where the file holds no such network. */
  constructor(wgrnn, device, bytes) {
    [this.#wgrnn, this.#device] = [wgrnn, device];
    const arrays = wgrnn.Arrays.fromBytes(bytes);
    const named = (name, axes) => {
      const shape = arrays.shape(name);
      if (shape?.length !== axes) throw new Error(`it is no network of the lesson handwriting: ‘${name}’ is missing`);
      return arrays.get(name);
    };
    const [first, second] = [1, 2].map((layer) => named(`convolution.${layer}.weight`, 3).shape);
    const [classes, both] = named("head.weight", 2).shape;
    if (first[1] !== ROWS) throw new Error(`its columns have ${first[1]} rows, where this page’s have ${ROWS}`);
    const biases = [1, 2].map((layer) => [`${layer}.bias`, named(`convolution.${layer}.bias`, 1)]);
    const weights = [1, 2].map((layer) => [`${layer}.weight`, named(`convolution.${layer}.weight`, 3)]);
    this.#convolution = new wgrnn.Parameters(device, Object.fromEntries([...weights, ...biases]));
    const rnn = { cell: "gru", inputSize: second[0], hiddenSize: both / 2, direction: "bidirectional" };
    this.#model = new wgrnn.Model(device, { rnn, outputs: classes }, 0);
    this.#model.loadSafetensorsPartial(bytes);
    this.classes = classes;
  }

  /** Columns [width, 24] as { text, steps, probabilities [steps, classes] }; class 0 is the blank, and k is the digit k - 1. */
  async read(columns, width) {
    const { classes } = this;
    const program = this.#program(WIDTHS.find((most) => width <= most));
    const padded = new Float32Array(program.width * ROWS);
    padded.set(columns);
    program.x.write({ data: padded, shape: [program.width, 1, ROWS] });
    const steps = width / STRIDE;
    program.lengths.write([steps]);
    program.evaluation.add();
    const scores = (await program.scores.read()).data.slice(0, steps * classes);
    const decoding = { blank: 0, beams: BEAMS };
    const [[best]] = await this.#wgrnn.ctcDecode(
      this.#device,
      { data: scores, shape: [steps, 1, classes] },
      [steps],
      decoding,
    );
    const text = [...best.tokens].map((label) => String(label - 1)).join("");
    return { text, steps, classes, probabilities: softmax(scores, classes) };
  }

  #program(width) {
    if (!this.#programs.has(width)) this.#programs.set(width, this.#write(width));
    return this.#programs.get(width);
  }

  /** The forward pass of a line of this width. */
  #write(width) {
    const { Tape, Tensor } = this.#wgrnn;
    const x = Tensor.zeros(this.#device, [width, 1, ROWS]);
    const scores = Tensor.zeros(this.#device, [width / STRIDE, 1, this.classes]);
    const lengths = this.#model.rnn().batchLengths(width / STRIDE, 1);
    const tape = Tape.evaluating(this.#device);
    let value = tape.input(x);
    for (const layer of [1, 2]) {
      const [weight, bias] = ["weight", "bias"].map((name) => tape.parameter(this.#convolution, `${layer}.${name}`));
      value = tape.activate(tape.conv1d(value, weight, bias, { stride: 2, padding: [2, 2] }), "relu");
    }
    value = this.#model.forward(tape, value, this.#model.deviceState(1), { lengths });
    tape.copy(value, tape.input(scores));
    return { width, x, scores, lengths, evaluation: tape.evaluation() };
  }

  free() {
    for (const { x, scores, lengths, evaluation } of this.#programs.values()) {
      for (const held of [evaluation, lengths, scores, x]) held.free();
    }
    for (const held of [this.#model, this.#convolution]) held.free();
  }
}

function softmax(scores, classes) {
  const out = new Float32Array(scores.length);
  for (let at = 0; at < scores.length; at += classes) {
    const row = scores.subarray(at, at + classes);
    const most = Math.max(...row);
    const powers = row.map((score) => Math.exp(score - most));
    const sum = powers.reduce((sum, power) => sum + power, 0);
    out.set(
      powers.map((power) => power / sum),
      at,
    );
  }
  return out;
}
