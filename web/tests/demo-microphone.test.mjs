// The demo's microphone: Chromium's fake one, which plays a file; and all that keeps a page from one.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { insecure } from "../tools/browser.mjs";
import { demo, offer, pictures, says, stateOf, textOf } from "./demo.mjs";

const sample = new URL("../../tests/fixtures/vad_speech.wav", import.meta.url);
const fake = ["--use-fake-device-for-media-stream", `--use-file-for-fake-audio-capture=${fileURLToPath(sample)}`];
const permissions = ["microphone"];

const withMicrophone = demo({ args: fake });

withMicrophone.test("what is said into the microphone is found as in a file", async (open, t) => {
  const page = await open("?device=cpu#speech", { permissions });
  await page.click("#speech-record");
  await says(page, "speech-status", /^Recording: speak\. Nothing of it leaves this computer\.$/);
  assert.equal(await textOf(page, "speech-record"), "Stop recording");
  // The file begins with half a second of silence, and plays again and again.
  await page.waitForFunction(() => parseFloat(document.getElementById("speech-seconds").textContent) >= 4);
  assert.ok((await page.locator("#speech-level").evaluate(({ value }) => value)) >= 0);
  await pictures(page, t, "recording", { widths: [360], visible: ["#speech-level", "#speech-seconds", "#speech-record"] });
  await page.click("#speech-record");
  await stateOf(page, "speech", "done");
  const [, spoken, all] = (await textOf(page, "speech-status")).match(/^([\d.]+) s of speech in \d+ segments?, of ([\d.]+) s;/);
  assert.ok(Number(all) >= 4 && Number(all) < 30 && Number(spoken) > 1, `${spoken} of ${all} s`);
  assert.equal(await textOf(page, "speech-name"), "The recording");
  assert.ok(await page.isHidden("#speech-live"));
  // Another one takes its place; leaving the panel ends it.
  await page.click("#speech-record");
  await page.waitForFunction(() => parseFloat(document.getElementById("speech-seconds").textContent) >= 1);
  await page.keyboard.press("Tab");
  await page.click("#tab-phonemes");
  await page.click("#tab-speech");
  await stateOf(page, "speech", "done");
  assert.equal(await textOf(page, "speech-record"), "Record");
});

withMicrophone.test("a microphone that is not allowed is said so, and files go on", async (open) => {
  const page = await open("?device=cpu#speech");
  await page.click("#speech-record");
  await says(page, "speech-error", /^The microphone is not allowed: allow it for this page, beside the address, and record again\.$/);
  await page.click("#speech-sample");
  await stateOf(page, "speech", "done");
  assert.equal(await textOf(page, "speech-error"), "");
});

withMicrophone.test("files of other rates are heard as well", async (open) => {
  const page = await open("?device=cpu#speech");
  const bytes = readFileSync(sample);
  // The same samples, said to be so many a second: the recording is longer or shorter, and its rate another one.
  for (const [rate, seconds] of [[8000, 22.06], [44100, 4.0]]) {
    const other = Buffer.from(bytes);
    other.writeUInt32LE(rate, 24);
    other.writeUInt32LE(2 * rate, 28);
    await offer(page, "speech-file", `at ${rate}.wav`, other);
    await says(page, "speech-name", new RegExp(`^at ${rate}\\.wav$`));
    const [, all] = (await textOf(page, "speech-status")).match(/, of ([\d.]+) s;/);
    assert.ok(Math.abs(Number(all) - seconds) < 0.05, `${all} s`);
  }
});

demo().test("where there is no microphone the page says what to do", async (open) => {
  const page = await open("?device=cpu#speech", { permissions });
  await page.click("#speech-record");
  await says(page, "speech-error", /^No microphone was found: connect one, or choose a file\.$/);
});

demo({ webgpu: "none" }).test("a page that is not secure has no microphone, and says why", async (open) => {
  const page = await open("?device=cpu#speech", { address: insecure });
  await page.click("#speech-record");
  await says(page, "speech-error", /^Browsers give the microphone to secure pages only: open this page by https or on localhost, or choose a file\.$/);
});
