//! Cases of `scatter_add`.

use super::case::{Case, Words, dot_tolerance};
use super::numbers::Numbers;
use crate::device::Device;
use crate::kernels::{FLAT, Kernel, ScatterAddParams, Variant};

pub(crate) fn scatter_add(_: &Device) -> Vec<Case> {
    [(1, 1, 1), (70, 3, 5), (300, 130, 29), (65, 64, 200)].into_iter().map(scatter_add_case).collect()
}

/// Rows from the second on, where there are several; some indices beyond the table.
pub(crate) fn scatter_add_case((m, columns, table_rows): (usize, usize, usize)) -> Case {
    let mut numbers = Numbers::new(m + columns);
    // The first one of all is in the table.
    let index: Vec<u32> = [0; 3].into_iter().chain(numbers.below(m - 1, table_rows + 1)).collect();
    let start = usize::from(m > 1);
    let next = |i: usize| (i + 1..m).find(|&next| index[2 + next] == index[2 + i]).unwrap_or(m) as u32;
    let has_earlier = |i: usize| (start..i).any(|earlier| index[2 + earlier] == index[2 + i]);
    let links = (0..m).map(|i| next(i) | u32::from(has_earlier(i)) << 31).collect();
    let row = columns + 1;
    let params = ScatterAddParams {
        start,
        end: m,
        columns,
        table_rows,
        values_offset: 1,
        values_row: row,
        index_offset: 2,
        table_offset: 3,
        row_groups: 16,
    };
    Case {
        name: format!("scatter_add of {m}x{columns} into {table_rows}"),
        variant: Variant::plain(Kernel::ScatterAdd, FLAT, 4),
        // Sums of up to m rows, in another order.
        tolerance: dot_tolerance(m),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(1 + m * row, 1.0)),
            Words::Indices(index),
            Words::Indices(links),
            Words::Numbers(numbers.uniform(3 + table_rows * columns, 1.0)),
        ],
    }
}
