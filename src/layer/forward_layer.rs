//! The steps of one layer forward: the buffers they work on, and the parameters and bindings that their dispatches share.

use super::matrices::PackedPart;
use super::pack::packed;
use super::pass::Pass;
use super::places::{At, Draw, Turns};
use super::product::{Operands, Right, gemm};
use super::segment_states::States;
use super::state::DeviceState;
use crate::cells::{Form, Width};
use crate::device::Device;
use crate::kernels::{
    GemmParams, Of, Packed, PhaseParams, Reads, RecurrenceParams, Tile, Variant, WINDOW, WINDOW_ALIGNMENT,
};
use crate::plan::{BufferId, PlanBuilder};

/// The buffers that a layer's steps forward work on.
#[derive(Clone, Copy)]
pub(super) struct Buffers {
    /// [D·S, rows, stride]: the input part of the gates, or the rows of the reserve.
    pub x: BufferId,
    /// Words of a row there,
    pub stride: usize,
    /// and rows of a direction.
    pub rows: usize,
    /// Whether the reserve is written.
    pub keep: bool,
    /// What the masks are drawn with that lie in the reserve's rows.
    pub masks: Option<Draw>,
    /// Whether the input part is in half precision.
    pub narrow: bool,
    /// [L·D·S·N, H], rows of whole vectors: two states that take turns.
    pub h: Turns,
    /// [L·D·S·N, H], rows of whole vectors: what the first phase gives to the second; any other buffer of cells with one phase.
    pub between: BufferId,
    /// [L·D·S·N, width of c]: c; or [L·D·S·N, slots·H]: what phases pass on.
    pub aux: BufferId,
    /// [L·D·S·N, H], rows of whole vectors: the caller's state, or that of segments.
    pub h_final: BufferId,
}

impl Buffers {
    /// The layers' common memory, for `rows` rows of the input part; with states of segments, where there are such.
    pub fn new(
        plan: &mut PlanBuilder,
        pass: &Pass<'_>,
        (state, of_segments): (&DeviceState, Option<States>),
        rows: usize,
        narrow: bool,
    ) -> Self {
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
            between: Self::between(plan, pass, h.next),
            aux: match (&state.c, of_segments.and_then(|states| states.c)) {
                (_, Some(c)) => c,
                (Some(c), None) => plan.external("c", c, (pass.states() * config.cell_state_size()) as u64),
                (None, None) => Self::slots(plan, pass),
            },
            h_final: match of_segments {
                Some(states) => states.h,
                None => plan.external("h", &state.h, (pass.states() * pass.h_width()) as u64),
            },
        }
    }

    /// Two states that take turns.
    pub fn states(plan: &mut PlanBuilder, pass: &Pass<'_>, name: &str) -> Turns {
        let words = pass.states() * pass.h_width();
        let [now, next] = ["a", "b"]
            .map(|copy| plan.workspace(&format!("{name} {copy}, {} wide", pass.config().state_size()), words));
        Turns { now, next }
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

/// Numbers of a row of the input part, and its bytes: whole words.
pub(super) fn input_part_row(pass: &Pass<'_>, narrow: bool) -> (usize, usize) {
    if narrow {
        let stride = pass.gates().next_multiple_of(2);
        (stride, 2 * stride)
    } else {
        (pass.gates(), 4 * pass.gates())
    }
}

/// Rows of the gates' sums that a layer's steps work on, [D·S, rows, stride], and of y.
#[derive(Clone, Copy)]
pub(super) struct GateRows {
    pub layer: usize,
    /// Rows of a direction.
    pub rows: usize,
    /// Words of a row.
    pub stride: usize,
    /// Where y, or its gradient, begins; none where there is none.
    pub y: Option<usize>,
}

/// The steps of one layer forward.
pub(super) struct LayerForward<'a> {
    pub pass: &'a Pass<'a>,
    pub layer: usize,
    pub buffers: &'a Buffers,
    /// [T·N, inputs]: what the layer reads.
    input: At,
    /// R of all phases, packed: see [`DeviceLayer`](super::matrices::DeviceLayer).
    pub weights: BufferId,
    /// [T·N, D·S·H]: what the layer gives.
    pub y: BufferId,
    /// What all of its recurrent dispatches share.
    params: RecurrenceParams,
}

