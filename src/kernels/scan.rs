//! `scan`: a linear recurrence over many steps.

use super::linear_recurrence::{self, ScanParams};
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;

kernel! {
    scan(ScanParams),
    [
        Write x, Read h_in, Read map, Write h_out, Write c, Write y, Write h_final, Write carry,
    ], wraps Rows
}

fn reach(variant: &Variant, p: &ScanParams, maxima: Maxima<'_>) -> Reach {
    let linear_recurrence::Reach { x, h, map, c, y, carry } = linear_recurrence::reach(variant, p, maxima);
    Reach { x, h_in: h, map, h_out: h, c, y, h_final: h, carry }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &ScanParams) -> [u64; 3] {
    linear_recurrence::grid(variant, p)
}

fn trips(variant: &Variant, p: &ScanParams) -> u64 {
    linear_recurrence::trips(variant, p)
}
