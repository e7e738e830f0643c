//! The backward pass of a stack of recurrent layers as commands of a plan.

use super::emit::{
    Buffers, Layer, Output, Pass, RnnCall, StateRows, check_state, copy_rows, last_states, output_shape, sequence_sizes,
};
use super::pack::packed;
use super::product::{Operands, gemm};
use super::reserve::Reserve;
use super::rnn::Rnn;
use super::state::DeviceState;
use super::{masks, norm, scan, schedule};
use crate::cells::Width;
use crate::error::{Error, Result};
use crate::kernels::{BackwardParams, GatherParams, GemmParams, Kernel, OuterParams, PhaseParams, Tile, Variant};
use crate::parameters::Parameters;
use crate::plan::{BufferId, Parts, PlanBuilder, Value};
use crate::weights::{Offsets, offsets};
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
    let (steps, batch) = sequence_sizes(config, x.shape())?;
    let expected = output_shape(rnn, x.shape(), call)?;
    if let Some(dy) = flow.dy.filter(|dy| dy.shape() != expected) {
        return Err(Error::shape("gradient of the output", expected, dy.shape()));
    }
    if let Some((dx, _)) = flow.dx.filter(|(dx, _)| dx.shape() != x.shape()) {
        return Err(Error::shape("gradient of the input", x.shape(), dx.shape()));
    }
    check_state(plan, "gradient of the state", rnn, batch, flow.state)?;
    reserve.check(rnn, steps, batch, call)?;
    rnn.backward_weights(0)?;
    let pass = Pass::new(plan, rnn, [steps, batch], call, Some(reserve))?;

    let (h, width) = (pass.h_width(), config.output_size());
    let dh = plan.external("gradient of h", &flow.state.h, (pass.states() * h) as u64);
    let dc = match &flow.state.c {
        Some(c) => plan.external("gradient of c", c, (pass.states() * config.cell_state_size()) as u64),
        None => plan.workspace("no c", 1),
    };
    let gates = |phase: usize| phase_gates(&pass, phase);
    let words = if pass.norms() { 0 } else { pass.states() * gates(0).next_multiple_of(4) };
    let d = ["a", "b"].map(|copy| plan.workspace(&format!("gate gradients {copy}, {} wide", gates(0)), words));
    let between = if config.phases().len() > 1 {
        let words = pass.states() * gates(1).next_multiple_of(4);
        plan.workspace(&format!("gate gradients between phases, {} wide", gates(1)), words)
    } else {
        d[1]
    };
    if words > 0 {
        d.iter().for_each(|&d| plan.draft.clear(d, 0, words as u64));
    }
    if let Some((dx, _)) = flow.dx.filter(|(_, accumulate)| pass.rows.padded && !accumulate) {
        plan.draft.clear(dx.buffer, dx.offset as u64, (steps * batch * config.input) as u64);
    }
    if let (Output::Last, Some(dy)) = (call.output, flow.dy) {
        add_last(plan, &pass, dy, dh);
    }

    for layer in (0..config.layers).rev() {
        let none = (plan.workspace("no gradient", 1), None);
        let dy = if layer + 1 < config.layers {
            (plan.workspace(&format!("gradient of a layer's output, {}", layer % 2), steps * batch * width), Some(0))
        } else {
            flow.dy.filter(|_| call.output == Output::All).map_or(none, |dy| (dy.buffer, Some(dy.offset)))
        };
        let mut dx = if layer > 0 {
            let name = format!("gradient of a layer's output, {}", (layer - 1) % 2);
            Some((plan.workspace(&name, steps * batch * width), 0, false))
        } else {
            flow.dx.map(|(dx, accumulate)| (dx.buffer, dx.offset, accumulate))
        };
        // The directions' parts of a step come with different steps.
        if let Some((dx, offset, accumulate @ false)) = &mut dx
            && config.tracks() > 1
            && !reserve.is_whole()
        {
            plan.draft.clear(*dx, *offset as u64, (steps * batch * config.input_of(layer)) as u64);
            *accumulate = true;
        }
        if let (true, (dy, Some(_))) = (layer + 1 < config.layers, dy) {
            reserve.drop_numbers(plan, layer, dy);
        }
        let input = if layer > 0 { (reserve.output(plan, layer - 1), 0) } else { (x.buffer, x.offset) };
        let rows = reserve.rows(plan, layer);
        let d = if pass.norms() {
            let (rows, words) = norm::gradients(plan, &pass);
            plan.draft.clear(rows, 0, words as u64);
            [rows; 2]
        } else {
            d
        };
        let trains = flow.weights;
        LayerBackward { pass: &pass, layer, reserve, rows, input, dy, dx, d, between, dh, dc, trains }.emit(plan)?;
    }
    Ok(())
}

