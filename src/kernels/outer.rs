//! `outer`: the gradient of a matrix, rows times rows, summed over them.

use super::params::params;
use super::table::{Maxima, kernel};
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

fn reach(_: &Variant, p: &OuterParams, maxima: Maxima<'_>) -> Reach {
    let last = u(p.batch).saturating_sub(1);
    let map = Map { mapped: p.mapped, offset: p.map_offset, batch: p.map_batch, part: (p.first, p.end) };
    let found = map.rows(u(p.to), last, maxima);
    let b_rows = if p.mapped == 0 { found.last } else { found.largest };
    Reach {
        a: u(p.a_offset) + last * u(p.a_batch) + found.last * u(p.a_row) + u(p.m),
        b: u(p.b_offset) + last * u(p.b_batch) + b_rows * u(p.b_row) + u(p.n),
        map: found.words,
        c: u(p.c_offset) + last * u(p.c_batch) + u(p.m).saturating_sub(1) * u(p.c_row) + u(p.n),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &OuterParams) -> [u64; 3] {
    [u(p.n).div_ceil(4 * u(variant.tile.lanes)), u(p.m).div_ceil(u(variant.tile.rows)), u(p.batch)]
}

fn trips(variant: &Variant, p: &OuterParams) -> u64 {
    u(p.to).saturating_sub(u(p.start)) + u(variant.tile.rows)
}

fn flop(_: &Variant, p: &OuterParams, _: Maxima<'_>) -> u64 {
    2 * u(p.m) * u(p.n) * u(p.to).saturating_sub(u(p.start)) * u(p.batch)
}
