//! `gemm`: a batched matrix product of strided A and packed B, with bias.

use super::of::{By, Of};
use super::params::params;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{Map, packed_vectors, u};

params! {
    /// C[b, m, n] (+)= Σk A[b, row(m), k] · B[b, k, n] + bias[b, n].
    GemmParams {
        m, n, k, batch, a_offset, a_row, a_column, a_batch, b_offset, b_batch, c_offset, c_row, c_batch, mapped: u32,
        map_offset, map_batch, accumulate: bool, first, end,
    }
}

kernel! { gemm(GemmParams), [Rows a, Matrix b, Read map, Write c], tiled true, wraps Rows }

fn reach(variant: &Variant, p: &GemmParams, maxima: Maxima<'_>) -> Reach {
    let last = u(p.batch).saturating_sub(1);
    let map = Map { mapped: p.mapped, offset: p.map_offset, batch: p.map_batch, part: (p.first, p.end) };
    let found = map.rows(u(p.m), last, maxima);
    let (a_rows, c_rows) = match p.mapped {
        0 => (found.last, found.last),
        1 => (found.largest, found.last),
        _ => (found.last, found.largest),
    };
    let [k, n] = [u(p.k), u(p.n)];
    let c = u(p.c_offset) + last * u(p.c_batch) + c_rows * u(p.c_row) + n;
    let vectors = u(p.b_offset) + last * u(p.b_batch) + packed_vectors(k, n, u(variant.reads.panel));
    Reach {
        a: u(p.a_offset) + last * u(p.a_batch) + a_rows * u(p.a_row) + k.saturating_sub(1) * u(p.a_column) + 1,
        b: vectors * u(variant.reads.vector_words()),
        map: found.words,
        c: if variant.reads.narrow { c.div_ceil(2) } else { c },
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &GemmParams) -> [u64; 3] {
    let [rows, columns] = [variant.tile.rows, variant.tile.columns].map(u);
    let [down, across] = match variant.of {
        Of::Gemm { by: By::Staged, .. } => [16 * rows, 16 * rows],
        // A lane of a cooperative product has no columns of its own.
        Of::Gemm { by: By::Units(_), .. } => [rows, columns],
        _ => [rows, u(variant.tile.lanes) * columns],
    };
    [u(p.n).div_ceil(across), u(p.m).div_ceil(down), u(p.batch)]
}

fn trips(variant: &Variant, p: &GemmParams) -> u64 {
    let (panels, rows) = (u(p.k).div_ceil(4), u(variant.tile.rows));
    if variant.of.staged() || variant.of.units().is_some() { 2 * panels + 2 * rows + 16 } else { panels + rows }
}

fn flop(_: &Variant, p: &GemmParams, _: Maxima<'_>) -> u64 {
    2 * u(p.m) * u(p.n) * u(p.k) * u(p.batch)
}
