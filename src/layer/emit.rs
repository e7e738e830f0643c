//! A stack of recurrent layers as commands of a plan.

use super::matrices::Place;
use super::pack::{packed, row_lanes};
use super::product::{Operands, fits_terms, gemm};
use super::reserve::{Columns, Reserve};
use super::rnn::Rnn;
use super::rows::{Lengths, RowMap};
use super::schedule::{self, Grid, Schedule, Sequence};
use super::state::DeviceState;
use super::{grid, masks, norm, scan, wave};
use crate::cells::Width;
use crate::config::{Precision, RnnConfig};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{
    FLAT, GatherParams, GemmParams, Kernel, Packed, PhaseParams, RecurrenceParams, Tile, Variant, WINDOW,
    WINDOW_ALIGNMENT,
};
use crate::plan::{BufferId, PlanBuilder, Value};

/// Which part of the output a call gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Output {
    /// Every step: [T, N, D·S·H], or [N, T, D·S·H]; 0 beyond a sequence's length.
    #[default]
    All,
    /// The last layer's final h of each sequence, directions and heads side by side: [N, D·S·H]. The forward direction
    /// gives its h after the last valid step, the reverse direction after the first step.
    Last,
}

/// How a layer is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RnnCall {
    /// Valid steps of each sequence.
    pub lengths: Lengths,
    /// Whether a run starts from the contents of the [`DeviceState`](crate::DeviceState). Otherwise it starts from
    /// zeros.
    pub carry: bool,
    /// Which part of the output is wanted.
    pub output: Output,
    /// How steps become dispatches.
    pub schedule: Schedule,
    /// Bytes of memory for the input part of the gates, x·Wᵀ + b. It is computed for as many steps at a time as fit,
    /// and for at least one.
    pub input_part_bytes: usize,
    /// For training. `None` keeps everything that the backward pass needs. `Some(k)` keeps only the state before every
    /// k-th step and computes the steps again, k at a time. With k near √T, what is kept of a layer grows with √T
    /// instead of T, and the gradients are the same. What one layer hands to the next is always kept whole. If a buffer
    /// of the adapter cannot hold what `None` needs, k is chosen as large as possible.
    pub keep_every: Option<usize>,
}

impl Default for RnnCall {
    /// Full sequences from zeros, the whole output, any schedule, at most 64 MiB for the input part, all kept.
    fn default() -> Self {
        Self {
            lengths: Lengths::Full,
            carry: false,
            output: Output::All,
            schedule: Schedule::Auto,
            input_part_bytes: 64 << 20,
            keep_every: None,
        }
    }
}

/// Steps and sequences of an input's shape.
pub(crate) fn sequence_sizes(config: &RnnConfig, x: &[usize]) -> Result<(usize, usize)> {
    match *x {
        [a, b, features] if a > 0 && b > 0 && features == config.input => {
            // Before anything of that size is asked for.
            crate::tensor::elements(x)?;
            let (steps, batch) = if config.batch_first { (b, a) } else { (a, b) };
            check_indices(config, steps, batch)?;
            Ok((steps, batch))
        }
        _ => {
            let axes = if config.batch_first { "[N, T, " } else { "[T, N, " };
            Err(Error::shape("input", format!("{axes}{}], none of them 0", config.input), x))
        }
    }
}

