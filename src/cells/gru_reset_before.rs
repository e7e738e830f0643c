//! The gated recurrent unit as first written, whose reset gate acts on the state (Cho et al. 2014; ONNX's default):
//!
//! ρ, z = σ(W·x + b + R·h + b_R), n = tanh(Wₙ·x + bₙ + Rₙ·(ρ⊙h) + b_Rn), h' = (1 − z)⊙n + z⊙h.
//!
//! The second product needs the first one's gates, so a step has two phases: ρ and z, which give ρ⊙h, then n and h'.
//! Slots 0 and 1 carry z and z⊙h from one to the other.

use crate::cpu::math::{sigmoid, tanh};
use crate::cpu::recurrence::Gates;

/// First phase: ρ⊙h.
pub(super) struct ResetGates;
/// Second phase: h'.
pub(super) struct NewState;

impl Gates<2, 2> for ResetGates {
    #[inline(always)]
    fn forward(x: [f32; 2], r: [f32; 2], h: f32, slots: &mut [f32; 2]) -> f32 {
        let reset = sigmoid(x[0] + r[0]);
        let z = sigmoid(x[1] + r[1]);
        slots[0] = z;
        slots[1] = z * h;
        reset * h
    }
}

impl Gates<1, 2> for NewState {
    #[inline(always)]
    fn forward(x: [f32; 1], r: [f32; 1], _h: f32, slots: &mut [f32; 2]) -> f32 {
        let n = tanh(x[0] + r[0]);
        (1.0 - slots[0]) * n + slots[1]
    }
}
