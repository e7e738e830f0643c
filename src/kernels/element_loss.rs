//! `element_loss`: squared error or binary cross-entropy of numbers, and its gradient.

use super::params::params;
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{flat, u};

params! {
    /// Squared error or binary cross-entropy.
    ElementLossParams {
        count, binary: bool, x_offset, target_offset, count_offset, losses_offset, gradient_offset, row_lanes,
    }
}

kernel! { element_loss(ElementLossParams), [Read x, Read targets, Read count, Write losses, Write gradient] }

fn reach(_: &Variant, p: &ElementLossParams, _: Maxima<'_>) -> Reach {
    Reach {
        x: u(p.x_offset) + u(p.count),
        targets: u(p.target_offset) + u(p.count),
        count: u(p.count_offset) + 1,
        losses: u(p.losses_offset) + u(p.count),
        gradient: u(p.gradient_offset) + u(p.count),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &ElementLossParams) -> [u64; 3] {
    flat(variant, u(p.count), p.row_lanes)
}
