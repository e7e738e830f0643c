//! The `grid` schedule: many steps in a dispatch of many workgroups, and what stands by where they don't run side by side.

use super::emit::Layer;
use super::schedule::Grid;
use crate::kernels::{EXCHANGE_HEAD, FLAT, Kernel, RecurrenceParams, SettleParams, Variant, exchange_words};
use crate::plan::{BufferId, PlanBuilder};
use std::ops::Range;

/// Most words of an exchange: a slot for each step costs memory, and time to clear it.
const EXCHANGE: u64 = 1 << 24;

/// Some steps of the chunk that begins with step `chunk`, from state `h` of the two; gives the one they end in.
pub(super) fn emit(
    layer: &Layer<'_>,
    plan: &mut PlanBuilder,
    (chunk, steps): (usize, Range<usize>),
    grid: &Grid,
    mut h: usize,
) -> usize {
    let config = layer.pass.rnn.config();
    let phases = config.phases();
    let states = layer.pass.layer_states() as u64;
    let widths = phases.iter().map(|phase| phase.units.of(config.hidden, config.state_size()).next_multiple_of(4));
    let width = widths.max().unwrap_or(0) as u64;
    let fits = EXCHANGE / (states * phases.len() as u64 * width).max(1);
    let most = grid.steps.min(usize::try_from(fits).unwrap_or(usize::MAX)).max(1);
    for at in steps.clone().step_by(most) {
        let some = at..steps.end.min(at + most);
        let params =
            RecurrenceParams { steps: some.len() as u32, h_out_stride: width as u32, ..layer.params(chunk, at) };
        let slots = (some.len() * phases.len()) as u64;
        let words = exchange_words(states, slots, width, params.aux_stride.into());
        let exchange = plan.workspace("exchange between workgroups", words as usize);
        plan.draft.clear(exchange, 0, words);
        let variant = Variant { width: grid.width, ..layer.variant(Kernel::Grid, grid.tile, plan) };
        plan.draft.dispatch(variant, layer.bindings([layer.buffers.h[h], exchange]), &params.words());

        let guarded = plan.guarded("map of what stands by", &layer.pass.rows.indices);
        // As many dispatches stand by as there would be, and each swaps the states.
        let ends = plan_ahead(layer, plan, some.len(), grid, h);
        settle(layer, plan, [exchange, guarded, layer.buffers.h[ends]], &params, slots);
        h = layer.sequence(plan, (chunk, some), &grid.rescue, guarded, h);
    }
    h
}

/// The state in which `steps` steps of `sequence` end.
fn plan_ahead(layer: &Layer<'_>, plan: &PlanBuilder, steps: usize, grid: &Grid, h: usize) -> usize {
    let most = super::schedule::sequence_steps(plan.device(), layer.pass.rnn.config(), &grid.rescue);
    (h + steps.div_ceil(most)) % 2
}

fn settle(
    layer: &Layer<'_>,
    plan: &mut PlanBuilder,
    [exchange, guarded, h_out]: [BufferId; 3],
    p: &RecurrenceParams,
    slots: u64,
) {
    let rows = layer.pass.layer_states();
    let slot = |i: u64| (EXCHANGE_HEAD + i * rows as u64 * u64::from(p.h_out_stride)) as u32;
    let map_words = layer.pass.rows.indices.len();
    let lanes = (rows * p.h_out_stride.max(p.aux_stride) as usize).max(map_words);
    let params = SettleParams {
        rows: rows as u32,
        state_row: p.state_row,
        h_width: layer.pass.h_width() as u32,
        width: p.h_out_stride,
        h_at: slot(slots - 1),
        aux_stride: p.aux_stride,
        aux_at: slot(slots),
        map_words: map_words as u32,
        row_lanes: super::pack::row_lanes(lanes),
    };
    let variant = Variant::new(Kernel::Settle, FLAT, plan.device().panel());
    let bindings = vec![exchange, layer.pass.map, guarded, h_out, layer.buffers.aux];
    plan.draft.dispatch(variant, bindings, &params.words());
}