/// Gates of a phase, all units.
fn phase_gates(pass: &Pass<'_>, phase: usize) -> usize {
    let config = pass.rnn.config();
    config.phases().get(phase).map_or(0, |phase| phase.gates * phase.units.of(config.hidden, config.state_size()))
}

/// Adds the gradient of the last h, [N, D·H], to that of the final state.
fn add_last(plan: &mut PlanBuilder, pass: &Pass<'_>, dy: &Value, dh: BufferId) {
    let config = pass.rnn.config();
    for (row, column) in last_states(config, pass.batch) {
        let params = GatherParams {
            m: pass.batch as u32,
            columns: config.state_size() as u32,
            table_rows: pass.batch as u32,
            table_offset: (dy.offset + column) as u32,
            table_row: config.output_size() as u32,
            out_offset: (row * pass.h_width()) as u32,
            out_row: pass.h_width() as u32,
            accumulate: 1,
            ..Default::default()
        };
        copy_rows(plan, dy.buffer, dh, params);
    }
}

/// One layer to emit.
struct LayerBackward<'a> {
    pass: &'a Pass<'a>,
    layer: usize,
    reserve: &'a Reserve,
    /// The reserve's rows.
    rows: BufferId,
    input: (BufferId, usize),
    /// Gradient of the output, and where it begins if there is one.
    dy: (BufferId, Option<usize>),
    /// Gradient of the input, where it begins, and whether it is added.
    dx: Option<(BufferId, usize, bool)>,
    /// Gate gradients of the step after, which take turns.
    d: [BufferId; 2],
    between: BufferId,
    dh: BufferId,
    dc: BufferId,
    /// Whether gradients of the weights are computed.
    trains: bool,
}

