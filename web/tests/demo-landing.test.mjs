// What a visitor sees first: training that began by itself, and the links that lead further.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { demo, fill, numberOf, pause, pictures, says, small, start, stateOf, textOf, trained } from "./demo.mjs";
import * as wgrnn from "../pkg/node.js";
import { CELLS } from "../demo/checkpoint.js";

const { test } = demo();
const sampleText = readFileSync(new URL("../../examples/training/data/char_lm/text.txt", import.meta.url), "utf8");

/** Hides the page from its own point of view, or shows it again. */
const hide = (page, hidden) =>
  page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);

test("the page lands on training that runs by itself, and within half a minute it writes words", async (open, t) => {
  const began = performance.now();
  const page = await open("", { lands: true });
  assert.equal(await page.locator("[role=tab][aria-selected=true]").getAttribute("id"), "tab-train");
  await stateOf(page, "train", "running");
  await says(page, "train-status", /^Training on the CPU, in WebAssembly\./);
  await says(page, "train-text-summary", /^370,060 characters/);
  await trained(page, 600);
  const seconds = (performance.now() - began) / 1000;
  t.diagnostic(`${seconds.toFixed(1)} s to step 600`);
  assert.ok(seconds < 30, `${seconds} s`);
  const words = new Set(sampleText.toLowerCase().match(/[a-z]{3,}/g));
  const share = (text) => {
    const found = text.toLowerCase().match(/[a-z]{3,}/g) ?? [];
    return found.filter((word) => words.has(word)).length / Math.max(found.length, 1);
  };
  await page.locator("#train-samples li:not(.writing)").nth(3).waitFor();
  const texts = await page.getByTestId("sample").allTextContents();
  const [first, last] = [share(texts.at(-1)), share(texts[1])];
  t.diagnostic(`${(100 * first).toFixed(0)} % and ${(100 * last).toFixed(0)} % of the words are in the text`);
  // Of letters drawn alike hardly any three make a word; after 400 steps every third word or so is one.
  assert.ok(first < 0.1 && last > 0.25, `${first}, ${last}: ${texts[1]}`);
  // One click stops it, and it stays so.
  const step = await pause(page);
  await hide(page, true);
  await hide(page, false);
  await page.waitForTimeout(300);
  await stateOf(page, "train", "paused");
  assert.equal(await numberOf(page, "train-step"), step);
});

test("training that began by itself rests while the page or the panel is hidden", async (open) => {
  const page = await open("?device=cpu", { lands: true });
  await trained(page, 20);
  for (const [away, back] of [
    [() => hide(page, true), () => hide(page, false)],
    [() => page.click("#tab-phonemes"), () => page.click("#tab-train")],
  ]) {
    await away();
    await stateOf(page, "train", "paused");
    const step = await numberOf(page, "train-step");
    assert.match(await textOf(page, "train-status"), /^Resting at step [\d,]+ until it is looked at\.$/);
    await page.waitForTimeout(300);
    assert.equal(await numberOf(page, "train-step"), step);
    await back();
    await stateOf(page, "train", "running");
    await trained(page, step + 20);
  }
  // What a click began does not rest.
  await pause(page);
  await start(page);
  await page.click("#tab-phonemes");
  await trained(page, (await numberOf(page, "train-step")) + 50);
  assert.equal(await page.getAttribute("#train", "data-state"), "running");
});

test("training that nobody asked for pauses after ten minutes", async (open) => {
  const page = await open("?device=cpu", { lands: true });
  await trained(page, 5);
  await page.evaluate(() => {
    const now = performance.now.bind(performance);
    performance.now = () => now() + 600_000;
  });
  await stateOf(page, "train", "paused");
  await says(page, "train-note", /^Training that began by itself pauses after ten minutes\. Resume goes on\.$/);
  const step = await numberOf(page, "train-step");
  await start(page);
  await trained(page, step + 20);
});

test("a page that is hidden from the beginning trains only once it is seen", async (open) => {
  const prepare = (page) =>
    page.addInitScript(() => Object.defineProperty(document, "hidden", { configurable: true, get: () => true }));
  const page = await open("?device=cpu", { lands: true, prepare });
  await page.waitForTimeout(500);
  await stateOf(page, "train", "empty");
  await hide(page, false);
  await trained(page, 5);
});

