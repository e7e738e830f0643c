// What operations of the tape compute, as plain loops in float64.

export function normalised(values, epsilon) {
  const mean = values.reduce((sum, x) => sum + x) / values.length;
  const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length;
  return values.map((x) => (x - mean) / Math.sqrt(variance + epsilon));
}

/** A convolution of x [T, N, C] with a weight [O, C / groups, K], as the numbers of [T', N, O]. */
export function convolved(x, weight, bias, { stride = 1, dilation = 1, groups = 1, padding: [before, after] = [0, 0] } = {}) {
  const [steps, batch, channels] = x.shape;
  const [outputs, ofGroup, kernel] = weight.shape;
  const found = [];
  for (let t = 0; t + dilation * (kernel - 1) < before + steps + after; t += stride) {
    for (let n = 0; n < batch; n++) {
      for (let o = 0; o < outputs; o++) {
        let sum = bias ? bias.data[o] : 0;
        for (let c = 0; c < ofGroup; c++) {
          for (let k = 0; k < kernel; k++) {
            const seen = t + k * dilation - before;
            const channel = Math.floor(o / (outputs / groups)) * ofGroup + c;
            if (seen >= 0 && seen < steps) {
              sum += x.data[(seen * batch + n) * channels + channel] * weight.data[(o * ofGroup + c) * kernel + k];
            }
          }
        }
        found.push(sum);
      }
    }
  }
  return found;
}

/** A row of a matrix. */
const row = ({ data, shape: [, columns] }, i) => [...data.subarray(i * columns, (i + 1) * columns)];

/** A matrix times a vector. */
const times = (matrix, vector) =>
  Array.from({ length: matrix.shape[0] }, (_, i) => row(matrix, i).reduce((sum, value, j) => sum + value * vector[j], 0));

const added = (...vectors) => vectors[0].map((_, i) => vectors.reduce((sum, vector) => sum + vector[i], 0));

export function logSoftmax(logits) {
  const most = Math.max(...logits);
  const norm = most + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - most), 0));
  return logits.map((x) => x - norm);
}

/** A decoder's next logits after a token, and what it remembers then: its state, and its output of the step before. */
export function decoded({ table, rnn, head, tail }, token, { h, previous }) {
  const { weight_ih_l0: w, bias_ih_l0: b, weight_hh_l0: r, bias_hh_l0: c } = rnn;
  const next = added(times(w, row(table, token)), [...b.data], times(r, h), [...c.data]).map(Math.tanh);
  return { logits: added(times(head, next), times(tail, previous)), memory: { h: next, previous: next } };
}

/** The texts of a beam search, the best one first. */
export function beamSearch(decoder, memory, { start, end, steps, beams, alpha }) {
  let texts = [{ tokens: [], logProbability: 0, memory }];
  for (let step = 0; step < steps; step++) {
    const continued = (text) => {
      const last = text.tokens.at(-1) ?? start;
      if (text.tokens.length && last === end) return [text];
      const { logits, memory } = decoded(decoder, last, text.memory);
      return logSoftmax(logits).map((log, token) => ({
        tokens: [...text.tokens, token], logProbability: text.logProbability + log, memory,
      }));
    };
    texts = texts.flatMap(continued).sort((a, b) => b.logProbability - a.logProbability).slice(0, beams);
  }
  const ranked = texts.map(({ tokens, logProbability }) => ({
    tokens: tokens.filter((token) => token !== end),
    score: logProbability / ((5 + tokens.length) / 6) ** alpha,
    logProbability,
  }));
  return ranked.sort((a, b) => b.score - a.score);
}

/** Without repetitions, then without blanks. */
const collapsed = (alignment, blank) => alignment.filter((label, t) => label !== alignment[t - 1]).filter((label) => label !== blank);

/** The logits of the valid steps of a sequence, as log-probabilities. */
const valid = ({ data, shape: [, batch, classes] }, n, steps) =>
  Array.from({ length: steps }, (_, t) => logSoftmax([...data.subarray((t * batch + n) * classes, (t * batch + n + 1) * classes)]));

const best = (found) => found.sort((a, b) => b.logProbability - a.logProbability);

/** All sequences of labels, each with the sum over its alignments, the most probable one first. */
export function alignments(logits, n, steps, blank) {
  const sums = new Map();
  const visit = (alignment, log, rows) => {
    if (rows.length) {
      rows[0].forEach((value, label) => visit([...alignment, label], log + value, rows.slice(1)));
      return;
    }
    const labels = String(collapsed(alignment, blank));
    sums.set(labels, (sums.get(labels) ?? 0) + Math.exp(log));
  };
  visit([], 0, valid(logits, n, steps));
  const one = ([labels, sum]) => ({ tokens: labels ? labels.split(",").map(Number) : [], logProbability: Math.log(sum) });
  return best([...sums].map(one));
}

/** The labels of the most probable class of each step. */
export function bestPath(logits, n, steps, blank) {
  const rows = valid(logits, n, steps);
  const path = rows.map((values) => values.indexOf(Math.max(...values)));
  return [{ tokens: collapsed(path, blank), logProbability: rows.reduce((sum, values, t) => sum + values[path[t]], 0) }];
}