impl LayerBackward<'_> {
    fn emit(&self, plan: &mut PlanBuilder) -> Result<()> {
        let params = self.layer_params(plan);
        let steps = self.pass.rows.steps;
        let every = self.reserve.every();
        let mut now = 0;
        for at in (0..steps.div_ceil(every)).rev() {
            let part = at * every..steps.min((at + 1) * every);
            if !self.reserve.is_whole() {
                self.compute_again(plan, at, part.clone());
            }
            now = self.steps(plan, part.clone(), &params, now)?;
            self.weights(plan, part.clone());
            self.input(plan, part)?;
        }
        if let (true, Some(parameters)) = (self.pass.norms(), self.trained()) {
            let target = gradient_parts(plan, parameters);
            norm::weights(plan, self.pass, self.d[0], &target, &offsets(self.pass.rnn.config(), self.layer));
        }
        self.initial_state(plan, self.d[now])
    }

    /// Some steps forward once more, from the state kept before them.
    fn compute_again(&self, plan: &mut PlanBuilder, at: usize, steps: Range<usize>) {
        let pass = self.pass;
        let config = pass.rnn.config();
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
            between: Buffers::between(plan, pass, h[1]),
            aux,
            h_final: plan.workspace("final h computed again", pass.states() * pass.h_width()),
        };
        if config.options.noise.recurrent_dropout.is_some() {
            // What was kept has no mask; what R multiplies has one.
            self.reserve.restore(plan, pass, self.layer, at, buffers.h_final, aux);
            copy_rows(plan, buffers.h_final, h[0], self.states_params());
            masks::drop_states(plan, pass, self.layer, buffers.masks, h[0]);
        } else {
            self.reserve.restore(plan, pass, self.layer, at, h[0], aux);
        }
        Layer::new(pass, self.layer, plan, &buffers, self.input, None).emit(plan, steps, None);
    }

    /// Steps in reverse; gives which of the two carries has their gate gradients.
    fn steps(
        &self,
        plan: &mut PlanBuilder,
        part: Range<usize>,
        params: &BackwardParams,
        mut now: usize,
    ) -> Result<usize> {
        let pass = self.pass;
        let config = pass.rnn.config();
        if pass.scans() {
            self.scan(plan, &part);
            return Ok(now);
        }
        if pass.norms() {
            let of = norm::Gradients { d: self.d[0], dh: self.dh, dc: self.dc, dy: self.dy.0 };
            norm::emit_backward(plan, pass, &part, (self.rows, self.place()), &of)?;
            return Ok(now);
        }
        let device = plan.device().clone();
        let phases = config.phases();
        let at = |at: usize| BackwardParams {
            offsets: (pass.rows.offsets + at) as u32,
            chunk: (pass.rows.offsets + part.start) as u32,
            running: pass.rows.running(at) as u32,
            ..*params
        };
        let sequence = schedule::sequence_backward_tile(&device, config, pass.batch);
        if let Some((tile, width)) = sequence.filter(|_| pass.sequence_backward) {
            let most = schedule::sequence_backward_steps(&device, config, tile, width);
            let mut end = part.end;
            while end > part.start {
                let start = part.start.max(end.saturating_sub(most));
                let variant = Variant { width, ..self.variant(Kernel::SequenceBackward, tile, plan)? };
                let params = BackwardParams { steps: (end - start) as u32, ..at(start) };
                self.dispatch(plan, variant, [self.d[now], self.d[1 - now]], 0, &params)?;
                now = 1 - now;
                end = start;
            }
            return Ok(now);
        }
        let [width, between] = [0, phases.len() - 1].map(|i| phase_gates(pass, i).next_multiple_of(4) as u32);
        for step in part.clone().rev() {
            for i in (0..phases.len()).rev() {
                let tile = schedule::step_tile(&device, 1, pass.rows.running(step));
                let variant = Variant { phase: i as u32, ..self.variant(Kernel::StepBackward, tile, plan)? };
                let (source, source_width) =
                    if i + 1 == phases.len() { (self.d[now], width) } else { (self.between, between) };
                let (target, target_width) = if i == 0 { (self.d[1 - now], width) } else { (self.between, between) };
                let rows = StateRows::new(&device, pass.layer_states(), self.layer, source_width);
                let variant = Variant { uniform: rows.uniform, ..variant };
                let units = phases[i].units.of(config.hidden, config.state_size());
                let running = config.tracks() * pass.rows.running(step);
                let variant = schedule::split(&device, variant, [units, source_width as usize / 4, running]);
                let params = BackwardParams {
                    d_in_row: rows.first,
                    d_in_stride: source_width / 4,
                    d_out_stride: target_width,
                    ..at(step)
                };
                self.dispatch(plan, variant, [source, target], rows.window, &params)?;
            }
            now = 1 - now;
        }
        Ok(now)
    }

    /// The same of a cell without R.
    fn scan(&self, plan: &mut PlanBuilder, part: &Range<usize>) {
        let dc = if self.pass.rnn.config().cell.has_diagonal() {
            self.pass.rnn.recurrent_weights(self.layer).matrices.buffer(plan)
        } else {
            self.dc
        };
        scan::emit_backward(self.pass, plan, part, self.place(), [self.rows, self.dh, dc, self.dy.0]);
    }

    /// The rows that steps work on one after the other.
    fn place(&self) -> scan::Place {
        let stride = self.pass.columns.width;
        scan::Place { layer: self.layer, rows: self.reserve.chunk(), stride, y: self.dy.1 }
    }

    fn variant(&self, kernel: Kernel, tile: Tile, plan: &PlanBuilder) -> Result<Variant> {
        let cell = Some(self.pass.rnn.config().form());
        let weights = &self.pass.rnn.backward_weights(self.layer)?[1];
        let (texture, half) = (weights.is_texture(), weights.half);
        Ok(Variant { cell, texture, half, ..Variant::new(kernel, tile, plan.device().panel()) })
    }

    fn dispatch(
        &self,
        plan: &mut PlanBuilder,
        variant: Variant,
        [d_in, d_out]: [BufferId; 2],
        window: u64,
        params: &BackwardParams,
    ) -> Result<()> {
        let weights = self.pass.rnn.backward_weights(self.layer)?[1].buffer(plan);
        let bindings = vec![self.rows, weights, self.pass.map, d_in, d_out, self.dh, self.dc, self.dy.0];
        plan.draft.dispatch_window(variant, bindings, window, &params.words());
        Ok(())
    }

    /// The parameters that all dispatches of the layer's steps share.
    fn layer_params(&self, plan: &PlanBuilder) -> BackwardParams {
        let pass = self.pass;
        let config = pass.rnn.config();
        let phases = config.phases();
        let mut sizes = [PhaseParams::default(); 2];
        let mut weights = 0;
        for (i, phase) in phases.iter().enumerate() {
            let units = phase.units.of(config.hidden, config.state_size());
            let layout = packed(plan.device(), phase_gates(pass, (i + 1) % phases.len()), units);
            sizes[i] = PhaseParams {
                units,
                panels: layout.panels(),
                weights,
                weights_direction: layout.vectors(),
                column: pass.columns.fields[i],
            };
            weights += config.tracks() * layout.vectors();
        }
        let width = phase_gates(pass, 0).next_multiple_of(4);
        BackwardParams {
            batch: pass.batch as u32,
            directions: config.tracks() as u32,
            state_row: (self.layer * pass.layer_states()) as u32,
            x_direction: (self.reserve.chunk() * pass.columns.width) as u32,
            x_stride: pass.columns.width as u32,
            map_direction: pass.rows.rows as u32,
            order: pass.rows.order as u32,
            steps: 1,
            d_in_row: (self.layer * pass.layer_states()) as u32,
            d_in_stride: (width / 4) as u32,
            d_out_stride: width as u32,
            dh_stride: pass.h_width() as u32,
            dc_stride: config.cell_state_size() as u32,
            dy_stride: if self.dy.1.is_some() { config.output_size() as u32 } else { 0 },
            dy_offset: self.dy.1.unwrap_or(0) as u32,
            source: pass.columns.source as u32,
            ..BackwardParams::of_phases(sizes)
        }
    }

    /// The weights whose gradients are computed.
    fn trained(&self) -> Option<&Parameters> {
        self.pass.rnn.parameters().filter(|_| self.trains)
    }

    /// Gradients of W, R, biases and projection from the rows of some steps.
    fn weights(&self, plan: &mut PlanBuilder, part: Range<usize>) {
        let Some(parameters) = self.trained() else { return };
        let pass = self.pass;
        let config = pass.rnn.config();
        let rows = &pass.rows;
        let count = rows.offset(part.end) - rows.offset(part.start);
        let target = gradient_parts(plan, parameters);
        let Offsets { w, r, b_w, b_r, w_hr, words, .. } = offsets(config, self.layer);
        let gates = pass.gates();
        let reserve = OuterParams {
            batch: config.tracks() as u32,
            a_row: pass.columns.width as u32,
            a_batch: (self.reserve.chunk() * pass.columns.width) as u32,
            c_batch: words as u32,
            to: count as u32,
            accumulate: 1,
            ..rows.outer_part(part.start, part.end)
        };
        let inputs = config.input_of(self.layer);
        let start = if rows.identity { rows.offset(part.start) * inputs } else { 0 };
        let params = OuterParams {
            m: gates as u32,
            n: inputs as u32,
            b_offset: (self.input.1 + start) as u32,
            b_row: inputs as u32,
            c_row: inputs as u32,
            mapped: (!rows.identity).into(),
            ..reserve
        };
        outer(plan, [self.rows, self.input.0, pass.map], (&target, w), &params);
        let bias = |plan: &mut PlanBuilder, column: usize, width: usize, to: usize| {
            sum_rows(plan, [self.rows, pass.map], (&target, to), (column, width), &reserve);
        };
        // Norms add the biases: see there.
        let [b_w, b_r] = [b_w, b_r].map(|bias| bias.filter(|_| !pass.norms()));
        if let Some(b_w) = b_w {
            bias(plan, 0, gates, b_w);
        }
        if config.cell.has_diagonal() {
            bias(plan, gates, gates, r);
        }
        let mut row = 0;
        for (i, phase) in config.phases().iter().enumerate() {
            let units = phase.units.of(config.hidden, config.state_size());
            let source = phase.source.of(config.hidden, config.state_size());
            let projects = phase.source == Width::Hidden;
            let (weight, bias_at) = if projects { (w_hr.unwrap_or(0), None) } else { (r + row * source, b_r) };
            let mut done = 0;
            // Normed products have all of their gradients in one place.
            let normed = [(pass.columns.normed / units + phase.gates, phase.gates)];
            let recurrent = if pass.norms() { &normed[..] } else { phase.recurrent };
            for &(field, fields) in recurrent {
                let (column, width) = (pass.columns.fields[i] + field * units, fields * units);
                let params = OuterParams {
                    m: width as u32,
                    n: source as u32,
                    a_offset: column as u32,
                    b_offset: if i == 0 { pass.columns.source } else { pass.columns.between } as u32,
                    b_row: reserve.a_row,
                    b_batch: reserve.a_batch,
                    c_row: source as u32,
                    ..reserve
                };
                // One buffer read twice.
                outer(plan, [self.rows, self.rows, pass.map], (&target, weight + done * source), &params);
                if let Some(b_r) = bias_at {
                    bias(plan, column, width, b_r + row + done);
                }
                done += width;
            }
            row += done;
        }
    }

    /// The gradient of the rows that the layer read in some steps: both directions' add up.
    fn input(&self, plan: &mut PlanBuilder, part: Range<usize>) -> Result<()> {
        let Some((dx, offset, accumulate)) = self.dx else { return Ok(()) };
        let pass = self.pass;
        let config = pass.rnn.config();
        let rows = &pass.rows;
        let (start, m) = (rows.offset(part.start), rows.offset(part.end) - rows.offset(part.start));
        let inputs = config.input_of(self.layer);
        let layout = packed(plan.device(), pass.gates(), inputs);
        let weights = &pass.rnn.backward_weights(self.layer)?[0];
        for direction in 0..config.tracks() {
            let shared = rows.gemm_part(part.start, part.end);
            let params = GemmParams {
                m: m as u32,
                n: inputs as u32,
                k: pass.gates() as u32,
                batch: 1,
                a_offset: (direction * self.reserve.chunk() * pass.columns.width) as u32,
                a_row: pass.columns.width as u32,
                a_column: 1,
                b_offset: (direction * layout.vectors()) as u32,
                c_offset: (offset + if rows.identity { start * inputs } else { 0 }) as u32,
                c_row: inputs as u32,
                mapped: if rows.identity { 0 } else { 2 },
                map_offset: (direction * rows.rows) as u32 + shared.map_offset,
                accumulate: (accumulate || direction > 0).into(),
                ..shared
            };
            gemm(plan, Operands { a: self.rows, b: weights, map: pass.map, c: dx, narrow: false }, &params);
        }
        Ok(())
    }

    /// The part of the initial state's gradient that comes through the first step's gates.
    fn initial_state(&self, plan: &mut PlanBuilder, d: BufferId) -> Result<()> {
        let pass = self.pass;
        if pass.scans() {
            return Ok(());
        }
        if pass.norms() {
            return norm::initial_state(plan, pass, self.layer, [d, self.dh]);
        }
        let config = pass.rnn.config();
        let params = self.layer_params(plan);
        let width = phase_gates(pass, 0).next_multiple_of(4);
        let (weights, weights_direction) = if config.phases().len() > 1 {
            (params.weights_1, params.weights_direction_1)
        } else {
            (params.weights_0, params.weights_direction_0)
        };
        let (row, h) = (self.layer * pass.layer_states(), pass.h_width());
        let params = GemmParams {
            m: pass.batch as u32,
            n: config.state_size() as u32,
            k: phase_gates(pass, 0) as u32,
            batch: config.tracks() as u32,
            a_offset: (row * width) as u32,
            a_row: width as u32,
            a_column: 1,
            a_batch: (pass.batch * width) as u32,
            b_offset: weights,
            b_batch: weights_direction,
            c_offset: (row * h) as u32,
            c_row: h as u32,
            c_batch: (pass.batch * h) as u32,
            accumulate: 1,
            ..Default::default()
        };
        let matrix = &pass.rnn.backward_weights(self.layer)?[1];
        let none = plan.workspace("no map", 1);
        if config.options.noise.recurrent_dropout.is_some() {
            // R has not seen the initial state but through its mask.
            let masked = plan.workspace("gradient of the masked state", pass.states() * h);
            let operands = Operands { a: d, b: matrix, map: none, c: masked, narrow: false };
            gemm(plan, operands, &GemmParams { accumulate: 0, ..params });
            let seed = self.reserve.masks(plan, self.layer);
            masks::drop_states(plan, pass, self.layer, seed, masked);
            copy_rows(plan, masked, self.dh, GatherParams { accumulate: 1, ..self.states_params() });
            return Ok(());
        }
        gemm(plan, Operands { a: d, b: matrix, map: none, c: self.dh, narrow: false }, &params);
        Ok(())
    }

    /// The layer's states, from one buffer to the same place in another one.
    fn states_params(&self) -> GatherParams {
        let (states, width) = (self.pass.layer_states(), self.pass.h_width());
        let first = (self.layer * states * width) as u32;
        GatherParams {
            m: states as u32,
            columns: self.pass.rnn.config().state_size() as u32,
            table_rows: states as u32,
            table_offset: first,
            table_row: width as u32,
            out_offset: first,
            out_row: width as u32,
            ..Default::default()
        }
    }
}

