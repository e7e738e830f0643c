//! `step`: one phase of one time step.

use super::recurrence::{self, RecurrenceParams};
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::u;

kernel! {
    step(RecurrenceParams),
    [
        Write x, Matrix weights, Read map, Rows h_in, Write h_out, Write aux, Write y, Write h_final,
    ], tiled true, wraps Rows
}

fn reach(variant: &Variant, p: &RecurrenceParams, maxima: Maxima<'_>) -> Reach {
    let recurrence::Reach { x, weights, map, h_in, h_out, aux, y, h_final } = recurrence::reach(variant, p, maxima);
    Reach { x, weights, map, h_in, h_out, aux, y, h_final }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &RecurrenceParams) -> [u64; 3] {
    recurrence::step_grid(variant, p)
}

fn trips(variant: &Variant, p: &RecurrenceParams) -> u64 {
    let (panels, rows) = (p.phases()[variant.of.phase()].panels as u64, u(variant.tile.rows));
    // A cooperative product loops over a stage's vectors too: all together not more than two for each of the columns' vectors.
    if variant.of.units().is_some() { 4 * panels + 2 * rows + 16 } else { panels + rows }
}

fn flop(variant: &Variant, p: &RecurrenceParams, maxima: Maxima<'_>) -> u64 {
    recurrence::flop(variant, p.units(), p.tracks, [p.offsets, p.steps], maxima)
}
