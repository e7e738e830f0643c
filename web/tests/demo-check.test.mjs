// The demo's doctor.
import assert from "node:assert/strict";
import { demo, pictures, replacePackage, says, stateOf, textOf } from "./demo.mjs";

const { test } = demo();

/** All rows of the doctor's table, as it shows them. */
const rowsOf = (page) =>
  page.$$eval("#check tr[data-check]", (rows) =>
    rows.map((row) => {
      const cell = (column) => row.querySelector(`[data-column=${column}]`);
      const [cases, error, tolerance] = ["cases", "error", "tolerance"].map((it) => Number(cell(it).dataset.value ?? NaN));
      const { check, verdict } = row.dataset;
      return { check, verdict, cases, error, tolerance, name: cell("name").firstChild.data, said: cell("verdict").textContent };
    }),
  );

test("the doctor checks all of the CPU device, finds it right, and reports what it found", async (open, t) => {
  const permissions = ["clipboard-read", "clipboard-write"];
  const page = await open("?device=cpu#check", { permissions });
  await says(page, "check-title", /^Is the CPU device right\?$/);
  assert.ok((await rowsOf(page)).every(({ verdict, said }) => verdict === "pending" && said === "–"));
  await page.click("#check-toggle");
  await stateOf(page, "check", "passed", "failed", "stopped");
  assert.equal(await textOf(page, "check-verdict"), "The CPU device: all is right.");
  const rows = await rowsOf(page);
  const total = new Set(rows.map(({ check }) => check)).size;
  assert.ok(total >= 65 && total === rows.length, `${total} of ${rows.length}`);
  assert.ok((await textOf(page, "check-count")).startsWith(`${total} of ${total}, `));
  for (const { check, verdict, cases, error, tolerance, name, said } of rows) {
    assert.ok(verdict === "ok" && said === "ok" && cases > 0 && error <= tolerance, check);
    assert.equal(name, check.split(":")[1]);
  }
  assert.ok(await page.isHidden("#check-failures"));
  await page.click("#check-copy");
  const report = await (await page.waitForFunction(() => navigator.clipboard.readText())).jsonValue();
  assert.match(report, /^The CPU device: all is right\.\nCPU\n/);
  for (const { name } of rows) assert.match(report, new RegExp(`^${name} .* ok$`, "m"));
  await pictures(page, t, "check", { visible: ["#check-verdict", "[data-check='kernels:scan']", "#check-copy"] });
});

test("the doctor checks the GPU row by row until it is stopped", async (open) => {
  const page = await open("?device=gpu#check");
  await says(page, "check-title", /^Is this GPU right\?$/);
  assert.match(await textOf(page, "check-adapter-facts"), /Backendwebgpu/);
  await page.click("#check-toggle");
  await page.locator("#check tr[data-verdict=ok]").nth(2).waitFor();
  await page.click("#check-toggle");
  await stateOf(page, "check", "stopped", "failed", "passed");
  const verdicts = (await rowsOf(page)).map(({ verdict }) => verdict);
  const done = verdicts.indexOf("pending");
  assert.equal(await textOf(page, "check-verdict"), `Stopped after ${done} of ${verdicts.length} checks: right so far.`);
  assert.deepEqual(verdicts, verdicts.map((_, at) => (at < done ? "ok" : "pending")));
  assert.equal(await textOf(page, "check-toggle"), "Check again");
});

const right = `(_, name) => ({ name, cases: 3, maxError: 1e-7, tolerance: 1e-6, passed: true, failures: [], leftOut: [] })`;

test("one row that is wrong and one that can't be checked: not right", async (open, t) => {
  const failure = "case 3, T 5, N 2: y[4] is 0.3, the twin says 0.29: off by 1.0e-2, tolerance 1.0e-6";
  const code = `
    const right = ${right};
    export const checkKernel = async (device, name) =>
      ({ ...right(device, name), ...(name === "scan" && { maxError: 0.01, passed: false, failures: ["${failure}"] }) });
    export const checkLayer = async (device, name) => right(device, name);
    export const checkGradients = async (device, name) => {
      if (name === "gru_reset_after") throw new Error("planted");
      return right(device, name);
    };`;
  const page = await open("?device=cpu#check", { prepare: (page) => replacePackage(page, code) });
  await page.click("#check-toggle");
  await stateOf(page, "check", "failed", "passed", "stopped");
  const verdict = "NOT RIGHT: kernel scan, gradient of gru_reset_after. Do not trust this device’s results.";
  assert.equal(await textOf(page, "check-verdict"), verdict);
  const wrong = (await rowsOf(page)).filter(({ verdict }) => verdict !== "ok");
  assert.deepEqual(wrong.map(({ check, verdict, said }) => [check, verdict, said]), [
    ["kernels:scan", "failed", "FAILED"],
    ["gradients:gru_reset_after", "failed", "FAILED"],
  ]);
  const shown = await page.locator("#check-failures > li").allInnerTexts();
  assert.deepEqual(shown.map((text) => text.split(/\s*\n\s*/)), [["kernel scan", failure], ["gradient of gru_reset_after", "planted"]]);
  await pictures(page, t, "check-failed", { visible: ["#check-verdict", "#check-failures"] });
});

test("a row that is wrong is told of after a stop, too", async (open, t) => {
  const code = `
    const right = ${right};
    const wrong = { passed: false, failures: ["planted"] };
    export const checkKernel = async (device, name) => ({ ...right(device, name), ...(name === "wave" && wrong) });
    export const checkLayer = () => new Promise((resolve) => { self.goOn = () => resolve(right(undefined, "lstm")); });`;
  const page = await open("?device=cpu#check", { prepare: (page) => replacePackage(page, code) });
  await page.click("#check-toggle");
  await page.locator("tr[data-check^='layers:'][data-verdict=running]").waitFor();
  await pictures(page, t, "check-running", { visible: ["#check-progress", "#check-count", "#check-failures"] });
  await page.click("#check-toggle");
  await says(page, "check-verdict", /^Stopping after this check/);
  await page.workers()[0].evaluate(() => self.goOn());
  await stateOf(page, "check", "failed", "stopped");
  assert.match(await textOf(page, "check-verdict"), /^Stopped after \d+ of \d+ checks: NOT RIGHT: kernel wave\.$/);
});
