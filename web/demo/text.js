// Characters as numbers, and a text as streams that are read side by side: as examples/training/common/data/char_lm.rs does it, so that
// a checkpoint means the same here and there. No part of a page: it runs under Node too.

/** A target that counts for nothing. */
export const IGNORED = 0xffffffff;

const REPLACEMENT = 0xfffd;

/** Calls `each` with every code point; half a surrogate pair counts as U+FFFD. */
function forEachCodePoint(text, each) {
  for (let at = 0; at < text.length; at++) {
    let code = text.codePointAt(at);
    if (code > 0xffff) at++;
    else if (code >= 0xd800 && code <= 0xdfff) code = REPLACEMENT;
    each(code);
  }
}

/** How messages name a character. */
export function nameOf(character) {
  const names = { "\n": "line break", "\r": "carriage return", "\t": "tab", " ": "space" };
  return names[character] ?? `‘${character}’`;
}

/** A text has characters that the vocabulary lacks. */
export class UnknownCharacters extends Error {
  constructor(characters) {
    const shown = characters.slice(0, 10).map(nameOf).join(", ");
    const more = characters.length > 10 ? ` and ${characters.length - 10} more` : "";
    super(`the model has never seen ${shown}${more}`);
    this.characters = characters;
  }
}

/** The characters of a text, in the order of their code points. */
export class Vocabulary {
  /** By index. */
  #codes;
  /** Index + 1 by code point, 0 for those that it has not. */
  #indices;

  constructor(seen) {
    this.#codes = [];
    this.#indices = new Int32Array(seen.length);
    seen.forEach((is, code) => {
      if (is) this.#indices[code] = this.#codes.push(code);
    });
  }

  static of(text) {
    const seen = new Uint8Array(0x110000);
    forEachCodePoint(text, (code) => (seen[code] = 1));
    return new Vocabulary(seen);
  }

  get size() {
    return this.#codes.length;
  }

  character(index) {
    return String.fromCodePoint(this.#codes[index] ?? REPLACEMENT);
  }

  /** A text as numbers; throws [`UnknownCharacters`] for those that it has not. */
  indices(text) {
    const indices = new Uint32Array(text.length);
    const unknown = new Set();
    let length = 0;
    forEachCodePoint(text, (code) => {
      const index = this.#indices[code];
      if (index === 0) unknown.add(code);
      indices[length++] = index - 1;
    });
    if (unknown.size > 0) {
      const sorted = [...unknown].sort((a, b) => a - b);
      throw new UnknownCharacters(sorted.map((code) => String.fromCodePoint(code)));
    }
    return indices.slice(0, length);
  }

  /** As a text that `Vocabulary.of` reads. */
  text() {
    return this.#codes.map((code) => String.fromCodePoint(code)).join("");
  }
}

/** The last tenth of a text is held out. */
export function split(indices) {
  const learnt = indices.length - Math.floor(indices.length / 10);
  return { learnt: indices.subarray(0, learnt), heldOut: indices.subarray(learnt) };
}

/** How many characters a text must have to fill one window of each stream, its held out tenth included. */
export function needed(streams, length) {
  let characters = streams * length + 1;
  while (characters - Math.floor(characters / 10) < streams * length + 1) characters++;
  return characters;
}

/**
 * A text cut into as many streams as are read side by side, each in windows of some characters: what a window's state
 * was at its end is what the next one begins with.
 */
export class Streams {
  #text;
  #streams;
  #length;
  /** Characters of a stream. */
  #each;

  constructor(text, streams, length, each) {
    [this.#text, this.#streams, this.#length, this.#each] = [text, streams, length, each];
  }

  /** What does not fill a window is left out. */
  static whole(text, streams, length) {
    if (text.length < streams * length + 1) {
      throw new Error(
        `too short: ${text.length} characters to learn, ${streams} streams of ${length} need ${streams * length + 1}`,
      );
    }
    return new Streams(text, streams, length, Math.floor((text.length - 1) / streams / length) * length);
  }

  /** Every character counts; windows that are not full have targets to ignore. */
  static all(text, streams, length) {
    if (text.length < 2) throw new Error(`too short: ${text.length} characters held out`);
    return new Streams(text, streams, length, Math.ceil((text.length - 1) / streams));
  }

  /** Windows of a stream. */
  get windows() {
    return Math.ceil(this.#each / this.#length);
  }

  /** What is read in a window and what comes next, both [length, streams]. */
  window(window) {
    const [length, streams, text] = [this.#length, this.#streams, this.#text];
    const x = new Uint32Array(length * streams);
    const targets = new Uint32Array(length * streams).fill(IGNORED);
    for (let t = 0; t < length; t++) {
      const place = window * length + t;
      if (place >= this.#each) break;
      for (let n = 0; n < streams; n++) {
        const at = n * this.#each + place;
        if (at + 1 >= text.length) break;
        x[t * streams + n] = text[at];
        targets[t * streams + n] = text[at + 1];
      }
    }
    const shape = [length, streams];
    return { x: { data: x, shape }, targets: { data: targets, shape } };
  }
}
