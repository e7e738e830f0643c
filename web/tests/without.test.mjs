// Pages that get no GPU.
import assert from "node:assert/strict";
import { test } from "node:test";
import { insecure } from "../tools/browser.mjs";
import { browser } from "./common.mjs";

const given = async () => (await import("/tests/page/api.js")).without();

for (const [webgpu, message, address] of [
  ["none", /this browser has no WebGPU/, insecure],
  ["no adapter", /no adapter/, (url) => url],
]) {
  const all = browser({ webgpu });
  test(`a page with ${webgpu === "none" ? "no WebGPU" : "no adapter"} is told so, and gets the CPU`, async () => {
    const { page, errors } = await all.open();
    await page.goto(address(page.url()));
    const { error, name, isCpu, note, y } = await page.evaluate(given);
    assert.match(error, message);
    assert.ok(isCpu);
    assert.equal(name, "CPU");
    assert.match(note, /using the CPU: no GPU/);
    assert.deepEqual(y, [2, 1, 5]);
    assert.deepEqual(errors, []);
  });
}
