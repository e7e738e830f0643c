// Starts Debian's chromium without a window, with WebGPU on its software adapter.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const quiet = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// An address that is this machine but, unlike 127.0.0.1, no secure context: browsers hide WebGPU from it.
const insecureHost = "wgrnn.test";

const webgpuArguments = {
  software: ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
  hardware: ["--enable-unsafe-webgpu", "--enable-features=Vulkan"],
  "no adapter": [],
  none: [`--host-resolver-rules=MAP ${insecureHost} 127.0.0.1`],
};

/**
 * `webgpu`: what pages and workers find.
 * "software": chromium's SwiftShader adapter. "hardware": the machine's own, if chromium takes it.
 * "no adapter": `navigator.gpu`, whose `requestAdapter()` gives null. "none": no `navigator.gpu`, for pages at
 * `insecure(url)`.
 */
export async function launch({ webgpu = "software", headless = true, args = [] } = {}) {
  const wanted = webgpuArguments[webgpu];
  if (!wanted) throw new Error(`webgpu: one of ${Object.keys(webgpuArguments).join(", ")}, not ${webgpu}`);
  const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
  if (!existsSync(executablePath)) {
    throw new Error(
      `No browser at ${executablePath}. Install chromium (Debian, Ubuntu: sudo apt-get install chromium), ` +
        "or set CHROMIUM to the executable of a Chromium or Chrome.",
    );
  }
  return chromium.launch({ executablePath, headless, args: [...quiet, ...wanted, ...args] });
}

/** The same page at an address without WebGPU, in a browser launched with `webgpu: "none"`. */
export function insecure(url) {
  const address = new URL(url);
  address.hostname = insecureHost;
  return address.href;
}

// Chromium's remarks about itself.
const remarks = [/^WebGPU is experimental on this platform/, /^No available adapters/, /^Failed to create WebGPU Context/];

/**
 * What goes wrong in a page and its workers from now on: a growing array of lines, each once. Validation errors of WebGPU that
 * nobody catches are warnings of the console, so warnings count too, unless `warnings` is false.
 */
export function collectErrors(page, { warnings = true, ignore = [] } = {}) {
  const errors = [];
  const add = (kind, text) => {
    const line = `${kind}: ${text}`;
    if (![...remarks, ...ignore].some((pattern) => pattern.test(text)) && !errors.includes(line)) errors.push(line);
  };
  page.on("console", (message) => {
    const type = message.type();
    // What failed to load is told once, below, with its address.
    if (message.text().startsWith("Failed to load resource")) return;
    if (type === "error" || (warnings && type === "warning")) add(`console ${type}`, message.text());
  });
  page.on("pageerror", (error) => add("uncaught", error.stack ?? String(error)));
  page.on("crash", () => add("page", "crashed"));
  page.on("response", (response) => {
    if (response.status() >= 400) add(`status ${response.status()}`, response.url());
  });
  page.on("requestfailed", (request) => add("request failed", `${request.url()} (${request.failure()?.errorText})`));
  if (warnings) workerLog(page, (text) => add("console warning", text)).catch((error) => add("log of workers", error.message));
  return errors;
}

/** Playwright leaves out what WebGPU logs in workers; the browser keeps what it logged before it is asked. */
async function workerLog(page, tell) {
  const session = await page.context().newCDPSession(page);
  session.on("Log.entryAdded", ({ entry }) => {
    if (entry.source === "worker" && entry.level === "warning") tell(entry.text);
  });
  await session.send("Log.enable");
}
