// A network that finds labels in a sequence, in the worker: convolutions over the steps, recurrent layers of both directions, a
// dense layer, and CTC's decoding. Its sizes are those of its weights, by the names that the lessons give them.

/** The networks of the lessons: numbers of a step, names of the convolutions, recurrent layers, and labels. */
export const LESSONS = {
  handwriting: {
    rows: 24,
    convolutions: ["convolution.1", "convolution.2"],
    rnn: { cell: "gru", layers: 1 },
    labels: "0123456789",
  },
  speech: {
    rows: 32,
    convolutions: ["convolution"],
    rnn: { cell: "lstm", layers: 2 },
    labels: "abcdefghijklmnopqrstuvwxyz",
  },
};

/** Widths that a program is made for: a sequence is read by the narrowest that it fits into. */
const WIDTHS = [64, 128, 256, 512, 1024, 2048];
const BEAMS = 16;

export class Reader {
  #wgrnn;
  #device;
  #lesson;
  #model;
  #convolution;
  #programs = new Map();

  /** Throws where the file holds no network of this lesson. */
  constructor(wgrnn, device, bytes, name) {
    [this.#wgrnn, this.#device, this.#lesson] = [wgrnn, device, LESSONS[name]];
    const { rows, convolutions, rnn, labels } = this.#lesson;
    const arrays = wgrnn.Arrays.fromBytes(bytes);
    const named = (array, axes) => {
      const shape = arrays.shape(array);
      if (shape?.length !== axes) throw new Error(`it is no network of the lesson ${name}: ‘${array}’ is missing`);
      return arrays.get(array);
    };
    const parts = convolutions.flatMap((one) => [
      [`${one}.weight`, named(`${one}.weight`, 3)],
      [`${one}.bias`, named(`${one}.bias`, 1)],
    ]);
    const [classes, both] = named("head.weight", 2).shape;
    const features = parts[0][1].shape[1];
    if (features !== rows) throw new Error(`its steps have ${features} numbers, where this page’s have ${rows}`);
    if (classes !== labels.length + 1)
      throw new Error(`it has ${classes} classes, where the lesson ${name} has ${labels.length + 1}`);
    this.#convolution = new wgrnn.Parameters(device, Object.fromEntries(parts));
    const inputSize = parts.at(-2)[1].shape[0];
    const config = { ...rnn, inputSize, hiddenSize: both / 2, direction: "bidirectional" };
    this.#model = new wgrnn.Model(device, { rnn: config, outputs: classes }, 0);
    this.#model.loadSafetensorsPartial(bytes);
    this.classes = classes;
  }

  /** Each convolution gives one step for two. */
  get stride() {
    return 2 ** this.#lesson.convolutions.length;
  }

  /** Columns [width, rows] as { text, steps, probabilities [steps, classes] }; class 0 is the blank, and k is label k - 1. */
  async read(columns, width) {
    const { classes } = this;
    const { rows, labels } = this.#lesson;
    const program = this.#program(WIDTHS.find((most) => width <= most));
    const padded = new Float32Array(program.width * rows);
    padded.set(columns);
    program.x.write({ data: padded, shape: [program.width, 1, rows] });
    const steps = Math.ceil(width / this.stride);
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
    const text = [...best.tokens].map((label) => labels[label - 1]).join("");
    return { text, steps, classes, probabilities: softmax(scores, classes) };
  }

  #program(width) {
    if (!this.#programs.has(width)) this.#programs.set(width, this.#write(width));
    return this.#programs.get(width);
  }

  /** The forward pass of a sequence of this width. */
  #write(width) {
    const { Tape, Tensor } = this.#wgrnn;
    const { rows, convolutions } = this.#lesson;
    const steps = width / this.stride;
    const x = Tensor.zeros(this.#device, [width, 1, rows]);
    const scores = Tensor.zeros(this.#device, [steps, 1, this.classes]);
    const lengths = this.#model.rnn().batchLengths(steps, 1);
    const tape = Tape.evaluating(this.#device);
    let value = tape.input(x);
    for (const one of convolutions) {
      const [weight, bias] = ["weight", "bias"].map((name) => tape.parameter(this.#convolution, `${one}.${name}`));
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
