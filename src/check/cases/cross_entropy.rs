//! Cases of `cross_entropy`.

use super::case::{Case, Words};
use super::numbers::{Numbers, poison};
use crate::device::Device;
use crate::kernels::{CrossEntropyParams, FLAT, Kernel, Variant};

/// What the targets are, and what is made of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Classes,
    /// Classes have weights.
    Weighted,
    /// Weights, and label smoothing.
    Smoothed,
    Probabilities,
    SmoothedProbabilities,
}

pub(crate) fn cross_entropy(_: &Device) -> Vec<Case> {
    let sizes = [(1, 2), (5, 63), (33, 64), (70, 130), (3, 1000)];
    let others = [Kind::Weighted, Kind::Smoothed, Kind::Probabilities, Kind::SmoothedProbabilities];
    let other_sizes = [(1, 2), (33, 65), (6, 300)];
    let plain = sizes.into_iter().map(|size| cross_entropy_case(size, Kind::Classes));
    plain.chain(others.into_iter().flat_map(|kind| other_sizes.map(|size| cross_entropy_case(size, kind)))).collect()
}

/// Some targets masked; where there are several rows, one target beyond the columns, a logit of NaN, one of +∞, and a row of −∞.
pub(crate) fn cross_entropy_case((m, columns): (usize, usize), kind: Kind) -> Case {
    let mut numbers = Numbers::new(m + columns);
    let mut targets = numbers.below(1 + m, columns);
    targets.iter_mut().skip(3).step_by(4).for_each(|target| *target = u32::MAX);
    if m > 1 {
        targets[2] = columns as u32;
    }
    let probabilities = matches!(kind, Kind::Probabilities | Kind::SmoothedProbabilities);
    let targets = if probabilities { Words::Numbers(rows(&mut numbers, m, columns)) } else { Words::Indices(targets) };
    let params = CrossEntropyParams {
        m,
        columns,
        logits_offset: 2,
        target_offset: 1,
        weights_offset: 2,
        count_offset: 1,
        losses_offset: 3,
        gradient_offset: 1,
        weighted: matches!(kind, Kind::Weighted | Kind::Smoothed | Kind::SmoothedProbabilities),
        probabilities,
        smoothing: if matches!(kind, Kind::Smoothed | Kind::SmoothedProbabilities) { 0.2 } else { 0.0 },
        nan: f32::NAN,
        row_groups: 8,
    };
    Case {
        name: format!("cross_entropy of {m}x{columns}, {kind:?}"),
        variant: Variant::plain(Kernel::CrossEntropy, FLAT, 4),
        // exp on GPUs may be off by 3 + 2|x| ulp, x up to 20 below the largest; sums of `columns` terms; a log near 6.
        tolerance: (64.0 + columns as f64) * f64::from(f32::EPSILON),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(logits(&mut numbers, m, columns)),
            targets,
            Words::Numbers(numbers.uniform(2 + columns, 0.5).into_iter().map(|weight| 1.0 + weight).collect()),
            Words::Numbers(vec![0.0, 3.0]),
            poison(3 + m),
            poison(1 + m * columns),
        ],
    }
}

fn logits(numbers: &mut Numbers, m: usize, columns: usize) -> Vec<f32> {
    let mut all = numbers.uniform(2 + m * columns, 10.0);
    if m > 4 {
        (all[2 + 3 * columns + 1], all[2 + 4 * columns]) = (f32::NAN, f32::INFINITY);
    }
    if m > 5 {
        all[2 + 5 * columns..][..columns].fill(f32::NEG_INFINITY);
    }
    all
}

/// Probabilities; a column of 0, a masked row of NaN, and a number that is NaN where there are several rows.
fn rows(numbers: &mut Numbers, m: usize, columns: usize) -> Vec<f32> {
    let mut all = vec![f32::NAN];
    for row in 0..m {
        let weights: Vec<f32> = numbers.uniform(columns, 0.5).into_iter().map(|x| x + 0.5).collect();
        let sum: f32 = weights[1..].iter().sum();
        all.extend(weights.iter().map(|weight| if row % 4 == 2 { f32::NAN } else { weight / sum }));
        all[1 + row * columns] = if row % 4 == 2 { f32::NAN } else { 0.0 };
    }
    if m > 1 {
        all[1 + columns + 1] = f32::NAN;
    }
    all
}
