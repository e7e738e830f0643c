//! `average`: moving averages of weights.

use super::params::params;
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{flat, u};

params! {
    /// Moving averages of weights.
    AverageParams { count, row_lanes }
}

kernel! { average(AverageParams), [Read weights, Read control, Read status, Write averaged] }

fn reach(_: &Variant, p: &AverageParams, _: Maxima<'_>) -> Reach {
    Reach { weights: u(p.count), control: 6, status: 1, averaged: u(p.count) }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &AverageParams) -> [u64; 3] {
    flat(variant, u(p.count), p.row_lanes)
}
