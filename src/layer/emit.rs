//! A stack of recurrent layers as commands of a plan.

use super::config::RnnConfig;
use super::reserve::Columns;
use super::rows::RowMap;
use super::schedule::{self, Schedule};
use super::state::DeviceState;
use super::{Rnn, packed, row_lanes};
use crate::cells::Width;
use crate::error::{Error, Result};
use crate::kernels::{FLAT, GatherParams, GemmParams, Kernel, PhaseParams, RecurrenceParams, Tile, Variant};
use crate::plan::{BufferId, PlanBuilder, Value};

/// Which part of the output is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Output {
    /// Every step: [T, N, D·H], or [N, T, D·H]; 0 beyond a sequence's length.
    #[default]
    All,
    /// The last layer's final h of each sequence, directions side by side: [N, D·H]. That is the forward direction
    /// after the last valid step, and the reverse direction after the first.
    Last,
}

/// How a layer is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RnnCall {
    /// Valid steps of each sequence, from 1 to T; T for all where there are none.
    pub lengths: Option<Vec<usize>>,
    /// Whether to begin with the state as it is; else with zeros.
    pub carry: bool,
    /// Which part of the output is wanted.
    pub output: Output,
    /// How steps become dispatches.
    pub schedule: Schedule,
    /// The input part of the gates, x·Wᵀ + b, is computed for as many steps at a time as fit into this many bytes; for
    /// one at least.
    pub input_part_bytes: usize,
}

impl Default for RnnCall {
    /// Full sequences from zeros, the whole output, any schedule, at most 64 MiB for the input part.
    fn default() -> Self {
        Self { lengths: None, carry: false, output: Output::All, schedule: Schedule::Auto, input_part_bytes: 64 << 20 }
    }
}

/// Steps and sequences of an input's shape.
pub(super) fn sequence_sizes(config: &RnnConfig, x: &[usize]) -> Result<(usize, usize)> {
    match *x {
        [a, b, features] if a > 0 && b > 0 && features == config.input => {
            // Before anything of that size is asked for.
            crate::tensor::elements(x)?;
            Ok(if config.batch_first { (b, a) } else { (a, b) })
        }
        _ => {
            let axes = if config.batch_first { "[N, T, " } else { "[T, N, " };
            Err(Error::shape("input", format!("{axes}{}], none of them 0", config.input), x))
        }
    }
}

/// The output's shape for an input of this shape.
pub(crate) fn output_shape(rnn: &Rnn, x: &[usize], call: &RnnCall) -> Result<Vec<usize>> {
    let config = rnn.config();
    let (steps, batch) = sequence_sizes(config, x)?;
    Ok(match call.output {
        Output::All => config.sequence_shape(steps, batch, config.output_size()).to_vec(),
        Output::Last => vec![batch, config.output_size()],
    })
}

/// Buffers of the layers' common memory.
struct Buffers {
    map: BufferId,
    x_part: BufferId,
    h: [BufferId; 2],
    between: BufferId,
    aux: BufferId,
    h_state: BufferId,
}

