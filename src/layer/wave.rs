//! The `wavefront` schedule: the layers of a stack side by side, each a step behind the one below.

use super::forward_layer::{Buffers, LayerForward, StateRows};
use super::pass::Pass;
use super::places::At;
use super::schedule;
use crate::kernels::{Of, RecurrenceParams, RowParams};
use crate::plan::PlanBuilder;

/// All steps of all layers, from the states in the first of the two that take turns.
pub(super) fn emit_wavefront(plan: &mut PlanBuilder, pass: &Pass<'_>, buffers: &Buffers, input: At, y: Option<At>) {
    let config = pass.config();
    let layers = config.layers;
    let tile =
        |running, layers| schedule::step_tile(pass.rnn.device(), config.cell.gates(), [config.hidden, running, layers]);
    let steps = pass.rows.steps;
    // Layers begin with one or the other.
    plan.draft.copy(buffers.h.now, buffers.h.next, (pass.states() * pass.h_width()) as u64);
    let lowest = LayerForward::new(pass, 0, plan, buffers, input, y);
    let mut chunk = 0..0;
    let mut h = buffers.h;
    for wave in 0..steps + layers - 1 {
        if wave == chunk.end && wave < steps {
            chunk = wave..lowest.chunk_end(wave, steps);
            lowest.emit_input_part(plan, chunk.start, chunk.end);
        }
        // The layers that have a step to take: layer l takes step wave - l.
        let first = (wave + 1).saturating_sub(steps);
        let last = wave.min(layers - 1);
        let base = lowest.params(chunk.start, wave - first);
        let rows = StateRows::new(plan.device(), pass.states(), 0, base.h_out_stride);
        let params = RecurrenceParams {
            // The layers of a wave take the place of directions.
            rows: RowParams { tracks: last - first + 1, ..base.rows },
            layer: first,
            last: layers - 1,
            // Sequences end but none begins.
            running: pass.rows.running(wave - last),
            h_in_row: rows.first,
            ..base
        };
        let of = Of::Wave { form: lowest.form(), split: 1 };
        let variant = lowest.variant(of, tile(params.running, last - first + 1), plan).reading(rows.uniform);
        let states = (last - first + 1) * params.running;
        let sizes = [config.hidden, params.panels_0, states];
        let variant = schedule::split(plan.device(), variant, sizes);
        plan.draft.dispatch_window(variant, lowest.bindings([h.now, h.next]), rows.window, &params.words());
        h = h.swapped();
    }
}
