//! The backward pass of a stack of recurrent layers as commands of a plan.

use super::backward_layer::LayerBackward;
use super::call::{Output, RnnCall, call_sizes, output_shape};
use super::copies::copy_rows;
use super::emit::emit_layer;
use super::forward_layer::{Buffers, LayerForward};
use super::outer::gradient_parts;
use super::pass::{Pass, check_state, last_states};
use super::places::{At, Steps, Target, Turns};
use super::repeats::emit_repeats_backward;
use super::reserve::Reserve;
use super::rnn::Rnn;
use super::segment_states::{States, emit_begin_backward, emit_end_backward};
use super::sequence::emit_sequence_backward;
use super::state::DeviceState;
use super::step::emit_steps_backward;
use super::strategy::Strategy;
use super::{masks, norm, scan};
use crate::error::{Error, Result};
use crate::kernels::{BackwardParams, GatherParams};
use crate::plan::{BufferId, PlanBuilder, Value};
use crate::weights::offsets;
use std::ops::Range;

/// Gradients that go into a layer's backward pass and come out of it.
pub(crate) struct Flow<'a> {
    /// Of the output; none where it is 0.
    pub dy: Option<&'a Value>,
    /// Of the final state at first, of the initial one in the end.
    pub state: &'a DeviceState,
    /// Of the input, and whether it is added to what is there; none where nobody wants it.
    pub dx: Option<(&'a Value, bool)>,
    /// Whether gradients of the weights are computed.
    pub weights: bool,
}

impl Flow<'_> {
    /// Whether it fits a layer and its call.
    fn check(&self, plan: &PlanBuilder, rnn: &Rnn, x: &Value, call: &RnnCall) -> Result<()> {
        let (_, batch) = call_sizes(rnn.config(), x.shape(), &call.lengths)?;
        let expected = output_shape(rnn.config(), x.shape(), call)?;
        if let Some(dy) = self.dy.filter(|dy| dy.shape() != expected) {
            return Err(Error::shape("gradient of the output", expected, dy.shape()));
        }
        if let Some((dx, _)) = self.dx.filter(|(dx, _)| dx.shape() != x.shape()) {
            return Err(Error::shape("gradient of the input", x.shape(), dx.shape()));
        }
        check_state(plan, "gradient of the state", rnn, batch, self.state)
    }
}

/// What the layers' steps in reverse hand on: see [`LayerBackward`].
struct Carries {
    d: Turns,
    between: BufferId,
    dh: BufferId,
    dc: BufferId,
}

impl Carries {
    fn new(plan: &mut PlanBuilder, pass: &Pass<'_>, states: States) -> Self {
        let config = pass.config();
        let (dh, dc) = (states.h, states.c.unwrap_or_else(|| plan.workspace("no c", 1)));
        let gates = pass.phase_gates(0);
        // A scan has no phases, and so no words.
        let words = if pass.strategies.backward.norms() { 0 } else { pass.states() * gates.next_multiple_of(4) };
        let [now, next] = ["a", "b"].map(|copy| plan.workspace(&format!("gate gradients {copy}, {gates} wide"), words));
        let between = if config.phases().len() > 1 {
            let gates = pass.phase_gates(1);
            let words = pass.states() * gates.next_multiple_of(4);
            plan.workspace(&format!("gate gradients between phases, {gates} wide"), words)
        } else {
            next
        };
        if words > 0 {
            [now, next].iter().for_each(|&d| plan.draft.clear(d, 0, words as u64));
        }
        Self { d: Turns { now, next }, between, dh, dc }
    }
}

