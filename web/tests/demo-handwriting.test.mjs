// The demo's pad: digits are drawn with mouse and finger, or come in a picture, and are read.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test as plainTest } from "node:test";
import { ROWS, inkOf, normalise } from "../demo/ink.js";
import { written } from "../demo/strokes.js";
import { demo, headerOf, offer, pictures, says, stateOf, textOf, withHeader } from "./demo.mjs";

const { test } = demo();

const picture = (rows) => ({ ink: Float32Array.from(rows.flat()), width: rows[0].length, height: rows.length });
const column = ({ columns }, x) => [...columns.subarray(x * ROWS, (x + 1) * ROWS)];

plainTest("a line is cut to its ink, made 20 pixels high by means of areas, and put among blank pixels", () => {
  // 40 rows of ink, 6 columns: full, half, ... within a blank edge that is cut away.
  const row = [0, 1, 1, 1, 1, 1, 0.6, 0, 0];
  const line = normalise(picture([Array(9).fill(0), ...Array(40).fill(row), Array(9).fill(0.5)]));
  // 3 columns, 2 blank ones on either side, and one more for a multiple of 4.
  assert.equal(line.width, 8);
  const full = [0, 0, ...Array(20).fill(1), 0, 0];
  const blank = Array(24).fill(0);
  assert.deepEqual(column(line, 1), blank);
  assert.deepEqual(column(line, 2), full);
  assert.deepEqual(column(line, 3), full);
  // The mean of 1 and 0.6, in 32 bits.
  for (const value of column(line, 4).slice(2, 22)) assert.ok(Math.abs(value - 0.8) < 1e-6, `${value}`);
  assert.deepEqual(column(line, 5), blank);
  // A scale that is no whole number: 30 rows become 20, each the mean of one and a half.
  const odd = normalise(picture(Array.from({ length: 30 }, (_, y) => [y === 0 || y === 29 ? 1 : y % 3 === 0 ? 0.6 : 0])));
  const values = column(odd, 2).slice(2, 22);
  assert.ok(Math.abs(values[0] / values[2] - 1 / 0.6) < 1e-5 && values[1] === 0, `${values}`);
});

plainTest("a picture without ink gives no line, and one that is too long is refused", () => {
  assert.equal(normalise(picture([[0, 0.5], [0.2, 0]])), undefined);
  const long = { ink: new Float32Array(103 * 2 * 2).fill(1), width: 206, height: 2 };
  assert.throws(() => normalise(long), /the writing is 103 times as wide as high, where 102 is the most/);
  assert.equal(normalise({ ...long, ink: long.ink.subarray(0, 400), width: 200 }).width, 2004);
});

plainTest("ink is what differs from the paper, darker or lighter, also where the paper is seen through", () => {
  const pixels = (values) => ({ data: Uint8ClampedArray.from(values.flat()), width: values.length, height: 1 });
  const inks = (values) => [...inkOf(pixels(values)).ink].map((value) => Math.round(100 * value) / 100);
  const [white, black, grey, clear] = [[255, 255, 255, 255], [0, 0, 0, 255], [51, 51, 51, 255], [0, 0, 0, 0]];
  assert.deepEqual(inks([white, black, white, grey, white]), [0, 1, 0, 0.8, 0]);
  assert.deepEqual(inks([black, white, black]), [0, 1, 0]);
  assert.deepEqual(inks([clear, black, clear]), [0, 1, 0]);
  assert.equal(inkOf(pixels([white, [230, 230, 230, 255], white])), undefined);
});

const read = async (page) => (await page.getAttribute("#handwriting-text", "data-text")) ?? undefined;

/** Waits until this is read; says what is read instead. */
async function reads(page, digits) {
  const now = (digits) => document.getElementById("handwriting-text").dataset.text === digits;
  await page
    .waitForFunction(now, digits, { timeout: 30_000 })
    .catch(async () => assert.fail(`it reads “${await read(page)}”, not “${digits}”: ${await textOf(page, "handwriting-error")}`));
  await stateOf(page, "handwriting", "done");
}

/** The strokes of digits in pixels of the window. */
async function paths(page, digits) {
  await page.locator("#handwriting-pad").scrollIntoViewIfNeeded();
  const { x, y, width, height } = await page.locator("#handwriting-pad").boundingBox();
  return written(digits, width / height).map((stroke) => stroke.map(([a, b]) => [x + a * height, y + b * height]));
}

