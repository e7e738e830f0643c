// The package as Node.js gets it from a registry.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const built = fileURLToPath(new URL("../pkg/", import.meta.url));
let folder;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "wgrnn-node-"));
  const [{ filename }] = JSON.parse(execFileSync("npm", ["pack", "--json", "--pack-destination", folder], { cwd: built }));
  execFileSync("tar", ["-xzf", join(folder, filename), "-C", folder]);
  mkdirSync(join(folder, "node_modules"));
  cpSync(join(folder, "package"), join(folder, "node_modules", "wgrnn"), { recursive: true });
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** What a module that has the package as a dependency prints, as JSON. */
function run(code) {
  const file = join(folder, "program.mjs");
  writeFileSync(file, code);
  return JSON.parse(execFileSync(process.execPath, [file], { cwd: tmpdir(), encoding: "utf8" }));
}

const layer = `
  const config = { cell: "lstm", inputSize: 3, hiddenSize: 5 };
  const layer = (device) => new wgrnn.Rnn(device, config, wgrnn.RnnWeights.init(config, 0));
  const x = { data: new Float32Array(6).fill(1), shape: [2, 1, 3] };
`;

test("plain Node.js finds the package's WebAssembly, and computes on the CPU", () => {
  const { name, note, y } = run(`
    import init, * as wgrnn from "wgrnn";
    ${layer}
    await init();
    const device = await wgrnn.Device.auto();
    const { y } = await layer(device).forward(x);
    console.log(JSON.stringify({ name: device.name, note: device.note, y: y.shape }));
  `);
  assert.equal(name, "CPU");
  assert.match(note, /^using the CPU: no GPU/);
  assert.deepEqual(y, [2, 1, 5]);
});

for (const [what, gpu] of [
  ["of nothing", "{}"],
  ["that gives no adapter", "{ requestAdapter: async () => null }"],
  ["that gives an adapter", `{ requestAdapter: async () => ({ info: { vendor: "acme" }, limits: {}, features: new Set() }) }`],
  ["that throws", `{ requestAdapter() { throw new Error("no"); } }`],
]) {
  test(`a navigator.gpu ${what}, outside a window or a worker, leaves the CPU`, () => {
    const { isCpu, note, error, y } = run(`
      import init, * as wgrnn from "wgrnn";
      ${layer}
      Object.defineProperty(globalThis, "navigator", { value: { gpu: ${gpu} }, configurable: true });
      await init();
      const device = await wgrnn.Device.auto();
      const error = await wgrnn.Device.gpu().catch((error) => error.message);
      const { y } = await layer(device).forward(x);
      console.log(JSON.stringify({ isCpu: device.isCpu, note: device.note, error, y: y.shape }));
    `);
    assert.ok(isCpu);
    assert.match(note, /^using the CPU: no GPU: navigator\.gpu is used in windows and workers only/);
    assert.match(error, /^no GPU: navigator\.gpu/);
    assert.deepEqual(y, [2, 1, 5]);
  });
}

test("what is called before init() says so", () => {
  const { before, after } = run(`
    import init, * as wgrnn from "wgrnn";
    const before = await (async () => wgrnn.Device.cpu())().catch((error) => error.message);
    await init();
    await init();
    console.log(JSON.stringify({ before, after: wgrnn.Device.cpu().name }));
  `);
  assert.match(before, /await init\(\) first/);
  assert.equal(after, "CPU");
});

test("the package says what it is, and holds its licences", () => {
  const read = (name) => readFileSync(join(folder, "package", name), "utf8");
  const { description, keywords, license, exports, repository } = JSON.parse(read("package.json"));
  assert.ok(description.length > 20 && keywords.includes("lstm") && keywords.includes("webgpu"));
  assert.equal(repository.directory, "web");
  assert.equal(license, "MIT OR Apache-2.0");
  for (const file of [exports["."].node, exports["."].default, exports["."].types]) assert.ok(read(file).length > 0);
  assert.match(read("LICENSE-MIT"), /Permission is hereby granted/);
  assert.match(read("LICENSE-APACHE"), /Apache License/);
  assert.match(read("README.md"), /^# wgrnn/);
});

test("a file with more than is loaded is refused, and its partial form says what is left out", () => {
  const { refused, leftOut, named, model } = run(`
    import init, * as wgrnn from "wgrnn";
    await init();
    const config = { cell: "lstm", inputSize: 3, hiddenSize: 5 };
    const two = wgrnn.RnnWeights.init({ ...config, layers: 2 }, 0).toSafetensors("rnn.");
    let refused;
    try {
      wgrnn.RnnWeights.fromSafetensors(two, config, "rnn.");
    } catch (error) {
      refused = error.message;
    }
    const { weights, leftOut } = wgrnn.RnnWeights.fromSafetensorsPartial(two, config, "rnn.");
    const model = new wgrnn.Model(wgrnn.Device.cpu(), { rnn: config }, 0).loadSafetensorsPartial(two, "");
    console.log(JSON.stringify({ refused, leftOut, named: [...weights.named().keys()], model }));
  `);
  assert.match(refused, /weight_ih_l1.*fromSafetensorsPartial/);
  assert.deepEqual(leftOut.toSorted(), ["bias_hh_l1", "bias_ih_l1", "weight_hh_l1", "weight_ih_l1"]);
  assert.deepEqual(named.toSorted(), ["bias_hh_l0", "bias_ih_l0", "weight_hh_l0", "weight_ih_l0"]);
  assert.equal(model.length, 4);
});

test("plain Node.js runs a node of an ONNX model, whose weights lie in another file, and a whole model", () => {
  const fixtures = fileURLToPath(new URL("../../tests/fixtures/onnx_held/", import.meta.url));
  const { y, expected, graph, outputs } = run(`
    import { readFileSync } from "node:fs";
    import init, * as wgrnn from "wgrnn";
    await init();
    const file = (name) => readFileSync(${JSON.stringify(fixtures)} + name);
    const { nodes: [{ x: { data, shape }, yout }] } = JSON.parse(file("external_all.json"));
    const model = wgrnn.OnnxModel.fromBytes(file("external_all.onnx"), file("external_all.onnx.data"));
    const device = wgrnn.Device.cpu();
    const x = { data: Float32Array.from(data), shape };
    const { y } = await model.node("lstm").layer(device).run({ x });
    const [input] = model.inputs;
    const graph = await model.graph(device, { [input]: shape }).run({ [input]: x });
    console.log(JSON.stringify({ y: [...y.data], expected: yout.data, graph: [...graph[model.outputs[0]].data], outputs: model.outputs }));
  `);
  assert.equal(y.length, expected.length);
  y.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 1e-6, `${value}, expected ${expected[i]}`));
  assert.deepEqual(graph, y, `${outputs}`);
});
