//! The gated recurrent unit of PyTorch, cuDNN and Keras, whose reset gate acts on the product (Cho et al. 2014, reordered
//! so that all three gates' products are one):
//!
//! ρ, z = σ(W·x + b + R·h + b_R), n = tanh(Wₙ·x + bₙ + ρ⊙(Rₙ·h + b_Rn)), h' = (1 − z)⊙n + z⊙h.
//!
//! Gates lie in the order ρ, z, n.

use crate::cpu::math::{sigmoid, tanh};
use crate::cpu::recurrence::Gates;

/// The cell.
pub(super) struct GruResetAfter;

impl Gates<3, 0> for GruResetAfter {
    #[inline(always)]
    fn forward(x: [f32; 3], r: [f32; 3], h: f32, _slots: &mut [f32; 0]) -> f32 {
        let reset = sigmoid(x[0] + r[0]);
        let z = sigmoid(x[1] + r[1]);
        let n = tanh(x[2] + reset * r[2]);
        (1.0 - z) * n + z * h
    }
}
