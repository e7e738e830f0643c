// A character model in training, in the worker: as examples/training/char_lm/{train,sample}.rs do it.

import { modelConfig, toNotes } from "./checkpoint.js";
import { IGNORED, Streams, Vocabulary, split } from "./text.js";

/** What a slice of training should take: pauses and changes are heard between slices. */
const SLICE_MS = 150;
/** Steps of a slice at most: the device's queue should not grow. */
const MOST_STEPS = 20;
/** Scores of the held out text that are looked at, at most: each comes back from the device. */
const MOST_SCORES = 40e6;
const MOST_WINDOWS = 64;
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
  #model;
  #trainer;
  #writer;
  #evaluator;
  #streams;
  #heldOut;
  #perSlice = 1;

  constructor(wgrnn, device, description, learningRate) {
    this.#wgrnn = wgrnn;
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
    const { length: steps, batch } = this.description;
    this.#evaluator ??= new this.#wgrnn.Predictor(this.#model, { steps, batch, carry: true });
    this.#evaluator.resetState();
    const most = Math.min(MOST_WINDOWS, Math.ceil(MOST_SCORES / (steps * batch * this.vocabulary.size)));
    const windows = Math.min(this.#heldOut.windows, most);
    let [sum, counted] = [0, 0];
    for (let window = 0; window < windows; window++) {
      if (signal.aborted) return undefined;
      const { x, targets } = this.#heldOut.window(window);
      const scores = await this.#evaluator.predict(x);
      for (let row = 0; row < targets.data.length; row++) {
        if (targets.data[row] === IGNORED) continue;
        sum += crossEntropy(scores.data, row * this.vocabulary.size, this.vocabulary.size, targets.data[row]);
        counted++;
      }
      await macrotask();
    }
    return sum / counted / Math.LN2;
  }

  /** Writes a text that goes on from a prompt; `onText` is given it as it grows. */
  async sample({ prompt, characters, temperature }, signal, onText) {
    // A text without a beginning begins as a line does, or with any character.
    let begin = this.vocabulary.indices(prompt);
    if (begin.length === 0) {
      begin = this.description.characters.includes("\n") ? this.vocabulary.indices("\n") : Uint32Array.of(0);
    }
    this.#writer ??= new this.#wgrnn.Predictor(this.#model, { steps: 1, batch: 1, carry: true });
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
    for (const held of [this.#writer, this.#evaluator, this.#trainer, this.#model]) held?.free();
  }
}

/** −log softmax of one class, of scores that begin at an offset. */
function crossEntropy(scores, offset, classes, target) {
  let most = -Infinity;
  for (let i = 0; i < classes; i++) most = Math.max(most, scores[offset + i]);
  let sum = 0;
  for (let i = 0; i < classes; i++) sum += Math.exp(scores[offset + i] - most);
  return Math.log(sum) + most - scores[offset + target];
}
