// A browser with a page of the tests, whose errors are errors of the test.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { collectErrors, launch } from "../tools/browser.mjs";
import { serve } from "../tools/serve.mjs";

/**
 * A server and a browser for the tests of a file. `open(path)` gives a new page; `run(module, name, ...values)` calls a
 * function of a module in web/tests/page, in a page of its own.
 */
export function browser(options = {}) {
  const all = {};
  before(async () => {
    all.server = await serve({ port: 0 });
    all.browser = await launch(options);
  });
  after(async () => {
    await all.browser?.close();
    await all.server?.close();
  });
  all.open = async (path = "/tests/page/index.html") => {
    const page = await all.browser.newPage();
    const errors = collectErrors(page);
    await page.goto(new URL(path, all.server.url).href);
    return { page, errors };
  };
  all.run = async (module, name, ...values) => {
    const { page, errors } = await all.open();
    const call = async ([module, name, values]) => (await import(`/tests/page/${module}.js`))[name](...values);
    const result = await page.evaluate(call, [module, name, values]);
    await page.close();
    assert.deepEqual(errors, []);
    return result;
  };
  return all;
}
