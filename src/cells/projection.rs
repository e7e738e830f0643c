//! The second phase of an LSTM with projection (Sak, Senior and Beaufays 2014): h' = W_hr·(o⊙tanh(c')).

use super::derivative::{Derivative, Gradient};
use super::forward::{Gates, Unit};
use super::math::MulAdd;
use super::options::Equations;
use super::phase::{Phase, Width};

/// The product is the state.
pub(super) struct Projection;

impl Gates<1, 0, 0> for Projection {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 1>, _slots: &mut [f32; 0], _kept: &mut [f32; 0]) -> f32 {
        let Unit { r, .. } = unit;
        r[0]
    }
}

impl Derivative<1, 1> for Projection {
    #[inline(always)]
    fn backward<M: MulAdd>(k: &mut [f32; 1], _h: f32, d: f32, carry: &mut Gradient, _: &Equations) -> [f32; 1] {
        k[0] = d;
        carry.h = 0.0;
        [d]
    }
}

pub(super) const PHASE: Phase = Phase {
    input: false,
    units: Width::State,
    source: Width::Hidden,
    ..Phase::new::<1, 0, 0, Projection>("projection", include_str!("../../shaders/cells/projection.wgsl"))
        .trained::<1, 1, 0, Projection>(&[(0, 1)])
};
