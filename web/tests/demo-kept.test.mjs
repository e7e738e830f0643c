// The demo's model over a reload: kept in the browser, forgotten when asked, and what is said where that can't be.
import assert from "node:assert/strict";
import { count, demo, fill, numberOf, pause, says, small, start, stateOf, textOf, trained } from "./demo.mjs";

const { test } = demo();
const text = "A text of one's own, as long as it takes. ".repeat(40);

/** Trains an own model of an own text, and pauses: its step. */
async function trainOwn(page) {
  await page.check("#train-text-own");
  await page.fill("#train-text", text);
  await page.selectOption("#train-cell", "gru_reset_after");
  await fill(page, { ...small, every: 20 });
  await start(page);
  await trained(page, 45);
  const step = await pause(page);
  await says(page, "train-kept-text", new RegExp(`^Kept in this browser: step ${count(step)}, [\\d.]+ kB\\.$`));
  return step;
}

async function reload(page) {
  await page.reload();
  await stateOf(page, "device-status", "ready");
}

/** Puts a value into the page's database, or takes all away. */
const plant = (page, values) =>
  page.evaluate(
    (values) =>
      new Promise((resolve, reject) => {
        const request = indexedDB.open("wgrnn-demo", 1);
        request.onsuccess = () => {
          const made = request.result.transaction("kept", "readwrite");
          for (const [name, value] of Object.entries(values)) {
            const place = made.objectStore("kept");
            const before = place.get(name);
            before.onsuccess = () => {
              // A function of the value that there is can't be sent; a change of its fields can.
              if (value?.change) place.put({ ...before.result, ...value.change }, name);
              else place.put(value, name);
            };
          }
          made.oncomplete = () => resolve(request.result.close());
          made.onabort = () => reject(made.error);
        };
        request.onerror = () => reject(request.error);
      }),
    values,
  );

const keptNames = (page) =>
  page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const request = indexedDB.open("wgrnn-demo", 1);
        request.onsuccess = () => {
          const keys = request.result.transaction("kept").objectStore("kept").getAllKeys();
          keys.onsuccess = () => resolve([keys.result, request.result.close()][0]);
        };
        request.onerror = () => reject(request.error);
      }),
  );

test("a paused model is there after a reload: its text, cell, step, losses and samples, and it goes on", async (open) => {
  const page = await open("?device=cpu#train");
  const step = await trainOwn(page);
  const points = await page.getAttribute("#train-chart", "data-points");
  const samples = await page.getByTestId("sample").allTextContents();
  // What the tab itself keeps must not be what helps.
  await page.evaluate(() => sessionStorage.clear());
  await reload(page);
  await stateOf(page, "train", "paused");
  await says(page, "train-status", new RegExp(`^Here again at step ${count(step)}, as this browser kept it\\.$`));
  assert.equal(await numberOf(page, "train-step"), step);
  assert.ok(await page.isChecked("#train-text-own"));
  assert.equal(await page.inputValue("#train-text"), text);
  assert.deepEqual([await page.inputValue("#train-cell"), await page.inputValue("#train-hidden")], ["gru_reset_after", "16"]);
  assert.equal(await page.getAttribute("#train-chart", "data-points"), points);
  assert.deepEqual(await page.getByTestId("sample").allTextContents(), samples);
  await says(page, "inside-value", /^Unit \d+ after /);
  const bits = await numberOf(page, "train-loss");
  await start(page);
  await trained(page, step + 1);
  // A new model would guess.
  assert.ok((await numberOf(page, "train-loss")) < bits + 0.5);
  // No question on leaving: nothing would be lost.
  assert.ok(await page.evaluate(() => dispatchEvent(new Event("beforeunload", { cancelable: true }))));
});

test("training that ran goes on after a reload", async (open) => {
  const page = await open("?device=cpu", { lands: true });
  await trained(page, 250);
  await says(page, "train-kept-text", /^Kept in this browser: step /);
  await reload(page);
  await stateOf(page, "train", "running");
  assert.ok((await numberOf(page, "train-step")) >= 200);
  await pause(page);
  const step = await numberOf(page, "train-step");
  await says(page, "train-kept-text", new RegExp(`step ${count(step)},`));
  await reload(page);
  await stateOf(page, "train", "paused");
  assert.equal(await numberOf(page, "train-step"), step);
});

