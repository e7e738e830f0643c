// The demo's spelling of words: what it hears of them, and the words of a voice that the network did not learn from.
import assert from "node:assert/strict";
import { test as plainTest } from "node:test";
import { fileURLToPath } from "node:url";
import { BANDS, levels } from "../demo/mel.js";
import { distance, nearest } from "../demo/words.js";
import { demo, pictures, stateOf } from "./demo.mjs";

const RATE = 16_000;
const words = fileURLToPath(new URL("../../tests/fixtures/spoken_words.wav", import.meta.url));
const fake = ["--use-fake-device-for-media-stream", `--use-file-for-fake-audio-capture=${words}%noloop`];
const { test } = demo({ args: fake });

const sound = (seconds, wave) => Float32Array.from({ length: seconds * RATE }, (_, i) => wave(i / RATE));
const tone = (hertz) => (time) => 0.5 * Math.sin(2 * Math.PI * hertz * time);

plainTest("a tone is loudest in its band, silence around it is cut off, and what is fainter is a lower level", () => {
  const mel = (hertz) => 2595 * Math.log10(1 + hertz / 700);
  const centre = (band) => mel(80) + ((mel(7600) - mel(80)) * (band + 1)) / (BANDS + 1);
  for (const hertz of [200, 440, 1000, 3500, 7000]) {
    const { columns, width } = levels(sound(1, (time) => (time > 0.4 && time < 0.7 ? tone(hertz)(time) : 0)));
    const middle = columns.subarray(Math.floor(width / 2) * BANDS, Math.floor(width / 2 + 1) * BANDS);
    const loudest = middle.indexOf(Math.max(...middle));
    const nearest = Array.from({ length: BANDS }, (_, band) => Math.abs(centre(band) - mel(hertz)));
    assert.ok(Math.abs(loudest - nearest.indexOf(Math.min(...nearest))) <= 1, `${hertz}: band ${loudest}`);
    // 0.3 s are 24 frames of 200 samples; a frame's 512 samples reach beyond, and four frames are left on each side.
    assert.ok(width >= 30 && width <= 37, `${width} frames`);
    assert.ok(columns.every((level) => level >= 0 && level <= 1) && Math.abs(Math.max(...columns) - 1) < 1e-6);
  }
  // A tone of a hundredth of the amplitude is 40 of 60 decibels lower.
  const { columns, width } = levels(sound(1, (time) => (time < 0.5 ? 1 : 0.01) * tone(1000)(time)));
  const most = (frame) => Math.max(...columns.subarray(frame * BANDS, (frame + 1) * BANDS));
  assert.ok(Math.abs(most(10) - most(width - 10) - 40 / 60) < 0.01, `${most(10)}, ${most(width - 10)}`);
  assert.throws(() => levels(new Float32Array(RATE)), /it is silent/);
  assert.equal(levels(sound(0.01, tone(440))).width, 1);
});

plainTest("letters that are nearly a word mean it", () => {
  for (const [a, b, away] of [["", "", 0], ["abc", "", 3], ["kitten", "sitting", 3], ["flaw", "lawn", 2]]) {
    assert.equal(distance(a, b), away, `${a}, ${b}`);
  }
  const known = ["banana", "water", "waiter", "two"];
  assert.deepEqual(["bunanea", "wager", "banana", "tw", "xyz", ""].map((letters) => nearest(letters, known)), [
    "banana", "water", "banana", "two", undefined, undefined,
  ]);
});

const heard = (page) => page.$$eval("#speech-segments button", (all) => all.map(({ dataset }) => dataset.word));
const spelt = (page, count) => page.locator("#speech-segments button[data-word]").nth(count - 1).waitFor();

for (const device of ["cpu", "gpu"]) {
  test(`words are spelt on the ${device}`, async (open, t) => {
    const page = await open(`?device=${device}#speech`);
    await page.setInputFiles("#speech-file", words);
    await stateOf(page, "speech", "done");
    await spelt(page, 2);
    assert.deepEqual(await heard(page), ["seven", "elephant"]);
    const label = await page.locator("#speech-segments button").first().getAttribute("aria-label");
    const meant = await page.$$eval("#speech-segments button", (all) => all.map(({ dataset }) => dataset.nearest));
    assert.deepEqual(meant, ["seven", "elephant"]);
    // All of a word is to be seen.
    const cut = await page.$$eval("#speech-segments em", (all) => all.filter((it) => it.scrollWidth > it.clientWidth).length);
    assert.equal(cut, 0);
    if (device === "cpu") await pictures(page, t, "words", { visible: ["#speech-words", "#speech-segments button em"] });
    assert.match(label, /^Play \d\.\d\d to \d\.\d\d seconds: seven$/);
  });
}

test("words that are said into the microphone are spelt", async (open) => {
  const page = await open("?device=cpu#speech", { permissions: ["microphone"] });
  await page.click("#speech-record");
  await page.waitForFunction(() => parseFloat(document.getElementById("speech-seconds").textContent) >= 3);
  await page.click("#speech-record");
  await stateOf(page, "speech", "done");
  await spelt(page, 2);
  assert.deepEqual(await heard(page), ["seven", "elephant"]);
});
