// The demo for everybody: names of controls, a focus that is seen, letters that stand out, less motion where that is asked for.
import assert from "node:assert/strict";
import { demo, fill, pause, says, small, start, stateOf, trained } from "./demo.mjs";

const { test } = demo();
const panels = ["train", "handwriting", "speech", "phonemes", "check"];

/** A page with something in every panel. */
async function filled(open, options) {
  const page = await open("?device=cpu#train", options);
  await fill(page, { ...small, every: 20, layers: 2 });
  await start(page);
  await trained(page, 45);
  await pause(page);
  await stateOf(page, "inside", "shown");
  await page.click("#tab-handwriting");
  await page.press("#handwriting-digits", "Enter");
  await says(page, "handwriting-text", /^2026$/);
  await page.click("#tab-speech");
  await page.click("#speech-sample");
  await stateOf(page, "speech", "done");
  await page.click("#tab-phonemes");
  await stateOf(page, "phonemes", "done");
  for (const summary of await page.locator("summary").all()) if (await summary.isVisible()) await summary.click();
  return page;
}

/** In the page: texts whose colour is too near to what is behind them, as [text, ratio]. */
function faint() {
  const channels = (colour) => {
    const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return context.getImageData(0, 0, 1, 1).data;
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((byte) => {
      const value = byte / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return channels("white");
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    if (!text || !element.checkVisibility({ checkVisibilityCSS: true }) || element.closest(".hidden, .skip, script, svg")) continue;
    // What can't be used may be faint.
    if (element.closest(":disabled") || element.closest("label")?.querySelector(":disabled")) continue;
    const [one, other] = [luminance(channels(getComputedStyle(element).color)), luminance(behind(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) found.push([text.slice(0, 40), Number(ratio.toFixed(2))]);
  }
  return found;
}

/** In the page: controls that can be used and have no name. */
function nameless() {
  const nameOf = (element) => {
    const by = element.getAttribute("aria-labelledby")?.split(" ").map((id) => document.getElementById(id)?.textContent ?? "");
    const labels = [...(element.labels ?? [])].map((label) => label.textContent);
    return [element.getAttribute("aria-label") ?? "", ...(by ?? []), ...labels, element.textContent].join("").trim();
  };
  const all = document.querySelectorAll("button, input, select, textarea, a, summary, [tabindex='0'], canvas, meter, progress");
  return [...all].filter((element) => element.checkVisibility() && nameOf(element) === "").map((element) => element.outerHTML);
}

for (const colorScheme of ["light", "dark"]) {
  test(`every text stands out from what is behind it, and every control has a name, in ${colorScheme}`, async (open) => {
    const page = await filled(open, { colorScheme });
    for (const panel of panels) {
      await page.click(`#tab-${panel}`);
      assert.deepEqual(await page.evaluate(faint), [], panel);
      assert.deepEqual(await page.evaluate(nameless), [], panel);
    }
  });
}

test("Tab comes to every control of a panel, in the order in which they are seen, with an outline", async (open) => {
  const page = await filled(open);
  for (const panel of panels) {
    await page.click(`#tab-${panel}`);
    await page.focus(`#tab-${panel}`);
    const passed = [];
    for (let i = 0; i < 80; i++) {
      await page.keyboard.press("Tab");
      const at = await page.evaluate(() => {
        const element = document.activeElement;
        // A file's input is not seen, its label is; so is a radio's in the device's choice.
        const seen = element.matches("[type=file]") ? element.parentElement : element;
        const { outlineStyle, boxShadow } = getComputedStyle(seen);
        const inside = element.closest("[role=tabpanel]")?.id;
        return { id: element.id, outline: outlineStyle !== "none" || boxShadow !== "none", inside, tag: element.localName };
      });
      if (at.inside !== panel) break;
      assert.ok(at.outline, `${panel}: ${at.tag}#${at.id}`);
      passed.push(at.id);
    }
    const all = await page.$$eval(
      `#${panel} :is(button, input:not([type=radio]), select, textarea, [tabindex="0"]):not(:disabled)`,
      (controls) => controls.filter((control) => control.id && control.checkVisibility()).map(({ id }) => id),
    );
    assert.deepEqual(passed.filter((id) => all.includes(id)), all, panel);
  }
});

test("who asks for less motion sees none", async (open) => {
  const page = await open("?device=cpu", { lands: true, reducedMotion: "reduce" });
  await trained(page, 5);
  const moving = await page.evaluate(() => document.getAnimations().map(({ animationName }) => animationName));
  assert.deepEqual(moving.filter(Boolean), []);
});
