//! Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000):
//!
//! i, f, o = σ(W·x + b + R·h + b_R), g = tanh(W·x + b + R·h + b_R), c' = f⊙c + i⊙g, h' = o⊙tanh(c').
//!
//! Gates lie in the order i, f, g, o; slot 0 is c.

use crate::cpu::math::{sigmoid, tanh};
use crate::cpu::recurrence::Gates;

/// The cell.
pub(super) struct Lstm;

impl Gates<4, 1> for Lstm {
    #[inline(always)]
    fn forward(x: [f32; 4], r: [f32; 4], _h: f32, slots: &mut [f32; 1]) -> f32 {
        let i = sigmoid(x[0] + r[0]);
        let f = sigmoid(x[1] + r[1]);
        let g = tanh(x[2] + r[2]);
        let o = sigmoid(x[3] + r[3]);
        let c = f * slots[0] + i * g;
        slots[0] = c;
        o * tanh(c)
    }
}
