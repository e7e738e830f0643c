// A recording on a canvas: waveform, probability of speech, and segments.

import { ticks } from "./chart.js";
import { fixed } from "./format.js";

const AXIS = 22;

/** Draws `recording`: { samples, rate, probabilities, chunk, segments: [{ start, end }] in samples }. */
export function drawRecording(context, width, height, colour, recording, selected) {
  const { samples, rate, probabilities, chunk, segments } = recording;
  const bottom = height - AXIS;
  const x = (sample) => (sample / samples.length) * width;

  for (const [at, { start, end }] of segments.entries()) {
    context.fillStyle = colour(at === selected ? "speech-selected" : "speech-shade");
    context.fillRect(x(start), 0, Math.max(x(end) - x(start), 1), bottom);
  }

  // Each column from its lowest to its highest sample; the loudest of all reaches the edges.
  const columns = Math.max(1, Math.floor(width));
  const range = (column) => {
    let [low, high] = [0, 0];
    const end = Math.floor(((column + 1) * samples.length) / columns);
    for (let i = Math.floor((column * samples.length) / columns); i < end; i++) {
      if (samples[i] < low) low = samples[i];
      else if (samples[i] > high) high = samples[i];
    }
    return [low, high];
  };
  const ranges = Array.from({ length: columns }, (_, column) => range(column));
  const most = ranges.reduce((most, [low, high]) => Math.max(most, -low, high), 1e-3);
  const [middle, half] = [bottom / 2, bottom / 2 - 6];
  context.fillStyle = colour("wave");
  for (const [column, [low, high]] of ranges.entries()) {
    const top = middle - (high / most) * half;
    context.fillRect(column, top, 1, Math.max(((high - low) / most) * half, 1));
  }

  const y = (probability) => bottom - 3 - probability * (bottom - 6);
  context.strokeStyle = colour("held-out");
  context.lineWidth = 1.75;
  context.lineJoin = "round";
  context.beginPath();
  for (const [i, probability] of probabilities.entries()) {
    context.lineTo(x(Math.min((i + 0.5) * chunk, samples.length)), y(probability));
  }
  context.stroke();

  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.fillStyle = colour("muted");
  const { values, digits } = ticks(0, samples.length / rate, width / 90);
  for (const second of values) {
    const at = x(second * rate);
    context.textAlign = at < 12 ? "left" : at > width - 24 ? "right" : "center";
    context.fillText(`${fixed(second, digits)} s`, at, height - AXIS / 2 + 3);
    context.fillRect(Math.min(at, width - 1), bottom, 1, 4);
  }
}
