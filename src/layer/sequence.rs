//! The `sequence` schedule: many steps in a dispatch, a workgroup for some sequences, forward and backward.

use super::backward_layer::LayerBackward;
use super::forward_layer::LayerForward;
use super::places::{Steps, Turns};
use super::schedule::{self, Sequence};
use crate::error::Result;
use crate::kernels::{BackwardParams, Of, RecurrenceParams};
use crate::plan::{BufferId, PlanBuilder};

/// Some steps, from the first state of the two; gives them as they stand after the last step. `map` is the layer's, or one that
/// lets no sequence run: see the `grid` schedule.
pub(super) fn emit_sequence(
    layer: &LayerForward<'_>,
    plan: &mut PlanBuilder,
    steps: &Steps,
    form: &Sequence,
    map: BufferId,
    mut h: Turns,
) -> Turns {
    let most = schedule::sequence_steps(plan.device(), layer.pass.config(), form);
    let Sequence { tile, state_width, resident } = *form;
    let of = Of::Sequence { form: layer.form(), keep: layer.buffers.keep, state_width, resident };
    for at in steps.range.clone().step_by(most) {
        let variant = layer.variant(of, tile, plan);
        let steps_here = most.min(steps.range.end - at);
        let params = RecurrenceParams { steps: steps_here, ..layer.params(steps.chunk, at) };
        let mut bindings = layer.bindings([h.now, h.next]);
        bindings[2] = map;
        plan.draft.dispatch(variant, bindings, &params.words());
        h = h.swapped();
    }
    h
}

/// Some steps in reverse; gives the two carries of gate gradients as they stand after the first step.
pub(super) fn emit_sequence_backward(
    layer: &LayerBackward<'_>,
    plan: &mut PlanBuilder,
    steps: &Steps,
    form: &Sequence,
    params: &BackwardParams,
    mut d: Turns,
) -> Result<Turns> {
    let most = schedule::sequence_backward_steps(plan.device(), layer.pass.config(), form);
    let mut end = steps.range.end;
    while end > steps.range.start {
        let start = steps.range.start.max(end.saturating_sub(most));
        let of = Of::SequenceBackward { form: layer.form(), state_width: form.state_width };
        let variant = layer.variant(of, form.tile, plan)?;
        let params = BackwardParams { steps: end - start, ..layer.params(params, steps.chunk, start) };
        layer.dispatch(plan, variant, [d.now, d.next], 0, &params)?;
        d = d.swapped();
        end = start;
    }
    Ok(d)
}
