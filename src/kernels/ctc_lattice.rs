//! `ctc_lattice`: sums over the alignments of a CTC loss, forwards and backwards.

use super::ctc_labels::sequence_words;
use super::params::params;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::tile::Tile;
use super::variant::Variant;
use super::words::u;

params! {
    /// Sums over alignments.
    CtcLatticeParams {
        first, count, batch, steps, classes, labels, blank, start, end, directions, keep: bool, mean: bool,
        zero_infinity: bool, logits_offset, infinity: f32, nan: f32,
    }
}

kernel! {
    ctc_lattice(CtcLatticeParams),
    [Read logits, Read norms, Read sequences, Write carry, Write lattice, Write losses], tiled true
}

/// Steps after which the largest sum becomes 1 again.
pub(crate) const SCALED_STEPS: usize = 8;

/// The most labels of a sequence: the sums of two steps over its states have to fit into workgroup memory.
pub(crate) const CTC_LABELS: usize = 895;

/// The tile for sequences of so many labels at most: a workgroup has a lane for each state, or one for several.
pub(crate) fn ctc_tile(labels: usize) -> Tile {
    let states = 2 * labels.min(CTC_LABELS) + 1;
    let lanes = states.next_power_of_two().clamp(32, 256);
    Tile::new(1, states.div_ceil(lanes) as u32, lanes as u32)
}

/// Words that carry the sums of all sequences from one dispatch to the next, with scale and loss.
pub(super) fn carry_words(batch: usize, labels: usize) -> u64 {
    2 * u(batch) * (2 * u(labels) + 3)
}

fn reach(_: &Variant, p: &CtcLatticeParams, _: Maxima<'_>) -> Reach {
    let states = 2 * u(p.labels) + 1;
    Reach {
        logits: u(p.logits_offset) + u(p.steps) * u(p.batch) * u(p.classes),
        norms: u(p.steps) * u(p.batch),
        sequences: sequence_words(p.batch, p.labels),
        carry: carry_words(p.batch, p.labels),
        lattice: if p.keep { u(p.directions) * u(p.count) * u(p.steps) * states } else { 0 },
        losses: u(p.batch),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, p: &CtcLatticeParams) -> [u64; 3] {
    [u(p.count), u(p.directions), 1]
}

fn trips(variant: &Variant, p: &CtcLatticeParams) -> u64 {
    let steps = u(p.end).saturating_sub(u(p.start));
    steps + steps.div_ceil(u(SCALED_STEPS)) * u(variant.tile.lanes.ilog2())
}
