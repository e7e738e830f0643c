//! `ctc_labels`: the sequences of a CTC loss, checked, and lists of equal labels.

use super::params::params;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::u;

/// Words of a sequence before its labels and their links: steps, labels, state, and one that is 0.
pub(crate) const SEQUENCE_HEAD: usize = 4;

params! {
    /// Steps, labels, state, and lists of equal labels of each sequence.
    CtcLabelsParams {
        steps, labels, classes, blank, labels_offset, input_lengths_offset, label_lengths_offset, batch,
    }
}

kernel! { ctc_labels(CtcLabelsParams), [Read labels, Read input_lengths, Read label_lengths, Write sequences] }

/// Words of all sequences: where the kernels of a CTC loss read labels and lengths.
pub(super) fn sequence_words(batch: usize, labels: usize) -> u64 {
    u(batch) * (u(SEQUENCE_HEAD) + 2 * u(labels))
}

fn reach(_: &Variant, p: &CtcLabelsParams, _: Maxima<'_>) -> Reach {
    Reach {
        labels: u(p.labels_offset) + u(p.batch) * u(p.labels),
        input_lengths: u(p.input_lengths_offset) + u(p.batch),
        label_lengths: u(p.label_lengths_offset) + u(p.batch),
        sequences: sequence_words(p.batch, p.labels),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, p: &CtcLabelsParams) -> [u64; 3] {
    [u(p.batch), 1, 1]
}

/// Each label is compared with all others at most.
fn trips(variant: &Variant, p: &CtcLabelsParams) -> u64 {
    u(p.labels).div_ceil(u(variant.tile.lanes)) * (u(p.labels) + 1)
}
