//! Cases of `gather`.

use super::case::{Case, Words};
use super::numbers::{Numbers, poison};
use crate::device::Device;
use crate::kernels::{FLAT, GatherParams, Kernel, Variant};

pub(crate) fn gather(_: &Device) -> Vec<Case> {
    let sizes = [(2, 1), (5, 3), (64, 65), (130, 29)];
    let forms = [(true, false), (false, false), (false, true)];
    let case = |(size, form)| gather_case(size, form, 2 * FLAT.lanes as usize);
    sizes.into_iter().flat_map(|size| forms.map(|form| (size, form))).map(case).collect()
}

pub(crate) fn gather_case((m, columns): (usize, usize), (indexed, accumulate): (bool, bool), row_lanes: usize) -> Case {
    let mut numbers = Numbers::new(m + columns);
    let table_rows = if indexed { 29 } else { m };
    // The last index is beyond the table.
    let mut index = numbers.below(1 + m, table_rows);
    index[m] = table_rows as u32;
    let (table_row, out_row) = (columns + 1, columns + 2);
    let params = GatherParams {
        m,
        columns,
        table_rows,
        table_offset: 2,
        table_row,
        indexed,
        index_offset: 1,
        out_offset: 1,
        out_row,
        nan: f32::NAN,
        accumulate,
        row_lanes,
    };
    let words = 1 + m * out_row;
    Case {
        name: format!("gather of {m}x{columns}, indexed {indexed}, accumulated {accumulate}"),
        variant: Variant::plain(Kernel::Gather, FLAT, 4),
        // Copies, or one sum.
        tolerance: 0.0,
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(2 + table_rows * table_row, 1.0)),
            Words::Indices(index),
            if accumulate { Words::Numbers(numbers.uniform(words, 1.0)) } else { poison(words) },
        ],
    }
}
