//! `step_backward`: one phase of one time step backwards.

use super::backward::{self, BackwardParams};
use super::recurrence;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::u;

kernel! {
    step_backward(BackwardParams),
    [
        Write reserve, Matrix weights, Read map, Rows d_in, Write d_out, Write dh, Write dc, Read dy,
    ], tiled true, wraps Rows
}

fn reach(variant: &Variant, p: &BackwardParams, maxima: Maxima<'_>) -> Reach {
    let backward::Reach { reserve, weights, map, d_in, d_out, dh, dc, dy } = backward::reach(variant, p, maxima);
    Reach { reserve, weights, map, d_in, d_out, dh, dc, dy }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &BackwardParams) -> [u64; 3] {
    let units = p.units()[variant.of.phase() % 2];
    let [rows, across] = [variant.tile.rows, variant.tile.lanes * variant.tile.columns].map(u);
    [units.div_ceil(across), u(p.running).div_ceil(rows), u(p.tracks)]
}

fn trips(variant: &Variant, p: &BackwardParams) -> u64 {
    p.phases()[variant.of.phase()].panels as u64 + u(variant.tile.rows)
}

fn flop(variant: &Variant, p: &BackwardParams, maxima: Maxima<'_>) -> u64 {
    recurrence::flop(variant, p.units(), p.tracks, [p.offsets, p.steps], maxima)
}
