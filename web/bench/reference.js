// An LSTM and a character model in plain float64: what every contender is held against.

/** Outputs [T, N, H] from an input [T, N, I] and a state of zeros. */
export function lstm(shape, weights, x) {
  return lstmForward(shape, weights, Float64Array.from(x)).h;
}

/** Losses of the first `count` steps of Adam on one batch of tokens and targets [T, N]. */
export function trainingLosses(shape, weights, tokens, targets, learningRate, count) {
  const parameters = {
    embedding: Float64Array.from(weights.embedding),
    w: Float64Array.from(weights.lstm.w),
    r: Float64Array.from(weights.lstm.r),
    bias: Float64Array.from(weights.lstm.bias),
    dense: Float64Array.from(weights.dense.weight),
    denseBias: Float64Array.from(weights.dense.bias),
  };
  const adam = new Adam(learningRate);
  const losses = [];
  for (let step = 0; step < count; step++) {
    const { loss, gradients } = gradientsOf(shape, parameters, tokens, targets);
    losses.push(loss);
    adam.step(parameters, gradients);
  }
  return losses;
}

function lstmForward({ steps, batch, input, hidden }, { w, r, bias }, x) {
  const rows = steps * batch;
  const gates = repeatRow(bias, rows);
  addProduct(gates, x, transposed(w, 4 * hidden, input), rows, input, 4 * hidden);
  const rTransposed = transposed(r, 4 * hidden, hidden);
  const h = new Float64Array(rows * hidden);
  const c = new Float64Array(rows * hidden);
  const size = batch * hidden;
  for (let t = 0; t < steps; t++) {
    const now = gates.subarray(t * 4 * size, (t + 1) * 4 * size);
    if (t > 0) addProduct(now, h.subarray((t - 1) * size, t * size), rTransposed, batch, hidden, 4 * hidden);
    for (let n = 0; n < batch; n++) {
      const gate = now.subarray(n * 4 * hidden, (n + 1) * 4 * hidden);
      for (let j = 0; j < hidden; j++) {
        const at = t * size + n * hidden + j;
        const i = (gate[j] = sigmoid(gate[j]));
        const f = (gate[hidden + j] = sigmoid(gate[hidden + j]));
        const g = (gate[2 * hidden + j] = Math.tanh(gate[2 * hidden + j]));
        const o = (gate[3 * hidden + j] = sigmoid(gate[3 * hidden + j]));
        c[at] = i * g + (t > 0 ? f * c[at - size] : 0);
        h[at] = o * Math.tanh(c[at]);
      }
    }
  }
  return { gates, c, h };
}

