//! `beam`: one step of a beam search.

use super::params::params;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::tile::{FLAT, Tile};
use super::variant::Variant;
use super::words::u;

params! {
    /// The best continuations of the beams of each sequence.
    BeamParams { batch, beams, columns, end: u32, begins: bool, now, logits_offset, infinity: f32 }
}

kernel! {
    beam(BeamParams),
    [Read logits, Read norms, Write candidates, Write scores, Write tokens, Write parents], wraps Columns
}

/// The most beams of a sequence: their places have to fit into workgroup memory.
pub(crate) const MAX_BEAMS: usize = 256;

fn reach(_: &Variant, p: &BeamParams, _: Maxima<'_>) -> Reach {
    let rows = u(p.batch) * u(p.beams);
    Reach {
        logits: u(p.logits_offset) + rows * u(p.columns),
        norms: rows,
        candidates: rows * u(p.columns),
        scores: u(p.now) + 2 * rows,
        tokens: u(p.now) + 2 * rows,
        parents: u(p.now) + rows,
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, p: &BeamParams) -> [u64; 3] {
    [u(p.batch), 1, 1]
}

fn trips(variant: &Variant, p: &BeamParams) -> u64 {
    selection_trips(variant.tile, u(p.beams) * u(p.columns), u(p.beams))
}

/// Loop trips that write so many candidates and choose so many of them.
pub(super) fn selection_trips(tile: Tile, candidates: u64, wanted: u64) -> u64 {
    let lanes = u(tile.lanes).max(1);
    // To write them, to count them 17 times, and twice to find the places of those that are chosen.
    let passes = 20 * (candidates.div_ceil(lanes * u(tile.columns).max(1)) + 1);
    passes + 16 + lanes + 2 * wanted.div_ceil(lanes)
}

/// The tile that chooses among so many candidates: a lane takes as many of them a loop trip as keep its trips within a limit.
pub(crate) fn beam_tile(beams: usize, candidates: usize, trips: u64) -> Tile {
    let most = if candidates > 4096 { 256 } else { 64 };
    let lanes = beams.next_power_of_two().clamp(most, 256) as u32;
    let mut tiles = (0..=6).map(|power| Tile { lanes, columns: 1 << power, ..FLAT });
    let fits = |tile: &Tile| selection_trips(*tile, u(candidates), u(beams)) <= trips;
    tiles.clone().find(fits).or_else(|| tiles.next_back()).unwrap_or(FLAT)
}
