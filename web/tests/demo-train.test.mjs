// The demo's character model: it learns, writes, and goes on from what it saved.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { count, demo, fill, headerOf, numberOf, offer, pause, saved, says, small, start, stateOf, trained } from "./demo.mjs";

const { test } = demo();
const sampleText = readFileSync(new URL("../../examples/training/data/char_lm/text.txt", import.meta.url), "utf8");
const characters = [...new Set(sampleText)];

/** Waits for so many samples that are written to their end. */
const samples = (page, count) => page.locator("#train-samples li:not(.writing)").nth(count - 1).waitFor();

async function toDevice(page, kind) {
  // Its label is what is seen.
  await page.check(`#device-${kind}`, { force: true });
  await page.locator(`#device-status[data-state=ready][data-kind=${kind}]`).waitFor();
}

for (const device of ["gpu", "cpu"]) {
  test(`100 steps on the ${device} learn something, and it writes`, async (open, t) => {
    const page = await open(`?device=${device}#train`);
    await says(page, "train-text-summary", /^370,060 characters, 66 different; the last tenth is held out\.$/);
    await fill(page, small);
    await page.evaluate(() => {
      const loss = document.getElementById("train-loss");
      window.losses = [];
      const hear = () => "value" in loss.dataset && window.losses.push(Number(loss.dataset.value));
      new MutationObserver(hear).observe(loss, { childList: true });
    });
    await start(page);
    await trained(page, 100);
    // The first one shows what it writes before it has learnt anything.
    await samples(page, 3);
    const losses = await page.evaluate(() => window.losses);
    t.diagnostic(`${losses[0].toFixed(2)} to ${losses.at(-1).toFixed(2)} bits per character`);
    const guessing = Math.log2(characters.length);
    assert.ok(Math.abs(losses[0] - guessing) < 0.2 && losses.at(-1) < losses[0] - 1, `${losses}`);
    assert.ok((await numberOf(page, "train-held-out")) < 0.75 * guessing);
    assert.ok((await numberOf(page, "train-speed")) > 0);

    const stopped = await pause(page);
    const { points, heldOutPoints } = await page.locator("#train-chart").evaluate(({ dataset }) => ({ ...dataset }));
    assert.equal(Number(points), await page.evaluate(() => window.losses.length));
    assert.ok(points > 3 && heldOutPoints >= 2, `${points}, ${heldOutPoints}`);
    const label = await page.getAttribute("#train-chart", "aria-label");
    assert.match(label, new RegExp(`training from .* at step ${count(stopped)}; held out .* at step [\\d,]+[05]0$`));
    const written = await page.getByTestId("sample").last().textContent();
    assert.equal(written.length, 300);
    assert.ok([...written].every((character) => characters.includes(character)), written);

    // A sample that is asked for is no training.
    const before = await page.getByTestId("sample").count();
    await fill(page, { prompt: "MACBETH" });
    await page.click("#train-write");
    await samples(page, before + 1);
    assert.match(await page.getByTestId("sample").first().textContent(), /^MACBETH[^]{300}$/);
    assert.equal(await numberOf(page, "train-step"), stopped);
    await start(page);
    await trained(page, stopped + 1);
    assert.ok((await pause(page)) > stopped);
  });
}

test("the page goes on with its own work while its GPU trains", async (open, t) => {
  const page = await open("?device=gpu#train");
  await fill(page, { ...small, every: 20 });
  await start(page);
  await trained(page, 1);
  // Timers and frames: what scripts and what the eye wait for.
  const [task, frame] = await page.evaluate(async () => {
    const step = () => Number(document.getElementById("train-step").dataset.value);
    const until = step() + 60;
    const longest = async (next) => {
      let [most, last] = [0, performance.now()];
      while (step() < until) {
        await new Promise(next);
        const now = performance.now();
        [most, last] = [Math.max(most, now - last), now];
      }
      return most;
    };
    return Promise.all([longest((next) => setTimeout(next)), longest(requestAnimationFrame)]);
  });
  t.diagnostic(`longest wait: ${task.toFixed(0)} ms between tasks, ${frame.toFixed(0)} ms between frames`);
  // SwiftShader takes all of the processors; a page that computed itself would stand still for the whole of it.
  assert.ok(task < 1000 && frame < 2000, `${task} ms, ${frame} ms`);
});