/// The gradients of a block of parameters.
pub(crate) fn gradient_parts(plan: &mut PlanBuilder, parameters: &Parameters) -> Parts {
    plan.parts("gradients", parameters.gradient_storage(), parameters.len())
}

/// Σ over rows of one buffer times rows of another, into gradients from word `to` on, those of the next matrix of the batch
/// `c_batch` further: all matrices at once where their gradients lie in one buffer.
pub(crate) fn outer(
    plan: &mut PlanBuilder,
    [a, b, map]: [BufferId; 3],
    (target, to): (&Parts, usize),
    p: &OuterParams,
) {
    let place = |matrix: u32| target.at(to + matrix as usize * p.c_batch as usize);
    let (first, offset) = place(0);
    if place(p.batch.saturating_sub(1)).0 == first {
        outer_rows(plan, [a, b, map, first], &OuterParams { c_offset: offset as u32, ..*p });
        return;
    }
    for matrix in 0..p.batch {
        let (c, offset) = place(matrix);
        let params = OuterParams {
            batch: 1,
            a_offset: p.a_offset + matrix * p.a_batch,
            b_offset: p.b_offset + matrix * p.b_batch,
            map_offset: p.map_offset + matrix * p.map_batch,
            c_offset: offset as u32,
            ..*p
        };
        outer_rows(plan, [a, b, map, c], &params);
    }
}