/// Appends the backward pass: for each layer, the last one first, its steps in reverse, then the gradients of weights and
/// input as products over all rows at once. Those of weights are added to what the layer's parameters hold.
pub(crate) fn emit_backward(
    plan: &mut PlanBuilder,
    rnn: &Rnn,
    x: &Value,
    call: &RnnCall,
    reserve: &Reserve,
    flow: &Flow<'_>,
) -> Result<()> {
    let config = rnn.config();
    let (steps, batch) = call_sizes(config, x.shape(), &call.lengths)?;
    flow.check(plan, rnn, x, call)?;
    reserve.check(rnn, steps, batch, call)?;
    rnn.backward_weights(0)?;
    let pass = Pass::new(plan, rnn, [steps, batch], call, reserve.keep_every())?;
    let own = States::external(plan, "gradient of ", flow.state);
    let states = if pass.rows.states.is_some() { States::workspace(plan, &pass, "gradient of ") } else { own };
    let carries = Carries::new(plan, &pass, states);
    if let Some((dx, _)) = flow.dx.filter(|(_, accumulate)| pass.rows.padded && !accumulate) {
        plan.draft.clear(dx.buffer, dx.offset as u64, (pass.rows.places * config.input) as u64);
    }
    if let (Output::Last, Some(dy)) = (call.output, flow.dy) {
        add_last(plan, &pass, dy, own.h);
    }
    if let Some(map) = &pass.rows.states {
        emit_end_backward(plan, &pass, map, own, states);
    }
    let of_output = flow.dy.filter(|_| call.output == Output::All).map(At::from);
    let of_output = of_output.map(|dy| match &pass.rows.repeats {
        Some(repeats) => {
            let valid = plan.workspace("gradient of outputs of valid steps", pass.rows.places * config.output_size());
            emit_repeats_backward(plan, &pass, repeats, dy, valid);
            At::start_of(valid)
        }
        None => dy,
    });
    for layer in (0..config.layers).rev() {
        let dy = output_gradient(plan, &pass, layer, of_output);
        let dx = input_gradient(plan, &pass, layer, flow.dx, reserve);
        if let (true, Some(dy)) = (layer + 1 < config.layers, dy) {
            reserve.drop_numbers(plan, layer, dy.buffer);
        }
        let input = if layer > 0 { At::start_of(reserve.output(plan, layer - 1)) } else { x.into() };
        let rows = reserve.rows(plan, layer);
        let d = if pass.strategies.backward.norms() {
            let (rows, words) = norm::gradient_rows(plan, &pass);
            plan.draft.clear(rows, 0, words as u64);
            Turns { now: rows, next: rows }
        } else {
            carries.d
        };
        let (dy, dy_offset) = match dy {
            Some(dy) => (dy.buffer, Some(dy.offset)),
            None => (plan.workspace("no gradient", 1), None),
        };
        let Carries { between, dh, dc, .. } = carries;
        let pass = &pass;
        let trains = flow.weights;
        LayerBackward { pass, layer, reserve, rows, input, dy, dy_offset, dx, d, between, dh, dc, trains }
            .emit_layer(plan)?;
    }
    if let Some(map) = &pass.rows.states {
        emit_begin_backward(plan, &pass, map, states, own);
    }
    Ok(())
}

/// The gradient of what a layer gave: of the last one that of the whole output, if there is one.
fn output_gradient(plan: &mut PlanBuilder, pass: &Pass<'_>, layer: usize, of_output: Option<At>) -> Option<At> {
    // The plan's memory for what has no gradient comes first.
    plan.workspace("no gradient", 1);
    if layer + 1 == pass.config().layers {
        return of_output;
    }
    Some(between_layers(plan, pass, layer))
}

/// Where the gradient of what a layer read goes: the next layer down takes it on, or the caller.
fn input_gradient(
    plan: &mut PlanBuilder,
    pass: &Pass<'_>,
    layer: usize,
    of_input: Option<(&Value, bool)>,
    reserve: &Reserve,
) -> Option<Target> {
    let config = pass.config();
    let mut dx = if layer > 0 {
        Target { at: between_layers(plan, pass, layer - 1), accumulate: false }
    } else {
        let (dx, accumulate) = of_input?;
        Target { at: dx.into(), accumulate }
    };
    // The directions' parts of a step come with different steps.
    if !dx.accumulate && config.tracks() > 1 && !reserve.is_whole() {
        let words = pass.rows.places * config.input_of(layer);
        plan.draft.clear(dx.at.buffer, dx.at.offset as u64, words as u64);
        dx.accumulate = true;
    }
    Some(dx)
}

/// Memory for the gradient of what a layer gave to the next: layers take turns with two.
fn between_layers(plan: &mut PlanBuilder, pass: &Pass<'_>, layer: usize) -> At {
    let words = pass.rows.places * pass.config().output_size();
    let buffer = plan.workspace(&format!("gradient of a layer's output, {}", layer % 2), words);
    At::start_of(buffer)
}

