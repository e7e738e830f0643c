//! `scatter_add`: rows added to those of a table by index.

use super::params::params;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::u;

params! {
    /// table[index[m], j] += values[m, j].
    ScatterAddParams {
        start, end, columns, table_rows, values_offset, values_row, index_offset, table_offset, row_groups,
    }
}

kernel! { scatter_add(ScatterAddParams), [Read values, Read index, Read links, Write table] }

fn reach(_: &Variant, p: &ScatterAddParams, _: Maxima<'_>) -> Reach {
    Reach {
        values: u(p.values_offset) + u(p.end).saturating_sub(1) * u(p.values_row) + u(p.columns),
        index: u(p.index_offset) + u(p.end),
        links: u(p.end),
        table: u(p.table_offset) + u(p.table_rows) * u(p.columns),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &ScatterAddParams) -> [u64; 3] {
    let rows = u(p.end).saturating_sub(u(p.start));
    [u(p.row_groups), rows.div_ceil(u(p.row_groups).max(1)), u(p.columns).div_ceil(u(variant.tile.lanes))]
}

fn trips(_: &Variant, p: &ScatterAddParams) -> u64 {
    u(p.end).saturating_sub(u(p.start))
}
