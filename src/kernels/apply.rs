//! `apply`: a function of each element.

use super::of::{Function, Of};
use super::params::params;
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{flat, u};

params! {
    /// out[m, j] = f(x[m, j]).
    ApplyParams { rows, columns, x_offset, x_row, out_offset, out_row, row_lanes }
}

kernel! { apply(ApplyParams), [Read x, Write out] }

fn reach(variant: &Variant, p: &ApplyParams, _: Maxima<'_>) -> Reach {
    let [rows, columns] = [u(p.rows).saturating_sub(1), u(p.columns)];
    // Complex numbers are two of each.
    let read = if variant.of == Of::Apply(Function::Magnitude) { 2 * columns } else { columns };
    Reach { x: u(p.x_offset) + rows * u(p.x_row) + read, out: u(p.out_offset) + rows * u(p.out_row) + columns }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &ApplyParams) -> [u64; 3] {
    flat(variant, u(p.rows) * u(p.columns), p.row_lanes)
}
