// The demo by keyboard, and as it looks.
import assert from "node:assert/strict";
import { demo, fill, numberOf, pause, pictures, small, start, stateOf, trained } from "./demo.mjs";

const { test } = demo();
const panels = ["train", "handwriting", "speech", "phonemes", "check"];
const focused = (page) => page.evaluate(() => document.activeElement.id);

/** Presses Tab until a control has the focus. */
async function tabTo(page, id) {
  const passed = [];
  while (passed.at(-1) !== id && passed.length < 60) {
    await page.keyboard.press("Tab");
    passed.push(await focused(page));
  }
  assert.equal(passed.at(-1), id, `passed ${passed.join(", ")}`);
}

test("panels are reached and changed by keyboard, and addresses name them", async (open) => {
  const page = await open("?device=cpu");
  const shown = async () => {
    const visible = await Promise.all(panels.map((panel) => page.isVisible(`#${panel}`)));
    const chosen = await page.locator("[role=tab][aria-selected=true]").getAttribute("id");
    return [panels.filter((_, at) => visible[at]), chosen, await focused(page), new URL(page.url()).hash];
  };
  await tabTo(page, "tab-train");
  for (const [key, panel] of [
    ["ArrowRight", "handwriting"],
    ["ArrowRight", "speech"],
    ["End", "check"],
    ["ArrowRight", "train"],
    ["ArrowLeft", "check"],
    ["Home", "train"],
  ]) {
    await page.keyboard.press(key);
    assert.deepEqual(await shown(), [[panel], `tab-${panel}`, `tab-${panel}`, `#${panel}`], key);
  }
  // One stop for all tabs: the next one is in the panel.
  await page.keyboard.press("Tab");
  assert.ok(await page.evaluate(() => document.activeElement.closest("#train") !== null));
  // What the eye follows.
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), "none");
});

test("a model is trained, paused and saved by keyboard", async (open) => {
  const page = await open("?device=cpu#train");
  await fill(page, small);
  await page.locator("#tab-train").focus();
  await tabTo(page, "train-toggle");
  await page.keyboard.press("Enter");
  await stateOf(page, "train", "running");
  await trained(page, 5);
  assert.equal(await focused(page), "train-toggle");
  await page.keyboard.press("Space");
  await stateOf(page, "train", "paused");
  await tabTo(page, "train-save");
  const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
  assert.equal(download.suggestedFilename(), "char_lm.safetensors");
  assert.ok((await numberOf(page, "train-step")) >= 5);
});

/** How many different colours a canvas shows. */
const colours = (page, selector) =>
  page.locator(selector).evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  });

for (const width of [1280, 360]) {
  test(`every panel fits into a window ${width} pixels wide`, async (open, t) => {
    const look = (page, name, ...visible) =>
      pictures(page, t, name, { widths: [width], visible: ["h1", "#device-status", "#tab-train", ...visible] });
    const page = await open("?device=gpu", { viewport: { width, height: 800 } });
    await look(page, "begin", "#train-toggle", "#train-samples");
    // On a phone the network is folded away.
    if (await page.isHidden("#train-hidden")) await page.click("#train-network summary");
    await fill(page, { ...small, every: 40, prompt: "MACBETH" });
    await start(page);
    await trained(page, 90);
    await page.locator("#train-samples li:not(.writing)").nth(1).waitFor();
    await pause(page);
    const seen = ["#train-toggle", "#train-save", "#train-loss", "#train-chart", "[data-testid=sample]", "#train-text-summary"];
    await look(page, "train", ...seen);
    assert.ok((await colours(page, "#train-chart")) > 10);

    await page.click("#tab-check");
    await look(page, "check-begin", "#check-toggle", "#check-title");

    await page.click("#tab-phonemes");
    await stateOf(page, "phonemes", "done");
    await look(page, "phonemes", "#phonemes-words", "#phonemes-run", "tr[data-word=neural]");

    await page.click("#tab-speech");
    await look(page, "speech-begin", "#speech-sample", "#speech-drop");
    await page.click("#speech-sample");
    await stateOf(page, "speech", "done");
    await look(page, "speech", "#speech-canvas", "#speech-play", "#speech-segments button");
    assert.ok((await colours(page, "#speech-canvas")) > 10);
  });
}