/// Appends the layer to a plan: first what can't be in a compute pass, then for each layer the input part of its gates
/// and its steps, chunk by chunk.
pub(crate) fn emit(
    plan: &mut PlanBuilder,
    rnn: &Rnn,
    x: &Value,
    state: &DeviceState,
    call: &RnnCall,
    out: &Value,
) -> Result<()> {
    let config = rnn.config();
    let (steps, batch) = sequence_sizes(config, x.shape())?;
    let expected = output_shape(rnn, x.shape(), call)?;
    if out.shape() != expected {
        return Err(Error::shape("recurrent output", expected, out.shape()));
    }
    let [expected, got] = [(config, batch), (&state.config, state.batch)].map(|(config, batch)| {
        let rows = config.layers * config.directions();
        let c = config.cell.has_cell_state().then_some([rows, batch, config.hidden]);
        ([rows, batch, config.state_size()], c)
    });
    if expected != got {
        return Err(Error::shape("state (h, c)", expected, got));
    }
    let schedule = call.schedule.resolve(plan.device(), config, batch);
    let sequence = schedule::sequence_tile(plan.device(), config, batch).filter(|_| schedule == Schedule::Sequence);
    if schedule == Schedule::Sequence && sequence.is_none() {
        return Err(Error::value("schedule", "one whose state fits into workgroup memory", "Sequence"));
    }
    for (name, device) in [("layer", rnn.device()), ("state", state.device())] {
        if !device.is(plan.device()) {
            return Err(Error::OtherDevice { tensor: name.to_owned() });
        }
    }
    if x.buffer == out.buffer {
        // The output is cleared and written while later steps of the input are still to be read.
        return Err(Error::Plan("a recurrent layer's input and output are one tensor".to_owned()));
    }
    let rows = RowMap::new(config, steps, batch, call.lengths.as_deref())?;
    let chunk = chunk_rows(plan, config, batch, &rows, call.input_part_bytes);
    let states = config.layers * config.directions() * batch;
    let phases = config.cell.phases(config.projection.is_some());
    let h_width = config.state_size().next_multiple_of(4);
    let between_width = config.hidden.next_multiple_of(4);
    let slots = phases.iter().map(|phase| phase.slots).max().unwrap_or(0);
    let gates = config.cell.gates() * config.hidden;

    let h_state = plan.external("h", &state.h, (states * h_width) as u64);
    let h = ["a", "b"].map(|name| plan.workspace(&format!("h {name}, {} wide", config.state_size()), states * h_width));
    let between = if phases.len() > 1 {
        plan.workspace(&format!("between phases, {} wide", config.hidden), states * between_width)
    } else {
        h[1]
    };
    let aux = match &state.c {
        Some(c) => plan.external("c", c, (states * config.hidden) as u64),
        None => plan.workspace("slots", states * slots * config.hidden),
    };
    let buffers = Buffers {
        map: plan.constant("rows, ranks, offsets", &rows.indices),
        x_part: plan.workspace("input part of the gates", config.directions() * chunk * gates),
        h,
        between,
        aux,
        h_state,
    };
    if call.carry {
        plan.draft.copy(h_state, h[0], (states * h_width) as u64);
    } else {
        plan.draft.clear(h[0], 0, (states * h_width) as u64);
        if state.c.is_some() {
            plan.draft.clear(aux, 0, (states * config.hidden) as u64);
        }
    }
    if rows.padded && call.output == Output::All {
        plan.draft.clear(out.buffer, out.offset as u64, (steps * batch * config.output_size()) as u64);
    }

    let width = config.output_size();
    let mut input = (x.buffer, x.offset);
    for layer in 0..config.layers {
        let last = layer + 1 == config.layers;
        // Layers alternate between two buffers; the last one writes the caller's.
        let y = if !last {
            Some((plan.workspace(&format!("output of a layer, {}", layer % 2), steps * batch * width), 0))
        } else if call.output == Output::All {
            Some((out.buffer, out.offset))
        } else {
            None
        };
        let recurrent = rnn.recurrent_weights(layer).buffer(plan);
        let (y_buffer, y_offset) = y.unwrap_or_else(|| (plan.workspace("no output", 1), 0));
        let params = RecurrenceParams {
            y_stride: if y.is_some() { width as u32 } else { 0 },
            y_offset: y_offset as u32,
            ..layer_params(rnn, layer, batch, &rows, chunk)
        };
        let bindings = [buffers.x_part, recurrent, buffers.map, y_buffer];
        Layer { rnn, layer, rows: &rows, sequence, chunk, buffers: &buffers, input, bindings, params }.emit(plan);
        input = y.unwrap_or(input);
    }
    if call.output == Output::Last {
        gather_last(plan, config, batch, h_width, h_state, out);
    }
    Ok(())
}

/// Rows of one chunk of the input part: as many whole steps as fit, at least one.
fn chunk_rows(plan: &PlanBuilder, config: &RnnConfig, batch: usize, rows: &RowMap, most: usize) -> usize {
    let limits = plan.device().plan_limits();
    let bytes = most.min(usize::try_from(limits.binding_bytes).unwrap_or(usize::MAX));
    let row = 4 * config.directions() * config.cell.gates() * config.hidden;
    // `gemm` takes at least one row a workgroup along its second axis.
    let most = (bytes / row).min(usize::try_from(limits.workgroups).unwrap_or(usize::MAX));
    (most / batch * batch).max(batch).min(rows.rows)
}

