//! `sequence_backward`: many time steps backwards.

use super::backward::{self, BackwardParams};
use super::recurrence;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{sequence_trips, u};

kernel! {
    sequence_backward(BackwardParams),
    [
        Write reserve, Matrix weights, Read map, Rows d_in, Write d_out, Write dh, Write dc, Read dy,
    ], tiled true, wraps Rows, state state_width
}

fn reach(variant: &Variant, p: &BackwardParams, maxima: Maxima<'_>) -> Reach {
    let backward::Reach { reserve, weights, map, d_in, d_out, dh, dc, dy } = backward::reach(variant, p, maxima);
    Reach { reserve, weights, map, d_in, d_out, dh, dc, dy }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &BackwardParams) -> [u64; 3] {
    [1, u(p.running).div_ceil(u(variant.tile.rows)), u(p.tracks)]
}

fn trips(variant: &Variant, p: &BackwardParams) -> u64 {
    let (edges, step) = sequence_trips(variant.tile, variant.of.state_width(), p.phases());
    edges + u(p.steps) * step
}

fn flop(variant: &Variant, p: &BackwardParams, maxima: Maxima<'_>) -> u64 {
    recurrence::flop(variant, p.units(), p.tracks, [p.offsets, p.steps], maxima)
}

fn state_width(variant: &Variant, p: &BackwardParams) -> u64 {
    let gates = variant.phases().iter().zip(p.units()).map(|(phase, units)| phase.gates as u64 * units);
    gates.map(|words| words.next_multiple_of(4)).max().unwrap_or(0).max(4 * u(p.d_in_stride))
}