test("what is saved is the example's file, and goes on from its step on any device", async (open) => {
  const page = await open("?device=gpu#train");
  await fill(page, { ...small, hidden: 12, batch: 3, length: 20, layers: 2, rate: 0.02 });
  await page.selectOption("#train-cell", "gru_reset_after");
  await start(page);
  await trained(page, 50);
  const step = await pause(page);
  const file = await saved(page);
  await says(page, "train-note", new RegExp(`^Saved at step ${count(step)}: .* kB`));
  const { __metadata__: notes, ...tensors } = headerOf(file);
  // The fields of `Description` in examples/training/common/data/char_lm.rs, as demo-text.test.mjs compares them.
  assert.deepEqual(JSON.parse(notes.char_lm), {
    cell: "gru_reset_after",
    hidden: 12,
    layers: 2,
    dropout: 0,
    batch: 3,
    length: 20,
    characters: characters.sort().join(""),
  });
  assert.ok(Object.keys(tensors).length > 10);

  const other = await open("?device=cpu#train");
  await offer(other, "train-load", "mine.safetensors", file);
  await stateOf(other, "train", "paused");
  const trainedFor = `trained for ${count(step)} steps\\.`;
  await says(other, "train-status", new RegExp(`^mine\\.safetensors: GRU, 12 hidden units, 2 layers, ${trainedFor}`));
  for (const [name, value] of Object.entries({ cell: "gru_reset_after", hidden: "12", layers: "2", batch: "3", length: "20" })) {
    assert.equal(await other.inputValue(`#train-${name}`), value);
  }
  assert.equal(await numberOf(other, "train-step"), step);
  // It goes along to another device before it took a step here.
  await toDevice(other, "gpu");
  await stateOf(other, "train", "paused");
  assert.equal(await numberOf(other, "train-step"), step);
  await start(other);
  await trained(other, step + 1);
  const loss = await numberOf(other, "train-loss");
  assert.ok(loss < Math.log2(characters.length) - 0.5, `${loss}, as of a new model`);
  // On the same device, and back to what was there before.
  const later = await pause(other);
  await offer(other, "train-load", "mine.safetensors", file);
  await says(other, "train-undo", new RegExp(`^Undo: back to the model at step ${count(later)}$`));
  assert.equal(await numberOf(other, "train-step"), step);
  await other.click("#train-undo");
  await says(other, "train-status", new RegExp(`^Back at step ${count(later)}\\.$`));
});

test("training goes from device to device while it runs", async (open) => {
  const page = await open("?device=cpu#train");
  await fill(page, small);
  await start(page);
  await trained(page, 20);
  await toDevice(page, "gpu");
  await stateOf(page, "train", "running");
  const step = await numberOf(page, "train-step");
  assert.ok(step >= 20);
  await trained(page, step + 5);
  assert.ok(await page.isHidden("#gpu-notice"));
});

test("two clicks start one training, which a third one ends", async (open) => {
  const page = await open("?device=cpu#train");
  await fill(page, small);
  const clickTwice = () => page.locator("#train-toggle").evaluate((button) => [1, 2].forEach(() => button.click()));
  for (const begin of [0, 1]) {
    await clickTwice();
    await trained(page, ((await numberOf(page, "train-step")) || 0) + 10);
    const step = await pause(page);
    // What else there was would take another step before it writes.
    const written = await page.getByTestId("sample").count();
    await page.click("#train-write");
    await samples(page, written + 1);
    assert.equal(await numberOf(page, "train-step"), step, begin ? "resumed" : "started");
  }
});

test("two pages train at once", async (open) => {
  const pages = [await open("?device=gpu#train")];
  pages.push(await open("?device=gpu#train", { context: pages[0].context() }));
  for (const [at, page] of pages.entries()) await fill(page, { ...small, hidden: 16 + at });
  for (const page of pages) await start(page);
  for (let step = 10; step <= 30; step += 10) await Promise.all(pages.map((page) => trained(page, step)));
  for (const [at, page] of pages.entries()) {
    assert.ok((await pause(page)) >= 30);
    assert.equal(await page.inputValue("#train-hidden"), `${16 + at}`);
  }
});

test("a page that is hidden trains on, and says so when it is back", async (open) => {
  const page = await open("?device=cpu#train");
  await fill(page, small);
  await start(page);
  await trained(page, 20);
  // As browsers do it: no frames, and the clock goes on. Here a minute goes by at once.
  await page.evaluate(() => {
    const [frame, now, frames] = [requestAnimationFrame, performance.now.bind(performance), []];
    let hidden = true;
    Object.defineProperty(document, "hidden", { get: () => hidden });
    window.requestAnimationFrame = (work) => (hidden ? frames.push(work) : frame(work));
    window.comeBack = () => {
      hidden = false;
      performance.now = () => now() + 60_000;
      document.dispatchEvent(new Event("visibilitychange"));
      for (const work of frames.splice(0)) frame(work);
    };
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await trained(page, (await numberOf(page, "train-step")) + 100);
  await page.evaluate(() => window.comeBack());
  await says(page, "train-note", /^While this page was hidden, for \d+ min \d+ s, training went on: [\d,]+ steps\.$/);
  await trained(page, (await numberOf(page, "train-step")) + 1);
});