function gradientsOf(shape, parameters, tokens, targets) {
  const { symbols, steps, batch, input, hidden } = shape;
  const { embedding, w, r, dense, denseBias } = parameters;
  const rows = steps * batch;
  const size = batch * hidden;

  const x = new Float64Array(rows * input);
  tokens.forEach((token, row) => x.set(embedding.subarray(token * input, (token + 1) * input), row * input));
  const { gates, c, h } = lstmForward(shape, parameters, x);
  const scores = repeatRow(denseBias, rows);
  addProduct(scores, h, transposed(dense, symbols, hidden), rows, hidden, symbols);

  // Of scores to probabilities to the loss's gradient, in place.
  let loss = 0;
  targets.forEach((target, row) => {
    const score = scores.subarray(row * symbols, (row + 1) * symbols);
    const largest = score.reduce((a, b) => Math.max(a, b));
    const sum = score.reduce((total, s) => total + Math.exp(s - largest), 0);
    loss += (Math.log(sum) + largest - score[target]) / rows;
    for (let s = 0; s < symbols; s++) score[s] = (Math.exp(score[s] - largest) / sum - (s === target)) / rows;
  });

  const dDense = new Float64Array(dense.length);
  addTransposedProduct(dDense, scores, h, rows, symbols, hidden);
  const dh = new Float64Array(rows * hidden);
  addProduct(dh, scores, dense, rows, symbols, hidden);

  const dGates = new Float64Array(gates.length);
  const dc = new Float64Array(size);
  for (let t = steps - 1; t >= 0; t--) {
    for (let n = 0; n < batch; n++) {
      const row = t * batch + n;
      const gate = gates.subarray(row * 4 * hidden, (row + 1) * 4 * hidden);
      const dGate = dGates.subarray(row * 4 * hidden, (row + 1) * 4 * hidden);
      for (let j = 0; j < hidden; j++) {
        const at = row * hidden + j;
        const [i, f, g, o] = [gate[j], gate[hidden + j], gate[2 * hidden + j], gate[3 * hidden + j]];
        const tanhC = Math.tanh(c[at]);
        const dCell = dc[n * hidden + j] + dh[at] * o * (1 - tanhC * tanhC);
        dGate[j] = dCell * g * i * (1 - i);
        dGate[hidden + j] = t > 0 ? dCell * c[at - size] * f * (1 - f) : 0;
        dGate[2 * hidden + j] = dCell * i * (1 - g * g);
        dGate[3 * hidden + j] = dh[at] * tanhC * o * (1 - o);
        dc[n * hidden + j] = dCell * f;
      }
    }
    if (t === 0) break;
    const dNow = dGates.subarray(t * 4 * size, (t + 1) * 4 * size);
    addProduct(dh.subarray((t - 1) * size, t * size), dNow, r, batch, 4 * hidden, hidden);
  }

  const dW = new Float64Array(w.length);
  addTransposedProduct(dW, dGates, x, rows, 4 * hidden, input);
  const dR = new Float64Array(r.length);
  addTransposedProduct(dR, dGates.subarray(4 * size), h, rows - batch, 4 * hidden, hidden);
  const dx = new Float64Array(x.length);
  addProduct(dx, dGates, w, rows, 4 * hidden, input);
  const dEmbedding = new Float64Array(embedding.length);
  tokens.forEach((token, row) => {
    for (let k = 0; k < input; k++) dEmbedding[token * input + k] += dx[row * input + k];
  });
  const gradients = {
    embedding: dEmbedding,
    w: dW,
    r: dR,
    bias: sumOfRows(dGates, 4 * hidden),
    dense: dDense,
    denseBias: sumOfRows(scores, symbols),
  };
  return { loss, gradients };
}

/** Kingma and Ba 2015; β 0.9 and 0.999, ε 1e-8. */
class Adam {
  #steps = 0;
  #moments = {};

  constructor(learningRate) {
    this.learningRate = learningRate;
  }

  step(parameters, gradients) {
    this.#steps += 1;
    const [meanScale, squareScale] = [0.9, 0.999].map((beta) => 1 / (1 - beta ** this.#steps));
    for (const [name, values] of Object.entries(parameters)) {
      const gradient = gradients[name];
      this.#moments[name] ??= [new Float64Array(values.length), new Float64Array(values.length)];
      const [mean, square] = this.#moments[name];
      for (let i = 0; i < values.length; i++) {
        mean[i] = 0.9 * mean[i] + 0.1 * gradient[i];
        square[i] = 0.999 * square[i] + 0.001 * gradient[i] ** 2;
        values[i] -= (this.learningRate * mean[i] * meanScale) / (Math.sqrt(square[i] * squareScale) + 1e-8);
      }
    }
  }
}

/** out [rows, columns] += a [rows, inner] · b [inner, columns]. */
function addProduct(out, a, b, rows, inner, columns) {
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < inner; k++) addScaled(out, row * columns, a[row * inner + k], b, k * columns, columns);
  }
}

/** out [inner, columns] += aᵀ · b, of a [rows, inner] and b [rows, columns]. */
function addTransposedProduct(out, a, b, rows, inner, columns) {
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < inner; k++) addScaled(out, k * columns, a[row * inner + k], b, row * columns, columns);
  }
}

function addScaled(out, at, scale, values, from, count) {
  for (let i = 0; i < count; i++) out[at + i] += scale * values[from + i];
}

function transposed(values, rows, columns) {
  const out = new Float64Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) out[column * rows + row] = values[row * columns + column];
  }
  return out;
}

function repeatRow(row, count) {
  const out = new Float64Array(row.length * count);
  for (let i = 0; i < count; i++) out.set(row, i * row.length);
  return out;
}

function sumOfRows(values, columns) {
  const sum = new Float64Array(columns);
  for (let at = 0; at < values.length; at += columns) addScaled(sum, 0, 1, values, at, columns);
  return sum;
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
