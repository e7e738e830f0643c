//! The `grid` schedule: many steps in a dispatch of many workgroups, and what stands by where they don't run side by side.

use super::forward_layer::LayerForward;
use super::pack::row_lanes;
use super::places::{Steps, Turns};
use super::schedule::{Grid, sequence_steps};
use super::sequence::emit_sequence;
use crate::kernels::{EXCHANGE_HEAD, FLAT, Kernel, Of, RecurrenceParams, SettleParams, Variant, exchange_words};
use crate::plan::{BufferId, PlanBuilder};

/// Most words of an exchange: a slot for each step costs memory, and time to clear it.
const EXCHANGE: u64 = 1 << 24;

/// Some steps, from the first state of the two; gives them as they stand after the last step.
pub(super) fn emit_grid(
    layer: &LayerForward<'_>,
    plan: &mut PlanBuilder,
    steps: &Steps,
    grid: &Grid,
    mut h: Turns,
) -> Turns {
    let config = layer.pass.config();
    let phases = config.phases();
    let states = layer.pass.layer_states() as u64;
    let widths = phases.iter().map(|phase| phase.units.of(config.hidden, config.state_size()).next_multiple_of(4));
    let width = widths.max().unwrap_or(0);
    let fits = EXCHANGE / (states * (phases.len() * width) as u64).max(1);
    let most = grid.steps.min(usize::try_from(fits).unwrap_or(usize::MAX)).max(1);
    for at in steps.range.clone().step_by(most) {
        let some = at..steps.range.end.min(at + most);
        let params = RecurrenceParams { steps: some.len(), h_out_stride: width, ..layer.params(steps.chunk, at) };
        let slots = (some.len() * phases.len()) as u64;
        let words = exchange_words(states, slots, width as u64, params.aux_stride as u64);
        let exchange = plan.workspace("exchange between workgroups", words as usize);
        plan.draft.clear(exchange, 0, words);
        let variant = layer.variant(Of::Grid { form: layer.form(), state_width: grid.state_width }, grid.tile, plan);
        plan.draft.dispatch(variant, layer.bindings([h.now, exchange]), &params.words());

        let guarded = plan.guarded("map of what stands by", &layer.pass.rows.indices);
        // As many dispatches stand by as there would be, and each swaps the states.
        let ends = plan_ahead(layer, plan, some.len(), grid, h);
        settle(layer, plan, [exchange, guarded, ends.now], &params, slots);
        h = emit_sequence(layer, plan, &Steps { chunk: steps.chunk, range: some }, &grid.rescue, guarded, h);
    }
    h
}

/// The states as they stand after `steps` steps of `sequence`.
fn plan_ahead(layer: &LayerForward<'_>, plan: &PlanBuilder, steps: usize, grid: &Grid, h: Turns) -> Turns {
    let most = sequence_steps(plan.device(), layer.pass.config(), &grid.rescue);
    if steps.div_ceil(most).is_multiple_of(2) { h } else { h.swapped() }
}

fn settle(
    layer: &LayerForward<'_>,
    plan: &mut PlanBuilder,
    [exchange, guarded, h_out]: [BufferId; 3],
    p: &RecurrenceParams,
    slots: u64,
) {
    let rows = layer.pass.layer_states();
    let slot = |i: u64| (EXCHANGE_HEAD + i * (rows * p.h_out_stride) as u64) as usize;
    let map_words = layer.pass.rows.indices.len();
    let lanes = (rows * p.h_out_stride.max(p.aux_stride)).max(map_words);
    let params = SettleParams {
        rows,
        state_row: p.state_row,
        h_width: layer.pass.h_width(),
        exchange_width: p.h_out_stride,
        h_at: slot(slots - 1),
        aux_stride: p.aux_stride,
        aux_at: slot(slots),
        map_words,
        row_lanes: row_lanes(lanes),
    };
    let variant = Variant::plain(Kernel::Settle, FLAT, plan.device().panel());
    let bindings = vec![exchange, layer.pass.map, guarded, h_out, layer.buffers.aux];
    plan.draft.dispatch(variant, bindings, &params.words());
}
