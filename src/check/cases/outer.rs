//! Cases of `outer`.

use super::case::{Case, Words, dot_tolerance};
use super::numbers::{Numbers, poison};
use crate::device::{self, Device};
use crate::kernels::{Kernel, Of, OuterParams, STAGED, Tile, Variant};

pub(crate) fn outer(device: &Device) -> Vec<Case> {
    let sizes = [(1, 1, 1), (1, 64, 5), (4, 4, 3), (33, 65, 64), (64, 128, 130), (68, 132, 65)];
    let forms = [(false, false), (true, false), (false, true)];
    let case = |tile, size| forms.map(|form| outer_case(tile, 1, size, form, 2));
    let whole = device::tiles(device, Kernel::Outer).into_iter().flat_map(|tile| sizes.map(|size| case(tile, size)));
    // A tile and less, stages and less, and no rows, which no map tells.
    let sizes = [(4, 4, 3), (68, 132, 37), (132, 68, 130), (64, 128, 0)];
    let told = |rows: usize| forms.into_iter().filter(move |(mapped, _)| rows > 0 || !mapped);
    let case = |tile, size: (usize, usize, usize), parts| {
        told(size.2).map(move |form| outer_case(tile, parts, size, form, 2).staged())
    };
    let staged = STAGED.into_iter().flat_map(|tile| sizes.map(|size| [1, 4].map(|parts| case(tile, size, parts))));
    let sizes = [(1, 64, 0), (1, 66, 50), (8, 64, 3), (33, 65, 64), (68, 132, 65)];
    let case = |size: (usize, usize, usize)| {
        let tile = Tile::new(if size.0 == 1 { 1 } else { 8 }, 4, 64);
        told(size.2).map(move |form| outer_case(tile, 4, size, form, 2))
    };
    let in_parts = sizes.into_iter().flat_map(case);
    whole.flatten().chain(staged.flatten().flatten()).chain(in_parts).collect()
}

/// C [m, n] from `rows` rows, of which those from the second on are this dispatch's, or of each part of them a C; B's by a part of a map, or
/// added to what C holds.
pub(crate) fn outer_case(
    tile: Tile,
    parts: u32,
    (m, n, rows): (usize, usize, usize),
    (mapped, accumulate): (bool, bool),
    batch: usize,
) -> Case {
    let mut numbers = Numbers::new(m * 1000 + n * 10 + rows);
    let vector = n.is_multiple_of(4) && (tile.rows == 1 || m.is_multiple_of(4));
    // Strides leave gaps, which are NaN: nothing there may be read into a sum.
    let gap = if vector { 4 } else { 3 };
    let strided = |numbers: &mut Numbers, columns: usize| {
        let (row, batch_words) = (columns + gap, rows.max(1) * (columns + gap) + 4 * gap);
        let mut words = vec![f32::NAN; gap + batch * batch_words];
        for b in 0..batch {
            for r in 0..rows {
                let at = gap + b * batch_words + r * row;
                words[at..][..columns].copy_from_slice(&numbers.uniform(columns, 1.0 / (rows as f32).sqrt()));
            }
        }
        (words, row, batch_words)
    };
    let (a, a_row, a_batch) = strided(&mut numbers, m);
    let (b, b_row, b_batch) = strided(&mut numbers, n);
    let mut map: Vec<u32> =
        (0..batch).flat_map(|_| [u32::MAX; 3].into_iter().chain((0..rows).rev().map(|r| r as u32))).collect();
    let ends = map.len();
    map.extend([3, 3 + rows as u32]);
    // Parts are written as vectors.
    let [c_offset, c_gap, c_between] = if vector && parts > 1 { [4, 4, 8] } else { [1, 2, 5] };
    let (c_row, c_batch) = (n + c_gap, m * (n + c_gap) + c_between);
    let words = c_offset + parts as usize * batch * c_batch;
    let params = OuterParams {
        m,
        n,
        batch,
        a_offset: gap,
        a_row,
        a_batch,
        b_offset: gap,
        b_row,
        b_batch,
        c_offset,
        c_row,
        c_batch,
        mapped: mapped.into(),
        map_offset: 0,
        map_batch: 3 + rows,
        first: ends,
        end: ends + usize::from(mapped),
        start: usize::from(rows > 1),
        // A part has as many rows as it has.
        to: rows + if mapped { 7 } else { 0 },
        accumulate,
    };
    let tile = if vector { tile } else { Tile { spread: 0, ..tile } };
    let variant = Variant::new(Of::Outer { vector, staged: false, parts }, tile, 4);
    Case {
        name: format!(
            "{variant} of {batch}x{m}x{n} from {rows}{}{}",
            if mapped { " mapped" } else { "" },
            if accumulate { " added" } else { "" }
        ),
        variant,
        tolerance: dot_tolerance(rows),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(a),
            Words::Numbers(b),
            Words::Indices(map),
            if accumulate { Words::Numbers(numbers.uniform(words, 1.0)) } else { poison(words) },
        ],
    }
}
