// PyTorch's numbers, in a browser: on its GPU, and on the CPU in WebAssembly.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser } from "./common.mjs";

const { run } = browser();

for (const device of ["gpu", "cpu"]) {
  test(`outputs and states on the ${device} are PyTorch's`, async () => {
    const { compared, faults } = await run("golden", "forward", device);
    assert.ok(compared > 150, `${compared} arrays`);
    assert.deepEqual(faults, []);
  });

  test(`gradients on the ${device} are PyTorch's`, async () => {
    const { compared, faults } = await run("golden", "gradients", device);
    assert.ok(compared > 500, `${compared} arrays`);
    assert.deepEqual(faults, []);
  });
}
