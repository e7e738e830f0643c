//! Cases of `pack`.

use super::case::{Case, Words};
use super::numbers::{Numbers, poison};
use crate::device::Device;
use crate::kernels::{FLAT, Kernel, PackParams, Variant};

pub(crate) fn pack(_: &Device) -> Vec<Case> {
    let sizes = [(1, 1), (3, 5), (64, 7), (65, 130)];
    let forms = [(4, false, true), (4, true, false), (1, true, true)];
    // Two rows of the grid at least for the larger ones.
    let case = |(size, form)| pack_case(size, form, 4 * FLAT.lanes as usize);
    let cases: Vec<_> = sizes.into_iter().flat_map(|size| forms.map(|form| (size, form))).map(case).collect();
    let halves: Vec<_> = cases.iter().filter(|case| case.params[3] == 4).map(|case| case.in_half(false)).collect();
    cases.into_iter().chain(halves).collect()
}

pub(crate) fn pack_case(
    (rows, columns): (usize, usize),
    (panel, transposed, biased): (usize, bool, bool),
    row_lanes: usize,
) -> Case {
    let mut numbers = Numbers::new(rows + columns);
    let pitch = columns + 2;
    let words = (rows.div_ceil(panel) + 1) * pitch * panel;
    let params = PackParams {
        rows,
        columns,
        pitch,
        panel,
        source_offset: 2,
        source_row: if transposed { 1 } else { columns },
        source_column: if transposed { rows } else { 1 },
        biased,
        bias_offset: 1,
        packed_offset: 3,
        row_lanes,
    };
    Case {
        name: format!("pack of {rows}x{columns}, width {panel}, transposed {transposed}, biased {biased}"),
        variant: Variant::plain(Kernel::Pack, FLAT, 4),
        // Copies.
        tolerance: 0.0,
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(2 + rows * columns, 1.0)),
            Words::Numbers(numbers.uniform(1 + columns, 1.0)),
            poison(3 + words),
        ],
    }
}
