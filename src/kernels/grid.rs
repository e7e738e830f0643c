//! `grid`: many time steps at once, on many workgroups that hand values on.

use super::limits::POLLS;
use super::params::PhaseParams;
use super::recurrence::{self, RecurrenceParams};
use super::table::{Maxima, kernel};
use super::tile::Tile;
use super::variant::Variant;
use super::words::u;

kernel! {
    grid(RecurrenceParams),
    [
        Write x, Matrix weights, Read map, Rows h_in, Write exchange, Write aux, Write y, Write h_final,
    ], tiled true, wraps Rows, state state_width
}

fn reach(variant: &Variant, p: &RecurrenceParams, maxima: Maxima<'_>) -> Reach {
    let recurrence::Reach { x, weights, map, h_in, y, h_final, .. } = recurrence::reach(variant, p, maxima);
    // All sequences' slots are held, of those too that have ended.
    let all = u(p.tracks) * u(p.batch);
    let phases = variant.phases().len() as u64;
    Reach {
        x,
        weights,
        map: map.max(u(p.order) + u(p.batch)),
        h_in,
        exchange: exchange_words(all, u(p.steps) * phases, u(p.h_out_stride), u(p.aux_stride)),
        aux: (u(p.state_row) + all) * u(p.aux_stride),
        y,
        h_final,
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &RecurrenceParams) -> [u64; 3] {
    let [rows, lanes] = [variant.tile.rows, variant.tile.lanes].map(u);
    [u(p.units_0.max(p.units_1)).div_ceil(lanes), u(p.batch).div_ceil(rows), u(p.tracks)]
}

fn trips(variant: &Variant, p: &RecurrenceParams) -> u64 {
    let phases = p.phases().into_iter().take(variant.phases().len());
    let (edges, step) = grid_trips(variant.tile, variant.of.state_width(), phases);
    edges + u(p.steps) * step
}

fn flop(variant: &Variant, p: &RecurrenceParams, maxima: Maxima<'_>) -> u64 {
    recurrence::flop(variant, p.units(), p.tracks, [p.offsets, p.steps], maxima)
}

fn state_width(variant: &Variant, p: &RecurrenceParams) -> u64 {
    let rows = if variant.reads.panel == 1 { 1 } else { 4 };
    u(p.units_0.max(p.units_1)).max(rows * u(p.panels_0.max(p.panels_1)))
}

/// Words of an exchange before its slots.
pub(crate) const EXCHANGE_HEAD: u64 = 64;

/// Words of an exchange: for each phase of each step a row for each state, then the slots that are held.
pub(crate) const fn exchange_words(states: u64, phases: u64, width: u64, held: u64) -> u64 {
    EXCHANGE_HEAD + states * (phases * width + held)
}

/// Loop trips around its steps, and in each of them.
pub(crate) fn grid_trips(tile: Tile, width: u32, phases: impl IntoIterator<Item = PhaseParams>) -> (u64, u64) {
    let [rows, lanes] = [tile.rows, tile.lanes].map(u);
    let staged = (rows * u(width)).div_ceil(lanes);
    let step = phases.into_iter().map(|phase| staged + phase.panels as u64 + rows).sum::<u64>() + 1;
    (u(POLLS) + 4 * rows, step)
}
