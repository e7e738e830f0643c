// Measures wgrnn beside other libraries in one browser: node bench/run.mjs [--smoke] [--only PEERS] [--out FILE]
import { readFile, writeFile } from "node:fs/promises";
import os from "node:os";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { collectErrors, launch } from "../tools/browser.mjs";
import { locate, serve } from "../tools/serve.mjs";
import { table } from "./table.mjs";

const usage = `node bench/run.mjs [options]
  --only PEERS        wgrnn,onnxruntime-web,tfjs, or some of them
  --workloads NAMES   "vad forward,charlm forward,charlm training", or some of them
  --rounds N          turns of each contender (7)
  --smoke             tiny shapes, one round
  --webgpu KIND       software or hardware
  --out FILE          where the results go, as JSON`;

const peers = ["wgrnn", "onnxruntime-web", "tfjs"];

// What a page downloads.
const packages = [
  { name: "wgrnn", files: /^\/pkg\// },
  { name: "onnxruntime-web, WebGPU", files: /\/onnxruntime-web\/dist\/.*(webgpu|asyncify)/ },
  { name: "onnxruntime-web, wasm", files: /\/onnxruntime-web\/dist\/ort(\.wasm|-wasm-simd-threaded\.(wasm|mjs)$)/ },
  { name: "TensorFlow.js, WebGPU", files: /^\/node_modules\/@tensorflow\// },
];

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: peers.join() },
    workloads: { type: "string" },
    rounds: { type: "string" },
    smoke: { type: "boolean", default: false },
    webgpu: { type: "string", default: "software" },
    out: { type: "string" },
    help: { type: "boolean" },
  },
});

if (options.help) console.log(usage);
else process.exitCode = await main();

async function main() {
  const only = options.only.split(",");
  const unknown = only.filter((peer) => !peers.includes(peer));
  if (unknown.length) throw new Error(`no peer is called ${unknown.join(", ")}\n${usage}`);

  const server = await serve({ isolated: true });
  const browser = await launch({ webgpu: options.webgpu });
  try {
    const results = await measureAll(await browser.newPage(), server.url, only);
    results.browser.version = browser.version();
    console.log(table(results));
    if (options.out) await writeFile(options.out, `${JSON.stringify(results, undefined, 1)}\n`);
    const rows = results.workloads.flatMap((workload) => workload.rows);
    return rows.every((row) => row.status === "right") ? 0 : 1;
  } finally {
    await browser.close();
    await server.close();
  }
}

async function measureAll(page, url, only) {
  const errors = collectErrors(page, { warnings: false });
  const downloads = new Set();
  page.on("response", (response) => downloads.add(new URL(response.url()).pathname));
  await page.exposeFunction("report", (text) => process.stderr.write(`${text}\n`));
  await page.goto(`${url}/bench/page.html`);

  const results = {
    date: new Date().toISOString(),
    machine: { cpu: os.cpus()[0].model.trim(), cores: os.availableParallelism(), loadBefore: os.loadavg()[0] },
    browser: await page.evaluate(() => ({ isolated: crossOriginIsolated, threads: navigator.hardwareConcurrency })),
    adapter: await page.evaluate(() => globalThis.adapterInfo()),
    versions: await versions(only),
    workloads: [],
  };
  const speed = options.smoke
    ? { rounds: 1, turnSeconds: 0, warmUpSeconds: 0, budgetSeconds: 1 }
    : { rounds: 7, turnSeconds: 0.3, warmUpSeconds: 1, budgetSeconds: 100 };
  if (options.rounds) speed.rounds = Number(options.rounds);
  for (const workload of await chosenWorkloads()) {
    const rows = await page.evaluate((settings) => globalThis.measure(settings), { ...workload, ...speed, only });
    results.workloads.push({ ...workload, rows });
  }
  results.machine.loadAfter = os.loadavg()[0];
  results.downloads = await Promise.all(packages.map(({ name, files }) => download(name, files, downloads)));
  results.downloads = results.downloads.filter(({ files }) => files.length > 0);
  results.errors = errors;
  return results;
}

async function chosenWorkloads() {
  const shapes = JSON.parse(await readFile(new URL("../../examples/bench_report/shapes.json", import.meta.url), "utf8"));
  const shape = (name) => {
    const { steps, batch, input, hidden } = shapes.find((shape) => shape.name === name && shape.cell === "lstm");
    return options.smoke ? { steps: 5, batch: 2, input: 8, hidden: 16 } : { steps, batch, input, hidden };
  };
  const workloads = [
    { name: "vad forward", kind: "forward", shape: shape("vad") },
    { name: "charlm forward", kind: "forward", shape: shape("charlm") },
    { name: "charlm training", kind: "training", shape: { symbols: options.smoke ? 11 : 65, ...shape("charlm") } },
  ];
  if (!options.workloads) return workloads;
  return options.workloads.split(",").map((name) => {
    const found = workloads.find((workload) => workload.name === name);
    if (!found) throw new Error(`no workload is called ${name}\n${usage}`);
    return found;
  });
}

async function versions(only) {
  const files = {
    wgrnn: "../pkg/package.json",
    "onnxruntime-web": "../node_modules/onnxruntime-web/package.json",
    tfjs: "../node_modules/@tensorflow/tfjs/package.json",
  };
  const read = async (file) => JSON.parse(await readFile(new URL(file, import.meta.url), "utf8")).version;
  return Object.fromEntries(await Promise.all(only.map(async (peer) => [peer, await read(files[peer]).catch(() => null)])));
}

/** What the page loaded of a package, as it lies on the disk and as a server would send it. */
async function download(name, pattern, pathnames) {
  const files = [];
  for (const path of [...pathnames].filter((path) => pattern.test(path)).sort()) {
    const bytes = await readFile(locate(path)).catch(() => undefined);
    if (bytes) files.push({ path, bytes: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length });
  }
  return { name, files };
}
