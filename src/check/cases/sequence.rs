//! Cases of `sequence`.

use super::case::Case;
use super::forms::{forms, in_half_too, is_thorough, keeps, tiles};
use super::recurrence::{form_of, recurrence_case};
use crate::cells::Form;
use crate::device::Device;
use crate::kernels::{Kernel, Of, Tile, Variant};

/// Every cell, by tiles and sizes: variant, batch, units, steps.
pub(crate) fn sequences(device: &Device, kernel: Kernel) -> Vec<(Variant, usize, usize, usize)> {
    let mut cases = Vec::new();
    for form in forms(kernel) {
        for tile in tiles(device, kernel, &form) {
            for (batch, units, steps, wide) in [(1, 1, 1, false), (3, 33, 5, false), (9, 130, 3, true)] {
                // A row of gates' gradients is as wide as the most gates of a phase.
                let gates = if kernel == Kernel::Sequence { 1 } else { form.gates() as u32 };
                let width = if wide { 192 } else { 64 } * gates;
                // Each width is a shader of its own: the wider one for full tiles only.
                if wide && tile.rows == 1 && tile.lanes < 256 {
                    continue;
                }
                // Within the workgroup memory that every adapter has.
                let rows = tile.rows.min(1 << (2048 / width).ilog2());
                let variant = Variant::new(Of::recurrent(kernel, form, width), Tile { rows, ..tile }, 4);
                cases.push((variant, batch, units, steps));
            }
        }
    }
    cases
}

pub(crate) fn sequence(device: &Device) -> Vec<Case> {
    let case = |(variant, batch, units, steps): (Variant, usize, usize, usize)| {
        keeps(device, variant).into_iter().map(move |variant| recurrence_case(variant, batch, units, steps))
    };
    let resident = residents().into_iter().flat_map(|(variant, batch, units, steps)| {
        let form = form_of(&variant);
        let drops = form.options.noise.recurrent_dropout.is_some();
        let keeps = [false, true].into_iter().filter(|keep| if *keep { form.trains() } else { !drops });
        let variants = keeps.map(|keep| if keep { variant.clone().keeping() } else { variant.clone() });
        variants.map(|variant| recurrence_case(variant, batch, units, steps)).collect::<Vec<_>>()
    });
    in_half_too(sequences(device, Kernel::Sequence).into_iter().flat_map(case).chain(resident).collect())
}

/// Cells with one product a step whose weights stay in their lanes.
pub(crate) fn residents() -> Vec<(Variant, usize, usize, usize)> {
    let forms = forms(Kernel::Sequence).filter(|form| form.phases().len() == 1);
    let of_form = |form: Form| {
        let sizes = [(1, 1, 8, 1, 2), (3, 29, 32, 2, 5), (5, 65, 128, 4, 3)];
        // The largest one for one cell only: it takes longest to compile.
        let sizes = sizes.into_iter().filter(move |size| size.2 < 64 || is_thorough(&form));
        sizes.map(move |(batch, units, width, rows, steps)| {
            let tile = Tile { rows, columns: 1, lanes: width, spread: 8 };
            let of = Of::Sequence { form, keep: false, state_width: width, resident: true };
            (Variant::new(of, tile, 4), batch, units, steps)
        })
    };
    forms.flat_map(of_form).collect()
}
