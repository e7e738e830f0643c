//! An Elman cell with any activation and a clip: h' = f(clip(W·x + b + R·h + b_R)). Forward only.

use super::forward::{Gates, Unit};
use super::math::MulAdd;

/// The cell; f is the first of its activations.
pub(super) struct ElmanGeneral;

impl Gates<1, 0, 1> for ElmanGeneral {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 1>, _slots: &mut [f32; 0], _kept: &mut [f32; 1]) -> f32 {
        unit.gate::<M>(0, unit.x[0] + unit.r[0])
    }
}
