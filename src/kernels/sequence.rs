//! `sequence`: many time steps at once, a workgroup for some sequences.

use super::recurrence::{self, RecurrenceParams};
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{sequence_trips, u};

kernel! {
    sequence(RecurrenceParams),
    [
        Write x, Matrix weights, Read map, Rows h_in, Write h_out, Write aux, Write y, Write h_final,
    ], tiled true, wraps Rows, state state_width
}

fn reach(variant: &Variant, p: &RecurrenceParams, maxima: Maxima<'_>) -> Reach {
    let recurrence::Reach { x, weights, map, h_in, h_out, aux, y, h_final } = recurrence::reach(variant, p, maxima);
    Reach { x, weights, map, h_in, h_out, aux, y, h_final }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &RecurrenceParams) -> [u64; 3] {
    [1, u(p.running).div_ceil(u(variant.tile.rows)), u(p.tracks)]
}

fn trips(variant: &Variant, p: &RecurrenceParams) -> u64 {
    let (edges, step) = sequence_trips(variant.tile, variant.of.state_width(), p.phases());
    edges + u(p.steps) * step
}

fn flop(variant: &Variant, p: &RecurrenceParams, maxima: Maxima<'_>) -> u64 {
    recurrence::flop(variant, p.units(), p.tracks, [p.offsets, p.steps], maxima)
}

fn state_width(_: &Variant, p: &RecurrenceParams) -> u64 {
    u(p.units_0).max(4 * u(p.h_in_stride))
}
