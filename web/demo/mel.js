// A spoken word as the network of the lesson `speech` hears it: as examples/training/common/data/mel.rs makes it. No part of a page: it
// runs under Node too.

/** Samples a second, those of a frame, and those from one frame to the next. */
const RATE = 16_000;
const FRAME = 512;
const HOP = 200;
/** Bands of a frame, and the frequencies between which they lie. */
export const BANDS = 32;
const [LOWEST, HIGHEST] = [80, 7600];
/** Decibels below the loudest band that are 0. */
const RANGE = 60;
/** Frames before the first and after the last one with a level above this are cut off, but for so many. */
const QUIET = 0.3;
const AROUND = 4;

const sines = Float64Array.from({ length: FRAME }, (_, i) => Math.sin((2 * Math.PI * i) / FRAME));
const cosines = Float64Array.from({ length: FRAME }, (_, i) => Math.cos((2 * Math.PI * i) / FRAME));
const filters = triangles();

/** Levels from 0 to 1 of sound at 16 kHz, as columns [width, BANDS]; mel.rs has the formulas. Throws where it is silent. */
export function levels(samples) {
  const frames = 1 + Math.floor(Math.max(samples.length - FRAME, 0) / HOP);
  const decibels = new Float64Array(frames * BANDS);
  for (let t = 0; t < frames; t++) {
    const power = spectrum(Float64Array.from({ length: FRAME }, (_, i) => {
      return (0.5 - 0.5 * cosines[i]) * (samples[t * HOP + i] ?? 0);
    }));
    for (const [band, filter] of filters.entries()) {
      const energy = filter.reduce((sum, weight, bin) => sum + weight * power[bin], 0);
      decibels[t * BANDS + band] = 10 * Math.log10(energy + 1e-10);
    }
  }
  const loudest = decibels.reduce((most, value) => Math.max(most, value), -Infinity);
  if (!(loudest > -90)) throw new Error("it is silent");
  const all = Float32Array.from(decibels, (value) => Math.min(Math.max(1 + (value - loudest) / RANGE, 0), 1));
  const isLoud = (t) => all.subarray(t * BANDS, (t + 1) * BANDS).some((level) => level > QUIET);
  let [first, last] = [0, frames - 1];
  while (first < last && !isLoud(first)) first++;
  while (last > first && !isLoud(last)) last--;
  const [from, to] = [Math.max(first - AROUND, 0), Math.min(last + 1 + AROUND, frames)];
  return { columns: all.slice(from * BANDS, to * BANDS), width: to - from };
}

/** Squared magnitudes of a frame's Fourier transform at the frequencies from 0 to half the rate. */
function spectrum(frame) {
  return Float64Array.from({ length: FRAME / 2 + 1 }, (_, k) => {
    let [real, imaginary] = [0, 0];
    for (let i = 0, at = 0; i < FRAME; i++, at = (at + k) % FRAME) {
      real += frame[i] * cosines[at];
      imaginary += frame[i] * sines[at];
    }
    return real * real + imaginary * imaginary;
  });
}

/** Triangles over the frequencies, evenly spaced on the mel scale. */
function triangles() {
  const mel = (hertz) => 2595 * Math.log10(1 + hertz / 700);
  const corner = (i) => 700 * (10 ** ((mel(LOWEST) + ((mel(HIGHEST) - mel(LOWEST)) * i) / (BANDS + 1)) / 2595) - 1);
  return Array.from({ length: BANDS }, (_, band) => {
    const [low, middle, high] = [band, band + 1, band + 2].map(corner);
    return Float64Array.from({ length: FRAME / 2 + 1 }, (_, bin) => {
      const frequency = (bin * RATE) / FRAME;
      return Math.max(Math.min((frequency - low) / (middle - low), (high - frequency) / (high - middle)), 0);
    });
  });
}
