// All work of the library, away from the page, which so stays responsive: the CPU device computes synchronously.
// A worker has one device for all its life; another device is another worker. Requests are those of rpc.js:
//
//   load           {}                               loads the package
//   open           { kind: "gpu" | "cpu" | "auto" } opens the device: { name, isCpu, note, report, kernels, layers }
//   check          {}                               progress { group, name, row? } for each check as it begins and ends
//   text           { text }                         the text to learn: { characters, different }
//   train.create   { cell, hidden, layers, batch, length, dropout, learningRate }   a new model of that text
//   train.load     { bytes, learningRate }          one from a checkpoint: { description, steps }
//   train.read     {}                               cuts the text for the model; fails where it can't learn that text
//   train.run      {}                               trains until cancelled; progress { loss }, { looking }, { heldOut },
//                                                   { sample } or { kept }; gives a checkpoint, { step, bytes }
//   train.set      { temperature?, prompt?, every?, characters?, learningRate? }    from now on
//   train.sample   {}                               writes a sample now: progress { sample }
//   train.inside   { text, layer, part: "h" | "c" } what its units hold after each character: { values, units, parts }
//   train.checkpoint   {}                           { step, bytes }
//   train.reset    {}                               forgets the model
//   handwriting            { columns, width }       a line [width, 24]: { text, steps, classes, probabilities, seconds }
//   handwriting.weights    { bytes? }               takes a file's network, without one the page's own
//   phonemes       { words }                        { phonemes, seconds }
//   letters        {}                               those that the pronouncing model knows
//   spelling       { samples }                      a spoken word's letters, and the learned word that they mean: { text, nearest? }
//   speech         { samples }                      { probabilities, segments, seconds }
//
// Buffers are handed over in both directions.

import { fromNotes } from "./checkpoint.js";
import { levels } from "./mel.js";
import { Reader } from "./reader.js";
import { HandOver, serve } from "./rpc.js";
import { UnknownCharacters, Vocabulary } from "./text.js";
import { Training, macrotask } from "./training.js";
import { nearest } from "./words.js";

/** A checkpoint is kept this often, for the device may be lost. */
const KEEP_MS = 30_000;

let wgrnn;
let device;
let text = "";
let training;
const settings = { temperature: 0.7, prompt: "", every: 200, characters: 300 };

/** One at a time works with the model. */
let tail = Promise.resolve();
function exclusive(work) {
  const turn = tail.then(work);
  tail = turn.catch(() => {});
  return turn;
}

async function keep() {
  const bytes = await training.checkpoint();
  return new HandOver({ kept: { step: training.steps, bytes } }, [bytes.buffer]);
}

function theModel() {
  if (!training) throw new Error("there is no model yet");
  return training;
}

/** Puts a new model in the old one's place, once nothing can go wrong any more. */
function replace(next) {
  training?.free();
  training = next;
}

function fromCheckpoint(bytes, learningRate) {
  const next = new Training(wgrnn, device, fromNotes(wgrnn.Trainer.notesOfSafetensors(bytes)), learningRate);
  try {
    next.load(bytes);
  } catch (error) {
    next.free();
    throw error;
  }
  return next;
}

/** A text from the model's pen, as it is written. */
async function sample(signal, progress, loss) {
  const tell = (written, done) =>
    progress({ sample: { step: training.steps, bits: loss, prompt: settings.prompt, text: written, done } });
  const options = { ...settings, temperature: () => settings.temperature };
  const written = await training.sample(options, signal, (some) => tell(some, false));
  tell(written, true);
}

/** A file of weights, fetched once; a failure is forgotten. */
const models = new Map();
function model(Class, file) {
  if (!models.has(file)) {
    const made = fetchBytes(new URL(`../models/${file}`, import.meta.url)).then((bytes) => ({
      model: new Class(device, bytes),
      bytes,
    }));
    made.catch(() => models.delete(file));
    models.set(file, made);
  }
  return models.get(file);
}

