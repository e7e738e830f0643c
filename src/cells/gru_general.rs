//! The gated recurrent units of `gru_reset_after` and `gru_reset_before` with other activations f and g and a clip of every
//! sum. Forward only.

use super::forward::{Gates, Unit};
use super::math::MulAdd;

/// The reset gate acts on the product.
pub(super) struct After;
/// It acts on the state: first phase, ρ⊙h.
pub(super) struct ResetGates;
/// Second phase: h'.
pub(super) struct NewState;

impl Gates<3, 0, 3> for After {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 3>, _slots: &mut [f32; 0], _kept: &mut [f32; 3]) -> f32 {
        let Unit { x, r, h, .. } = unit;
        let reset = unit.gate::<M>(0, x[0] + r[0]);
        let z = unit.gate::<M>(0, x[1] + r[1]);
        let n = unit.gate::<M>(1, x[2] + reset * r[2]);
        (1.0 - z) * n + z * h
    }
}

impl Gates<2, 2, 2> for ResetGates {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 2>, slots: &mut [f32; 2], _kept: &mut [f32; 2]) -> f32 {
        let Unit { x, r, h, .. } = unit;
        let reset = unit.gate::<M>(0, x[0] + r[0]);
        let z = unit.gate::<M>(0, x[1] + r[1]);
        *slots = [z, z * h];
        reset * h
    }
}

impl Gates<1, 2, 1> for NewState {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 1>, slots: &mut [f32; 2], _kept: &mut [f32; 1]) -> f32 {
        let n = unit.gate::<M>(1, unit.x[0] + unit.r[0]);
        (1.0 - slots[0]) * n + slots[1]
    }
}
