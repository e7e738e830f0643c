// What the demo's heat map shows: the hidden units' values, and the cell that is pointed at.
import assert from "node:assert/strict";
import { test as plainTest } from "node:test";
import * as wgrnn from "../pkg/node.js";
import { liveliest, tint } from "../demo/heatmap.js";
import { Vocabulary } from "../demo/text.js";
import { Training } from "../demo/training.js";
import { demo, fill, numberOf, pause, small, start, stateOf, textOf, trained } from "./demo.mjs";

const { test } = demo();
const text = "the cat sat on the mat and the rat. ".repeat(40);

plainTest("what is shown is the layers' output, character by character", async () => {
  await wgrnn.default();
  const device = await wgrnn.Device.cpu();
  for (const cell of ["lstm", "gru_reset_after", "slstm", "min_gru"]) {
    const hidden = 6;
    const characters = Vocabulary.of(text).text();
    const description = { cell, hidden, layers: 2, dropout: 0, batch: 2, length: 8, characters };
    const training = new Training(wgrnn, device, description, 0.02);
    training.read(text);
    await training.slice(5);
    // Longer than what is read at once.
    const written = "the rat sat on the cat and the mat sat";
    const { values, units, parts } = await training.inside(written, 1, "h");
    assert.equal(units, hidden);
    assert.deepEqual(parts, cell === "lstm" ? ["h", "c"] : ["h"], cell);

    const file = wgrnn.Arrays.fromBytes(await training.checkpoint());
    const { data, shape } = file.get("embedding.weight");
    const width = shape[1];
    const indices = [...Vocabulary.of(text).indices(written)];
    const x = Float32Array.from(indices.flatMap((index) => [...data.subarray(index * width, (index + 1) * width)]));
    const config = { cell, inputSize: width, hiddenSize: hidden, layers: 2 };
    const named = new Map(file.names().filter((name) => name.startsWith("rnn.")).map((name) => [name.slice(4), file.get(name)]));
    const rnn = new wgrnn.Rnn(device, config, wgrnn.RnnWeights.fromNamed(config, named));
    const { y } = await rnn.forward({ data: x, shape: [indices.length, 1, width] });
    assert.equal(y.data.length, values.length);
    // The same kernels, over one step and over all: a few roundings of 24 bits in values up to 1.
    for (const [at, value] of values.entries()) assert.ok(Math.abs(value - y.data[at]) < 1e-5, `${cell}, ${at}`);
    const lower = await training.inside(written, 0, "h");
    assert.notDeepEqual([...lower.values], [...values]);
    training.free();
  }
});

plainTest("of too many rows those are shown that vary most, in their order", () => {
  // Columns of four rows: row 1 is constant, row 2 varies most, then row 0, then row 3.
  const values = Float32Array.of(0, 5, -1, 0.1, 0.5, 5, 1, 0, 0, 5, -1, 0.1);
  assert.deepEqual(liveliest(values, 4, 3, 9), [0, 1, 2, 3]);
  assert.deepEqual(liveliest(values, 4, 3, 2), [0, 2]);
  assert.deepEqual(liveliest(values, 4, 3, 3), [0, 2, 3]);
});

plainTest("a value has the colour of its sign, and as much of it as it is large", () => {
  const colours = { cold: "blue", hot: "red", surface: "white" };
  assert.equal(tint(0, colours), "color-mix(in srgb, red 0.0%, white)");
  assert.equal(tint(-0.25, colours), "color-mix(in srgb, blue 25.0%, white)");
  assert.equal(tint(7, colours, 50), "color-mix(in srgb, red 50.0%, white)");
});

/** A page with a paused model and its picture. */
async function pictured(open, settings = {}, options = {}) {
  const page = await open("?device=cpu#train", options);
  if (await page.isHidden("#train-hidden")) await page.click("#train-network summary");
  await fill(page, { ...small, every: 20, ...settings });
  await start(page);
  await trained(page, 25);
  await pause(page);
  await stateOf(page, "inside", "shown");
  return page;
}

/** What the picture says: { unit, character, value }. */
async function said(page) {
  const [, unit, at] = (await textOf(page, "inside-value")).match(/^Unit (\d+) after .*, character (\d+) of 160: /);
  return { unit: Number(unit), character: Number(at), value: await numberOf(page, "inside-value") };
}

test("mouse, finger, keys and sliders choose the unit and the character", async (open) => {
  const page = await pictured(open, {}, { hasTouch: true });
  const { width, height } = await page.locator("#inside-canvas").boundingBox();
  const cell = { width: width / 160, height: (height - 18) / small.hidden };
  const place = (unit, character) => ({ x: (character - 0.5) * cell.width, y: 18 + (unit + 0.5) * cell.height });
  await page.locator("#inside-canvas").hover({ position: place(3, 10) });
  let now = await said(page);
  assert.deepEqual([now.unit, now.character], [3, 10]);
  await page.locator("#inside-canvas").tap({ position: place(5, 2) });
  now = await said(page);
  assert.deepEqual([now.unit, now.character], [5, 2]);
  await page.focus("#inside-map");
  for (const key of ["ArrowDown", "ArrowRight", "ArrowRight"]) await page.keyboard.press(key);
  now = await said(page);
  assert.deepEqual([now.unit, now.character], [6, 4]);
  await page.keyboard.press("End");
  now = await said(page);
  assert.deepEqual([now.unit, now.character], [6, 160]);
  // What is marked is within sight.
  assert.ok(await page.locator("#inside-map").evaluate((map) => map.scrollLeft > 0 || map.scrollWidth <= map.clientWidth));
  await page.fill("#inside-unit", "0");
  await page.fill("#inside-character", "6");
  now = await said(page);
  assert.deepEqual([now.unit, now.character], [0, 7]);
  assert.equal(await page.getAttribute("#inside-unit", "aria-valuetext"), "unit 0");
  assert.equal(await page.locator("#inside-text span").count(), 160);
  assert.equal(await page.locator("#inside-text span.at").count(), 1);
  assert.equal(await page.locator("#inside-text").textContent(), (await page.getByTestId("sample").first().textContent()).slice(0, 160));
});

test("layers, and h and c, are chosen; a new text waits while somebody points", async (open) => {
  const page = await pictured(open, { layers: 2 });
  await page.fill("#inside-unit", "4");
  const before = (await said(page)).value;
  await page.selectOption("#inside-part", "c");
  await page.waitForFunction((before) => Number(document.getElementById("inside-value").dataset.value) !== before, before);
  const cell = (await said(page)).value;
  await page.selectOption("#inside-layer", { value: "1" });
  await page.waitForFunction((cell) => Number(document.getElementById("inside-value").dataset.value) !== cell, cell);
  assert.equal((await said(page)).unit, 4);

  // Scrolling may have brought the map under the mouse.
  await page.mouse.move(0, 0);
  const written = await page.locator("#inside-text").textContent();
  await page.focus("#inside-map");
  await page.evaluate(() => document.getElementById("train-write").click());
  await page.locator("#train-samples li:not(.writing)").nth(2).waitFor();
  assert.equal(await page.locator("#inside-text").textContent(), written);
  await page.focus("#train-toggle");
  const newest = (await page.getByTestId("sample").first().textContent()).slice(0, 160);
  assert.notEqual(newest, written);
  await page.mouse.move(0, 0);
  await page.waitForFunction((newest) => document.getElementById("inside-text").textContent === newest, newest);
});
