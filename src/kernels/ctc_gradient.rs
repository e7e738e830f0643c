//! `ctc_gradient`: the gradient of a CTC loss from the sums over its alignments.

use super::ctc_labels::sequence_words;
use super::ctc_lattice::carry_words;
use super::params::params;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::u;

params! {
    /// The gradient of a CTC loss.
    CtcGradientParams {
        first, count, batch, steps, classes, labels, blank, mean: bool, zero_infinity: bool, logits_offset, nan: f32,
        row_groups,
    }
}

kernel! {
    ctc_gradient(CtcGradientParams),
    [Read logits, Read norms, Read sequences, Read carry, Read lattice, Read valid, Write gradient]
}

fn reach(_: &Variant, p: &CtcGradientParams, _: Maxima<'_>) -> Reach {
    let rows = u(p.steps) * u(p.batch);
    Reach {
        logits: u(p.logits_offset) + rows * u(p.classes),
        norms: rows,
        sequences: sequence_words(p.batch, p.labels),
        carry: carry_words(p.batch, p.labels),
        lattice: 2 * u(p.count) * u(p.steps) * (2 * u(p.labels) + 1),
        valid: 1,
        gradient: rows * u(p.classes),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, p: &CtcGradientParams) -> [u64; 3] {
    let rows = u(p.steps) * u(p.count);
    [u(p.row_groups), rows.div_ceil(u(p.row_groups).max(1)), 1]
}

/// A lane follows the list of one label at a time: all labels in one list are the most.
fn trips(variant: &Variant, p: &CtcGradientParams) -> u64 {
    let each = |count: u64| count.div_ceil(u(variant.tile.lanes));
    2 * each(2 * u(p.labels) + 1) + each(u(p.classes)) + each(u(p.labels)) + u(p.labels) + 2 * 8
}