/// The same in as many dispatches as their loops need; vectors where they are aligned.
fn outer_rows(plan: &mut PlanBuilder, bindings: [BufferId; 4], params: &OuterParams) {
    let p = params;
    let tile = schedule::outer_tile(plan.device(), p.m as usize);
    let aligned = [p.n, p.b_offset, p.b_row, p.b_batch].iter().all(|words| words % 4 == 0);
    let vector =
        aligned && (tile.rows == 1 || [p.m, p.a_offset, p.a_row, p.a_batch].iter().all(|words| words % 4 == 0));
    let tile = if vector { tile } else { Tile { spread: 0, ..tile } };
    let variant = Variant { vector, ..Variant::new(Kernel::Outer, tile, plan.device().panel()) };
    let most = plan.device().plan_limits().trips.saturating_sub(tile.rows.into());
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let mut start = 0;
    while start < params.to {
        let to = params.to.min(start.saturating_add(most));
        let accumulate = u32::from(params.accumulate != 0 || start > 0);
        plan.draft.dispatch(variant.clone(), bindings.to_vec(), &OuterParams { start, to, accumulate, ..*p }.words());
        start = to;
    }
}

/// Σ over rows of some columns, from the first one on so many, as the product with a one; `of` tells rows and target.
pub(crate) fn sum_rows(
    plan: &mut PlanBuilder,
    [rows, map]: [BufferId; 2],
    target: (&Parts, usize),
    (column, width): (usize, usize),
    of: &OuterParams,
) {
    let one = plan.constant("one", &[1.0_f32.to_bits()]);
    let params = OuterParams {
        m: 1,
        n: width as u32,
        a_offset: 0,
        a_row: 0,
        a_batch: 0,
        b_offset: column as u32,
        b_row: of.a_row,
        b_batch: of.a_batch,
        c_row: width as u32,
        mapped: 0,
        ..*of
    };
    outer(plan, [one, rows, map], target, &params);
}
