//! Cases of `sample`.

use super::case::{Case, Words};
use super::numbers::Numbers;
use crate::device::Device;
use crate::kernels::{FLAT, Kernel, SampleParams, Variant};

/// How many of the largest are kept at most, and the sum of their probabilities.
type Kept = (usize, f32);

pub(crate) fn sample(_: &Device) -> Vec<Case> {
    let sizes = [(1, 1), (9, 2), (40, 63), (40, 65), (12, 1000)];
    let kept = [(usize::MAX, 1.0), (1, 1.0), (5, 1.0), (usize::MAX, 0.6), (30, 0.9)];
    sizes.into_iter().flat_map(|size| kept.map(|kept| sample_case(size, kept))).collect()
}

pub(crate) fn sample_case((m, columns): (usize, usize), (top_k, top_p): Kept) -> Case {
    let mut numbers = Numbers::new(m + columns);
    let mut logits = numbers.uniform(3 + m * columns, 2.0);
    for (i, row) in logits[3..].chunks_exact_mut(columns).enumerate() {
        match i % 8 {
            // Many equals, zeros of either sign among them.
            1 => row.iter_mut().for_each(|x| *x = x.trunc()),
            2 => row.iter_mut().step_by(2).for_each(|x| *x = f32::NEG_INFINITY),
            3 => row[columns / 2] = f32::INFINITY,
            4 => row[columns - 1] = f32::NAN,
            5 => row.fill(f32::NEG_INFINITY),
            _ => {}
        }
    }
    let params = SampleParams {
        m,
        columns,
        logits_offset: 3,
        out_offset: 1,
        seed_offset: 1,
        place: 3,
        scale: 1.25,
        top_k: top_k.min(columns),
        top_p,
    };
    Case {
        name: format!("sample of {m}x{columns}, {} largest, {top_p}", params.top_k),
        variant: Variant::plain(Kernel::Sample, FLAT, 4),
        // Indices. A sum of probabilities may be some 10⁻⁶ off, and change a draw that lies so near the limit of a column:
        // none of these does.
        tolerance: 0.0,
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(logits),
            Words::Indices(vec![0, 11, 5]),
            Words::Indices(vec![u32::MAX - 1; 1 + m]),
        ],
    }
}