/// The final h of the last layer, from [D, N, ·] to [N, D·H].
fn gather_last(
    plan: &mut PlanBuilder,
    config: &RnnConfig,
    batch: usize,
    h_width: usize,
    h_state: BufferId,
    out: &Value,
) {
    let none = plan.workspace("no index", 1);
    let width = config.state_size();
    for direction in 0..config.directions() {
        let row = ((config.layers - 1) * config.directions() + direction) * batch;
        let params = GatherParams {
            m: batch as u32,
            columns: width as u32,
            table_rows: batch as u32,
            table_offset: (row * h_width) as u32,
            table_row: h_width as u32,
            out_offset: (out.offset + direction * width) as u32,
            out_row: config.output_size() as u32,
            nan: f32::NAN.to_bits(),
            row_lanes: row_lanes(batch * width),
            ..Default::default()
        };
        let variant = Variant::new(Kernel::Gather, FLAT, plan.device().panel());
        plan.draft.dispatch(variant, vec![h_state, none, out.buffer], &params.words());
    }
}

/// One layer to emit.
struct Layer<'a> {
    rnn: &'a Rnn,
    layer: usize,
    rows: &'a RowMap,
    /// Tile and row width of the `sequence` schedule; none: step by step.
    sequence: Option<(Tile, u32)>,
    /// Rows of the input part at a time.
    chunk: usize,
    buffers: &'a Buffers,
    input: (BufferId, usize),
    /// Input part, weights, map and output of every recurrent dispatch.
    bindings: [BufferId; 4],
    /// What all of its recurrent dispatches share.
    params: RecurrenceParams,
}

