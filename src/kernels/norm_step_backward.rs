//! `norm_step_backward`: one time step with layer norms backwards.

use super::normed::{self, NormParams};
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;

kernel! {
    norm_step_backward(NormParams),
    [
        Write reserve, Read gains, Read map, Read products, Write d, Write dh, Write dc, Read dy,
    ], wraps Rows
}

fn reach(variant: &Variant, p: &NormParams, maxima: Maxima<'_>) -> Reach {
    let normed::Reach { x, gains, map, ranks, state_h, state_c, y, units, sums, .. } =
        normed::reach(variant, p, maxima);
    Reach { reserve: x, gains, map, products: ranks * units, d: sums, dh: state_h, dc: state_c, dy: y }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &NormParams) -> [u64; 3] {
    normed::grid(variant, p)
}

fn trips(variant: &Variant, p: &NormParams) -> u64 {
    normed::trips(variant, p)
}
