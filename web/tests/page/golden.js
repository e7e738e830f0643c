// Layers and gradients against PyTorch's numbers: the fixtures of the library's own tests.
import { open, wgrnn } from "./library.js";
import { fixture } from "./safetensors.js";

const epsilon = 2 ** -23;

/** The largest difference and how much is allowed: so many ε of the largest element expected, or of 1. */
function difference(name, got, expected, epsilons) {
  if (!got || String(got.shape) !== String(expected.shape)) {
    return [`${name}: expected shape ${expected.shape}, got ${got?.shape}`];
  }
  let [most, largest] = [0, 1];
  expected.data.forEach((value, i) => {
    largest = Math.max(largest, Math.abs(value));
    // Whatever is not a number is no small difference.
    const far = Math.abs(value - got.data[i]);
    most = Number.isNaN(far) ? Infinity : Math.max(most, far);
  });
  const allowed = epsilons * epsilon * largest;
  return most <= allowed ? [] : [`${name}: ${most} from what PyTorch gives, allowed ${allowed}`];
}

function configuration(entry) {
  return {
    cell: entry.cell,
    inputSize: entry.input_size,
    hiddenSize: entry.hidden_size,
    projection: entry.proj_size || undefined,
    layers: entry.layers,
    direction: entry.bidirectional ? "bidirectional" : "forward",
    bias: entry.bias ? "two" : "none",
    batchFirst: entry.batch_first,
  };
}

function inputs(file, entry) {
  const array = (name) => file.array(`${entry.name}/${name}`);
  const [h, c, lengths] = [array("h0"), array("c0"), array("lengths")];
  const call = { lengths: lengths && [...lengths.data], state: h && { h, c } };
  return { array, call, x: array("input") };
}

/** As `tests/suite/golden.rs`: 16 ε. */
export async function forward(device) {
  const target = await open(device);
  const file = await fixture("pytorch_golden.safetensors");
  const faults = [];
  let compared = 0;
  for (const entry of JSON.parse(file.metadata.cases)) {
    const { array, call, x } = inputs(file, entry);
    const config = configuration(entry);
    const weights = wgrnn.RnnWeights.fromSafetensors(file.bytes, config, `${entry.name}/`);
    const rnn = new wgrnn.Rnn(target, config, weights);
    const { y, state } = await rnn.forward(x, call);
    for (const [name, got] of [["output", y], ["hn", state.h], ["cn", state.c]]) {
      const expected = array(name);
      if (!expected) continue;
      compared += 1;
      faults.push(...difference(`${entry.name}, ${name}`, got, expected, 16));
    }
    rnn.free();
    weights.free();
  }
  return { compared, faults };
}

/** As `tests/suite/gradients.rs`: 32 ε. */
export async function gradients(device) {
  const target = await open(device);
  const file = await fixture("pytorch_gradients.safetensors");
  const faults = [];
  let compared = 0;
  for (const entry of JSON.parse(file.metadata.cases)) {
    const { array, call, x } = inputs(file, entry);
    const config = configuration(entry);
    const weights = wgrnn.RnnWeights.fromSafetensors(file.bytes, config, `${entry.name}/`);
    const rnn = wgrnn.Rnn.trainable(target, config, weights);
    const stateGradient = { h: array("dhn"), c: array("dcn") };
    const all = await rnn.gradients(x, array("dy"), { ...call, stateGradient });
    const got = new Map([...all.weights, ["input", all.x], ["h0", all.stateGradient.h], ["c0", all.stateGradient.c]]);
    const prefix = `${entry.name}/grad/`;
    for (const full of file.names.filter((name) => name.startsWith(prefix))) {
      const name = full.slice(prefix.length);
      compared += 1;
      faults.push(...difference(`${entry.name}, gradient of ${name}`, got.get(name), file.array(full), 32));
    }
    rnn.free();
    weights.free();
  }
  return { compared, faults };
}
