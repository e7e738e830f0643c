// Training in a browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser } from "./common.mjs";

const { run } = browser();
const mean = (numbers) => numbers.reduce((sum, number) => sum + number) / numbers.length;

for (const device of ["gpu", "cpu"]) {
  test(`the losses of 100 steps on the ${device} fall, and are PyTorch's`, async (t) => {
    const { got, expected } = await run("training", "losses", device, 100);
    assert.equal(got.length, 100);
    t.diagnostic(`loss ${got[0].toFixed(3)} to ${got[99].toFixed(3)}`);
    assert.ok(mean(got.slice(-10)) < 0.8 * mean(got.slice(0, 10)), `${got}`);
    // Each step rounds on what the last one left: as in the library's own test.
    got.forEach((loss, k) => assert.ok(Math.abs(loss - expected[k]) <= 2e-5 * expected[0], `${k}: ${loss}, ${expected[k]}`));
  });

  test(`steps on the ${device} need not be waited for`, async () => {
    const { mean, taken, expected } = await run("training", "means", device, 12);
    assert.equal(taken, 12);
    assert.ok(Math.abs(mean - expected) < 1e-5, `${mean}, ${expected}`);
  });

  test(`training on the ${device} goes on from a checkpoint bit by bit`, async () => {
    const { got, expected, notes, ownNotes, steps, fault } = await run("training", "resumed", device, 5, 5);
    assert.deepEqual(got, expected);
    assert.deepEqual(notes, { text: "abc" });
    assert.deepEqual(ownNotes, { text: "abc" });
    assert.equal(steps, 10);
    assert.match(fault, /safetensors/);
  });
}

test("a page goes on with its own work while its GPU trains", async (t) => {
  const { longest, each } = await run("training", "longestPause", "gpu", 30);
  t.diagnostic(`a step takes ${each.toFixed(1)} ms, the longest pause between two tasks of the page ${longest.toFixed(1)} ms`);
  // No wait for the GPU blocks: a task may be kept waiting by what records a step, not by what runs it.
  assert.ok(longest < 1000, `${longest} ms`);
});
