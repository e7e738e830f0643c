//! h' = f(W·x + b + R·h + b_R), with f tanh, relu or the logistic function (Elman, "Finding structure in time", 1990).
//!
//! The derivatives need h' only: f' is 1 − h'², 1 where h' > 0, and h'(1 − h').

use super::derivative::{Derivative, Gradient};
use super::forward::{Gates, Unit};
use super::math::{MulAdd, relu, sigmoid, tanh};
use super::options::Options;

/// f = tanh.
pub(super) struct ElmanTanh;
/// f = max(·, 0).
pub(super) struct ElmanRelu;
/// f = σ.
pub(super) struct ElmanSigmoid;

impl Gates<1, 0, 1> for ElmanTanh {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 1>, _slots: &mut [f32; 0], kept: &mut [f32; 1]) -> f32 {
        let Unit { x, r, .. } = unit;
        kept[0] = tanh::<M>(x[0] + r[0]);
        kept[0]
    }
}

impl Derivative<1, 1> for ElmanTanh {
    #[inline(always)]
    fn backward<M: MulAdd>(k: &mut [f32; 1], _h: f32, d: f32, carry: &mut Gradient, _: &Options) -> [f32; 1] {
        k[0] = d * (1.0 - k[0] * k[0]);
        carry.h = 0.0;
        *k
    }
}

impl Gates<1, 0, 1> for ElmanRelu {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 1>, _slots: &mut [f32; 0], kept: &mut [f32; 1]) -> f32 {
        let Unit { x, r, .. } = unit;
        kept[0] = relu(x[0] + r[0]);
        kept[0]
    }
}

impl Derivative<1, 1> for ElmanRelu {
    #[inline(always)]
    fn backward<M: MulAdd>(k: &mut [f32; 1], _h: f32, d: f32, carry: &mut Gradient, _: &Options) -> [f32; 1] {
        k[0] = if k[0] > 0.0 { d } else { 0.0 };
        carry.h = 0.0;
        *k
    }
}

impl Gates<1, 0, 1> for ElmanSigmoid {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 1>, _slots: &mut [f32; 0], kept: &mut [f32; 1]) -> f32 {
        let Unit { x, r, .. } = unit;
        kept[0] = sigmoid::<M>(x[0] + r[0]);
        kept[0]
    }
}

impl Derivative<1, 1> for ElmanSigmoid {
    #[inline(always)]
    fn backward<M: MulAdd>(k: &mut [f32; 1], _h: f32, d: f32, carry: &mut Gradient, _: &Options) -> [f32; 1] {
        k[0] = d * k[0] * (1.0 - k[0]);
        carry.h = 0.0;
        *k
    }
}
