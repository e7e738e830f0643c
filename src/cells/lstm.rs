//! Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000):
//!
//! i, f, o = σ(W·x + b + R·h + b_R), g = tanh(W·x + b + R·h + b_R), c' = f⊙c + i⊙g, h' = o⊙tanh(c').
//!
//! Gates lie in the order i, f, g, o; slot 0 is c. With d and e the gradients of h' and c', and
//! e' = e + d⊙o⊙(1 − tanh²(c')), the gradients of the gates' sums are i: e'⊙g⊙i⊙(1 − i), f: e'⊙c⊙f⊙(1 − f),
//! g: e'⊙i⊙(1 − g²), o: d⊙tanh(c')⊙o⊙(1 − o), and e'⊙f is that of c.

use super::derivative::{Derivative, Gradient};
use super::forward::{Gates, Unit};
use super::math::{MulAdd, sigmoid, tanh};
use super::options::Options;

/// The cell.
pub(super) struct Lstm;

impl Gates<4, 1, 5> for Lstm {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 4>, slots: &mut [f32; 1], kept: &mut [f32; 5]) -> f32 {
        let Unit { x, r, .. } = unit;
        let i = sigmoid::<M>(x[0] + r[0]);
        let f = sigmoid::<M>(x[1] + r[1]);
        let g = tanh::<M>(x[2] + r[2]);
        let o = sigmoid::<M>(x[3] + r[3]);
        *kept = [i, f, g, o, slots[0]];
        let c = f * slots[0] + i * g;
        slots[0] = c;
        o * tanh::<M>(c)
    }
}

impl Derivative<4, 5, 1> for Lstm {
    #[inline(always)]
    fn backward<M: MulAdd>(k: &mut [f32; 5], _h: f32, d: f32, carry: &mut Gradient<1>, _: &Options) -> [f32; 4] {
        let [i, f, g, o, c] = *k;
        let t = tanh::<M>(f * c + i * g);
        let d_c = carry.c[0] + d * o * (1.0 - t * t);
        let gates = [d_c * g * i * (1.0 - i), d_c * c * f * (1.0 - f), d_c * i * (1.0 - g * g), d * t * o * (1.0 - o)];
        *k = [gates[0], gates[1], gates[2], gates[3], c];
        *carry = Gradient { h: 0.0, c: [d_c * f] };
        gates
    }
}