test("the page offers every cell of the library, and trains each", async (open) => {
  await wgrnn.default();
  assert.deepEqual(Object.keys(CELLS).sort(), [...wgrnn.cellNames()].sort());
  const page = await open("?device=cpu#train");
  await fill(page, { ...small, hidden: 8, every: 1000 });
  const offered = await page.locator("#train-cell option").evaluateAll((all) => all.map(({ value }) => value));
  assert.deepEqual(offered, Object.keys(CELLS));
  await page.selectOption("#train-cell", offered[0]);
  await start(page);
  for (const cell of offered) {
    await page.selectOption("#train-cell", cell);
    if (await page.isVisible("#train-anew")) {
      await page.click("#train-anew");
      await page.locator("#train-anew").waitFor({ state: "hidden" });
      await stateOf(page, "train", "running");
    }
    await trained(page, 20);
    assert.equal(await page.inputValue("#train-cell"), cell);
    assert.ok((await numberOf(page, "train-loss")) < Math.log2(66), cell);
    await says(page, "inside-value", /^Unit \d after .*, character 1 of 160: −?\d\.\d{3}$/);
  }
});

test("another network takes the place of the one that trains, and Undo brings that back", async (open) => {
  const page = await open("?device=cpu#train");
  await fill(page, small);
  await start(page);
  await trained(page, 30);
  await page.selectOption("#train-cell", "min_gru");
  await fill(page, { hidden: 0 });
  await page.click("#train-anew");
  await says(page, "train-hidden-error", /^A whole number from 1 to 2,048$/);
  await page.locator("#train-hidden:focus").waitFor();
  await stateOf(page, "train", "running");
  // Pause and Resume are about the one that there is.
  const step = await pause(page);
  await start(page);
  await trained(page, step + 1);
  await fill(page, { hidden: 12 });
  await page.click("#train-anew");
  await page.locator("#train-anew").waitFor({ state: "hidden" });
  await trained(page, 10);
  await pause(page);
  assert.deepEqual([await page.inputValue("#train-cell"), await page.inputValue("#train-hidden")], ["min_gru", "12"]);
  await says(page, "train-undo", /^Undo: back to the model at step [\d,]+$/);
  await page.click("#train-undo");
  await stateOf(page, "train", "paused");
  assert.deepEqual([await page.inputValue("#train-cell"), await page.inputValue("#train-hidden")], ["lstm", "16"]);
  assert.ok((await numberOf(page, "train-step")) > step);
});

test("the code for a page of one's own is copied, and runs as it stands", async (open) => {
  const permissions = ["clipboard-read", "clipboard-write"];
  const page = await open("?device=cpu#train", { permissions });
  await page.click("#own-copy");
  await says(page, "own-copy", /^Copied$/);
  const code = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(code, await page.locator("#own-code").textContent());
  const own = await page.context().newPage();
  await own.route(/\/own\.html$/, (route) => route.fulfill({ contentType: "text/html", body: `<!doctype html><body>${code}` }));
  await own.goto(new URL("/own.html", page.url()).href);
  await own.getByText(/^10,3,32 on .+/).waitFor();
  // Links lead to the project's own places, and to what lies beside the page.
  const links = await page.locator(".links a").evaluateAll((all) => all.map(({ href }) => href));
  assert.equal(links.length, 6);
  for (const link of links) {
    const { origin, pathname } = new URL(link);
    if (origin === new URL(page.url()).origin) assert.equal((await page.request.get(link)).status(), 200, link);
    else assert.ok(/^https:\/\/(github\.com|docs\.rs)$/.test(origin) && pathname.startsWith("/wgrnn"), link);
  }
});

test("a text of one's own is learnt by two clicks, while the sample is", async (open) => {
  const page = await open("?device=cpu", { lands: true });
  await trained(page, 20);
  await page.check("#train-text-own");
  await page.fill("#train-text", "ab ba abba. ".repeat(200));
  await says(page, "train-text-summary", /^2,400 characters, 4 different/);
  await page.click("#train-anew");
  await page.locator("#train-anew").waitFor({ state: "hidden" });
  await stateOf(page, "train", "running");
  await trained(page, 100);
  assert.match(await page.getByTestId("sample").first().textContent(), /^[ab .]+$/);
  assert.ok((await numberOf(page, "train-loss")) < 2);
  await pause(page);
  await page.click("#train-undo");
  await says(page, "train-status", /^Back at step /);
});

for (const width of [1280, 360]) {
  test(`the landing fits into a window ${width} pixels wide, Start above the settings`, async (open, t) => {
    const page = await open("?device=cpu", { lands: true, viewport: { width, height: 800 } });
    await page.locator("#inside[data-state=shown]").waitFor();
    await page.locator("#train-samples li:not(.writing)").nth(1).waitFor();
    await pause(page);
    await pictures(page, t, "landing", { widths: [width], visible: ["#train-toggle", "#inside-canvas", "#inside-text"] });
    const top = async (id) => (await page.locator(`#${id}`).boundingBox()).y;
    const [toggle, settings] = [await top("train-toggle"), await top("train-form")];
    assert.ok(toggle < settings, `${toggle}, ${settings}`);
    // What learns is seen without scrolling.
    assert.ok(toggle < 800, `${toggle}`);
    if (width < 500) assert.ok((await top("train-samples")) < settings);
  });
}
