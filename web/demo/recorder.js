// Where the microphone's samples come by: an audio worklet, which hands them to the page in larger parts.

const PART = 2048;

registerProcessor(
  "recorder",
  class extends AudioWorkletProcessor {
    #part = new Float32Array(PART);
    #length = 0;

    process([input]) {
      // Of several channels the mean; a microphone that is not there yet has none.
      const [first, ...others] = input;
      for (let i = 0; i < (first?.length ?? 0); i++) {
        const sum = others.reduce((sum, channel) => sum + channel[i], first[i]);
        this.#part[this.#length++] = sum / input.length;
        if (this.#length < PART) continue;
        this.port.postMessage(this.#part, [this.#part.buffer]);
        this.#part = new Float32Array(PART);
        this.#length = 0;
      }
      return true;
    }
  },
);
