//! `guard`: whether a step of training is taken.

use super::params::params;
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::u;

params! {
    /// Whether a step is taken.
    GuardParams { max_norm: f32, loss_offset, squares_offset, wary: bool }
}

kernel! { guard(GuardParams), [Read hyper, Read loss, Read squares, Write status, Write control] }

fn reach(_: &Variant, p: &GuardParams, _: Maxima<'_>) -> Reach {
    Reach { hyper: 6, loss: u(p.loss_offset) + 1, squares: u(p.squares_offset) + 1, status: 6, control: 3 }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, _: &GuardParams) -> [u64; 3] {
    [1, 1, 1]
}
