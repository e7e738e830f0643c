//! `log_sum_exp`: the logarithm of a softmax's denominator.

use super::params::params;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::u;

params! {
    /// out[m] = log Σj exp(x[m, j]).
    LogSumExpParams { m, columns, x_offset, nan: f32, row_groups }
}

kernel! { log_sum_exp(LogSumExpParams), [Read x, Write out] }

fn reach(_: &Variant, p: &LogSumExpParams, _: Maxima<'_>) -> Reach {
    Reach { x: u(p.x_offset) + u(p.m) * u(p.columns), out: u(p.m) }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, p: &LogSumExpParams) -> [u64; 3] {
    [u(p.row_groups), u(p.m).div_ceil(u(p.row_groups).max(1)), 1]
}

fn trips(variant: &Variant, p: &LogSumExpParams) -> u64 {
    2 * u(p.columns).div_ceil(u(variant.tile.lanes)) + 2 * 8
}
