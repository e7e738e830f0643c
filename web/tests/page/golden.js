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

/** Every case of a fixture, with a layer that `make` makes: `compare` gives a list of differences for each array. */
async function every(device, name, make, compare) {
  const target = await open(device);
  const file = await fixture(name);
  const found = [];
  for (const entry of JSON.parse(file.metadata.cases)) {
    const config = configuration(entry);
    const weights = wgrnn.RnnWeights.fromSafetensors(file.bytes, config, `${entry.name}/`);
    const rnn = make(target, config, weights);
    found.push(...(await compare(rnn, entry.name, inputs(file, entry), file)));
    rnn.free();
    weights.free();
  }
  return { compared: found.length, faults: found.flat() };
}

/** As `tests/suite/golden.rs`: 16 ε. */
export const forward = (device) =>
  every(
    device,
    "pytorch_golden.safetensors",
    (...given) => new wgrnn.Rnn(...given),
    async (rnn, name, { array, call, x }) => {
      const { y, state } = await rnn.forward(x, call);
      const got = [["output", y], ["hn", state.h], ["cn", state.c]];
      return got
        .filter(([what]) => array(what))
        .map(([what, got]) => difference(`${name}, ${what}`, got, array(what), 16));
    },
  );

/** As `tests/suite/gradients.rs`: 32 ε. */
export const gradients = (device) =>
  every(
    device,
    "pytorch_gradients.safetensors",
    wgrnn.Rnn.trainable,
    async (rnn, name, { array, call, x }, file) => {
      const stateGradient = { h: array("dhn"), c: array("dcn") };
      const all = await rnn.gradients(x, array("dy"), { ...call, stateGradient });
      const got = new Map([...all.weights, ["input", all.x], ["h0", all.state.h], ["c0", all.state.c]]);
      const prefix = `${name}/grad/`;
      const expected = file.names.filter((full) => full.startsWith(prefix));
      return expected.map((full) => {
        const what = full.slice(prefix.length);
        return difference(`${name}, gradient of ${what}`, got.get(what), file.array(full), 32);
      });
    },
  );
