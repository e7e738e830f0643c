//! Cases of `grid`.

use super::case::Case;
use super::forms::{forms, in_half_too, tiles};
use super::recurrence::recurrence_case;
use crate::device::Device;
use crate::kernels::{Kernel, Of, Variant};

/// Each cell with one workgroup a track, and with two that have no values in common: those need no others.
pub(crate) fn grid(device: &Device) -> Vec<Case> {
    let mut cases = Vec::new();
    for form in forms(Kernel::Grid) {
        for tile in tiles(device, Kernel::Grid, &form).into_iter().filter(|tile| tile.spread == 0) {
            for (batch, units, steps) in [(1, 1, 1), (3, 29, 5), (7, 30, 3)] {
                let variant = Variant::new(Of::Grid { form, state_width: 32 }, tile, 4);
                cases.push(recurrence_case(variant, batch, units, steps));
            }
        }
    }
    in_half_too(cases)
}