/// Whether every array that a layer makes for such an input can be indexed by the 32-bit words of a shader: parameters are
/// made of these sizes.
fn check_indices(config: &RnnConfig, steps: usize, batch: usize) -> Result<()> {
    let padded = |width: usize| width.next_multiple_of(4);
    let gates = config.cell.gates().saturating_mul(config.hidden);
    let widest =
        padded(config.state_size()).max(padded(config.hidden)).max(config.cell.state_numbers() * config.hidden);
    let rows = |tracks: usize, numbers: usize| tracks.saturating_mul(batch).saturating_mul(numbers);
    let needs = [
        ("states of all layers", rows(config.tracks().saturating_mul(config.layers), widest)),
        ("input part of a step's gates", rows(config.tracks(), padded(gates))),
        ("output of a layer", if config.layers > 1 { rows(steps, config.output_size()) } else { 0 }),
        ("map of rows", rows(config.tracks(), steps).saturating_add(batch).saturating_add(steps + 2)),
    ];
    // No allocation is larger than `isize::MAX` bytes, which matters where that has 32 bits.
    let allowed = (u32::MAX as usize).min(isize::MAX as usize / 4);
    match needs.into_iter().find(|(_, words)| *words > allowed) {
        Some((what, words)) => {
            let [needed, allowed] = [words, allowed].map(|words| (words as u64).saturating_mul(4));
            Err(Error::Limit { what: what.to_owned(), needed, limit: "32-bit indices", allowed })
        }
        None => Ok(()),
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

/// Whether a state, or its gradient, is one of a layer and a batch, and on the plan's device.
pub(super) fn check_state(plan: &PlanBuilder, name: &str, rnn: &Rnn, batch: usize, state: &DeviceState) -> Result<()> {
    let [expected, got] = [(rnn.config(), batch), (&state.config, state.batch)].map(|(config, batch)| {
        let rows = config.layers * config.tracks();
        let c = config.cell.has_cell_state().then_some([rows, batch, config.cell_state_size()]);
        ([rows, batch, config.state_size()], c)
    });
    if expected != got {
        return Err(Error::shape(format!("{name} (h, c)"), expected, got));
    }
    for (name, device) in [("layer", rnn.device()), (name, state.device())] {
        if !device.is(plan.device()) {
            return Err(Error::OtherDevice { tensor: name.to_owned() });
        }
    }
    Ok(())
}

/// A layer called with a shape: what all of its passes share.
pub(super) struct Pass<'a> {
    pub rnn: &'a Rnn,
    /// T of the caller's arrays.
    pub steps: usize,
    pub batch: usize,
    pub rows: RowMap,
    pub map: BufferId,
    /// How the `sequence` schedule runs.
    pub sequence: Option<Sequence>,
    /// Whether backwards it runs too.
    pub sequence_backward: bool,
    /// How the `grid` schedule runs; none of the two: step by step.
    pub grid: Option<Grid>,
    /// Whether layers go side by side where nothing is kept.
    pub wavefront: bool,
    pub columns: Columns,
}

impl<'a> Pass<'a> {
    pub fn new(
        plan: &mut PlanBuilder,
        rnn: &'a Rnn,
        [steps, batch]: [usize; 2],
        call: &RnnCall,
        reserve: Option<&Reserve>,
    ) -> Result<Self> {
        let config = rnn.config();
        if call.keep_every == Some(0) {
            return Err(Error::value("keep_every", "at least 1", 0));
        }
        let rows = RowMap::of_call(plan.device(), config, steps, batch, &call.lengths)?;
        // What one dispatch may take, at most.
        let every = reserve.map_or(call.keep_every, Reserve::keep_every);
        let at_once = rows.steps.min(every.unwrap_or(usize::MAX));
        let schedule = call.schedule.resolve(plan.device(), config, at_once, batch);
        // There is one way to scan, and to norm.
        let one_way = config.cell.scan().is_some() || config.options.layer_norm;
        let by_sequence = schedule == Schedule::Sequence && !one_way;
        let sequence = schedule::sequence(plan.device(), config, [at_once, batch]).filter(|_| by_sequence);
        // Weights that stay in their lanes help forward only.
        let asked = call.schedule == Schedule::Sequence && !one_way;
        let sequence_backward = by_sequence && (asked || schedule::is_small(plan.device(), config, batch));
        if by_sequence && sequence.is_none() {
            return Err(Error::value("schedule", "one whose state fits into workgroup memory", "Sequence"));
        }
        // The CPU has no workgroups.
        let wants_grid = schedule == Schedule::Grid && !plan.device().is_cpu() && !one_way;
        let grid = schedule::grid_tile(plan.device(), config, batch).filter(|_| wants_grid);
        if wants_grid && grid.is_none() {
            return Err(Error::value("schedule", "one whose rows fit into workgroup memory", "Grid"));
        }
        let map = rows.buffer(plan)?;
        let columns = Columns::new(&config.form(), config.hidden, config.state_size());
        let wavefront = schedule == Schedule::Wavefront && super::rnn::joins(plan.device(), config);
        Ok(Self { rnn, steps, batch, rows, map, sequence, sequence_backward, grid, wavefront, columns })
    }

    fn config(&self) -> &RnnConfig {
        self.rnn.config()
    }

    /// Whether the cell has no R.
    pub fn scans(&self) -> bool {
        self.config().cell.scan().is_some()
    }

    /// Whether the cell norms its products.
    pub fn norms(&self) -> bool {
        self.config().options.layer_norm
    }

    /// Width of a row of the gates' input part.
    pub fn gates(&self) -> usize {
        self.config().cell.gates() * self.config().hidden
    }

    pub fn h_width(&self) -> usize {
        self.config().state_size().next_multiple_of(4)
    }

    /// Rows of the states of all layers, and of one.
    pub fn states(&self) -> usize {
        self.config().layers * self.layer_states()
    }

    pub fn layer_states(&self) -> usize {
        self.config().tracks() * self.batch
    }
}

/// The buffers that a layer's steps forward work on.
#[derive(Clone, Copy)]
pub(super) struct Buffers {
    /// The input part of the gates, or the reserve.
    pub x: BufferId,
    /// Words of a row there, and rows of a direction.
    pub stride: usize,
    pub rows: usize,
    /// Whether the reserve is written.
    pub keep: bool,
    /// The seed of the masks that lie there, and the layer's stream.
    pub masks: Option<(BufferId, u32)>,
    /// Whether the input part is in half precision.
    pub narrow: bool,
    /// Two states that take turns.
    pub h: [BufferId; 2],
    pub between: BufferId,
    /// c, or what phases pass on.
    pub aux: BufferId,
    pub h_final: BufferId,
}

impl Buffers {
    /// The layers' common memory, for `rows` rows of the input part.
    fn new(plan: &mut PlanBuilder, pass: &Pass<'_>, state: &DeviceState, rows: usize, narrow: bool) -> Self {
        let config = pass.config();
        let h = Self::states(plan, pass, "h");
        let (stride, bytes) = input_part_row(pass, narrow);
        Self {
            x: plan.workspace("input part of the gates", config.tracks() * rows * bytes / 4),
            stride,
            rows,
            keep: false,
            masks: None,
            narrow,
            h,
            between: Self::between(plan, pass, h[1]),
            aux: match &state.c {
                Some(c) => plan.external("c", c, (pass.states() * config.cell_state_size()) as u64),
                None => Self::slots(plan, pass),
            },
            h_final: plan.external("h", &state.h, (pass.states() * pass.h_width()) as u64),
        }
    }

    /// Two states that take turns.
    pub fn states(plan: &mut PlanBuilder, pass: &Pass<'_>, name: &str) -> [BufferId; 2] {
        let words = pass.states() * pass.h_width();
        ["a", "b"].map(|copy| plan.workspace(&format!("{name} {copy}, {} wide", pass.config().state_size()), words))
    }

    /// What the first phase gives to the second; else any other buffer.
    pub fn between(plan: &mut PlanBuilder, pass: &Pass<'_>, other: BufferId) -> BufferId {
        let hidden = pass.config().hidden;
        if pass.config().phases().len() > 1 {
            plan.workspace(&format!("between phases, {hidden} wide"), pass.states() * hidden.next_multiple_of(4))
        } else {
            other
        }
    }

    /// Slots of a cell without c.
    pub fn slots(plan: &mut PlanBuilder, pass: &Pass<'_>) -> BufferId {
        let phases = pass.config().phases();
        let slots = phases.iter().map(|phase| phase.slots).max().unwrap_or(0);
        plan.workspace("slots", pass.states() * slots * pass.config().hidden)
    }
}

/// Appends the layer to a plan: first what can't be in a compute pass, then for each layer the input part of its gates
/// and its steps, chunk by chunk. With a reserve, what the backward pass needs goes there.
pub(crate) fn emit(
    plan: &mut PlanBuilder,
    rnn: &Rnn,
    x: &Value,
    state: &DeviceState,
    call: &RnnCall,
    out: &Value,
    reserve: Option<&Reserve>,
) -> Result<()> {
    let config = rnn.config();
    let (steps, batch) = sequence_sizes(config, x.shape())?;
    let expected = output_shape(rnn, x.shape(), call)?;
    if out.shape() != expected {
        return Err(Error::shape("recurrent output", expected, out.shape()));
    }
    check_state(plan, "state", rnn, batch, state)?;
    if x.buffer == out.buffer {
        // The output is cleared and written while later steps of the input are still to be read.
        return Err(Error::Plan("a recurrent layer's input and output are one tensor".to_owned()));
    }
    if let Some(reserve) = reserve {
        reserve.check(rnn, steps, batch, call)?;
    }
    let pass = Pass::new(plan, rnn, [steps, batch], call, reserve)?;
    // Gradients are those of what was computed: steps that are computed again are as they were. The CPU has no halves.
    // Norms compute with all of their bits.
    let narrow = config.precision == Precision::Half && reserve.is_none() && !plan.device().is_cpu() && !pass.norms();
    // Nor can parts of a sum be added up in halves.
    let narrow = narrow && (0..config.layers.min(2)).all(|layer| fits_terms(plan, config.input_of(layer)));
    let chunk = chunk_rows(plan, &pass, call.input_part_bytes, narrow);
    let in_reserve = |reserve: &Reserve| reserve.is_whole() || config.form().draws();
    let rows = if reserve.is_some_and(in_reserve) { 1 } else { chunk };
    let common = Buffers::new(plan, &pass, state, rows, narrow);
    let (h, width) = (pass.h_width(), config.output_size());
    if call.carry {
        plan.draft.copy(common.h_final, common.h[0], (pass.states() * h) as u64);
    } else {
        plan.draft.clear(common.h[0], 0, (pass.states() * h) as u64);
        if state.c.is_some() {
            plan.draft.clear(common.aux, 0, (pass.states() * config.cell_state_size()) as u64);
        }
    }
    if let (Some(reserve), true) = (reserve, config.options.noise.recurrent_dropout.is_some()) {
        // What R multiplies is masked; the states themselves go on without a mask.
        if !call.carry {
            plan.draft.clear(common.h_final, 0, (pass.states() * h) as u64);
        }
        for layer in 0..config.layers {
            let seed = reserve.masks(plan, layer);
            masks::drop_states(plan, &pass, layer, seed, common.h[0]);
        }
    }
    if pass.rows.padded && call.output == Output::All {
        plan.draft.clear(out.buffer, out.offset as u64, (steps * batch * width) as u64);
    }

    let input = (x.buffer, x.offset);
    let y = (call.output == Output::All).then_some((out.buffer, out.offset));
    if pass.wavefront && reserve.is_none() {
        wave::emit(plan, &pass, &common, input, y);
    } else {
        layer_by_layer(plan, &pass, &common, (input, y), steps * batch * width, reserve);
    }
    if call.output == Output::Last {
        gather_last(plan, &pass, common.h_final, out);
    }
    Ok(())
}

/// Each layer's steps after those of the one below, whose output is so many words; the last one writes `out`, if that is
/// wanted.
fn layer_by_layer(
    plan: &mut PlanBuilder,
    pass: &Pass<'_>,
    common: &Buffers,
    (mut input, out): ((BufferId, usize), Option<(BufferId, usize)>),
    words: usize,
    reserve: Option<&Reserve>,
) {
    let config = pass.config();
    for layer in 0..config.layers {
        let last = layer + 1 == config.layers;
        // Layers alternate between two buffers, unless what they read is still needed; the last one writes the caller's.
        let y = match reserve {
            _ if last => out,
            Some(reserve) => Some((reserve.output(plan, layer), 0)),
            None => Some((plan.workspace(&format!("output of a layer, {}", layer % 2), words), 0)),
        };
        let buffers = match reserve {
            // Masks lie in the reserve's rows: steps that will be computed again go through these too.
            Some(reserve) if reserve.is_whole() || config.form().draws() => Buffers {
                x: reserve.rows(plan, layer),
                stride: pass.columns.width,
                rows: reserve.chunk(),
                keep: true,
                masks: reserve.masks(plan, layer),
                narrow: false,
                ..*common
            },
            _ => *common,
        };
        let recurrence = Layer::new(pass, layer, plan, &buffers, input, y);
        recurrence.emit(plan, 0..pass.rows.steps, reserve);
        if let (Some(reserve), Some((y, _)), false) = (reserve, y, last) {
            reserve.drop_numbers(plan, layer, y);
        }
        input = y.unwrap_or(input);
    }
}

/// Numbers of a row of the input part, and its bytes: whole words.
fn input_part_row(pass: &Pass<'_>, narrow: bool) -> (usize, usize) {
    if narrow {
        let stride = pass.gates().next_multiple_of(2);
        (stride, 2 * stride)
    } else {
        (pass.gates(), 4 * pass.gates())
    }
}

/// Rows of one chunk of the input part: as many whole steps as fit, at least one.
fn chunk_rows(plan: &PlanBuilder, pass: &Pass<'_>, most: usize, narrow: bool) -> usize {
    let limits = plan.device().plan_limits();
    let bytes = most.min(usize::try_from(limits.binding_bytes).unwrap_or(usize::MAX));
    let row = pass.config().tracks() * input_part_row(pass, narrow).1;
    // `gemm` takes at least one row a workgroup along its second axis.
    let most = (bytes / row).min(usize::try_from(limits.workgroups).unwrap_or(usize::MAX));
    (most / pass.batch * pass.batch).max(pass.batch).min(pass.rows.rows)
}

/// Where the last layer's final h of each direction begins in rows of states, and in a row of the output.
pub(super) fn last_states(config: &RnnConfig, batch: usize) -> impl Iterator<Item = (usize, usize)> {
    let (first, width) = ((config.layers - 1) * config.tracks(), config.state_size());
    (0..config.tracks()).map(move |direction| ((first + direction) * batch, direction * width))
}

/// The final h of the last layer, from [D, N, ·] to [N, D·H].
fn gather_last(plan: &mut PlanBuilder, pass: &Pass<'_>, h_state: BufferId, out: &Value) {
    let config = pass.config();
    for (row, column) in last_states(config, pass.batch) {
        let params = GatherParams {
            m: pass.batch as u32,
            columns: config.state_size() as u32,
            table_rows: pass.batch as u32,
            table_offset: (row * pass.h_width()) as u32,
            table_row: pass.h_width() as u32,
            out_offset: (out.offset + column) as u32,
            out_row: config.output_size() as u32,
            ..Default::default()
        };
        copy_rows(plan, h_state, out.buffer, params);
    }
}

/// Rows from one buffer to another, inside of a compute pass.
pub(crate) fn copy_rows(plan: &mut PlanBuilder, from: BufferId, to: BufferId, params: GatherParams) {
    let none = plan.workspace("no index", 1);
    let row_lanes = row_lanes(params.m as usize * params.columns as usize);
    let params = GatherParams { nan: f32::NAN.to_bits(), row_lanes, ..params };
    let variant = Variant::new(Kernel::Gather, FLAT, plan.device().panel());
    plan.draft.dispatch(variant, vec![from, none, to], &params.words());
}

/// The steps of one layer.
pub(super) struct Layer<'a> {
    pub pass: &'a Pass<'a>,
    layer: usize,
    pub buffers: &'a Buffers,
    input: (BufferId, usize),
    pub weights: BufferId,
    pub y: BufferId,
    /// What all of its recurrent dispatches share.
    params: RecurrenceParams,
}

