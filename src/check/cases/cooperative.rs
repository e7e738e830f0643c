//! Cases of products by units for small matrices.

use super::case::Case;
use super::product::{GemmForm, gemm_case};
use super::recurrence::recurrence_case;
use crate::cells::{Cell, Form};
use crate::device::Device;
use crate::kernels::{FLAT, Of, Sums, Variant};

/// Phases of a cell by units for small matrices.
pub(crate) fn cooperative_steps(device: &Device, form: Form) -> Vec<Case> {
    let phases = (0..form.phases().len()).flat_map(|phase| [(3, 63), (33, 65)].map(|size| (phase, size)));
    let cases = phases.flat_map(|(phase, (batch, units))| {
        let of = Of::Step { form, phase, keep: false, sums: Sums::Split(1) };
        recurrence_case(Variant::new(of, FLAT, 4), batch, units, 1).by_units(device, batch, true)
    });
    cases.collect()
}

/// The product of the input part by units for small matrices: less than a tile, and more.
pub(crate) fn cooperative_products(device: &Device) -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, &(m, n, k)) in [(1, 1, 4), (70, 130, 64), (129, 65, 132)].iter().enumerate() {
        for form in [GemmForm::Plain, GemmForm::Mapped, GemmForm::Scattered, GemmForm::Accumulated] {
            let case = gemm_case(FLAT, 4, (m, n, k), form, 1 + i % 2);
            let narrow = form != GemmForm::Accumulated && i != 1;
            for case in case.by_units(device, m, narrow) {
                cases.extend(case.read_by(true, false));
                cases.push(case);
            }
        }
    }
    cases
}

/// What has to be right before a device's units for small matrices are used.
pub(crate) fn cooperative_cases(device: &Device) -> Vec<Case> {
    let cells = [
        Cell::Elman(crate::cells::Activation::Tanh),
        Cell::Gru(crate::cells::Reset::Before),
        Cell::Gru(crate::cells::Reset::After),
        Cell::Lstm,
    ];
    let steps = cells.into_iter().flat_map(|cell| cooperative_steps(device, Form::new(cell, false)));
    // The last ones are those of the largest sizes.
    cooperative_products(device).into_iter().rev().step_by(5).chain(steps).collect()
}
