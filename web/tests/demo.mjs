// The demo page in a browser: what its tests have in common. Their handles are listed at the top of demo/index.html.
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { collectErrors } from "../tools/browser.mjs";
import { browser } from "./common.mjs";

/** A software adapter on a busy machine is slow: nothing is wrong before that. */
const TIMEOUT = 120_000;
const ignore = [/^Service Worker registration blocked by Playwright/];

/**
 * A server and a browser for the tests of a file. `test(name, body)` is a test that fails, too, when one of its pages
 * logs an error or asks another server for anything. Its body is given `open(path, options)`, for a page whose device is
 * ready, and the test's context.
 *
 * `base`: another server. `address`: what becomes of the page's address. `prepare(page)`: before the page is loaded.
 * `lands`: whether the page trains by itself, as it does for a visitor. `ready`: the state of the device that is waited for. `expected`: patterns of the errors that have to be logged, and
 * may be. Others are those of a browser's context.
 */
export function demo(options) {
  const all = browser(options);

  async function openPage(pages, path = "", given = {}) {
    const { base = all.server.url, address = (url) => url, prepare, ready = "ready", expected = [], ...rest } = given;
    const { lands = false, ...others } = rest;
    const context = others.context ?? (await all.browser.newContext({ serviceWorkers: "block", ...others }));
    context.setDefaultTimeout(TIMEOUT);
    const page = await context.newPage();
    const wanted = new URL(path, `${base}/demo/`);
    // Most tests begin to train themselves.
    if (!lands) wanted.searchParams.set("start", "no");
    const url = address(wanted.href);
    const strays = [];
    page.on("request", (request) => {
      const { protocol, origin } = new URL(request.url());
      if (protocol.startsWith("http") && origin !== new URL(url).origin) strays.push(`request to ${request.url()}`);
    });
    const errors = collectErrors(page, { ignore });
    const faults = () => [
      ...strays,
      ...errors.filter((error) => !expected.some((pattern) => pattern.test(error))),
      ...expected.filter((pattern) => !errors.some((error) => pattern.test(error))).map((it) => `not logged: ${it}`),
    ];
    pages.push({ context, faults });
    await prepare?.(page);
    await page.goto(url);
    await stateOf(page, "device-status", ready);
    return page;
  }

  const own = (name, body) =>
    test(name, { timeout: 2 * TIMEOUT }, async (t) => {
      const pages = [];
      let faults;
      try {
        await body((...given) => openPage(pages, ...given), t);
      } finally {
        faults = pages.flatMap((page) => page.faults());
        for (const fault of faults) t.diagnostic(fault);
        for (const { context } of pages) await context.close();
      }
      assert.deepEqual(faults, []);
    });
  return Object.assign(all, { test: own });
}

/** Waits until a part of the page is in one of these states. */
export async function stateOf(page, id, ...states) {
  await page.locator(states.map((state) => `#${id}[data-state=${state}]`).join()).waitFor({ state: "attached" });
}

/** A number as the page writes it. */
export const count = (number) => number.toLocaleString("en-GB");

export const textOf = async (page, id) => (await page.locator(`#${id}`).textContent()).replace(/\s+/g, " ").trim();

/** Waits until an element says what a pattern matches. */
export async function says(page, id, pattern) {
  const place = page.locator(`#${id}`).filter({ hasText: pattern, visible: true });
  await place.waitFor().catch(async () => assert.fail(`#${id} says “${await textOf(page, id)}”, not ${pattern}`));
}

/** The number that an element shows; not a number where it shows none. */
export const numberOf = async (page, id) => Number((await page.locator(`#${id}`).getAttribute("data-value")) ?? NaN);

// ---- Training ----

/** What trains in no time. */
export const small = { hidden: 16, batch: 4, length: 16, every: 50, rate: 0.01 };

export async function fill(page, settings) {
  for (const [name, value] of Object.entries(settings)) await page.fill(`#train-${name}`, String(value));
}

/** Waits until a step was taken. */
export async function trained(page, step) {
  const reached = (step) => Number(document.getElementById("train-step").dataset.value) >= step;
  await page.waitForFunction(reached, step, { polling: 20 });
}

export async function start(page) {
  await page.click("#train-toggle");
  await stateOf(page, "train", "running");
}

export async function pause(page) {
  await page.click("#train-toggle");
  await stateOf(page, "train", "paused");
  return numberOf(page, "train-step");
}

/** The bytes of the file that the page saves. */
export async function saved(page) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#train-save")]);
  assert.equal(download.suggestedFilename(), "char_lm.safetensors");
  return readFile(await download.path());
}

/** Offers the page a file, by the control with this id. */
export const offer = (page, id, name, buffer) =>
  page.setInputFiles(`#${id}`, { name, mimeType: "application/octet-stream", buffer });