impl<'a> Layer<'a> {
    pub fn new(
        pass: &'a Pass<'a>,
        layer: usize,
        plan: &mut PlanBuilder,
        buffers: &'a Buffers,
        input: (BufferId, usize),
        y: Option<(BufferId, usize)>,
    ) -> Self {
        let (y_buffer, y_offset) = y.unwrap_or_else(|| (plan.workspace("no output", 1), 0));
        let params = RecurrenceParams {
            y_stride: if y.is_some() { pass.config().output_size() as u32 } else { 0 },
            y_offset: y_offset as u32,
            ..layer_params(pass, layer, buffers)
        };
        let weights = pass.rnn.recurrent_weights(layer).matrices.buffer(plan);
        Self { pass, layer, buffers, input, weights, y: y_buffer, params }
    }

    /// Some steps, from the state in the first of the two that take turns; with a reserve that keeps only every so many
    /// states, those too.
    pub fn emit(&self, plan: &mut PlanBuilder, steps: std::ops::Range<usize>, reserve: Option<&Reserve>) {
        let mut h = 0;
        let mut from = steps.start;
        while from < steps.end {
            let mut to = self.chunk_end(from, steps.end);
            if let Some(reserve) = reserve.filter(|reserve| !reserve.is_whole()) {
                let every = reserve.every();
                if from.is_multiple_of(every) {
                    let from = from / every;
                    let dropped = self.pass.config().options.noise.recurrent_dropout.is_some();
                    let h = if dropped { self.buffers.h_final } else { self.buffers.h[h] };
                    reserve.save(plan, self.pass, self.layer, from, h, self.buffers.aux);
                }
                to = to.min((from / every + 1) * every);
            }
            self.input_part(plan, from, to);
            masks::draw(plan, self.pass, self.buffers, from, to);
            match (&self.pass.sequence, self.pass.grid.filter(|_| !self.buffers.keep)) {
                _ if self.pass.scans() => h = scan::emit(self, plan, (from, from..to), h),
                _ if self.pass.norms() => norm::emit(self, plan, (from, from..to)),
                (Some(form), _) => h = self.sequence(plan, (from, from..to), form, self.pass.map, h),
                (None, Some(grid)) => h = grid::emit(self, plan, (from, from..to), &grid, h),
                (None, None) => {
                    for at in from..to {
                        self.step(plan, from, at, h);
                        h = 1 - h;
                    }
                }
            }
            from = to;
        }
    }

