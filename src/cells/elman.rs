//! h' = f(W·x + b + R·h + b_R), with f tanh, relu or the logistic function (Elman, "Finding structure in time", 1990).

use crate::cpu::math::{relu, sigmoid, tanh};
use crate::cpu::recurrence::Gates;

/// f = tanh.
pub(super) struct ElmanTanh;
/// f = max(·, 0).
pub(super) struct ElmanRelu;
/// f = σ.
pub(super) struct ElmanSigmoid;

impl Gates<1, 0> for ElmanTanh {
    #[inline(always)]
    fn forward(x: [f32; 1], r: [f32; 1], _h: f32, _slots: &mut [f32; 0]) -> f32 {
        tanh(x[0] + r[0])
    }
}

impl Gates<1, 0> for ElmanRelu {
    #[inline(always)]
    fn forward(x: [f32; 1], r: [f32; 1], _h: f32, _slots: &mut [f32; 0]) -> f32 {
        relu(x[0] + r[0])
    }
}

impl Gates<1, 0> for ElmanSigmoid {
    #[inline(always)]
    fn forward(x: [f32; 1], r: [f32; 1], _h: f32, _slots: &mut [f32; 0]) -> f32 {
        sigmoid(x[0] + r[0])
    }
}
