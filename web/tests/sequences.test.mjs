// Empty sequences, masks, resets, packed and ragged batches in a browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser } from "./common.mjs";

const { run } = browser();
// Sums of a few dozen numbers below 1, in another order.
const close = (got, expected, name) => {
  assert.equal(got.length, expected.length, name);
  got.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) <= 2e-6, `${name}[${i}]: ${value}, ${expected[i]}`));
};

for (const device of ["gpu", "cpu"]) {
  test(`a sequence without a step keeps its state on the ${device}`, async () => {
    const { y, last, initial, none, h } = await run("sequences", "empty", device);
    assert.ok(y.length === 60 && y.every((value) => value === 0));
    assert.deepEqual(last, initial);
    assert.deepEqual(none, [[0, 3, 10], h]);
  });

  test(`masked steps and resets on the ${device} give what the steps that count give alone`, async () => {
    const found = await run("sequences", "maps", device);
    assert.equal(found.length, 11);
    found.forEach(([got, expected], i) => close(got, expected, `${i}`));
  });

  test(`packed sequences on the ${device} are as a ragged batch`, async () => {
    const { found, sizes, sorted, unsorted, shape } = await run("sequences", "packed", device);
    found.forEach(([got, expected], i) => close(got, expected, `${i}`));
    assert.deepEqual([sizes, sorted, unsorted, shape], [[3, 3, 2, 2, 1, 1], [1, 2, 0], [2, 0, 1], [12, 10]]);
  });

  test(`a model on the ${device} learns the same from packed and from padded sequences`, async () => {
    const [padded, packed] = await run("sequences", "trained", device);
    close(packed, padded, "losses");
    assert.ok(padded.at(-1) < padded[0]);
  });
}

test("maps that do not fit are refused by name", async () => {
  const messages = await run("sequences", "refused", "cpu");
  const expected = {
    mask: /^mask: expected shape \[6, 3\], got \[3, 6\]$/,
    both: /^call: expected a map or lengths, got both$/,
    reset: /^step before which sequence 1 is reset: expected less than its 6 steps, got 6$/,
    sizes: /^batch_sizes of step 1: expected from 1 to the one before it, 1, got 2$/,
    flags: /^mask: expected \{data: Uint8Array, shape: number\[\]\}/,
    to: /^state: expected "zeros" or "initial", got "one"$/,
    ragged: /^sequence 1: expected shape \[T, 3\], got \[2, 4\]$/,
    map: /^call: map: expected a SequenceMap, got 3$/
  };
  assert.deepEqual(Object.keys(messages), Object.keys(expected));
  for (const [name, pattern] of Object.entries(expected)) assert.match(messages[name], pattern, name);
});
