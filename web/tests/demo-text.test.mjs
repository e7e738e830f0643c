// The demo's own arithmetic: a text as the numbers that a model reads, and what a checkpoint says of its model.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fromNotes, modelConfig, toNotes } from "../demo/checkpoint.js";
import { IGNORED, Streams, Vocabulary, needed, split } from "../demo/text.js";

const range = (from, to) => Uint32Array.from({ length: to - from }, (_, i) => from + i);
const column = ({ data, shape: [T, N] }, n) => Array.from({ length: T }, (_, t) => data[t * N + n]);

test("a character follows the one before it across windows", () => {
  const streams = Streams.whole(range(0, 21), 2, 5);
  assert.equal(streams.windows, 2);
  const { x, targets } = streams.window(1);
  assert.deepEqual(column(x, 0), [5, 6, 7, 8, 9]);
  assert.deepEqual(column(targets, 0), [6, 7, 8, 9, 10]);
  assert.deepEqual(column(targets, 1), [16, 17, 18, 19, 20]);
});

test("every held out character but the first is a target once", () => {
  const streams = Streams.all(range(0, 24), 3, 5);
  const targets = Array.from({ length: streams.windows }, (_, at) => [...streams.window(at).targets.data]).flat();
  const counted = targets.filter((target) => target !== IGNORED).sort((a, b) => a - b);
  assert.deepEqual(counted, [...range(1, 24)]);
});

test("a text that fills no window is refused, and what would fill one is known before", () => {
  assert.throws(() => Streams.whole(range(0, 20), 2, 10), /20 characters to learn, 2 streams of 10 need 21/);
  assert.throws(() => Streams.all(range(0, 1), 1, 1), /1 characters held out/);
  for (const [batch, length] of [[32, 64], [1, 1], [4, 16], [3, 7]]) {
    const learnt = (characters) => split(range(0, characters)).learnt;
    const least = needed(batch, length);
    assert.equal(Streams.whole(learnt(least), batch, length).windows, 1);
    assert.throws(() => Streams.whole(learnt(least - 1), batch, length), /too short/);
  }
});

test("a vocabulary is in the order of code points, half a pair counts as a replacement", () => {
  const vocabulary = Vocabulary.of("b😀a\ud800é\n");
  assert.equal(vocabulary.text(), "\nabé\ufffd😀");
  assert.deepEqual([...vocabulary.indices("a😀\udfff")], [1, 5, 4]);
  assert.deepEqual(Array.from({ length: 7 }, (_, i) => vocabulary.character(i)), [..."\nabé\ufffd😀\ufffd"]);
  assert.equal(Vocabulary.of(vocabulary.text()).text(), vocabulary.text());
});

test("characters that a vocabulary lacks are named", () => {
  const unknown = (text) => () => Vocabulary.of("abc").indices(text);
  const message = "the model has never seen line break, ‘X’, ‘Y’";
  assert.throws(unknown("aXbY\nX"), { message, characters: ["\n", "X", "Y"] });
  assert.throws(unknown("ABCDEFGHIJKL"), /‘J’ and 2 more$/);
});

test("the sample is cut as the example cuts it", () => {
  const text = readFileSync(new URL("../../examples/training/data/char_lm/text.txt", import.meta.url), "utf8");
  const vocabulary = Vocabulary.of(text);
  const indices = vocabulary.indices(text);
  assert.equal(vocabulary.size, new Set(text).size);
  assert.equal(indices.length, [...text].length);
  const { learnt, heldOut } = split(indices);
  assert.equal(heldOut.length, Math.floor(indices.length / 10));
  const at = learnt.length;
  assert.deepEqual([...learnt.subarray(-3), ...heldOut.subarray(0, 3)], [...indices.subarray(at - 3, at + 3)]);
});

const description = { cell: "gru_reset_after", hidden: 8, layers: 2, dropout: 0.1, batch: 2, length: 3, characters: "\n‘é😀" };

test("a description is the same after notes, and has the fields of the example's", () => {
  const notes = toNotes(description);
  assert.deepEqual(fromNotes(notes), description);
  const source = readFileSync(new URL("../../examples/training/common/data/char_lm.rs", import.meta.url), "utf8");
  const fields = source.match(/pub struct Description \{(.*?)\n\}/s)[1].matchAll(/pub (\w+):/g);
  assert.deepEqual(Object.keys(JSON.parse(notes.char_lm)), Array.from(fields, ([, name]) => name));
  // As serde_json writes it.
  const whole = toNotes({ ...description, dropout: 0, characters: "\n\"é" }).char_lm;
  assert.equal(
    whole,
    '{"cell":"gru_reset_after","hidden":8,"layers":2,"dropout":0.0,"batch":2,"length":3,"characters":"\\n\\"é"}',
  );
  const rnn = { cell: "gru_reset_after", inputSize: 32, hiddenSize: 8, layers: 2, dropout: 0.1 };
  assert.deepEqual(modelConfig(description, 4), { symbols: 4, rnn, outputs: 4, dropout: 0.1 });
});

test("a cell has the library's name, whatever its capitals, or the short one of its usual form", () => {
  const named = (cell) => fromNotes({ char_lm: JSON.stringify({ ...description, cell }) }).cell;
  assert.deepEqual(["Lstm", "Gru", "elman", "li_gru"].map(named), ["lstm", "gru_reset_after", "elman_tanh", "li_gru"]);
});

test("notes that describe no model are refused, with the reason", () => {
  const refused = (notes, pattern) => assert.throws(() => fromNotes(notes), pattern);
  refused({}, /its note ‘char_lm’ is missing/);
  refused({ char_lm: "{" }, /no JSON/);
  refused({ char_lm: "null" }, /its cell is undefined/);
  for (const [change, pattern] of [
    [{ cell: "toString" }, /its cell is "toString", not one of lstm, gru_reset_after/],
    [{ hidden: 1e9 }, /its hidden is 1000000000, not a whole number from 1 to 2048/],
    [{ layers: 1.5 }, /its layers is 1\.5/],
    [{ batch: 0 }, /its batch is 0/],
    [{ length: "3" }, /its length is "3"/],
    [{ dropout: 1 }, /its dropout is 1, not from 0 to below 1/],
    [{ dropout: undefined }, /its dropout is undefined/],
    [{ characters: "" }, /no characters/],
    [{ characters: 3 }, /no characters/],
  ]) {
    refused({ char_lm: JSON.stringify({ ...description, ...change }) }, pattern);
  }
});