async function fetchBytes(url) {
  const response = await fetch(url).catch(() => undefined);
  if (!response?.ok) {
    throw new Error(`${url.pathname} could not be fetched${response ? ` (HTTP ${response.status})` : ""}`);
  }
  return new Uint8Array(await response.arrayBuffer());
}

/** Networks of lessons by name: a file's in the place of the page's own. */
const readers = new Map();
async function reader(lesson) {
  if (readers.has(lesson)) return readers.get(lesson);
  const url = new URL(`models/${lesson}.safetensors`, import.meta.url);
  const made = fetchBytes(url).then((bytes) => new Reader(wgrnn, device, bytes, lesson));
  readers.set(lesson, made);
  // A failure is forgotten.
  made.catch(() => readers.delete(lesson));
  return made;
}

/** The words that the lesson `speech` learned: lines of its list begin with the part and the word. */
let words;
function learnedWords() {
  words ??= fetchBytes(new URL("../models/speech.tsv", import.meta.url)).then((bytes) => {
    const lines = new TextDecoder().decode(bytes).split("\n").map((line) => line.split("\t"));
    return [...new Set(lines.filter(([part]) => part === "train").map(([, word]) => word))];
  });
  // A failure is forgotten.
  words.catch(() => (words = undefined));
  return words;
}

