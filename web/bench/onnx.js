// An ONNX model of one LSTM node, as the bytes of its protocol buffer (onnx.proto3 numbers the fields).
import { reorderGates } from "./weights.js";

const FLOAT = 1;
const ATTRIBUTE_INT = 2;

/** X [T, N, I] to Y [T, 1, N, H]. */
export function lstmModel({ steps, batch, input, hidden }, { w, r, bias }) {
  const iofg = [0, 3, 1, 2];
  // ONNX adds a second bias, beside R.
  const biases = new Float32Array(8 * hidden);
  biases.set(reorderGates(bias, iofg));
  const graph = [
    bytes(1, [
      ...["X", "W", "R", "B"].map((name) => text(1, name)),
      text(2, "Y"),
      text(4, "LSTM"),
      bytes(5, [text(1, "hidden_size"), integer(3, hidden), integer(20, ATTRIBUTE_INT)]),
    ]),
    text(2, "lstm"),
    bytes(5, tensor("W", [1, 4 * hidden, input], reorderGates(w, iofg))),
    bytes(5, tensor("R", [1, 4 * hidden, hidden], reorderGates(r, iofg))),
    bytes(5, tensor("B", [1, 8 * hidden], biases)),
    bytes(11, value("X", [steps, batch, input])),
    bytes(12, value("Y", [steps, 1, batch, hidden])),
  ];
  const operators = [text(1, ""), integer(2, 17)];
  return join([integer(1, 8), bytes(7, graph), bytes(8, operators)]);
}

function tensor(name, shape, data) {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return [...shape.map((size) => integer(1, size)), integer(2, FLOAT), text(8, name), bytes(9, [raw])];
}

function value(name, shape) {
  const sizes = shape.map((size) => bytes(1, [integer(1, size)]));
  return [text(1, name), bytes(2, [bytes(1, [integer(1, FLOAT), bytes(2, sizes)])])];
}

// A field is its number and kind, then a number, or a length and as many bytes.
const integer = (field, number) => join([varint(field << 3), varint(number)]);
const text = (field, string) => bytes(field, [new TextEncoder().encode(string)]);

function bytes(field, parts) {
  const content = join(parts);
  return join([varint((field << 3) | 2), varint(content.length), content]);
}

function varint(number) {
  const groups = [];
  for (; number > 127; number = Math.floor(number / 128)) groups.push((number % 128) | 128);
  return Uint8Array.from([...groups, number]);
}

function join(parts) {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let end = 0;
  for (const part of parts) {
    joined.set(part, end);
    end += part.length;
  }
  return joined;
}
