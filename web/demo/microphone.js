// What is said into the microphone, as a file that the page reads as it reads any other: the browser makes the network's rate of
// the microphone's.

/** A recording ends by itself then, in seconds. */
export const LONGEST = 60;

/** What keeps a page from the microphone, and what to do. */
function reason(error) {
  const known = {
    NotAllowedError: "the microphone is not allowed: allow it for this page, beside the address, and record again",
    SecurityError: "the microphone is not allowed on this page: open the page by itself, in a window of its own",
    NotFoundError: "no microphone was found: connect one, or choose a file",
    OverconstrainedError: "no microphone was found: connect one, or choose a file",
    NotReadableError: "the microphone can’t be read, perhaps because another program uses it: close that, and record again",
    AbortError: "the microphone stopped: record again",
  };
  return new Error(known[error?.name] ?? `the microphone failed: ${error?.message ?? error}`);
}

export class Recording {
  #stream;
  #context;
  #parts = [];
  #length = 0;

  /** Begins to record. `onLevel` is given the loudness, from 0 to 1, and the seconds so far; `onEnd` is called when it ends by itself. */
  static async begin({ onLevel, onEnd }) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error(
        isSecureContext
          ? "this browser gives pages no microphone: choose a file"
          : "browsers give the microphone to secure pages only: open this page by https or on localhost, or choose a file",
      );
    }
    const recording = new Recording();
    try {
      await recording.#open(onLevel, onEnd);
    } catch (error) {
      recording.#close();
      throw reason(error);
    }
    return recording;
  }

  async #open(onLevel, onEnd) {
    this.#stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: { ideal: 1 } } });
    this.#context = new AudioContext();
    await this.#context.audioWorklet.addModule(new URL("recorder.js", import.meta.url));
    await this.#context.resume();
    const recorder = new AudioWorkletNode(this.#context, "recorder", { numberOfOutputs: 0 });
    recorder.port.onmessage = ({ data }) => {
      this.#parts.push(data);
      this.#length += data.length;
      const power = data.reduce((sum, sample) => sum + sample * sample, 0) / data.length;
      onLevel(Math.min(1, Math.sqrt(power) * 4), this.seconds);
      if (this.seconds >= LONGEST) onEnd();
    };
    this.#context.createMediaStreamSource(this.#stream).connect(recorder);
    // One that is unplugged, or whose permission is taken back, is silent from then on.
    for (const track of this.#stream.getAudioTracks()) track.addEventListener("ended", () => onEnd());
  }

  get seconds() {
    return this.#length / this.#context.sampleRate;
  }

  /** Ends it, and gives what was recorded. */
  end() {
    const rate = this.#context.sampleRate;
    this.#close();
    return new File([wav(this.#parts, this.#length, rate)], "The recording", { type: "audio/wav" });
  }

  #close() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    if (this.#context && this.#context.state !== "closed") this.#context.close();
  }
}

/** A WAV file of one channel of 32-bit floats. */
function wav(parts, length, rate) {
  const bytes = new ArrayBuffer(44 + 4 * length);
  const view = new DataView(bytes);
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 4 * length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 3, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 4 * rate, true);
  view.setUint16(32, 4, true);
  view.setUint16(34, 32, true);
  text(36, "data");
  view.setUint32(40, 4 * length, true);
  let at = 44;
  for (const part of parts) {
    for (const sample of part) {
      view.setFloat32(at, sample, true);
      at += 4;
    }
  }
  return bytes;
}