const handlers = {
  async load() {
    const url = new URL("../pkg/wgrnn.js", import.meta.url);
    wgrnn = await import(url.href);
    await wgrnn.default();
  },

  async open({ kind }) {
    if (kind !== "cpu" && !navigator.gpu) {
      const why = isSecureContext
        ? "this browser has no WebGPU (navigator.gpu is missing)"
        : "browsers have WebGPU on secure pages only: https or localhost";
      throw new Error(why);
    }
    device = await wgrnn.Device[kind]();
    const { name, isCpu, note, report } = device;
    return { name, isCpu, note, report, kernels: wgrnn.kernelNames(), layers: wgrnn.layerNames() };
  },

  async check(_, { progress, signal }) {
    const groups = [
      ["kernels", wgrnn.kernelNames(), wgrnn.checkKernel],
      ["layers", wgrnn.layerNames(), wgrnn.checkLayer],
      ["gradients", wgrnn.layerNames(), wgrnn.checkGradients],
    ];
    for (const [group, names, check] of groups) {
      for (const name of names) {
        if (signal.aborted) return;
        progress({ group, name });
        await macrotask();
        let row;
        try {
          row = await check(device, name);
        } catch (error) {
          // One check that can't be done keeps no other from being; without a device none can.
          const { message, lost, fatal } = await explain(error);
          if (lost || fatal) throw error;
          row = { name, cases: 0, maxError: NaN, tolerance: NaN, passed: false, failures: [message], leftOut: [] };
        }
        progress({ group, name, row });
      }
    }
  },

  text(parameters) {
    text = parameters.text;
    const vocabulary = Vocabulary.of(text);
    return { characters: vocabulary.indices(text).length, different: vocabulary.size };
  },

  "train.create": ({ learningRate, ...network }) =>
    exclusive(() => {
      const description = { ...network, characters: Vocabulary.of(text).text() };
      replace(new Training(wgrnn, device, description, learningRate));
      return { description, steps: 0 };
    }),

  "train.load": ({ bytes, learningRate }) =>
    exclusive(() => {
      replace(fromCheckpoint(bytes, learningRate));
      return { description: training.description, steps: training.steps };
    }),

  "train.read": () => exclusive(() => theModel().read(text)),

  async "train.run"(_, { progress, signal }) {
    let kept = performance.now();
    // What it writes before it has learnt anything.
    if (theModel().steps === 0) await exclusive(() => sampleAsItTrains(signal, progress));
    while (!signal.aborted) {
      const { every } = settings;
      await exclusive(async () => {
        const until = (Math.floor(training.steps / every) + 1) * every;
        const loss = await training.slice(until);
        progress({ loss });
        const looks = loss.step === until;
        if (looks) {
          progress({ looking: true });
          const bits = await training.heldOutBits(signal);
          if (bits !== undefined) progress({ heldOut: { step: loss.step, bits } });
          if (!signal.aborted) await sampleAsItTrains(signal, progress, loss.bits);
          progress({ looking: false });
        }
        if (looks || performance.now() - kept > KEEP_MS) {
          progress(await keep());
          kept = performance.now();
        }
      });
      await macrotask();
    }
    return exclusive(async () => {
      const { value, buffers } = await keep();
      return new HandOver(value.kept, buffers);
    });
  },

  "train.set": ({ learningRate, ...others }) => {
    Object.assign(settings, others);
    if (learningRate === undefined) return undefined;
    return exclusive(() => {
      if (training) training.learningRate = learningRate;
    });
  },

  "train.sample": (_, { progress, signal }) =>
    exclusive(() => {
      theModel();
      return sample(signal, progress);
    }),

  "train.inside": ({ text, layer, part }) =>
    exclusive(async () => {
      const seen = await theModel().inside(text, layer, part);
      return new HandOver(seen, [seen.values.buffer]);
    }),

  "train.checkpoint": () =>
    exclusive(async () => {
      theModel();
      const { value, buffers } = await keep();
      return new HandOver(value.kept, buffers);
    }),

  "train.reset": () => exclusive(() => replace(undefined)),

  async handwriting({ columns, width }) {
    const network = await reader("handwriting");
    const begin = performance.now();
    const found = await network.read(columns, width);
    const seconds = (performance.now() - begin) / 1000;
    return new HandOver({ ...found, seconds }, [found.probabilities.buffer]);
  },

  async "handwriting.weights"({ bytes }) {
    if (bytes) {
      const next = new Reader(wgrnn, device, bytes, "handwriting");
      // What does not fit together shows only in a program: better now than in the old one's place.
      await next.read(new Float32Array(8 * 24), 8);
      readers.set("handwriting", Promise.resolve(next));
    }
    await reader("handwriting");
  },

  async spelling({ samples }) {
    const { columns, width } = levels(samples);
    const network = await reader("speech");
    const { text } = await network.read(columns, width);
    return { text, nearest: nearest(text, await learnedWords()) };
  },

  async letters() {
    const { bytes } = await model(wgrnn.G2p, "g2p_en.safetensors");
    // A safetensors file: the header's length in eight bytes, then the header as JSON.
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    return header.__metadata__.graphemes.split(" ").filter((grapheme) => [...grapheme].length === 1);
  },

  async phonemes({ words }) {
    const { model: g2p } = await model(wgrnn.G2p, "g2p_en.safetensors");
    const begin = performance.now();
    const phonemes = await g2p.pronounce(words, { partly: true });
    return { phonemes, seconds: (performance.now() - begin) / 1000 };
  },

  async speech({ samples }) {
    const { model: vad } = await model(wgrnn.Vad, "silero_vad_16k.safetensors");
    const begin = performance.now();
    const probabilities = await vad.probabilities(samples);
    const seconds = (performance.now() - begin) / 1000;
    const segments = wgrnn.Vad.segments(probabilities, samples.length);
    return new HandOver({ probabilities, segments, seconds }, [probabilities.buffer]);
  },
};

/** A prompt that the model can't read keeps no training from going on: the page has said so by then. */
async function sampleAsItTrains(signal, progress, loss) {
  try {
    await sample(signal, progress, loss);
  } catch (error) {
    if (!(error instanceof UnknownCharacters)) throw error;
  }
}

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function explain(error) {
  const message = error?.message ?? String(error);
  const fatal = error instanceof WebAssembly.RuntimeError;
  if (fatal || !device || device.isCpu) return { message, lost: false, fatal };
  const isLoss = (text) => /device (was )?lost/.test(text);
  if (isLoss(message)) return { message, lost: true, fatal };
  // What a lost device was doing may fail before the browser says that it is lost.
  await sleep(200);
  const loss = await Promise.race([sleep(3000), device.wait()]).catch((later) => later.message);
  return loss && isLoss(loss) ? { message: loss, lost: true, fatal } : { message, lost: false, fatal };
}

serve(self, handlers, explain);