/** A safetensors file's header: its tensors by name, and its notes under `__metadata__`. */
export function headerOf(bytes) {
  const length = Number(bytes.readBigUInt64LE(0));
  return JSON.parse(bytes.subarray(8, 8 + length).toString());
}

/** The same file with another header. */
export function withHeader(bytes, header) {
  const written = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(written.length));
  return Buffer.concat([length, written, bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)))]);
}

// ---- Faults ----

/** Puts a module in the package's place: `code` is of its exports those that differ, from `real`'s or from none. */
export async function replacePackage(page, code) {
  const real = "./wgrnn.js?real";
  const body = `import * as real from "${real}"; export * from "${real}"; export { default } from "${real}"; ${code}`;
  await page.route(/\/pkg\/wgrnn\.js$/, (route) => route.fulfill({ contentType: "text/javascript", body }));
}

/** Keeps hold of the worker's GPU device, so that `lose` can take it away as a driver that crashes does. */
export async function holdDevice(page) {
  const hold = () => {
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function (...given) {
      return (self.held = await requestDevice.apply(this, given));
    };
  };
  await page.route("**/demo/worker.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `${await response.text()}\n(${hold})();` });
  });
}

export const lose = (page) => page.workers().at(-1).evaluate(() => self.held.destroy());

// ---- Pictures ----

/** Forced colours: what is drawn by shadows and backgrounds is gone. */
const LOOKS = {
  light: { colorScheme: "light", forcedColors: "none" },
  dark: { colorScheme: "dark", forcedColors: "none" },
  forced: { colorScheme: "dark", forcedColors: "active" },
};

/**
 * Pictures of a page as it is, in light, dark and forced colours, at a desk's and a phone's width, in $WGRNN_SCREENSHOTS or a temporary
 * folder. Nothing may stick out sideways, the tab and the device that are chosen look
 * otherwise than the others, and what `visible` selects is to be seen.
 */
export async function pictures(page, t, name, { widths = [1280, 360], visible = [] } = {}) {
  const folder = process.env.WGRNN_SCREENSHOTS || join(tmpdir(), "wgrnn-screenshots");
  await mkdir(folder, { recursive: true });
  for (const width of widths) {
    await page.setViewportSize({ width, height: 800 });
    const backgrounds = [];
    for (const [looks, media] of Object.entries(LOOKS)) {
      await page.emulateMedia(media);
      const { across, beyond, background, chosen } = await page.evaluate(look);
      const at = `${name} at ${width}, ${looks}`;
      assert.ok(across <= width, `${at}: ${across} wide`);
      assert.deepEqual(beyond, [], at);
      backgrounds.push(background);
      for (const [what, [is, others]] of Object.entries(chosen)) {
        assert.ok(!others.includes(is), `${at}: the ${what} that is chosen looks as the others do`);
      }
      for (const selector of visible) assert.ok(await page.locator(selector).first().isVisible(), `${at}: ${selector}`);
      const path = join(folder, `${name}-${width}-${looks}.png`);
      await page.screenshot({ path, fullPage: true, animations: "disabled" });
    }
    await page.emulateMedia({ colorScheme: null, forcedColors: null });
    assert.notEqual(backgrounds[0], backgrounds[1], `${name}: the same colours in light and dark`);
  }
  t.diagnostic(`pictures: ${join(folder, name)}-*.png`);
}

/** In the page, once canvases are drawn anew: its width, what lies beyond the window's edge, and its colour. */
async function look() {
  for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
  const clips = (element) => element && (getComputedStyle(element).overflowX !== "visible" || clips(element.parentElement));
  const beyond = [...document.body.querySelectorAll("*")].filter((element) => {
    const { width, left, right } = element.getBoundingClientRect();
    return width > 1 && (right > innerWidth + 1 || left < -1) && !clips(element.parentElement);
  });
  // Shadows count only where they are drawn.
  const forced = matchMedia("(forced-colors: active)").matches;
  const colours = (element) => {
    const { color, backgroundColor, boxShadow, borderBottomColor } = getComputedStyle(element);
    return [color, backgroundColor, forced ? "" : boxShadow, borderBottomColor].join();
  };
  const compare = (is, others) => {
    const chosen = document.querySelector(is);
    return [colours(chosen), [...document.querySelectorAll(others)].filter((it) => it !== chosen).map(colours)];
  };
  return {
    chosen: {
      tab: compare("[role=tab][aria-selected=true]", "[role=tab]"),
      device: compare(".segmented input:checked + span", ".segmented span"),
    },
    across: document.documentElement.scrollWidth,
    beyond: beyond.map(({ id, className, localName }) => `${localName}#${id}.${className}`),
    background: getComputedStyle(document.documentElement).backgroundColor,
  };
}
