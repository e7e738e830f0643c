//! An LSTM with other activations f, g and h, clips, coupled gates or peepholes (Gers and Schmidhuber 2000; ONNX's `LSTM`;
//! cuDNN's cell clip):
//!
//! i = f(clip(sumᵢ + Pᵢ⊙c)), f = f(clip(sum_f + P_f⊙c)) or 1 − i, g = g(clip(sum_g)), c' = cell clip(f⊙c + i⊙g),
//! o = f(clip(sumₒ + Pₒ⊙c')), h' = o⊙h(c').
//!
//! The derivative is that of an LSTM with a cell clip: where c' is clipped, nothing goes back to it or to the gates that
//! made it.

use super::derivative::{Derivative, Gradient};
use super::forward::{Gates, Unit};
use super::math::{MulAdd, tanh};
use super::options::Options;

/// The cell.
pub(super) struct LstmGeneral;

impl Gates<4, 1, 5> for LstmGeneral {
    const PEEPHOLES: bool = true;

    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 4>, slots: &mut [f32; 1], kept: &mut [f32; 5]) -> f32 {
        let Unit { x, r, peepholes: p, options, .. } = unit;
        let h = options.activations[2];
        let old = slots[0];
        let i = unit.gate::<M>(0, x[0] + r[0] + p[0] * old);
        let f = if options.coupled { 1.0 - i } else { unit.gate::<M>(0, x[1] + r[1] + p[1] * old) };
        let g = unit.gate::<M>(1, x[2] + r[2]);
        let c = options.clipped_cell(f * old + i * g);
        let o = unit.gate::<M>(0, x[3] + r[3] + p[3] * c);
        *kept = [i, f, g, o, old];
        slots[0] = c;
        o * h.of::<M>(c)
    }
}

impl Derivative<4, 5, 1> for LstmGeneral {
    #[inline(always)]
    fn backward<M: MulAdd>(k: &mut [f32; 5], _h: f32, d: f32, carry: &mut Gradient<1>, options: &Options) -> [f32; 4] {
        let [i, f, g, o, c] = *k;
        let sum = f * c + i * g;
        let clipped = options.clipped_cell(sum);
        let t = tanh::<M>(clipped);
        let d_c = if sum == clipped { carry.c[0] + d * o * (1.0 - t * t) } else { 0.0 };
        let gates = [d_c * g * i * (1.0 - i), d_c * c * f * (1.0 - f), d_c * i * (1.0 - g * g), d * t * o * (1.0 - o)];
        *k = [gates[0], gates[1], gates[2], gates[3], c];
        *carry = Gradient { h: 0.0, c: [d_c * f] };
        gates
    }
}
