//! `guard`: whether a step of training is taken.

use super::params::params;
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::u;

params! {
    /// Whether a step is taken.
    GuardParams { max_norm: f32, loss_offset, squares_offset, wary: bool, after: bool, skips: u32, log_beta_1: f32, log_beta_2: f32, log_decay: f32, decay: f32 }
}

kernel! { guard(GuardParams), [Read hyper, Read loss, Read added, Read squares, Write status, Write control] }

fn reach(_: &Variant, p: &GuardParams, _: Maxima<'_>) -> Reach {
    Reach { hyper: 8, loss: u(p.loss_offset) + 1, added: 1, squares: u(p.squares_offset) + 1, status: 8, control: 6 }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, _: &GuardParams) -> [u64; 3] {
    [1, 1, 1]
}