async function draw(page, digits) {
  for (const [first, ...others] of await paths(page, digits)) {
    await page.mouse.move(...first);
    await page.mouse.down();
    for (const point of others) await page.mouse.move(...point, { steps: 3 });
    await page.mouse.up();
  }
}

for (const device of ["cpu", "gpu"]) {
  test(`what is drawn with the mouse is read while it is drawn, on the ${device}`, async (open) => {
    const page = await open(`?device=${device}#handwriting`);
    await stateOf(page, "handwriting", "idle");
    await draw(page, "1");
    await reads(page, "1");
    await page.click("#handwriting-clear");
    assert.ok(await page.isHidden("#handwriting-result"));
    await draw(page, "172");
    await reads(page, "172");
    await says(page, "handwriting-status", /^It reads 172: \d+ steps in /);
    // The probabilities are those of the text: every digit has its step, and the chosen one is told.
    await page.fill("#handwriting-step", "0");
    await says(page, "handwriting-value", /^Step 1 of \d+: (no digit|\d) \d+ %, (no digit|\d) \d+ %$/);
    // Without the last digit's only stroke.
    await page.click("#handwriting-undo");
    await reads(page, "17");
  });
}

test("a finger draws, and the page does not scroll under it", async (open) => {
  const page = await open("?device=cpu#handwriting", { hasTouch: true, viewport: { width: 360, height: 800 } });
  const session = await page.context().newCDPSession(page);
  const touch = (type, points) =>
    session.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([x, y]) => ({ x, y })) });
  const strokes = await paths(page, "47");
  const before = await page.evaluate(() => scrollY);
  for (const [first, ...others] of strokes) {
    await touch("touchStart", [first]);
    for (const point of others) await touch("touchMove", [point]);
    await touch("touchEnd", []);
  }
  await reads(page, "47");
  assert.equal(await page.evaluate(() => scrollY), before);
});

test("digits are written by keyboard, and read", async (open) => {
  const page = await open("?device=cpu#handwriting");
  for (const digits of ["2026", "0123456789", "88"]) {
    await page.fill("#handwriting-digits", digits);
    await page.press("#handwriting-digits", "Enter");
    await reads(page, digits);
  }
  for (const digits of ["", "12a", "1".repeat(13)]) {
    await page.fill("#handwriting-digits", digits);
    await page.press("#handwriting-digits", "Enter");
    await says(page, "handwriting-digits-error", /^Digits from 0 to 9, at most 12: 2026$/);
    assert.equal(await read(page), "88");
  }
});

/** A PNG that a function draws in the page, given a context, width and height. */
const png = async (page, width, height, code, ...values) => {
  const bytes = await page.evaluate(
    async ([width, height, code, values]) => {
      const canvas = new OffscreenCanvas(width, height);
      await new Function("context", "width", "height", "values", `return (${code})(context, width, height, ...values)`)(
        canvas.getContext("2d"),
        width,
        height,
        values,
      );
      return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];
    },
    [width, height, String(code), values],
  );
  return Buffer.from(bytes);
};