impl<'a> LayerForward<'a> {
    pub fn new(
        pass: &'a Pass<'a>,
        layer: usize,
        plan: &mut PlanBuilder,
        buffers: &'a Buffers,
        input: At,
        y: Option<At>,
    ) -> Self {
        let out = y.unwrap_or_else(|| At::start_of(plan.workspace("no output", 1)));
        let params = RecurrenceParams {
            y_stride: if y.is_some() { pass.config().output_size() } else { 0 },
            y_offset: out.offset,
            ..layer_params(pass, layer, buffers)
        };
        let weights = pass.rnn.recurrent_weights(layer).matrices.buffer(plan);
        Self { pass, layer, buffers, input, weights, y: out.buffer, params }
    }

    /// The end of the chunk of steps that begins here.
    pub fn chunk_end(&self, from: usize, end: usize) -> usize {
        let start = self.pass.rows.offset(from);
        let fits = |to: &usize| self.pass.rows.offset(*to) - start <= self.buffers.rows;
        (from + 1..=end).take_while(fits).last().unwrap_or(from + 1)
    }

    /// x·Wᵀ + b for the rows of some steps, both directions at once.
    pub fn emit_input_part(&self, plan: &mut PlanBuilder, from: usize, to: usize) {
        let config = self.pass.config();
        let rows = &self.pass.rows;
        let gates = self.pass.gates();
        let k = config.input_of(self.layer);
        let (start, m) = (rows.offset(from), rows.offset(to) - rows.offset(from));
        let layout = packed(plan.device(), k, gates);
        let PackedPart { matrices: b, first } = self.pass.rnn.input_weights(self.layer);
        let params = GemmParams {
            m,
            n: gates,
            k,
            batch: config.tracks(),
            a_offset: self.input.offset + if rows.identity { start * k } else { 0 },
            a_row: k,
            a_column: 1,
            b_offset: *first,
            b_batch: layout.vectors(),
            c_row: self.buffers.stride,
            c_batch: self.buffers.rows * self.buffers.stride,
            mapped: (!rows.identity).into(),
            ..rows.gemm_part(from, to)
        };
        gemm(
            plan,
            Operands {
                a: self.input.buffer,
                b: Right::Packed(b),
                map: self.pass.map,
                c: self.buffers.x,
                narrow: self.buffers.narrow,
            },
            &params,
        );
    }

    /// The cell in the form that this pass runs.
    pub fn form(&self) -> Form {
        self.pass.config().form().running(self.buffers.keep)
    }

    pub fn variant(&self, of: Of, tile: Tile, plan: &PlanBuilder) -> Variant {
        let weights = &self.pass.rnn.recurrent_weights(self.layer).matrices;
        let (texture, half, narrow) = (weights.is_texture(), weights.half, self.buffers.narrow);
        let variant = Variant::new(of, tile, plan.device().panel());
        Variant { reads: Reads { texture, half, narrow, ..variant.reads }, ..variant }
    }

    /// The parameters for step `at` of the chunk that begins with step `from`.
    pub fn params(&self, from: usize, at: usize) -> RecurrenceParams {
        RecurrenceParams {
            rows: self.params.rows.at(self.pass.rows.offsets + at, self.pass.rows.offsets + from),
            running: self.pass.rows.running(at),
            ..self.params
        }
    }

    /// The rows that its steps work on.
    pub fn gate_rows(&self) -> GateRows {
        let y = (self.params.y_stride != 0).then_some(self.params.y_offset);
        GateRows { layer: self.layer, rows: self.buffers.rows, stride: self.buffers.stride, y }
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
    pub first: usize,
}

impl StateRows {
    /// `states` rows for each layer, `width` words each. Through a window where the layer's fit into one that may begin
    /// where they do.
    pub fn new(device: &Device, states: usize, layer: usize, width: usize) -> Self {
        let words = (states * width) as u64;
        let window = layer as u64 * words;
        if device.reads_windows() && words <= WINDOW.into() && window.is_multiple_of(WINDOW_ALIGNMENT) {
            Self { uniform: true, window, first: 0 }
        } else {
            Self { uniform: false, window: 0, first: layer * states }
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
            weights_track: layout.vectors(),
            column: pass.columns.gates[i],
        };
        weights += config.tracks() * layout.vectors();
        if config.options.equations.peepholes && phase.input {
            weights += config.tracks() * Packed { rows: 0, ..layout }.vectors();
        }
    }
    let slots = phases.iter().map(|phase| phase.slots).max().unwrap_or(0);
    RecurrenceParams {
        rows: pass.row_params(layer, buffers.rows, buffers.stride),
        steps: 1,
        h_in_row: layer * pass.layer_states(),
        h_in_stride: h_width / 4,
        h_out_stride: h_width,
        final_stride: h_width,
        aux_stride: slots * config.hidden,
        source: pass.columns.source,
        between: pass.columns.between,
        ..RecurrenceParams::of_phases(sizes)
    }
}
