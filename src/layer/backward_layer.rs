//! The steps of one layer in reverse: the buffers they work on, and the parameters and bindings that their dispatches share.

use super::forward_layer::GateRows;
use super::pack::packed;
use super::pass::Pass;
use super::places::{At, Target, Turns};
use super::reserve::Reserve;
use crate::cells::Form;
use crate::error::Result;
use crate::kernels::{BackwardParams, GatherParams, Of, PhaseParams, Reads, Tile, Variant};
use crate::parameters::Parameters;
use crate::plan::{BufferId, PlanBuilder};

/// One layer backward.
pub(super) struct LayerBackward<'a> {
    pub pass: &'a Pass<'a>,
    pub layer: usize,
    pub reserve: &'a Reserve,
    /// [D·S, rows of the reserve, columns]: gates at first, their gradients in the end.
    pub rows: BufferId,
    /// [T·N, inputs]: what the layer read.
    pub input: At,
    /// [T·N, D·S·H]: gradient of the output,
    pub dy: BufferId,
    /// and where it begins; none where there is no such gradient.
    pub dy_offset: Option<usize>,
    /// [T·N, inputs]: where the gradient of the input goes; none where nobody wants it.
    pub dx: Option<Target>,
    /// [L·D·S·N, G·H], rows of whole vectors: gate gradients of the step after, which take turns. With layer norms both are
    /// [D·S·N, 5·G·H + 2·C], for c of width C: gradients of R·h, then of γ and β.
    pub d: Turns,
    /// [L·D·S·N, gates of the second phase], rows of whole vectors; any other buffer of cells with one phase.
    pub between: BufferId,
    /// [L·D·S·N, H], rows of whole vectors: gradient of h.
    pub dh: BufferId,
    /// [L·D·S·N, width of c]: gradient of c.
    pub dc: BufferId,
    /// Whether gradients of the weights are computed.
    pub trains: bool,
}

impl LayerBackward<'_> {
    /// The rows that its steps work on.
    pub fn gate_rows(&self) -> GateRows {
        let stride = self.pass.columns.width;
        GateRows { layer: self.layer, rows: self.reserve.chunk(), stride, y: self.dy_offset }
    }

    /// The weights whose gradients are computed.
    pub fn trained(&self) -> Option<&Parameters> {
        self.pass.rnn.parameters().filter(|_| self.trains)
    }

    /// The cell in its form.
    pub fn form(&self) -> Form {
        self.pass.config().form()
    }

    pub fn variant(&self, of: Of, tile: Tile, plan: &PlanBuilder) -> Result<Variant> {
        let weights = &self.pass.rnn.backward_weights(self.layer)?[1];
        let (texture, half) = (weights.is_texture(), weights.half);
        let variant = Variant::new(of, tile, plan.device().panel());
        Ok(Variant { reads: Reads { texture, half, ..variant.reads }, ..variant })
    }

    pub fn dispatch(
        &self,
        plan: &mut PlanBuilder,
        variant: Variant,
        [d_in, d_out]: [BufferId; 2],
        window: u64,
        params: &BackwardParams,
    ) -> Result<()> {
        let weights = self.pass.rnn.backward_weights(self.layer)?[1].buffer(plan);
        let bindings = vec![self.rows, weights, self.pass.map, d_in, d_out, self.dh, self.dc, self.dy];
        plan.draft.dispatch_window(variant, bindings, window, &params.words());
        Ok(())
    }

    /// The parameters that all dispatches of the layer's steps share.
    pub fn layer_params(&self, plan: &PlanBuilder) -> BackwardParams {
        let pass = self.pass;
        let config = pass.config();
        let phases = config.phases();
        let mut sizes = [PhaseParams::default(); 2];
        let mut weights = 0;
        for (i, phase) in phases.iter().enumerate() {
            let units = phase.units.of(config.hidden, config.state_size());
            let layout = packed(plan.device(), pass.phase_gates((i + 1) % phases.len()), units);
            sizes[i] = PhaseParams {
                units,
                panels: layout.panels(),
                weights,
                weights_track: layout.vectors(),
                column: pass.columns.fields[i],
            };
            weights += config.tracks() * layout.vectors();
        }
        let width = pass.phase_gates(0).next_multiple_of(4);
        BackwardParams {
            rows: pass.row_params(self.layer, self.reserve.chunk(), pass.columns.width),
            steps: 1,
            d_in_row: self.layer * pass.layer_states(),
            d_in_stride: width / 4,
            d_out_stride: width,
            dh_stride: pass.h_width(),
            dc_stride: config.cell_state_size(),
            dy_stride: if self.dy_offset.is_some() { config.output_size() } else { 0 },
            dy_offset: self.dy_offset.unwrap_or(0),
            source: pass.columns.source,
            ..BackwardParams::of_phases(sizes)
        }
    }

    /// The shared parameters for step `at` of the chunk that begins with step `chunk`.
    pub fn params(&self, shared: &BackwardParams, chunk: usize, at: usize) -> BackwardParams {
        BackwardParams {
            rows: shared.rows.at(self.pass.rows.offsets + at, self.pass.rows.offsets + chunk),
            running: self.pass.rows.running(at),
            ..*shared
        }
    }

    /// The layer's states, from one buffer to the same place in another one.
    pub fn states_params(&self) -> GatherParams {
        let (states, width) = (self.pass.layer_states(), self.pass.h_width());
        let first = self.layer * states * width;
        GatherParams {
            m: states,
            columns: self.pass.config().state_size(),
            table_rows: states,
            table_offset: first,
            table_row: width,
            out_offset: first,
            out_row: width,
            ..Default::default()
        }
    }
}
