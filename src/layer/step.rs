//! The `step` schedule: a dispatch for each step and phase, forward and backward.

use super::backward_layer::LayerBackward;
use super::forward_layer::{LayerForward, StateRows};
use super::places::{Steps, Turns};
use super::schedule;
use crate::error::Result;
use crate::kernels::{BackwardParams, Of, RecurrenceParams, Sums};
use crate::plan::PlanBuilder;

/// Some steps, one after the other, from the first state of the two; gives them as they stand after the last step.
pub(super) fn emit_steps(layer: &LayerForward<'_>, plan: &mut PlanBuilder, steps: &Steps, mut h: Turns) -> Turns {
    for at in steps.range.clone() {
        emit_step(layer, plan, [steps.chunk, at], h);
        h = h.swapped();
    }
    h
}

/// All phases of step `at` of the chunk that begins with step `chunk`.
fn emit_step(layer: &LayerForward<'_>, plan: &mut PlanBuilder, [chunk, at]: [usize; 2], h: Turns) {
    let pass = layer.pass;
    let config = pass.config();
    let phases = config.phases();
    let [first, last] = [0, phases.len() - 1];
    let shared = layer.params(chunk, at);
    let h_width = shared.h_out_stride;
    let between = config.hidden.next_multiple_of(4);
    for (i, phase) in phases.iter().enumerate() {
        let units = phase.units.of(config.hidden, config.state_size());
        let sizes = [units, pass.rows.running(at), config.tracks()];
        let tile = schedule::step_tile(plan.device(), phase.gates, sizes);
        let of = Of::Step { form: layer.form(), phase: i, keep: layer.buffers.keep, sums: Sums::Split(1) };
        let variant = layer.variant(of, tile, plan);
        let (source, source_width) = if i == first { (h.now, h_width) } else { (layer.buffers.between, between) };
        let (target, target_width) = if i == last { (h.next, h_width) } else { (layer.buffers.between, between) };
        let params = RecurrenceParams { h_in_stride: source_width / 4, h_out_stride: target_width, ..shared };
        let rows = StateRows::new(plan.device(), pass.layer_states(), layer.layer, source_width);
        let variant = variant.reading(rows.uniform);
        let running = config.tracks() * pass.rows.running(at);
        let by_units = schedule::cooperative(plan.device(), &variant, [pass.rows.running(at), source_width]);
        let sizes = [units, source_width / 4, running];
        let variant = by_units.unwrap_or_else(|| schedule::split(plan.device(), variant, sizes));
        let params = RecurrenceParams { h_in_row: rows.first, ..params };
        plan.draft.dispatch_window(variant, layer.bindings([source, target]), rows.window, &params.words());
    }
}

/// Some steps in reverse; gives the two carries of gate gradients as they stand after the first step.
pub(super) fn emit_steps_backward(
    layer: &LayerBackward<'_>,
    plan: &mut PlanBuilder,
    steps: &Steps,
    params: &BackwardParams,
    mut d: Turns,
) -> Result<Turns> {
    for at in steps.range.clone().rev() {
        emit_step_backward(layer, plan, at, &layer.params(params, steps.chunk, at), d)?;
        d = d.swapped();
    }
    Ok(d)
}

/// All phases of a step in reverse.
fn emit_step_backward(
    layer: &LayerBackward<'_>,
    plan: &mut PlanBuilder,
    at: usize,
    params: &BackwardParams,
    d: Turns,
) -> Result<()> {
    let (pass, device) = (layer.pass, plan.device().clone());
    let config = pass.config();
    let phases = config.phases();
    let [width, between] = [0, phases.len() - 1].map(|i| pass.phase_gates(i).next_multiple_of(4));
    for i in (0..phases.len()).rev() {
        let units = phases[i].units.of(config.hidden, config.state_size());
        let tile = schedule::step_tile(&device, 1, [units, pass.rows.running(at), config.tracks()]);
        let of = Of::StepBackward { form: layer.form(), phase: i, split: 1 };
        let variant = layer.variant(of, tile, plan)?;
        let (source, source_width) = if i + 1 == phases.len() { (d.now, width) } else { (layer.between, between) };
        let (target, target_width) = if i == 0 { (d.next, width) } else { (layer.between, between) };
        let rows = StateRows::new(&device, pass.layer_states(), layer.layer, source_width);
        let variant = variant.reading(rows.uniform);
        let running = config.tracks() * pass.rows.running(at);
        let variant = schedule::split(&device, variant, [units, source_width / 4, running]);
        let params = BackwardParams {
            d_in_row: rows.first,
            d_in_stride: source_width / 4,
            d_out_stride: target_width,
            ..*params
        };
        layer.dispatch(plan, variant, [source, target], rows.window, &params)?;
    }
    Ok(())
}
