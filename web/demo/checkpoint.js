// What a character model is made of, and how a checkpoint says so: as examples/training/common/data/char_lm.rs has it, so that a file
// goes from the page to `cargo run --example char_lm` and back.

/** Length of a character's vector. */
const EMBEDDING = 32;
/** The note that holds a description. */
const NOTE = "char_lm";

/** Cells as the library names them, and as a page does. */
export const CELLS = {
  lstm: "LSTM",
  gru_reset_after: "GRU",
  gru_reset_before: "GRU, reset before the product",
  elman_tanh: "Elman",
  elman_relu: "Elman with ReLU",
  elman_sigmoid: "Elman with sigmoid",
  mgu: "MGU",
  li_gru: "Li-GRU",
  min_gru: "minGRU",
  min_lstm: "minLSTM",
  slstm: "sLSTM",
  sru: "SRU",
  qrnn: "QRNN",
  ind_rnn_relu: "IndRNN",
  ind_rnn_tanh: "IndRNN with tanh",
};

/** Short names of the usual forms. */
const SHORT = { gru: "gru_reset_after", elman: "elman_tanh", ind_rnn: "ind_rnn_relu" };

/** The library's name of a cell, also of one in capitals or of a short name; undefined where there is none. */
export function cellOf(name) {
  const lower = String(name).toLowerCase();
  const full = Object.hasOwn(SHORT, lower) ? SHORT[lower] : lower;
  return Object.hasOwn(CELLS, full) ? full : undefined;
}

/** What a network may be; beyond it a page would only run out of memory. */
export const LIMITS = {
  hidden: { min: 1, max: 2048 },
  layers: { min: 1, max: 8 },
  batch: { min: 1, max: 512 },
  length: { min: 1, max: 1024 },
};

/** The library's configuration for a description; `symbols` is the number of its characters. */
export function modelConfig({ cell, hidden, layers, dropout }, symbols) {
  const rnn = { cell, inputSize: EMBEDDING, hiddenSize: hidden, layers, dropout };
  return { symbols, rnn, outputs: symbols, dropout };
}

/** A description as a checkpoint's notes, letter by letter as the example writes it, which so knows it again. */
export function toNotes({ cell, hidden, layers, dropout, batch, length, characters }) {
  const note = JSON.stringify({ cell, hidden, layers, dropout, batch, length, characters });
  // A whole number that may be none is written with its point there.
  return { [NOTE]: Number.isInteger(dropout) ? note.replace(`"dropout":${dropout},`, `"dropout":${dropout}.0,`) : note };
}

/** A description from a checkpoint's notes; throws where they hold none. */
export function fromNotes(notes) {
  const note = notes[NOTE];
  if (note === undefined) throw new Error("it is no checkpoint of a character model: its note ‘char_lm’ is missing");
  let description;
  try {
    description = JSON.parse(note);
  } catch {
    throw new Error("its note ‘char_lm’ is no JSON");
  }
  const { cell: name, hidden, layers, dropout, batch, length, characters } = description ?? {};
  const cell = cellOf(name);
  if (cell === undefined) {
    throw new Error(`its cell is ${JSON.stringify(name)}, not one of ${Object.keys(CELLS).join(", ")}`);
  }
  for (const [name, value] of Object.entries({ hidden, layers, batch, length })) {
    const { min, max } = LIMITS[name];
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new Error(`its ${name} is ${JSON.stringify(value)}, not a whole number from ${min} to ${max}`);
    }
  }
  if (!(dropout >= 0 && dropout < 1))
    throw new Error(`its dropout is ${JSON.stringify(dropout)}, not from 0 to below 1`);
  if (typeof characters !== "string" || characters === "") throw new Error("it names no characters");
  return { cell, hidden, layers, dropout, batch, length, characters };
}
