//! `ctc_beam`: prefix beam search.

use super::beam::{beam_tile, selection_trips};
use super::params::params;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::tile::Tile;
use super::variant::Variant;
use super::words::u;

params! {
    /// Some steps of a prefix beam search.
    CtcBeamParams {
        batch, steps, classes, beams, blank, start, end, logits_offset, lengths_offset, infinity: f32, nan: f32,
    }
}

kernel! {
    ctc_beam(CtcBeamParams),
    [
        Read logits, Read norms, Read input_lengths, Write candidates, Write numbers, Write entries, Write tree,
    ], wraps Columns
}

/// Numbers of a sequence: three of each prefix, and one.
pub(crate) const fn beam_numbers(beams: usize) -> usize {
    3 * beams + 1
}

/// Entries of a sequence: seven of each prefix, and one.
pub(crate) const fn beam_entries(beams: usize) -> usize {
    7 * beams + 1
}

fn reach(_: &Variant, p: &CtcBeamParams, _: Maxima<'_>) -> Reach {
    let rows = u(p.steps) * u(p.batch);
    Reach {
        logits: u(p.logits_offset) + rows * u(p.classes),
        norms: rows,
        input_lengths: u(p.lengths_offset) + u(p.batch),
        candidates: u(p.batch) * u(p.beams) * u(p.classes),
        numbers: u(p.batch) * u(beam_numbers(p.beams)),
        entries: u(p.batch) * u(beam_entries(p.beams)),
        tree: 2 * rows * u(p.beams),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, p: &CtcBeamParams) -> [u64; 3] {
    [u(p.batch), 1, 1]
}

fn trips(variant: &Variant, p: &CtcBeamParams) -> u64 {
    u(p.end).saturating_sub(u(p.start)) * ctc_beam_trips(variant.tile, p.beams, p.classes)
}

/// Loop trips of a step.
pub(crate) fn ctc_beam_trips(tile: Tile, beams: usize, classes: usize) -> u64 {
    1 + u(beams) + selection_trips(tile, u(beams) * u(classes), u(beams))
}

/// The tile for so many prefixes and classes: a lane for each prefix at least, and several candidates a loop trip, so that a dispatch
/// has several steps.
pub(crate) fn ctc_beam_tile(beams: usize, classes: usize, trips: u64) -> Tile {
    beam_tile(beams, beams.saturating_mul(classes), trips / 16)
}
