//! A case of `gemm`.

use super::case::{Case, Words, dot_tolerance};
use super::numbers::{Numbers, packed, poison};
use crate::kernels::{GemmParams, Of, Packed, Tile, Variant};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum GemmForm {
    Plain,
    /// Rows of A by a map.
    Mapped,
    /// Rows of C by a part of a map.
    Scattered,
    Transposed,
    Accumulated,
}

impl GemmForm {
    pub(super) const ALL: [Self; 5] = [Self::Plain, Self::Mapped, Self::Scattered, Self::Transposed, Self::Accumulated];
}

pub(crate) fn gemm_case(
    tile: Tile,
    panel: u32,
    (m, n, k): (usize, usize, usize),
    form: GemmForm,
    batch: usize,
) -> Case {
    let mut numbers = Numbers::new(m * 1000 + n * 10 + k);
    let transposed = form == GemmForm::Transposed;
    let mapped = form == GemmForm::Mapped;
    // Strides leave gaps, which are NaN: nothing there may be read into a sum.
    let vector = k.is_multiple_of(4) && !transposed;
    let gap = if vector { 4 } else { 3 };
    let (a_row, a_column) = if transposed { (1, m + gap) } else { (k + gap, 1) };
    let a_batch = if transposed { k * a_column } else { m * a_row } + gap;
    let a_batch = a_batch.next_multiple_of(4);
    let offset = gap;
    let mut a = vec![f32::NAN; offset + batch * a_batch];
    for b in 0..batch {
        for row in 0..m {
            for (j, value) in numbers.uniform(k, 1.0).into_iter().enumerate() {
                a[offset + b * a_batch + row * a_row + j * a_column] = value;
            }
        }
    }
    let layout = Packed { rows: k, columns: n, panel: panel as usize };
    let b = packed(&mut numbers, layout, batch);
    let scattered = form == GemmForm::Scattered;
    // The part of the map that holds the rows begins with its third word: its ends are told after the rows.
    let mut map = if scattered {
        let rows =
            (0..batch).flat_map(|b| [0; 2].into_iter().chain((0..m).map(move |i| (i + b) % m)).map(|i| i as u32));
        rows.collect()
    } else {
        numbers.below(batch * m, m)
    };
    let ends = map.len();
    map.extend([2, 2 + m as u32]);
    let (c_row, c_batch) = (n + 2, m * (n + 2) + 5);
    let c_words = 1 + batch * c_batch;
    let accumulate = form == GemmForm::Accumulated;
    let c = if accumulate { Words::Numbers(numbers.uniform(c_words, 1.0)) } else { poison(c_words) };
    let params = GemmParams {
        m,
        n,
        k,
        batch,
        a_offset: offset,
        a_row,
        a_column,
        a_batch,
        b_offset: 0,
        b_batch: layout.vectors(),
        c_offset: 1,
        c_row,
        c_batch,
        mapped: if scattered { 2 } else { mapped.into() },
        map_offset: 0,
        map_batch: m + if scattered { 2 } else { 0 },
        accumulate,
        first: ends,
        end: ends + usize::from(scattered),
    };
    let tile = if vector { tile } else { Tile { spread: 0, ..tile } };
    let variant = Variant::new(Of::gemm(vector), tile, panel);
    Case {
        name: format!("{variant} of {batch}x{m}x{n}x{k} {form:?}"),
        variant,
        tolerance: dot_tolerance(k),
        params: params.words(),
        window: 0,
        buffers: vec![Words::Numbers(a), Words::Numbers(b), Words::Indices(map), c],
    }
}
