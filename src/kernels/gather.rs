//! `gather`: rows of a table by index.

use super::params::params;
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{flat, u};

params! {
    /// out[m, j] = table[index[m], j].
    GatherParams {
        m, columns, table_rows, table_offset, table_row, indexed: bool, index_offset, out_offset, out_row, nan: f32, accumulate: bool,
        row_lanes,
    }
}

kernel! { gather(GatherParams), [Read table, Read index, Write out] }

fn reach(_: &Variant, p: &GatherParams, _: Maxima<'_>) -> Reach {
    Reach {
        table: u(p.table_offset) + u(p.table_rows).saturating_sub(1) * u(p.table_row) + u(p.columns),
        index: if p.indexed { u(p.index_offset) + u(p.m) } else { 0 },
        out: u(p.out_offset) + u(p.m).saturating_sub(1) * u(p.out_row) + u(p.columns),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &GatherParams) -> [u64; 3] {
    flat(variant, u(p.m) * u(p.columns), p.row_lanes)
}
