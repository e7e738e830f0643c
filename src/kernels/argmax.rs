//! `argmax`: the column of each row's largest element.

use super::params::params;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{row_trips, u};

params! {
    /// out[m] = argmax over columns.
    ArgmaxParams { m, columns, values_offset, values_row, out_offset }
}

kernel! { argmax(ArgmaxParams), [Read values, Write out], wraps Columns }

fn reach(_: &Variant, p: &ArgmaxParams, _: Maxima<'_>) -> Reach {
    Reach {
        values: u(p.values_offset) + u(p.m).saturating_sub(1) * u(p.values_row) + u(p.columns),
        out: u(p.out_offset) + u(p.m),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, p: &ArgmaxParams) -> [u64; 3] {
    [u(p.m), 1, 1]
}

fn trips(variant: &Variant, p: &ArgmaxParams) -> u64 {
    row_trips(variant.kernel(), variant.tile, u(p.columns))
}
