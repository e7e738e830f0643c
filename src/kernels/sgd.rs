//! `sgd`: stochastic gradient descent, with momentum or without.

use super::params::params;
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{flat, u};

params! {
    /// Stochastic gradient descent.
    SgdParams { count, offset, factor: f32, momentum: f32, decay: f32, nesterov: bool, max_value: f32, trial: bool, row_lanes }
}

kernel! { sgd(SgdParams), [Read gradient, Read hyper, Read control, Write weights, Write moment, Write status] }

fn reach(_: &Variant, p: &SgdParams, _: Maxima<'_>) -> Reach {
    let count = u(p.offset) + u(p.count);
    let moment = if p.momentum != 0.0 { count } else { 0 };
    Reach { gradient: count, hyper: 3, control: 3, weights: count, moment, status: 6 }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &SgdParams) -> [u64; 3] {
    flat(variant, u(p.count), p.row_lanes)
}
