// What the demo is given wrongly: each time it says what is wrong, and loses nothing.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import {
  demo, fill, headerOf, numberOf, offer, pause, saved, says, small, start, stateOf, textOf, trained, withHeader,
} from "./demo.mjs";

const { test } = demo();
const line = "The naïve cat sat on the mat. ";

/** A start that is refused, with the focus where the fault is. */
async function refused(page, id, error, pattern) {
  await page.click("#train-toggle");
  await says(page, error, pattern);
  await page.locator(`#${id}:focus`).waitFor();
  await stateOf(page, "train", "empty", "paused");
}

test("a text that is empty or too short is not trained on, one that is long enough is", async (open) => {
  const page = await open("?device=cpu#train");
  await page.check("#train-text-own");
  await refused(page, "train-text", "train-text-error", /^There is no text yet: paste one, or open a file$/);
  await page.fill("#train-text", "short text é");
  await says(page, "train-text-summary", /^12 characters, 9 different/);
  const short = /^Too short: 12 characters, where 16 streams of 32 need 569\. Take a smaller batch or length\.$/;
  await refused(page, "train-text", "train-text-error", short);
  assert.equal(await page.inputValue("#train-text"), "short text é");
  await fill(page, { ...small, batch: 1, length: 3, hidden: 0 });
  await refused(page, "train-hidden", "train-hidden-error", /^A whole number from 1 to 2,048$/);
  await fill(page, { hidden: 4, rate: "" });
  await refused(page, "train-rate", "train-rate-error", /^A number from 0\.000001 to 1$/);
  await fill(page, { rate: 0.01 });
  await start(page);
  await trained(page, 3);
  assert.equal(await textOf(page, "train-text-error"), "");
});

test("a file that is no text is refused, and a very large one is taken with a warning", async (open) => {
  const page = await open("?device=cpu#train");
  await page.check("#train-text-own");
  await page.fill("#train-text", line);
  await offer(page, "train-text-file", "picture.png", Buffer.from([0x89, 0x50, 0x4e, 0x47, 0xff, 0xfe, 0x80]));
  await says(page, "train-text-error", /^picture\.png is no text in UTF-8$/);
  assert.equal(await page.inputValue("#train-text"), line);
  await offer(page, "train-text-file", "large.txt", Buffer.from(line.repeat(180_000)));
  await says(page, "train-text-summary", /^5,400,000 characters, 14 different; .* A large text: reading it takes a moment\.$/);
  await fill(page, small);
  await start(page);
  await trained(page, 10);
  await pause(page);
  await page.click("#train-text-remove");
  assert.equal(await page.inputValue("#train-text"), line);
});

test("weights that are none, cut off, or another model's leave the model as it was", async (open) => {
  const page = await open("?device=cpu#train");
  const text = line.repeat(100);
  await page.check("#train-text-own");
  await page.fill("#train-text", text);
  await fill(page, small);
  await start(page);
  await trained(page, 20);
  const step = await pause(page);
  const file = await saved(page);
  const points = await page.getAttribute("#train-chart", "data-points");
  const loss = await numberOf(page, "train-loss");

  const header = headerOf(file);
  const note = JSON.parse(header.__metadata__.char_lm);
  const described = (change) => {
    const char_lm = JSON.stringify({ ...note, ...change });
    return withHeader(file, { ...header, __metadata__: { ...header.__metadata__, char_lm } });
  };
  for (const [name, bytes, pattern] of [
    ["junk", Buffer.from("no weights at all, in no way"), /safetensors/],
    ["empty", Buffer.alloc(0), /safetensors/],
    ["header cut off", file.subarray(0, 60), /safetensors/],
    ["numbers cut off", file.subarray(0, file.length - 100), /safetensors/],
    ["g2p", readFileSync(new URL("../../examples/g2p/g2p_en.safetensors", import.meta.url)), /its note ‘char_lm’ is missing/],
    ["other size", described({ hidden: 17 }), /weight_ih_l0.*expected/],
    ["other cell", described({ cell: "Gru" }), /weight_ih_l0.*expected/],
    ["unknown cell", described({ cell: "Lstn" }), /its cell is "Lstn", not one of lstm, gru_reset_after/],
  ]) {
    await offer(page, "train-load", `${name}.safetensors`, bytes);
    await says(page, "train-error", new RegExp(`^Nothing was taken from ${name}\\.safetensors: .*${pattern.source}`));
    await stateOf(page, "train", "paused");
    assert.equal(await numberOf(page, "train-step"), step, name);
    assert.equal(await numberOf(page, "train-loss"), loss, name);
    assert.equal(await page.getAttribute("#train-chart", "data-points"), points, name);
    assert.ok(await page.isHidden("#train-undo"), name);
  }
  assert.equal(await page.inputValue("#train-text"), text);
  await start(page);
  await trained(page, step + 1);
  assert.equal(await textOf(page, "train-error"), "");
});

test("characters that the model has never seen are named, in a text and in a prompt", async (open) => {
  const page = await open("?device=cpu#train");
  await page.check("#train-text-own");
  await page.fill("#train-text", line.repeat(100));
  await fill(page, small);
  await start(page);
  await trained(page, 5);
  const step = await pause(page);
  await fill(page, { prompt: "cat QZ" });
  await page.click("#train-write");
  await says(page, "train-prompt-error", /^The model’s text has no ‘Q’, ‘Z’$/);
  await page.fill("#train-text", line.repeat(100) + "Where is the dog?");
  const unseen = /^The model has never seen ‘\?’, ‘W’, ‘d’, ‘g’, ‘i’, ‘r’\. Take another text, or reset\.$/;
  await refused(page, "train-text", "train-text-error", unseen);
  // What is typed is read 0.4 s later, which takes nothing back.
  await page.evaluate(() => new Promise((later) => setTimeout(later, 600)));
  assert.match(await textOf(page, "train-text-error"), unseen);
  await page.fill("#train-text", line.repeat(50));
  await start(page);
  await trained(page, step + 1);
  // What was reset comes back.
  const later = await pause(page);
  await page.click("#train-reset");
  await stateOf(page, "train", "empty");
  assert.equal(await textOf(page, "train-step"), "–");
  await page.click("#train-undo");
  await stateOf(page, "train", "paused");
  assert.equal(await numberOf(page, "train-step"), later);
});

test("words that can't be pronounced are left out by name", async (open) => {
  const page = await open("?device=cpu#phonemes");
  await stateOf(page, "phonemes", "done");
  await page.fill("#phonemes-words", `naïve 42 hello, “World” ${"a".repeat(60)}`);
  await says(page, "phonemes-words-error", /Left out: 42 \(no letter from a to z\)\. Left out: a+… \(more than 50 letters\)\./);
  assert.match(await textOf(page, "phonemes-words-error"), /other characters, in naïve, are read as an unknown letter\.$/);
  await page.locator("#phonemes-table tr[data-word=World]").waitFor();
  const words = await page.$$eval("#phonemes-table tr[data-word]", (rows) => rows.map((row) => row.dataset.word));
  assert.deepEqual(words, ["naïve", "hello", "World"]);
  await page.fill("#phonemes-words", "  ");
  await says(page, "phonemes-words-error", /^Write some words\.$/);
});
