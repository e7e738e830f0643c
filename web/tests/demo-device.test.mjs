// The demo where its device, its package, or the network is missing, or goes away.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { insecure } from "../tools/browser.mjs";
import { serve } from "../tools/serve.mjs";
import {
  demo, fill, holdDevice, lose, numberOf, pause, pictures, replacePackage, says, small, start, stateOf, textOf, trained,
} from "./demo.mjs";

const { test } = demo();

/** What every panel rests upon. */
async function pronounces(page) {
  await page.click("#tab-phonemes");
  await page.locator("#phonemes-table tr[data-word=recurrent][data-phonemes='R IH0 K ER1 AH0 N T']").waitFor();
}

for (const [webgpu, reason, address] of [
  ["none", /^Browsers have WebGPU on secure pages only: https or localhost\.$/, insecure],
  ["no adapter", /no adapter|none found/i],
]) {
  const { test } = demo({ webgpu });
  test(`with ${webgpu === "none" ? "no WebGPU" : "no adapter"} the page says why and computes on the CPU`, async (open, t) => {
    const page = await open("", { address });
    await says(page, "gpu-notice", /All panels run on the CPU instead/);
    assert.match(await page.locator("#gpu-notice .reason").textContent(), reason);
    assert.equal(await page.getAttribute("#device-status", "data-kind"), "cpu");
    assert.ok(await page.isChecked("#device-cpu"));
    assert.equal(await textOf(page, "device-status"), "WebAssembly on the CPU");
    if (webgpu === "none") await pictures(page, t, "no-gpu", { visible: ["#gpu-notice", "#gpu-retry"] });
    await pronounces(page);
    await Promise.all([page.waitForEvent("worker"), page.click("#gpu-retry")]);
    await stateOf(page, "device-status", "ready");
    await says(page, "gpu-notice", /All panels run on the CPU instead/);
  });
}

test("a missing package: the page says how to build it, and goes on once it is there", async (open, t) => {
  const missing = /\/pkg\/wgrnn\.js$/;
  const page = await open("", {
    prepare: (page) => page.route(missing, (route) => route.fulfill({ status: 404, body: "404" })),
    ready: "failed",
    expected: [/\/pkg\/wgrnn\.js/],
  });
  await says(page, "package-notice", /scripts\/web\.sh build/);
  for (const id of ["check-toggle", "train-toggle"]) assert.ok(await page.isDisabled(`#${id}`), id);
  await pictures(page, t, "no-package", { visible: ["#package-notice", "#package-retry"] });
  await page.unroute(missing);
  await page.click("#package-retry");
  await stateOf(page, "device-status", "ready");
  assert.ok(await page.isHidden("#package-notice"));
  assert.ok(await page.isEnabled("#check-toggle"));
});

const text = "A text of one's own, as long as it takes. ".repeat(40);

/** Trains on an own text until a checkpoint was kept, and loses the device: the step that was kept. */
async function trainAndLose(page) {
  await page.check("#train-text-own");
  await page.fill("#train-text", text);
  await fill(page, { ...small, every: 10 });
  await start(page);
  // What is kept after a sample is there before the step after it.
  await trained(page, 11);
  await lose(page);
  await says(page, "lost-notice", /^\s*The GPU device was lost/);
  await stateOf(page, "device-status", "lost");
  await stateOf(page, "train", "lost");
  const step = (await textOf(page, "lost-notice")).match(/The model is kept as of step ([\d,]+)\./)?.[1].replace(",", "");
  assert.ok(step >= 10 && step % 10 === 0, `${step}`);
  assert.equal(await textOf(page, "train-status"), `Interrupted at step ${await textOf(page, "train-step")}.`);
  assert.equal(await page.inputValue("#train-text"), text);
  return Number(step);
}

for (const kind of ["gpu", "cpu"]) {
  test(`a device is lost while it trains: training goes on with the ${kind} from the step that was kept`, async (open, t) => {
    const page = await open("?device=gpu#train", { prepare: holdDevice });
    const step = await trainAndLose(page);
    if (kind === "gpu") await pictures(page, t, "lost", { visible: ["#lost-notice", "#lost-gpu", "#lost-cpu"] });
    await page.click(`#lost-${kind}`);
    await stateOf(page, "train", "paused");
    assert.ok(await page.isHidden("#lost-notice"));
    assert.equal(await page.getAttribute("#device-status", "data-kind"), kind);
    assert.equal(await numberOf(page, "train-step"), step);
    assert.equal(await page.inputValue("#train-text"), text);
    await start(page);
    await trained(page, step + 1);
    // The model was taken along, not made anew.
    assert.ok((await numberOf(page, "train-loss")) < Math.log2(new Set(text).size) - 0.3);
    await pause(page);
  });
}

test("a library that stops: another worker takes its place", async (open) => {
  const code = `export const checkKernel = async () => { throw new WebAssembly.RuntimeError("unreachable"); };`;
  const page = await open("?device=cpu#check", { prepare: (page) => replacePackage(page, code) });
  await page.click("#check-toggle");
  await says(page, "lost-notice", /^\s*The library stopped/);
  assert.match(await textOf(page, "lost-notice"), /Unreachable\..*Start again on the CPU$/);
  await stateOf(page, "check", "stopped");
  await page.click("#lost-cpu");
  await stateOf(page, "device-status", "ready");
  await stateOf(page, "check", "idle");
  await pronounces(page);
});

test("after one visit all of the page works without a network", async (open, t) => {
  const server = await serve();
  t.after(() => server.close());
  const page = await open("?device=cpu", { base: server.url, serviceWorkers: "allow" });
  await page.evaluate(() => navigator.serviceWorker.ready);
  const held = await page.evaluate(async () => {
    const requests = await Promise.all((await caches.keys()).map(async (name) => (await caches.open(name)).keys()));
    return requests.flat().map(({ url }) => new URL(url).pathname);
  });
  const files = readdirSync(new URL("../demo/", import.meta.url), { recursive: true, withFileTypes: true });
  for (const file of files.filter((file) => file.isFile() && file.name !== "sw.js" && !file.name.endsWith(".md"))) {
    assert.ok(held.some((path) => path.startsWith("/demo/") && path.endsWith(`/${file.name}`)), file.name);
  }
  await server.close();
  await page.context().setOffline(true);
  await page.reload();
  await stateOf(page, "device-status", "ready");
  await pronounces(page);
  await page.click("#tab-handwriting");
  await page.press("#handwriting-digits", "Enter");
  await says(page, "handwriting-text", /^2026$/);
  await page.click("#tab-speech");
  await page.click("#speech-sample");
  await stateOf(page, "speech", "done");
  assert.equal(await page.locator("#speech-segments button").count(), 5);
  await page.click("#tab-train");
  await fill(page, small);
  await start(page);
  await trained(page, 5);
});
