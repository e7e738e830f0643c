//! `sample`: a column of each row, drawn by its probability.

use super::params::params;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{row_trips, u};

params! {
    /// A draw among the columns of each row.
    SampleParams { m, columns, logits_offset, out_offset, seed_offset, place: u32, scale: f32, top_k, top_p: f32 }
}

kernel! { sample(SampleParams), [Read logits, Read seed, Write out], wraps Columns }

fn reach(_: &Variant, p: &SampleParams, _: Maxima<'_>) -> Reach {
    Reach {
        logits: u(p.logits_offset) + u(p.m) * u(p.columns),
        seed: u(p.seed_offset) + 2,
        out: u(p.out_offset) + u(p.m),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, p: &SampleParams) -> [u64; 3] {
    [u(p.m), 1, 1]
}

fn trips(variant: &Variant, p: &SampleParams) -> u64 {
    row_trips(variant.kernel(), variant.tile, u(p.columns))
}
