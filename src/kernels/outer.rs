//! `outer`: the gradient of a matrix, rows times rows, summed over them.

use super::params::params;
use super::table::{Maxima, kernel};
use super::tile::Tile;
use super::variant::Variant;
use super::words::{Map, u};

params! {
    /// C[b, i, j] (+)= Σr A[b, r, i] · B[b, row(r), j].
    OuterParams {
        m, n, batch, a_offset, a_row, a_batch, b_offset, b_row, b_batch, c_offset, c_row, c_batch, mapped: u32, map_offset,
        map_batch, first, end, start, to, accumulate: bool,
    }
}

kernel! { outer(OuterParams), [Read a, Read b, Read map, Write c], tiled true, wraps Rows }

fn reach(variant: &Variant, p: &OuterParams, maxima: Maxima<'_>) -> Reach {
    let last = u(p.batch).saturating_sub(1);
    let last_c = (u(variant.of.parts()) * u(p.batch)).saturating_sub(1);
    let map = Map { mapped: p.mapped, offset: p.map_offset, batch: p.map_batch, part: (p.first, p.end) };
    let found = map.rows(u(p.to), last, maxima);
    let b_rows = if p.mapped == 0 { found.last } else { found.largest };
    Reach {
        a: u(p.a_offset) + last * u(p.a_batch) + found.last * u(p.a_row) + u(p.m),
        b: u(p.b_offset) + last * u(p.b_batch) + b_rows * u(p.b_row) + u(p.n),
        map: found.words,
        c: u(p.c_offset) + last_c * u(p.c_batch) + u(p.m).saturating_sub(1) * u(p.c_row) + u(p.n),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &OuterParams) -> [u64; 3] {
    let Tile { rows, columns, lanes, .. } = variant.tile;
    let [down, across] = if variant.of.staged() { [16 * rows, 16 * columns] } else { [rows, 4 * lanes] }.map(u);
    [u(p.n).div_ceil(across), u(p.m).div_ceil(down), u(variant.of.parts()) * u(p.batch)]
}

/// Rows of a stage, and trips around a stage; a lane that reads its operands takes them one by one.
fn stage(variant: &Variant) -> [u64; 2] {
    if variant.of.staged() { [64 / u(variant.tile.rows), 1] } else { [1, 0] }
}

fn trips(variant: &Variant, p: &OuterParams) -> u64 {
    let [depth, around] = stage(variant);
    let rows = u(p.to).saturating_sub(u(p.start)).div_ceil(u(variant.of.parts()));
    rows.div_ceil(depth) * (depth + around) + u(variant.tile.rows)
}

/// Most rows of a dispatch of so many trips.
pub(crate) fn outer_rows(variant: &Variant, trips: u64) -> u64 {
    let [depth, around] = stage(variant);
    let rows = trips.saturating_sub(u(variant.tile.rows)) / (depth + around) * depth;
    rows.max(1).saturating_mul(u(variant.of.parts()))
}

fn flop(_: &Variant, p: &OuterParams, _: Maxima<'_>) -> u64 {
    2 * u(p.m) * u(p.n) * u(p.to).saturating_sub(u(p.start)) * u(p.batch)
}
