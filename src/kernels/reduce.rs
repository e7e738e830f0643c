//! `reduce`: sums and counts over blocks.

use super::params::params;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::u;

params! {
    /// out[g] = Σ f(values[i · stride]) over blocks.
    ReduceParams { count, block, form: u32, stride, values_offset, out_offset, divided: bool, divisor_offset, nan: f32 }
}

kernel! { reduce(ReduceParams), [Read values, Read divisor, Write out], wraps Columns }

fn reach(_: &Variant, p: &ReduceParams, _: Maxima<'_>) -> Reach {
    Reach {
        values: u(p.values_offset) + u(p.count).saturating_sub(1) * u(p.stride) + 1,
        divisor: if p.divided { u(p.divisor_offset) + 1 } else { 0 },
        out: u(p.out_offset) + u(p.count).div_ceil(u(p.block).max(1)),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, p: &ReduceParams) -> [u64; 3] {
    [u(p.count).div_ceil(u(p.block).max(1)), 1, 1]
}

fn trips(variant: &Variant, p: &ReduceParams) -> u64 {
    u(p.block).div_ceil(u(variant.tile.lanes)) + 32
}