    /// Some steps of the chunk that begins with step `chunk`, many in a dispatch, from state `h`; gives the one it ends in.
    pub fn sequence(
        &self,
        plan: &mut PlanBuilder,
        (chunk, steps): (usize, std::ops::Range<usize>),
        form: &Sequence,
        map: BufferId,
        mut h: usize,
    ) -> usize {
        let most = schedule::sequence_steps(plan.device(), self.pass.config(), form);
        let Sequence { tile, width, resident } = *form;
        for at in steps.clone().step_by(most) {
            let variant = Variant { width, resident, ..self.variant(Kernel::Sequence, tile, plan) };
            let params = RecurrenceParams { steps: most.min(steps.end - at) as u32, ..self.params(chunk, at) };
            let mut bindings = self.bindings([self.buffers.h[h], self.buffers.h[1 - h]]);
            bindings[2] = map;
            plan.draft.dispatch(variant, bindings, &params.words());
            h = 1 - h;
        }
        h
    }

    /// The end of the chunk of steps that begins here.
    pub fn chunk_end(&self, from: usize, end: usize) -> usize {
        let start = self.pass.rows.offset(from);
        let fits = |to: &usize| self.pass.rows.offset(*to) - start <= self.buffers.rows;
        (from + 1..=end).take_while(fits).last().unwrap_or(from + 1)
    }

