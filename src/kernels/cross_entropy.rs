//! `cross_entropy`: softmax cross-entropy of rows, and its gradient.

use super::params::params;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{row_trips, u};

params! {
    /// Softmax cross-entropy of rows.
    CrossEntropyParams {
        m, columns, logits_offset, target_offset, weights_offset, count_offset, losses_offset, gradient_offset,
        weighted: bool, probabilities: bool, smoothing: f32, nan: f32, row_groups,
    }
}

kernel! {
    cross_entropy(CrossEntropyParams),
    [Read logits, Read targets, Read weights, Read count, Write losses, Write gradient]
}

fn reach(_: &Variant, p: &CrossEntropyParams, _: Maxima<'_>) -> Reach {
    Reach {
        logits: u(p.logits_offset) + u(p.m) * u(p.columns),
        targets: u(p.target_offset) + u(p.m) * if p.probabilities { u(p.columns) } else { 1 },
        weights: if p.weighted { u(p.weights_offset) + u(p.columns) } else { 0 },
        count: u(p.count_offset) + 1,
        losses: u(p.losses_offset) + u(p.m),
        gradient: u(p.gradient_offset) + u(p.m) * u(p.columns),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, p: &CrossEntropyParams) -> [u64; 3] {
    [u(p.row_groups), u(p.m).div_ceil(u(p.row_groups).max(1)), 1]
}

fn trips(variant: &Variant, p: &CrossEntropyParams) -> u64 {
    row_trips(variant.kernel(), variant.tile, u(p.columns))
}
