//! `attend`: what queries see of a memory.

use super::params::params;
use super::table::{Maxima, kernel};
use super::tile::{FLAT, Tile, attended_at_once};
use super::variant::Variant;
use super::words::u;

params! {
    /// Scores, their softmax, and the mean of values.
    AttendParams {
        rows, queries, steps, features, width, scored: bool, query_offset, keys_offset, keys_sequence, keys_step, values_offset,
        values_sequence, values_step, lengths_offset, nan: f32,
    }
}

kernel! {
    attend(AttendParams),
    [Read query, Read keys, Read values, Read input_lengths, Write context, Write weights], wraps Columns
}

/// The most steps of a memory: their scores have to fit into workgroup memory.
pub(crate) const ATTENDED_STEPS: usize = 1024;

/// A workgroup for each query: narrow on adapters in software, where every lane of it costs, else wide.
pub(crate) const ATTEND_TILES: [Tile; 2] = [Tile { lanes: 32, ..FLAT }, Tile { lanes: 256, ..FLAT }];

fn reach(_: &Variant, p: &AttendParams, _: Maxima<'_>) -> Reach {
    let sequences = u(p.rows).div_ceil(u(p.queries).max(1));
    let strided = |offset: usize, [sequence, step]: [usize; 2], width: usize| {
        u(offset) + sequences.saturating_sub(1) * u(sequence) + u(p.steps).saturating_sub(1) * u(step) + u(width)
    };
    Reach {
        query: u(p.query_offset) + u(p.rows) * u(if p.scored { p.steps } else { p.features }),
        keys: if p.scored { 0 } else { strided(p.keys_offset, [p.keys_sequence, p.keys_step], p.features) },
        values: strided(p.values_offset, [p.values_sequence, p.values_step], p.width),
        input_lengths: u(p.lengths_offset) + sequences,
        context: u(p.rows) * u(p.width),
        weights: u(p.rows) * u(p.steps),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, p: &AttendParams) -> [u64; 3] {
    [u(p.rows), 1, 1]
}

fn trips(variant: &Variant, p: &AttendParams) -> u64 {
    let lanes = u(variant.tile.lanes).max(8);
    // Four lanes share a step or a column.
    let (taken, vector) = (lanes / 4 * attended_at_once(lanes), if variant.of.vector() { 4 } else { 1 });
    let scores = u(p.steps).div_ceil(taken) * (4 + (u(p.features) / vector).div_ceil(4));
    let context = (u(p.width) / vector).div_ceil(taken) * (4 + u(p.steps).div_ceil(4));
    if p.scored { 0 } else { scores }.saturating_add(4 * u(p.steps).div_ceil(lanes) + 8 + context)
}

fn flop(_: &Variant, p: &AttendParams, _: Maxima<'_>) -> u64 {
    let scores = if p.scored { 0 } else { u(p.features) };
    2 * u(p.rows) * u(p.steps) * (scores + u(p.width))
}
