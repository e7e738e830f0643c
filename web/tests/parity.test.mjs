// Every kernel against its twin, every layer against the textbook, every gradient against the twins', in a browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser } from "./common.mjs";

const { run } = browser();

test("every kernel of the browser's GPU equals its twin", async (t) => {
  const rows = await run("parity", "kernels");
  assert.ok(rows.length >= 27, `${rows.length} kernels`);
  t.diagnostic(`${rows.reduce((sum, row) => sum + row.cases, 0)} cases of ${rows.length} kernels`);
  for (const row of rows) assert.ok(row.passed, `${row.name}: ${row.cases} cases; ${row.failures.join("; ")}`);
});

test("every layer equals the textbook, by every schedule", async () => {
  const rows = await run("parity", "layers");
  assert.ok(rows.length >= 19, `${rows.length} layers`);
  for (const row of rows) assert.ok(row.passed, `${row.name}: ${row.failures.join("; ")}`);
});

test("every layer's gradients equal the twins'", async () => {
  const rows = await run("parity", "gradients");
  assert.ok(rows.length >= 19, `${rows.length} layers`);
  for (const row of rows) assert.ok(row.passed, `${row.name}: ${row.failures.join("; ")}`);
});