    /// x·Wᵀ + b for the rows of some steps, both directions at once.
    pub fn input_part(&self, plan: &mut PlanBuilder, from: usize, to: usize) {
        let config = self.pass.config();
        let rows = &self.pass.rows;
        let gates = self.pass.gates();
        let k = config.input_of(self.layer);
        let (start, m) = (rows.offset(from), rows.offset(to) - rows.offset(from));
        let layout = packed(plan.device(), k, gates);
        let Place { matrices: b, first } = self.pass.rnn.input_weights(self.layer);
        let params = GemmParams {
            m: m as u32,
            n: gates as u32,
            k: k as u32,
            batch: config.tracks() as u32,
            a_offset: (self.input.1 + if rows.identity { start * k } else { 0 }) as u32,
            a_row: k as u32,
            a_column: 1,
            b_offset: *first as u32,
            b_batch: layout.vectors() as u32,
            c_row: self.buffers.stride as u32,
            c_batch: (self.buffers.rows * self.buffers.stride) as u32,
            mapped: (!rows.identity).into(),
            ..rows.gemm_part(from, to)
        };
        gemm(
            plan,
            Operands { a: self.input.0, b, map: self.pass.map, c: self.buffers.x, narrow: self.buffers.narrow },
            &params,
        );
    }

    /// All phases of one step, from state `h` to the other one.
    fn step(&self, plan: &mut PlanBuilder, from: usize, at: usize, h: usize) {
        let config = self.pass.config();
        let phases = config.phases();
        let [first, last] = [0, phases.len() - 1];
        let h_width = self.params.h_out_stride;
        let between = config.hidden.next_multiple_of(4) as u32;
        for (i, phase) in phases.iter().enumerate() {
            let tile = schedule::step_tile(plan.device(), phase.gates, self.pass.rows.running(at));
            let variant = Variant { phase: i as u32, ..self.variant(Kernel::Step, tile, plan) };
            let (source, source_width) =
                if i == first { (self.buffers.h[h], h_width) } else { (self.buffers.between, between) };
            let (target, target_width) =
                if i == last { (self.buffers.h[1 - h], h_width) } else { (self.buffers.between, between) };
            let params =
                RecurrenceParams { h_in_stride: source_width / 4, h_out_stride: target_width, ..self.params(from, at) };
            let rows = StateRows::new(plan.device(), self.pass.layer_states(), self.layer, source_width);
            let variant = Variant { uniform: rows.uniform, ..variant };
            let units = phase.units.of(config.hidden, config.state_size());
            let running = config.tracks() * self.pass.rows.running(at);
            let by_units =
                schedule::cooperative(plan.device(), &variant, [self.pass.rows.running(at), source_width as usize]);
            let sizes = [units, source_width as usize / 4, running];
            let variant = by_units.unwrap_or_else(|| schedule::split(plan.device(), variant, sizes));
            let params = RecurrenceParams { h_in_row: rows.first, ..params };
            plan.draft.dispatch_window(variant, self.bindings([source, target]), rows.window, &params.words());
        }
    }

