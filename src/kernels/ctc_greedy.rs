//! `ctc_greedy`: the labels of the most probable alignment.

use super::params::params;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::tile::{FLAT, Tile};
use super::variant::Variant;
use super::words::u;

params! {
    /// Alignments without repetitions and blanks.
    CtcGreedyParams { batch, steps, classes, blank, logits_offset, lengths_offset, nan: f32 }
}

kernel! {
    ctc_greedy(CtcGreedyParams),
    [Read logits, Read norms, Read best, Read input_lengths, Write labels, Write heads, Write scores], wraps Columns
}

fn reach(_: &Variant, p: &CtcGreedyParams, _: Maxima<'_>) -> Reach {
    let rows = u(p.steps) * u(p.batch);
    Reach {
        logits: u(p.logits_offset) + rows * u(p.classes),
        norms: rows,
        best: rows,
        input_lengths: u(p.lengths_offset) + u(p.batch),
        labels: rows,
        heads: 2 * u(p.batch),
        scores: u(p.batch),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, p: &CtcGreedyParams) -> [u64; 3] {
    [u(p.batch), 1, 1]
}

fn trips(variant: &Variant, p: &CtcGreedyParams) -> u64 {
    greedy_trips(variant.tile, u(p.steps))
}

fn greedy_trips(tile: Tile, steps: u64) -> u64 {
    3 * (steps.div_ceil(u(tile.lanes)).div_ceil(u(tile.columns).max(1)) + 1) + u(tile.lanes)
}

/// The tile for so many steps: a lane takes as many of them a loop trip as keep its trips within a limit.
pub(crate) fn greedy_tile(steps: usize, trips: u64) -> Tile {
    let mut tiles = (0..=6).map(|power| Tile { columns: 1 << power, ..FLAT });
    let fits = |tile: &Tile| greedy_trips(*tile, u(steps)) <= trips;
    tiles.clone().find(fits).or_else(|| tiles.next_back()).unwrap_or(FLAT)
}
