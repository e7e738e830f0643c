//! `pack`: a matrix with its bias in the layout that products read.

use super::params::params;
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{flat, u};

params! {
    /// Panels of `panel` rows, then the bias.
    PackParams {
        rows, columns, pitch, panel, source_offset, source_row, source_column, biased: bool, bias_offset, packed_offset,
        row_lanes,
    }
}

kernel! { pack(PackParams), [Read source, Read bias, Write packed] }

fn reach(variant: &Variant, p: &PackParams, _: Maxima<'_>) -> Reach {
    let [rows, columns] = [u(p.rows), u(p.columns)];
    let last = rows.saturating_sub(1) * u(p.source_row) + columns.saturating_sub(1) * u(p.source_column);
    Reach {
        source: u(p.source_offset) + last + 1,
        bias: if p.biased { u(p.bias_offset) + columns } else { 0 },
        packed: u(p.packed_offset) + packed_words(variant, rows, u(p.pitch).max(columns), u(p.panel)),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &PackParams) -> [u64; 3] {
    flat(variant, packed_words(variant, u(p.rows), u(p.pitch), u(p.panel)), p.row_lanes)
}

/// Words that it writes.
fn packed_words(variant: &Variant, rows: u64, pitch: u64, panel: u64) -> u64 {
    let vector = if variant.reads.half && panel > 1 { panel / 2 } else { panel };
    (rows.div_ceil(panel.max(1)) + 1) * pitch * vector
}