test("a model is forgotten by a click, kept again by another, and gone after a reset", async (open) => {
  const page = await open("?device=cpu#train");
  const step = await trainOwn(page);
  await page.click("#train-forget");
  await says(page, "train-kept-text", /^This model is not kept in this browser: a reload loses it\.$/);
  assert.deepEqual(await keptNames(page), []);
  await start(page);
  await trained(page, step + 25);
  await pause(page);
  assert.deepEqual(await keptNames(page), []);
  assert.ok(await page.evaluate(() => !dispatchEvent(new Event("beforeunload", { cancelable: true }))));
  assert.equal(await textOf(page, "train-forget"), "Keep it");
  await page.click("#train-forget");
  await says(page, "train-kept-text", /^Kept in this browser: step /);
  assert.deepEqual(await keptNames(page), ["model", "text"]);
  await page.click("#train-reset");
  await stateOf(page, "train", "empty");
  assert.deepEqual(await keptNames(page), []);
  await page.click("#train-undo");
  await says(page, "train-kept-text", /^Kept in this browser: step /);
  await page.click("#train-reset");
  await stateOf(page, "train", "empty");
  await reload(page);
  await stateOf(page, "train", "empty");
  assert.equal(await textOf(page, "train-step"), "–");
});

test("what is damaged or another page's is told, and a new model begins", async (open) => {
  const page = await open("?device=cpu#train");
  await trainOwn(page);
  const bytes = Array.from({ length: 100 }, (_, at) => at);
  for (const [values, why] of [
    [{ model: "anything" }, /it is of another version of this page, or of another page/],
    [{ model: { version: 2 } }, /another version/],
    [{ model: { version: 1 } }, /its weights are missing/],
    [{ model: { version: 1, bytes: new Uint8Array(0) } }, /its weights are missing/],
    [{ model: { change: { lines: { training: [{ x: 1, y: null }], heldOut: [], merge: 1 } } } }, /its losses are damaged/],
    [{ model: { change: { samples: [{ text: 3 }] } } }, /its samples are damaged/],
    [{ model: { change: { bytes: Uint8Array.from(bytes) } } }, /safetensors/],
  ]) {
    await plant(page, values);
    await page.reload();
    await says(page, "train-kept-note", new RegExp(`^What this browser kept could not be taken up: .*${why.source}.* A new model begins\\.$`));
    await stateOf(page, "device-status", "ready");
    await stateOf(page, "train", "empty");
    // The page is as able as it was.
    await page.selectOption("#train-cell", "min_gru");
    await trainOwn(page);
  }
  // A text that is none costs only itself.
  await plant(page, { text: { own: true, text: 17 } });
  await reload(page);
  await stateOf(page, "train", "paused");
  assert.ok(await page.isChecked("#train-text-sample"));
});

for (const [name, code, said] of [
  ["is none", () => Object.defineProperty(window, "indexedDB", { value: undefined }), /can’t keep the model over a reload/],
  [
    "is closed to the page",
    () => (IDBFactory.prototype.open = () => { throw new DOMException("denied", "SecurityError"); }),
    /its settings let this page store nothing: allow site data for this page/,
  ],
  [
    "is full",
    () => {
      const { transaction } = IDBDatabase.prototype;
      IDBDatabase.prototype.transaction = function (...given) {
        const made = transaction.apply(this, given);
        if (given[1] === "readwrite") {
          Object.defineProperty(made, "error", { value: new DOMException("full", "QuotaExceededError") });
          queueMicrotask(() => made.abort());
        }
        return made;
      };
    },
    /its storage is full: delete other sites’ data, or train a smaller network/,
  ],
]) {
  test(`where the browser's storage ${name} the page says so, and trains`, async (open) => {
    const page = await open("?device=cpu", { lands: true, prepare: (page) => page.addInitScript(code) });
    await trained(page, 20);
    const step = await pause(page);
    await says(page, "train-kept-text", new RegExp(`^This browser can’t keep the model over a reload: .*“Save weights” keeps it in a file\\.$`));
    await says(page, "train-kept-text", said);
    await start(page);
    await trained(page, step + 20);
  });
}