impl Layer<'_> {
    fn emit(&self, plan: &mut PlanBuilder) {
        let config = self.rnn.config();
        let device = plan.device().clone();
        let mut h = 0;
        let mut from = 0;
        while from < self.rows.steps {
            let to = self.chunk_end(from);
            self.input_part(plan, from, to);
            match self.sequence {
                Some((tile, width)) => {
                    let most = schedule::sequence_steps(&device, config, tile, width);
                    for at in (from..to).step_by(most) {
                        let variant = Variant { width, ..self.variant(Kernel::Sequence, tile, plan) };
                        let params = RecurrenceParams { steps: most.min(to - at) as u32, ..self.params(from, at) };
                        self.dispatch(plan, variant, [self.buffers.h[h], self.buffers.h[1 - h]], &params);
                        h = 1 - h;
                    }
                }
                None => {
                    for at in from..to {
                        self.step(plan, from, at, h);
                        h = 1 - h;
                    }
                }
            }
            from = to;
        }
    }

    /// The end of the chunk of steps that begins here.
    fn chunk_end(&self, from: usize) -> usize {
        let start = self.rows.offset(from);
        let fits = |to: &usize| self.rows.offset(*to) - start <= self.chunk;
        (from + 1..=self.rows.steps).take_while(fits).last().unwrap_or(from + 1)
    }

    /// x·Wᵀ + b for the rows of some steps, both directions at once.
    fn input_part(&self, plan: &mut PlanBuilder, from: usize, to: usize) {
        let config = self.rnn.config();
        let gates = config.cell.gates() * config.hidden;
        let k = config.input_of(self.layer);
        let (start, m) = (self.rows.offset(from), self.rows.offset(to) - self.rows.offset(from));
        let layout = packed(plan.device(), k, gates);
        let b = self.rnn.input_weights(self.layer).buffer(plan);
        let (mapped, offset) = if self.rows.identity { (0, start * k) } else { (1, 0) };
        let params = GemmParams {
            m: m as u32,
            n: gates as u32,
            k: k as u32,
            batch: config.directions() as u32,
            a_offset: (self.input.1 + offset) as u32,
            a_row: k as u32,
            a_column: 1,
            b_batch: layout.vectors() as u32,
            c_row: gates as u32,
            c_batch: (self.chunk * gates) as u32,
            mapped,
            map_offset: start as u32,
            map_batch: self.rows.rows as u32,
            ..Default::default()
        };
        let tile = schedule::gemm_tile(plan.device(), m);
        plan.gemm(tile, [self.input.0, b, self.buffers.map, self.buffers.x_part], &params);
    }

    /// All phases of one step, from state `h` to the other one.
    fn step(&self, plan: &mut PlanBuilder, from: usize, at: usize, h: usize) {
        let config = self.rnn.config();
        let phases = config.cell.phases(config.projection.is_some());
        let [first, last] = [0, phases.len() - 1];
        let h_width = self.params.h_out_stride;
        let between = config.hidden.next_multiple_of(4) as u32;
        for (i, phase) in phases.iter().enumerate() {
            let tile = schedule::step_tile(plan.device(), phase.gates, self.rows.running(at));
            let variant = Variant { phase: i as u32, ..self.variant(Kernel::Step, tile, plan) };
            let (source, source_width) =
                if i == first { (self.buffers.h[h], h_width) } else { (self.buffers.between, between) };
            let (target, target_width) =
                if i == last { (self.buffers.h[1 - h], h_width) } else { (self.buffers.between, between) };
            let params =
                RecurrenceParams { h_in_stride: source_width / 4, h_out_stride: target_width, ..self.params(from, at) };
            self.dispatch(plan, variant, [source, target], &params);
        }
    }

    fn variant(&self, kernel: Kernel, tile: Tile, plan: &PlanBuilder) -> Variant {
        let config = self.rnn.config();
        let cell = Some((config.cell, config.projection.is_some()));
        Variant { cell, ..Variant::new(kernel, tile, plan.device().panel()) }
    }

    /// The parameters for step `at` of the chunk that begins with step `from`.
    fn params(&self, from: usize, at: usize) -> RecurrenceParams {
        RecurrenceParams {
            offsets: (self.rows.offsets + at) as u32,
            chunk: (self.rows.offsets + from) as u32,
            running: self.rows.running(at) as u32,
            ..self.params
        }
    }

    fn dispatch(
        &self,
        plan: &mut PlanBuilder,
        variant: Variant,
        [h_in, h_out]: [BufferId; 2],
        params: &RecurrenceParams,
    ) {
        let [x_part, weights, map, y] = self.bindings;
        let bindings = vec![x_part, weights, map, h_in, h_out, self.buffers.aux, y, self.buffers.h_state];
        plan.draft.dispatch(variant, bindings, &params.words());
    }
}

/// The parameters that all recurrent dispatches of a layer share; no output.
fn layer_params(rnn: &Rnn, layer: usize, batch: usize, rows: &RowMap, chunk: usize) -> RecurrenceParams {
    let config = rnn.config();
    let phases = config.cell.phases(config.projection.is_some());
    let gates = config.cell.gates() * config.hidden;
    let h_width = config.state_size().next_multiple_of(4);
    let size = |width: Width| width.of(config.hidden, config.state_size());
    let columns = Columns::new(config.cell, config.projection.is_some(), config.hidden, config.state_size());
    let mut sizes = [PhaseParams::default(); 2];
    let mut weights = 0;
    for (i, phase) in phases.iter().enumerate() {
        let layout = packed(rnn.device(), size(phase.source), phase.gates * size(phase.units));
        sizes[i] = PhaseParams {
            units: size(phase.units),
            panels: layout.panels(),
            weights,
            weights_direction: layout.vectors(),
            column: columns.gates[i],
        };
        weights += config.directions() * layout.vectors();
    }
    let slots = phases.iter().map(|phase| phase.slots).max().unwrap_or(0);
    RecurrenceParams {
        batch: batch as u32,
        directions: config.directions() as u32,
        state_row: (layer * config.directions() * batch) as u32,
        x_direction: (chunk * gates) as u32,
        x_stride: gates as u32,
        map_direction: rows.rows as u32,
        order: rows.order as u32,
        steps: 1,
        h_in_stride: (h_width / 4) as u32,
        h_out_stride: h_width as u32,
        final_stride: h_width as u32,
        aux_stride: (slots * config.hidden) as u32,
        ..RecurrenceParams::of_phases(sizes)
    }
}
