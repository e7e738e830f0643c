// Decoding in a browser: beam search, and the labels of CTC.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser } from "./common.mjs";

const { run } = browser();

/** The same texts in the same order, with numbers that are near. */
const same = (got, expected, name) => {
  const texts = (all) => all.map((sequence) => sequence.map(({ tokens }) => tokens));
  assert.deepEqual(texts(got), texts(expected), name);
  const near = (a, b) => Math.abs(a - b) <= 2e-5 * Math.max(1, Math.abs(b));
  got.forEach((sequence, n) => sequence.forEach(({ score, logProbability }, i) => {
    const right = expected[n][i];
    assert.ok(near(logProbability, right.logProbability), `${name}: ${logProbability}, ${right.logProbability}`);
    assert.ok(near(score, right.score ?? right.logProbability), `${name}: ${score}`);
  }));
};

for (const device of ["gpu", "cpu"]) {
  test(`a beam search on the ${device} finds the texts of a plain loop in float64, run for run`, async () => {
    const found = {};
    for (const [name, options] of Object.entries({ usual: {}, greedy: { beams: 1 }, wide: { beams: 9, alpha: 1.5 } })) {
      const { rows, got, expected } = await run("decoding", "beams", device, options);
      assert.equal(rows, 2 * (options.beams ?? 4));
      assert.deepEqual(expected.map((texts) => texts.length), Array(2).fill(rows / 2), name);
      for (const each of got) same(each, expected, name);
      found[name] = expected;
    }
    // The two sequences differ, and so do the searches.
    assert.notDeepEqual(found.usual[0], found.usual[1]);
    assert.notDeepEqual(found.usual[0].map(({ tokens }) => tokens), found.wide[0].slice(0, 4).map(({ tokens }) => tokens));
  });

  test(`labels of CTC on the ${device} are those of all alignments, and of the best one`, async () => {
    const found = await run("decoding", "labels", device);
    assert.deepEqual(Object.keys(found), ["path", "prefixes", "whole"]);
    for (const [name, { got, host, expected }] of Object.entries(found)) {
      same(got, expected, name);
      assert.deepEqual(host, got, name);
    }
    // Texts of none to four labels, with a step for each label and for each blank between two equal ones.
    assert.equal(found.prefixes.got[0].length, 1 + 2 + 4 + 6 + 2);
  });
}

test("what is wrong with a decoding is named", async () => {
  const { after, ...messages } = await run("decoding", "errors");
  const expected = {
    beams: /^beams of a beam search: expected from 1 to 256, got 0$/,
    many: /^beams of a beam search: expected from 1 to 256, got 257$/,
    half: /^options of a beam search: beams: expected a whole number .*got 1\.5$/,
    steps: /^steps of a beam search: expected at least 1, got 0$/,
    endless: /^tensor shape: expected .*got \[4294967295, 3\]$/,
    alpha: /^alpha of a beam search: expected a finite number, got NaN$/,
    missing: /^options of a beam search: 'steps' is missing$/,
    none: /^options of a beam search: 'start' is missing$/,
    unknown: /^options of a beam search: unknown option 'beam', expected some of start, end, steps, beams, alpha$/,
    batch: /^sequences of a beam search: expected at least 1, .*got 0$/,
    huge: /^sequences of a beam search: expected at least 1, .*got 4294967295$/,
    negative: /^batch: expected a whole number .*got -1$/,
    rows: /^logits of a beam search: expected shape \[6, 4\], got \[5, 4\]$/,
    end: /^end token of a beam search: expected less than 1, .*got 1$/,
    start: /^start token of a beam search: expected less than 4, .*got 9$/,
    tokens: /^logits of a beam search: expected numbers/,
    axes: /^logits of a beam search: expected shape \[6, tokens\], got \[24\]$/,
    value: /^logits: expected a Value, got 3$/,
    tape: /^tape: expected a Tape, got an object \(Value\)$/,
    foreign: /^beams .*belongs to another plan/,
    early: /^beams to follow: expected those after Beams\.advance, got those at the start$/,
    earlyState: /^beams to follow: expected those after Beams\.advance, got those at the start$/,
    follow: /^value that follows beams: expected shape \[6, \.\.\.\], got \[5, 4\]$/,
    state: /^batch of a state that follows beams: expected 6, got 5$/,
    foreignState: /^beams .*belongs to another plan/,
    over: /^step of a beam search: expected one of 2, for which it was made, got 3$/,
    ctcBeams: /^beams of CTC decoding: expected from 1 to 256, got 0$/,
    blank: /^blank of CTC decoding: expected a class, less than 3, got 3$/,
    ctcAxes: /^logits of CTC decoding: expected shape \[T, N, C\], got \[6, 4\]$/,
    lengths: /^lengths of CTC decoding: expected shape \[2\], got \[3\]$/,
    numbers: /^lengths of CTC decoding: expected indices/,
    noValue: /^lengths: expected a Value, got an array of 2$/,
    view: /^logits of CTC decoding: expected elements one after the other, which Tape\.contiguous makes of a view/,
    ctcOption: /^options of CTC decoding: unknown option 'alpha', expected some of beams, blank$/,
    hostLogits: /^logits: expected \{data: Float32Array, .*got an array of 2$/,
    hostAxes: /^logits of CTC decoding: expected shape \[T, N, C\], got \[2\]$/,
    hostLength: /^length of sequence 1 of CTC decoding: expected at most 4, the steps of the logits, got more$/,
    hostLengths: /^lengths of CTC decoding: expected shape \[2\], got \[1\]$/,
    hostNumber: /^lengths\[1\]: expected a whole number .*got 0\.5$/,
    hostBlank: /^blank of CTC decoding: expected a class, less than 3, got 7$/,
    hostBeams: /^beams of CTC decoding: expected from 1 to 256, got 300$/,
    device: /^device: expected a Device, got an object \(Tape\)$/,
    ended: /^the tape has ended/,
  };
  assert.deepEqual(Object.keys(messages), Object.keys(expected));
  for (const [name, pattern] of Object.entries(expected)) assert.match(messages[name], pattern, name);
  const rust = /::|usize|u64|i32|null pointer|instance of|PlanBuilder|`|[a-z]_[a-z]/;
  for (const [name, message] of Object.entries(messages)) assert.doesNotMatch(message, rust, name);
  assert.equal(after, 2);
});
