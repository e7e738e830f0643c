// A character model in training, in the worker: as examples/training/char_lm.rs does it.

import { modelConfig, toNotes } from "./checkpoint.js";
import { Streams, Vocabulary, split } from "./text.js";

/** What a slice of training should take: pauses and changes are heard between slices. */
const SLICE_MS = 150;
/** Steps of a slice at most: the device's queue should not grow. */
const MOST_STEPS = 20;
/** Windows of the held out text that are looked at, at most. */
const MOST_WINDOWS = 64;
/** Characters that are read before an answer is waited for, where nothing follows from it. */
const WAITING = 32;
/** Draws are among so many best characters. */
const TOP_K = 20;

/** Lets messages in: a timer would be rounded up, and a promise would not. */
export function macrotask() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

export class Training {
  #wgrnn;
  #device;
  #model;
  #trainer;
  #writer;
  #evaluator;
  #streams;
  #heldOut;
  #perSlice = 1;

  constructor(wgrnn, device, description, learningRate) {
    this.#wgrnn = wgrnn;
    this.#device = device;
    this.description = description;
    this.vocabulary = Vocabulary.of(description.characters);
    this.#model = new wgrnn.Model(device, modelConfig(description, this.vocabulary.size), 0);
    try {
      const { length: steps, batch } = description;
      const options = { steps, batch, loss: "crossEntropy", carry: true, optimizer: "adam", learningRate, clipNorm: 1 };
      this.#trainer = new wgrnn.Trainer(this.#model, options);
    } catch (error) {
      this.#model.free();
      throw error;
    }
  }

  get steps() {
    return this.#trainer.steps;
  }

  load(bytes) {
    this.#trainer.loadSafetensors(bytes);
  }

  checkpoint() {
    return this.#trainer.toSafetensors(toNotes(this.description));
  }

  /** Takes a text to learn, all of whose characters the model must know. */
  read(text) {
    const { batch, length } = this.description;
    const { learnt, heldOut } = split(this.vocabulary.indices(text));
    const streams = Streams.whole(learnt, batch, length);
    this.#heldOut = heldOut.length > 1 ? Streams.all(heldOut, batch, length) : undefined;
    this.#streams = streams;
  }

  /** From the next step on. */
  set learningRate(rate) {
    this.#trainer.setLearningRate(rate);
  }

  /** Some steps, not beyond step `until`, and what came of them: their mean loss in bits per character. */
  async slice(until) {
    const begin = performance.now();
    const steps = Math.max(1, Math.min(this.#perSlice, until - this.steps));
    for (let i = 0; i < steps; i++) {
      // The step says which window is next, so that a checkpoint need not.
      const window = this.steps % this.#streams.windows;
      if (window === 0) this.#trainer.resetState();
      const { x, targets } = this.#streams.window(window);
      this.#trainer.step(x, targets);
    }
    const { meanLoss, gradientNorm } = await this.#trainer.progress();
    const elapsed = performance.now() - begin;
    this.#perSlice = Math.min(Math.max(Math.round((steps * SLICE_MS) / elapsed), 1), MOST_STEPS);
    const characters = steps * this.description.batch * this.description.length;
    return { step: this.steps, bits: meanLoss / Math.LN2, gradientNorm, characters, seconds: elapsed / 1000 };
  }

  /** Bits per character of the text held out, or of its beginning if it is long; undefined where there is none. */
  async heldOutBits(signal) {
    if (!this.#heldOut) return undefined;
    this.#evaluator ??= this.#makeEvaluator();
    const { evaluation, state, x, targets } = this.#evaluator;
    state.reset();
    const windows = Math.min(this.#heldOut.windows, MOST_WINDOWS);
    for (let window = 0; window < windows && !signal.aborted; window++) {
      const next = this.#heldOut.window(window);
      x.write(next.x);
      targets.write(next.targets);
      evaluation.add();
      // Nothing comes back; but a pause should not have to wait for many windows.
      await this.#device.wait();
      await macrotask();
    }
    const loss = await evaluation.mean();
    return signal.aborted ? undefined : loss / Math.LN2;
  }

  /** The loss of a window on the device, and what it reads. */
  #makeEvaluator() {
    const { Tape, Tensor } = this.#wgrnn;
    const { length: steps, batch } = this.description;
    const state = this.#model.deviceState(batch);
    const [x, targets] = [0, 1].map(() => Tensor.zeros(this.#device, [steps, batch], "u32"));
    const tape = Tape.evaluating(this.#device);
    const scores = this.#model.forward(tape, tape.input(x), state, { carry: true });
    tape.crossEntropy(scores, tape.input(targets));
    return { evaluation: tape.evaluation(), state, x, targets };
  }

  /**
   * What the units of a layer hold after each character of a text: their hidden state h, or the cell state c of cells that have
   * one, as values [characters, units]; `parts` says which there are.
   */
  async inside(text, layer, part) {
    const indices = this.vocabulary.indices(text);
    this.#writer ??= this.#makeWriter();
    this.#writer.resetState();
    let [values, parts, units] = [undefined, [], this.description.hidden];
    for (let at = 0; at < indices.length; at += WAITING) {
      // Nothing is waited for from character to character: a GPU's answers come one after the other.
      const some = [...indices.subarray(at, at + WAITING)].map((index) => {
        const read = this.#writer.predict({ data: Uint32Array.of(index), shape: [1, 1] });
        return Promise.all([this.#writer.state(), read]);
      });
      for (const [i, [state]] of (await Promise.all(some)).entries()) {
        // A cell state of several numbers a unit has no picture.
        parts = Object.keys(state).filter((name) => state[name]?.shape.at(-1) === units);
        values ??= new Float32Array(indices.length * units);
        const { data } = state[parts.includes(part) ? part : "h"];
        values.set(data.subarray(layer * units, (layer + 1) * units), (at + i) * units);
      }
      await macrotask();
    }
    return { values: values ?? new Float32Array(), units, parts };
  }

  #makeWriter() {
    return new this.#wgrnn.Predictor(this.#model, { steps: 1, batch: 1, carry: true });
  }

  /** Writes a text that goes on from a prompt; `onText` is given it as it grows. */
  async sample({ prompt, characters, temperature }, signal, onText) {
    // A text without a beginning begins as a line does, or with any character.
    let begin = this.vocabulary.indices(prompt);
    if (begin.length === 0) {
      begin = this.description.characters.includes("\n") ? this.vocabulary.indices("\n") : Uint32Array.of(0);
    }
    this.#writer ??= this.#makeWriter();
    this.#writer.resetState();
    const read = (index) => this.#writer.predict({ data: Uint32Array.of(index), shape: [1, 1] });
    let scores;
    for (const index of begin) scores = await read(index);

    let [text, told] = ["", performance.now()];
    for (let i = 0; i < characters && !signal.aborted; i++) {
      const next = this.#wgrnn.choose(scores.data, temperature(), TOP_K, Math.random());
      text += this.vocabulary.character(next);
      if (performance.now() - told > 40) {
        onText(text);
        await macrotask();
        told = performance.now();
      }
      if (i + 1 < characters) scores = await read(next);
    }
    onText(text);
    return text;
  }

  free() {
    const evaluator = Object.values(this.#evaluator ?? {});
    for (const held of [this.#writer, ...evaluator, this.#trainer, this.#model]) held?.free();
  }
}
