//! Cases of `cross_entropy`.

use super::case::{Case, Words};
use super::numbers::{Numbers, poison};
use crate::device::Device;
use crate::kernels::{CrossEntropyParams, FLAT, Kernel, Variant};

pub(crate) fn cross_entropy(_: &Device) -> Vec<Case> {
    [(1, 2), (5, 63), (33, 64), (70, 130), (3, 1000)].into_iter().map(cross_entropy_case).collect()
}

/// Some targets masked, one beyond the columns where there are several rows.
pub(crate) fn cross_entropy_case((m, columns): (usize, usize)) -> Case {
    let mut numbers = Numbers::new(m + columns);
    let mut targets = numbers.below(1 + m, columns);
    targets.iter_mut().skip(3).step_by(4).for_each(|target| *target = u32::MAX);
    if m > 1 {
        targets[2] = columns as u32;
    }
    let params = CrossEntropyParams {
        m,
        columns,
        logits_offset: 2,
        target_offset: 1,
        count_offset: 1,
        losses_offset: 3,
        gradient_offset: 1,
        nan: f32::NAN,
        row_groups: 8,
    };
    Case {
        name: format!("cross_entropy of {m}x{columns}"),
        variant: Variant::plain(Kernel::CrossEntropy, FLAT, 4),
        // exp on GPUs may be off by 3 + 2|x| ulp, x up to 20 below the largest; sums of `columns` terms; a log near 6.
        tolerance: (64.0 + columns as f64) * f64::from(f32::EPSILON),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(2 + m * columns, 10.0)),
            Words::Indices(targets),
            Words::Numbers(vec![0.0, 3.0]),
            poison(3 + m),
            poison(1 + m * columns),
        ],
    }
}
