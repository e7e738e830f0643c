//! `map`: a function of the elements of several values, each in a layout of its own.

use super::formula::MAX_INPUTS;
use super::layout::{layout_len, reached};
use super::of::Of;
use super::params::params;
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{flat, u};

params! {
    /// out[i] (+)= f(x0[i], x1[i], ...).
    MapParams { count, accumulate: bool, nan: f32, infinity: f32, row_lanes }
}

kernel! {
    map(MapParams), [Read places, Read x0, Read x1, Read x2, Read x3, Read x4, Read x5, Write out]
}

fn reach(variant: &Variant, p: &MapParams, maxima: Maxima<'_>) -> Reach {
    let Of::Map { formula, axes, .. } = variant.of else { return Reach::default() };
    let axes = axes as usize;
    if p.count == 0 {
        return Reach::default();
    }
    let input = |k: usize| if formula.reads(k) { reached(axes, 1 + k, maxima) } else { 0 };
    let [x0, x1, x2, x3, x4, x5]: [u64; MAX_INPUTS] = std::array::from_fn(input);
    Reach { places: layout_len(axes, 1 + formula.inputs()), x0, x1, x2, x3, x4, x5, out: reached(axes, 0, maxima) }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &MapParams) -> [u64; 3] {
    flat(variant, u(p.count), p.row_lanes)
}
