//! `adam`: Adam and AdamW.

use super::params::params;
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{flat, u};

params! {
    /// Adam and AdamW.
    AdamParams { count, offset, factor: f32, beta_1: f32, beta_2: f32, epsilon: f32, decay: f32, decoupled: bool, max_value: f32, trial: bool, row_lanes }
}

kernel! {
    adam(AdamParams),
    [
        Read gradient, Read hyper, Read control, Write weights, Write moment, Write square, Write status,
    ]
}

fn reach(_: &Variant, p: &AdamParams, _: Maxima<'_>) -> Reach {
    let count = u(p.offset) + u(p.count);
    Reach { gradient: count, hyper: 3, control: 5, weights: count, moment: count, square: count, status: 6 }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &AdamParams) -> [u64; 3] {
    flat(variant, u(p.count), p.row_lanes)
}