    pub fn variant(&self, kernel: Kernel, tile: Tile, plan: &PlanBuilder) -> Variant {
        let cell = Some(self.pass.config().form().running(self.buffers.keep));
        let weights = &self.pass.rnn.recurrent_weights(self.layer).matrices;
        let (texture, half, narrow) = (weights.is_texture(), weights.half, self.buffers.narrow);
        Variant {
            cell,
            keep: self.buffers.keep,
            texture,
            half,
            narrow,
            ..Variant::new(kernel, tile, plan.device().panel())
        }
    }

    /// The parameters for step `at` of the chunk that begins with step `from`.
    pub fn params(&self, from: usize, at: usize) -> RecurrenceParams {
        RecurrenceParams {
            offsets: (self.pass.rows.offsets + at) as u32,
            chunk: (self.pass.rows.offsets + from) as u32,
            running: self.pass.rows.running(at) as u32,
            ..self.params
        }
    }

    /// The rows that a scan of its steps works on.
    pub fn place(&self) -> scan::Place {
        let y = (self.params.y_stride != 0).then_some(self.params.y_offset as usize);
        scan::Place { layer: self.layer, rows: self.buffers.rows, stride: self.buffers.stride, y }
    }

    /// The bindings of a recurrent kernel.
    pub fn bindings(&self, [h_in, h_out]: [BufferId; 2]) -> Vec<BufferId> {
        let buffers = self.buffers;
        vec![buffers.x, self.weights, self.pass.map, h_in, h_out, buffers.aux, self.y, buffers.h_final]
    }
}

