//! `element_loss`: losses of numbers, each by itself, and their gradient.

use super::params::{Word, params};
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{flat, u};

/// Which loss, in the order of its numbers in the shader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ElementLossForm {
    #[default]
    Squared,
    Binary,
    Absolute,
    Huber,
    /// The numbers are the losses.
    Itself,
}

impl ElementLossForm {
    pub const ALL: [Self; 5] = [Self::Squared, Self::Binary, Self::Absolute, Self::Huber, Self::Itself];
}

impl Word for ElementLossForm {
    fn word(self) -> u32 {
        self as u32
    }

    fn of_word(word: u32) -> Self {
        Self::ALL.get(word as usize).copied().unwrap_or_default()
    }
}

params! {
    /// A loss of each number.
    ElementLossParams {
        count, form: ElementLossForm, delta: f32, x_offset, target_offset, count_offset, losses_offset,
        gradient_offset, row_lanes,
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
