//! `dropout`: numbers dropped at random.

use super::params::params;
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{flat, u};

params! {
    /// values[i] = values[i] · scale or 0.
    DropoutParams { count, offset, threshold: u32, scale: f32, stream: u32, seed_offset, row_lanes }
}

kernel! { dropout(DropoutParams), [Read seed, Write values] }

fn reach(_: &Variant, p: &DropoutParams, _: Maxima<'_>) -> Reach {
    Reach { seed: u(p.seed_offset) + 2, values: u(p.offset) + u(p.count) }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &DropoutParams) -> [u64; 3] {
    flat(variant, u(p.count), p.row_lanes)
}