/// How a step reads the rows of a layer's states.
pub(super) struct StateRows {
    /// Whether through a window.
    pub uniform: bool,
    /// Where the window begins.
    pub window: u64,
    /// The layer's first row among those of the window, or of all.
    pub first: u32,
}

impl StateRows {
    /// `states` rows for each layer, `width` words each. Through a window where the layer's fit into one that may begin
    /// where they do.
    pub fn new(device: &Device, states: usize, layer: usize, width: u32) -> Self {
        let words = states as u64 * u64::from(width);
        let window = layer as u64 * words;
        if device.reads_windows() && words <= WINDOW.into() && window.is_multiple_of(WINDOW_ALIGNMENT) {
            Self { uniform: true, window, first: 0 }
        } else {
            Self { uniform: false, window: 0, first: (layer * states) as u32 }
        }
    }
}

/// The parameters that all recurrent dispatches of a layer share; no output.
fn layer_params(pass: &Pass<'_>, layer: usize, buffers: &Buffers) -> RecurrenceParams {
    let config = pass.config();
    let phases = config.phases();
    let h_width = pass.h_width();
    let size = |width: Width| width.of(config.hidden, config.state_size());
    let mut sizes = [PhaseParams::default(); 2];
    let mut weights = pass.rnn.recurrent_weights(layer).first;
    for (i, phase) in phases.iter().enumerate() {
        let layout = packed(pass.rnn.device(), size(phase.source), phase.gates * size(phase.units));
        sizes[i] = PhaseParams {
            units: size(phase.units),
            panels: layout.panels(),
            weights,
            weights_direction: layout.vectors(),
            column: pass.columns.gates[i],
        };
        weights += config.tracks() * layout.vectors();
        if config.options.equations.peepholes && phase.input {
            weights += config.tracks() * Packed { rows: 0, ..layout }.vectors();
        }
    }
    let slots = phases.iter().map(|phase| phase.slots).max().unwrap_or(0);
    RecurrenceParams {
        batch: pass.batch as u32,
        directions: config.tracks() as u32,
        state_row: (layer * pass.layer_states()) as u32,
        x_direction: (buffers.rows * buffers.stride) as u32,
        x_stride: buffers.stride as u32,
        map_direction: pass.rows.rows as u32,
        order: pass.rows.order as u32,
        steps: 1,
        h_in_row: (layer * pass.layer_states()) as u32,
        h_in_stride: (h_width / 4) as u32,
        h_out_stride: h_width as u32,
        final_stride: h_width as u32,
        aux_stride: (slots * config.hidden) as u32,
        source: pass.columns.source as u32,
        between: pass.columns.between as u32,
        ..RecurrenceParams::of_phases(sizes)
    }
}