/** Digits of MNIST's that the network did not learn from, side by side, in a picture of its own size and colours. */
const line = async (context, width, height, sheet, digits, dark) => {
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${sheet}`)).blob());
  context.fillStyle = "black";
  context.fillRect(0, 0, width, height);
  const side = Math.min(height, width / digits.length);
  for (const [at, digit] of [...digits].entries()) {
    context.drawImage(image, 28 * (5 + at), 28 * (17 * Number(digit) + 15), 28, 28, at * side, (height - side) / 2, side, side);
  }
  if (!dark) return;
  context.globalCompositeOperation = "difference";
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
};

test("pictures of other sizes and colours are read", async (open) => {
  const page = await open("?device=cpu#handwriting");
  const file = new URL("../../examples/training/data/handwriting/digits.png", import.meta.url);
  const sheet = readFileSync(file).toString("base64");
  let wrong = 0;
  for (const [width, height, digits, dark] of [[84, 28, "305", false], [900, 260, "4618", true], [2000, 1500, "729", true]]) {
    await offer(page, "handwriting-file", "digits.png", await png(page, width, height, line, sheet, digits, dark));
    await says(page, "handwriting-status", /^It reads \d+: /);
    const found = await read(page);
    if (found !== digits) wrong++;
    await page.click("#handwriting-clear");
    await says(page, "handwriting-hint", /./);
  }
  // A line in twenty or so is misread; two of three are not.
  assert.ok(wrong <= 1, `${wrong} of 3 misread`);
});

test("what is no picture, has nothing on it, or is too long is refused with what to do", async (open) => {
  const page = await open("?device=cpu#handwriting");
  await page.press("#handwriting-digits", "Enter");
  await reads(page, "2026");
  const blank = (context, width, height) => context.fillRect(0, 0, width, height);
  const long = (context, width) => {
    context.fillRect(0, 5, width, 1);
  };
  for (const [name, bytes, pattern] of [
    ["empty.png", Buffer.alloc(0), /^‘empty\.png’ is empty: choose a picture of a line of digits\.$/],
    ["notes.txt", Buffer.from("la la"), /^‘notes\.txt’ is no picture that this browser can decode: take a PNG or a JPEG\.$/],
    ["blank.png", await png(page, 50, 20, blank), /^‘blank\.png’ has no writing on it: take a picture of a line of digits, /],
    ["long.png", await png(page, 400, 20, long), /^The writing is 400 times as wide as high, where 102 is the most: take a shorter line/],
  ]) {
    await offer(page, "handwriting-file", name, bytes);
    await says(page, "handwriting-error", pattern);
    await stateOf(page, "handwriting", "failed");
  }
  // The pad is as good as before.
  await page.press("#handwriting-digits", "Enter");
  await reads(page, "2026");
  assert.equal(await textOf(page, "handwriting-error"), "");
});

/** The header of a file whose second convolution reads other features than the first one gives. */
function oddHeader(file) {
  const header = headerOf(file);
  const { shape } = header["convolution.2.weight"];
  header["convolution.2.weight"].shape = [shape[0], shape[1] / 2, shape[2] * 2];
  return header;
}

test("a file that is no such network leaves the one that there is", async (open) => {
  const page = await open("?device=cpu#handwriting");
  await page.press("#handwriting-digits", "Enter");
  await reads(page, "2026");
  await page.locator("#handwriting summary").click();
  const own = readFileSync(new URL("../demo/models/handwriting.safetensors", import.meta.url));
  for (const [name, bytes, pattern] of [
    ["junk", Buffer.from("no weights at all"), /./],
    ["cut", own.subarray(0, own.length - 64), /safetensors/],
    ["speech", readFileSync(new URL("../demo/models/speech.safetensors", import.meta.url)), /‘convolution\.1\.weight’ is missing/],
    ["odd", withHeader(own, oddHeader(own)), /expected/],
    ["g2p", readFileSync(new URL("../../examples/g2p/g2p_en.safetensors", import.meta.url)), /it is no network of the lesson handwriting: ‘convolution\.1\.weight’ is missing/],
  ]) {
    await offer(page, "handwriting-weights", `${name}.safetensors`, bytes);
    const said = `^Nothing was taken from ${name}\\.safetensors: .*${pattern.source}.* Take the file that the lesson handwriting saves\\.$`;
    await says(page, "handwriting-error", new RegExp(said));
    await page.click("#handwriting-clear");
    await page.press("#handwriting-digits", "Enter");
    await reads(page, "2026");
  }
  await offer(page, "handwriting-weights", "mine.safetensors", own);
  await says(page, "handwriting-network", /^Network: mine\.safetensors\.$/);
  await reads(page, "2026");
});

test("where the network can't be fetched the page says so, and reads once it can", async (open) => {
  const missing = /\/models\/handwriting\.safetensors$/;
  const page = await open("?device=cpu#handwriting", {
    prepare: (page) => page.route(missing, (route) => route.fulfill({ status: 404, body: "404" })),
    expected: [missing],
  });
  await says(page, "handwriting-error", /handwriting\.safetensors could not be fetched \(HTTP 404\)\.$/);
  await page.unroute(missing);
  await page.press("#handwriting-digits", "Enter");
  await reads(page, "2026");
});

for (const width of [1280, 360]) {
  test(`the pad fits into a window ${width} pixels wide`, async (open, t) => {
    const page = await open("?device=cpu#handwriting", { viewport: { width, height: 800 } });
    await pictures(page, t, "handwriting-begin", { widths: [width], visible: ["#handwriting-pad", "#handwriting-hint"] });
    await page.press("#handwriting-digits", "Enter");
    await reads(page, "2026");
    const seen = ["#handwriting-pad", "#handwriting-text", "#handwriting-canvas", "#handwriting-clear"];
    await pictures(page, t, "handwriting", { widths: [width], visible: seen });
  });
}
