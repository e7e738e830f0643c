//! Cases of `argmax`.

use super::case::{Case, Words};
use super::numbers::Numbers;
use crate::device::Device;
use crate::kernels::{ArgmaxParams, FLAT, Kernel, Variant};

pub(crate) fn argmax(_: &Device) -> Vec<Case> {
    [(1, 1), (5, 2), (4, 63), (4, 64), (5, 65), (7, 1000)].into_iter().map(argmax_case).collect()
}

pub(crate) fn argmax_case((m, columns): (usize, usize)) -> Case {
    let mut numbers = Numbers::new(m + columns);
    let row = columns + 1;
    // Few different numbers: the first of equals counts. Row 1 has NaNs, row 2 infinities.
    let mut values: Vec<f32> = numbers.below(1 + m * row, 7).iter().map(|&value| value as f32 - 3.0).collect();
    for (line, value) in [(1, f32::NAN), (2, f32::INFINITY), (3, f32::NEG_INFINITY)] {
        if line < m {
            for j in (columns / 2..columns).step_by(3) {
                values[1 + line * row + j] = value;
            }
        }
    }
    let params = ArgmaxParams { m, columns, values_offset: 1, values_row: row, out_offset: 1 };
    Case {
        name: format!("argmax of {m}x{columns}"),
        variant: Variant::plain(Kernel::Argmax, FLAT, 4),
        // Indices.
        tolerance: 0.0,
        params: params.words(),
        window: 0,
        buffers: vec![Words::Numbers(values), Words::Indices(vec![u32::MAX; 1 + m])],
    }
}
