//! `scan_backward`: a linear recurrence backwards.

use super::linear_recurrence::{self, ScanParams};
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;

kernel! { scan_backward(ScanParams), [Write reserve, Write dh, Read map, Write dc, Read dy, Write carry], wraps Rows }

fn reach(variant: &Variant, p: &ScanParams, maxima: Maxima<'_>) -> Reach {
    let linear_recurrence::Reach { x, h, map, c, y, carry } = linear_recurrence::reach(variant, p, maxima);
    Reach { reserve: x, dh: h, map, dc: c, dy: y, carry }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &ScanParams) -> [u64; 3] {
    linear_recurrence::grid(variant, p)
}

fn trips(variant: &Variant, p: &ScanParams) -> u64 {
    linear_recurrence::trips(variant, p)
}
