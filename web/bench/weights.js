// Random numbers, and an LSTM's weights in the order that each library has its gates in.

/** Uniform over [-bound, bound), the same numbers for the same seed (mulberry32). */
export function uniform(count, bound, seed) {
  const numbers = new Float32Array(count);
  let state = seed >>> 0;
  for (let i = 0; i < count; i++) {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    numbers[i] = (((mixed ^ (mixed >>> 14)) >>> 8) / 2 ** 23 - 1) * bound;
  }
  return numbers;
}

/** Weights as PyTorch has them: w [4·H, I], r [4·H, H], one bias [4·H]; gates in the order i, f, g, o. */
export function lstmWeights({ input, hidden }, seed) {
  const bound = 1 / Math.sqrt(hidden);
  return {
    w: uniform(4 * hidden * input, bound, seed),
    r: uniform(4 * hidden * hidden, bound, seed + 1),
    bias: uniform(4 * hidden, bound, seed + 2),
  };
}

/** A character model: embedding [symbols, I], LSTM, dense layer [symbols, H] with a bias. */
export function modelWeights(shape, seed) {
  const { symbols, input, hidden } = shape;
  const bound = 1 / Math.sqrt(hidden);
  return {
    embedding: uniform(symbols * input, 1, seed + 10),
    lstm: lstmWeights(shape, seed),
    dense: { weight: uniform(symbols * hidden, bound, seed + 11), bias: uniform(symbols, bound, seed + 12) },
  };
}

/** Blocks of rows, one for each gate, in another order: ONNX has its gates as i, o, f, g. */
export function reorderGates(values, order) {
  const block = values.length / order.length;
  const reordered = new Float32Array(values.length);
  order.forEach((gate, place) => reordered.set(values.subarray(gate * block, (gate + 1) * block), place * block));
  return reordered;
}

/** [rows, columns] to [columns, rows]: Keras multiplies from the other side. */
export function transpose(values, rows, columns) {
  const transposed = new values.constructor(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) transposed[column * rows + row] = values[row * columns + column];
  }
  return transposed;
}

/** [first, second, …] to [second, first, …]: time-major to batch-major and back. */
export function swapAxes(values, first, second) {
  const size = values.length / (first * second);
  const swapped = new values.constructor(values.length);
  for (let a = 0; a < first; a++) {
    for (let b = 0; b < second; b++) {
      const from = (a * second + b) * size;
      swapped.set(values.subarray(from, from + size), (b * first + a) * size);
    }
  }
  return swapped;
}

/** A safetensors file of arrays { name: { data, shape } }: the header's length, the header, the numbers. */
export function toSafetensors(arrays) {
  const header = {};
  let end = 0;
  for (const [name, { data, shape }] of Object.entries(arrays)) {
    header[name] = { dtype: "F32", shape, data_offsets: [end, (end += data.byteLength)] };
  }
  // Numbers begin at a multiple of 8 bytes; spaces may follow the header.
  const json = JSON.stringify(header);
  const text = new TextEncoder().encode(json.padEnd(Math.ceil(json.length / 8) * 8));
  const bytes = new Uint8Array(8 + text.length + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  for (const [name, { data }] of Object.entries(arrays)) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 8 + text.length + header[name].data_offsets[0]);
  }
  return bytes;
}
