// Audio files as the samples that the network hears, and parts of them played.

/** Samples a second. */
export const RATE = 16_000;
/** More would not fit into a page's memory for long. */
export const MOST_SECONDS = 1800;
const MOST_BYTES = 500e6;

/** A file's samples: mono, at 16 kHz. Throws what is wrong with it. */
export async function decode(file) {
  if (file.size === 0) throw new Error(`‘${file.name}’ is empty`);
  if (file.size > MOST_BYTES) throw new Error(`‘${file.name}’ is larger than 500 MB: cut out a part`);
  const bytes = await file.arrayBuffer();
  let buffer;
  try {
    // Decoding into a context of this rate resamples well; playing into one would only interpolate.
    buffer = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(bytes);
  } catch {
    throw new Error(`‘${file.name}’ is no audio that this browser can decode`);
  }
  const length = Math.min(buffer.length, MOST_SECONDS * RATE);
  if (length === 0) throw new Error(`‘${file.name}’ has no samples`);
  const samples = new Float32Array(length);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    const data = buffer.getChannelData(channel);
    for (let i = 0; i < length; i++) samples[i] += data[i] / buffer.numberOfChannels;
  }
  return { samples, cut: buffer.length > length };
}

export const loudest = (samples) => samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);

/** Plays parts of one recording. */
export class Player {
  #context;
  #source;
  #from;
  #began;
  #ended;

  /** From and to in seconds; `ended` is called once, however it ends. */
  async play(samples, from, to, ended) {
    this.stop();
    // Browsers allow sound only after the user has done something.
    this.#context ??= new AudioContext();
    await this.#context.resume();
    const part = samples.subarray(Math.floor(from * RATE), Math.ceil(to * RATE));
    const buffer = this.#context.createBuffer(1, Math.max(part.length, 1), RATE);
    buffer.copyToChannel(part, 0);
    const source = this.#context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.#context.destination);
    source.onended = () => source === this.#source && this.stop();
    [this.#source, this.#from, this.#began, this.#ended] = [source, from, this.#context.currentTime, ended];
    source.start();
  }

  stop() {
    if (!this.#source) return;
    const [source, ended] = [this.#source, this.#ended];
    this.#source = this.#ended = undefined;
    source.stop();
    ended();
  }

  /** The second that is heard now; undefined while nothing is. */
  get time() {
    return this.#source && this.#from + (this.#context.currentTime - this.#began);
  }
}
