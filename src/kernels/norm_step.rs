//! `norm_step`: one time step with layer norms, after its product.

use super::normed::{self, NormParams};
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;

kernel! {
    norm_step(NormParams),
    [
        Write x, Read gains, Read map, Read products, Write h, Write c, Write y, Write h_final,
    ], wraps Rows
}

fn reach(variant: &Variant, p: &NormParams, maxima: Maxima<'_>) -> Reach {
    let normed::Reach { x, gains, map, ranks, state_h, state_c, y, gates, .. } = normed::reach(variant, p, maxima);
    Reach { x, gains, map, products: ranks * gates, h: state_h, c: state_c, y, h_final: state_h }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &NormParams) -> [u64; 3] {
    normed::grid(variant, p)
}

fn trips(variant: &Variant, p: &NormParams) -> u64 {
    normed::trips(variant, p)
}
