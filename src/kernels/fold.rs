//! `fold`: sums, or the largest, of a function of the elements of several values along some of their axes.

use super::formula::MAX_INPUTS;
use super::layout::{layout_len, reached};
use super::of::Of;
use super::params::params;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{flat, u};

params! {
    /// out[i] (+)= Σr f(x0[i, r], x1[i, r], ...), over the terms r from `start` to before `end`.
    FoldParams { count, start, end, accumulate: bool, nan: f32, infinity: f32, row_lanes }
}

kernel! {
    fold(FoldParams), [Read places, Read x0, Read x1, Read x2, Read x3, Read x4, Read x5, Write out]
}

fn reach(variant: &Variant, p: &FoldParams, maxima: Maxima<'_>) -> Reach {
    let Of::Fold { formula, axes, folded, .. } = variant.of else { return Reach::default() };
    let axes = (axes + folded) as usize;
    if p.count == 0 {
        return Reach::default();
    }
    let input = |k: usize| if formula.reads(k) && p.end > p.start { reached(axes, 1 + k, maxima) } else { 0 };
    let [x0, x1, x2, x3, x4, x5]: [u64; MAX_INPUTS] = std::array::from_fn(input);
    // The result's strides along the folded axes are 0.
    Reach { places: layout_len(axes, 1 + formula.inputs()), x0, x1, x2, x3, x4, x5, out: reached(axes, 0, maxima) }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &FoldParams) -> [u64; 3] {
    let lanes = if variant.of.shares_folds() { u(variant.tile.lanes) } else { 1 };
    flat(variant, u(p.count) * lanes, p.row_lanes)
}

fn trips(variant: &Variant, p: &FoldParams) -> u64 {
    let terms = u(p.end).saturating_sub(u(p.start));
    if variant.of.shares_folds() { terms.div_ceil(u(variant.tile.lanes)) + 16 } else { terms }
}