/// Adds the gradient of the last h, [N, D·H], to that of the final state.
fn add_last(plan: &mut PlanBuilder, pass: &Pass<'_>, dy: &Value, dh: BufferId) {
    let config = pass.config();
    for (row, column) in last_states(config, pass.sequences) {
        let params = GatherParams {
            m: pass.sequences,
            columns: config.state_size(),
            table_rows: pass.sequences,
            table_offset: dy.offset + column,
            table_row: config.output_size(),
            out_offset: row * pass.h_width(),
            out_row: pass.h_width(),
            accumulate: true,
            ..Default::default()
        };
        copy_rows(plan, dy.buffer, dh, params);
    }
}

impl LayerBackward<'_> {
    fn emit_layer(&self, plan: &mut PlanBuilder) -> Result<()> {
        let params = self.layer_params(plan);
        let steps = self.pass.rows.steps;
        let every = self.reserve.every();
        let mut d = self.d;
        for at in (0..steps.div_ceil(every)).rev() {
            let part = at * every..steps.min((at + 1) * every);
            if !self.reserve.is_whole() {
                self.compute_again(plan, at, part.clone());
            }
            d = self.emit_steps(plan, &Steps { chunk: part.start, range: part.clone() }, &params, d)?;
            self.emit_weight_gradients(plan, part.clone());
            self.emit_input_gradient(plan, part)?;
        }
        if let (true, Some(parameters)) = (self.pass.strategies.backward.norms(), self.trained()) {
            let target = gradient_parts(plan, parameters);
            norm::emit_gain_gradients(plan, self.pass, self.d.now, &target, &offsets(self.pass.config(), self.layer));
        }
        self.emit_initial_gradient(plan, d.now)
    }

    /// Steps in reverse; gives the two carries as they stand after the first of them.
    fn emit_steps(&self, plan: &mut PlanBuilder, steps: &Steps, params: &BackwardParams, d: Turns) -> Result<Turns> {
        match &self.pass.strategies.backward {
            Strategy::Scan => {
                let dc = if self.pass.config().cell.has_diagonal() {
                    self.pass.rnn.recurrent_weights(self.layer).matrices.buffer(plan)
                } else {
                    self.dc
                };
                let of = scan::Gradients { rows: self.rows, dh: self.dh, dc, dy: self.dy };
                scan::emit_scan_backward(plan, self.pass, steps, self.gate_rows(), &of);
                Ok(d)
            }
            Strategy::Normed => {
                let of = norm::Gradients { d: self.d.now, dh: self.dh, dc: self.dc, dy: self.dy };
                norm::emit_normed_backward(plan, self.pass, steps, (self.rows, self.gate_rows()), &of)?;
                Ok(d)
            }
            Strategy::Sequence(form) => emit_sequence_backward(self, plan, steps, form, params, d),
            // A grid and a wavefront keep nothing, so that what they would have kept was computed step by step.
            Strategy::Step | Strategy::Grid(_) | Strategy::Wavefront => {
                emit_steps_backward(self, plan, steps, params, d)
            }
        }
    }

    /// Some steps forward once more, from the state kept before them.
    fn compute_again(&self, plan: &mut PlanBuilder, at: usize, steps: Range<usize>) {
        let pass = self.pass;
        let config = pass.config();
        // Not the state's own memory: others may have gone on from there.
        let h = Buffers::states(plan, pass, "h computed again");
        let aux = if config.cell.has_cell_state() {
            plan.workspace("c computed again", pass.states() * config.cell_state_size())
        } else {
            Buffers::slots(plan, pass)
        };
        let buffers = Buffers {
            x: self.rows,
            stride: pass.columns.width,
            rows: self.reserve.chunk(),
            keep: true,
            masks: self.reserve.masks(plan, self.layer),
            narrow: false,
            h,
            between: Buffers::between(plan, pass, h.next),
            aux,
            h_final: plan.workspace("final h computed again", pass.states() * pass.h_width()),
        };
        if config.options.noise.recurrent_dropout.is_some() {
            // What was kept has no mask; what R multiplies has one.
            self.reserve.restore(plan, pass, [self.layer, at], buffers.h_final, aux);
            copy_rows(plan, buffers.h_final, h.now, self.states_params());
            masks::drop_states(plan, pass, self.layer, buffers.masks, h.now);
        } else {
            self.reserve.restore(plan, pass, [self.layer, at], h.now, aux);
        }
        let layer = LayerForward::new(pass, self.layer, plan, &buffers, self.input, None);
        emit_layer(&layer, plan, steps, None);
    }
}
