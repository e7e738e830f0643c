// The demo's pretrained models.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { demo, offer, says, stateOf, textOf } from "./demo.mjs";

const { test } = demo();
const { segments } = JSON.parse(readFileSync(new URL("../../tests/fixtures/vad_speech.json", import.meta.url), "utf8"));
const RATE = 16_000;

for (const device of ["gpu", "cpu"]) {
  test(`words become phonemes on the ${device}`, async (open) => {
    const page = await open(`?device=${device}#phonemes`);
    await stateOf(page, "phonemes", "done", "failed");
    await page.fill("#phonemes-words", "recurrent networks");
    await page.click("#phonemes-run");
    await says(page, "phonemes-status", /^2 words in /);
    const rows = await page.$$eval("#phonemes-table tr[data-word]", (rows) =>
      rows.map((row) => [row.dataset.word, row.dataset.phonemes, row.cells[1].textContent.trim()]),
    );
    const expected = { recurrent: "R IH0 K ER1 AH0 N T", networks: "N EH1 T W ER2 K S" };
    assert.deepEqual(rows, Object.entries(expected).map(([word, phonemes]) => [word, phonemes, phonemes]));
  });

  test(`speech is found on the ${device} where the model's own library finds it`, async (open) => {
    const page = await open(`?device=${device}#speech`);
    await page.click("#speech-sample");
    await stateOf(page, "speech", "done", "failed");
    const found = await page.$$eval("#speech-segments button", (buttons) =>
      buttons.map((button) => {
        const [start, end] = [button.dataset.start, button.dataset.end].map(Number);
        // Without what is heard in it, which comes later.
        return [start, end, ["span", "small"].map((part) => button.querySelector(part).textContent).join("")];
      }),
    );
    const seconds = (samples) => (samples / RATE).toFixed(2);
    const expected = segments.map(([start, end]) => {
      return [start / RATE, end / RATE, `${seconds(start)} – ${seconds(end)} s${seconds(end - start)} s`];
    });
    assert.deepEqual(found, expected);
    const spoken = segments.reduce((sum, [start, end]) => sum + end - start, 0);
    const status = await textOf(page, "speech-status");
    assert.ok(status.startsWith(`${seconds(spoken)} s of speech in 5 segments, of 11.03 s; found in `), status);
  });
}

test("a segment is played, and all of it, until it is stopped", async (open) => {
  const page = await open("?device=cpu#speech");
  await page.click("#speech-sample");
  await stateOf(page, "speech", "done", "failed");
  const segment = page.locator("#speech-segments button").nth(2);
  const [pressed, seconds] = await segment.evaluate(async (button) => {
    const [pressed, begin] = [[], performance.now()];
    await new Promise((ended) => {
      const hear = () => pressed.push(button.ariaPressed) === 2 && ended();
      new MutationObserver(hear).observe(button, { attributeFilter: ["aria-pressed"] });
      button.click();
    });
    return [pressed, (performance.now() - begin) / 1000];
  });
  assert.deepEqual(pressed, ["true", "false"]);
  assert.ok(seconds > 0.9 * ((segments[2][1] - segments[2][0]) / RATE), `${seconds} s`);
  await page.click("#speech-play");
  await says(page, "speech-play", /^Stop$/);
  await page.click("#speech-play");
  await says(page, "speech-play", /^Play all$/);
  await page.locator("#speech-playhead").waitFor({ state: "hidden" });
});

test("a file that is no audio is refused, and takes nothing away", async (open) => {
  const page = await open("?device=cpu#speech");
  await offer(page, "speech-file", "empty.wav", Buffer.alloc(0));
  await says(page, "speech-error", /^‘empty\.wav’ is empty\.$/);
  await stateOf(page, "speech", "failed");
  await page.click("#speech-sample");
  await stateOf(page, "speech", "done");
  assert.equal(await textOf(page, "speech-error"), "");
  await offer(page, "speech-file", "notes.mp3", Buffer.from("la la la"));
  await says(page, "speech-error", /^‘notes\.mp3’ is no audio that this browser can decode\.$/);
  await stateOf(page, "speech", "done");
  assert.equal(await page.locator("#speech-segments button").count(), segments.length);
});
