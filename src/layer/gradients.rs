//! Gradients of a layer's weights, input and initial state, from the gate gradients of its steps.

use super::backward_layer::LayerBackward;
use super::copies::copy_rows;
use super::outer::{gradient_parts, outer, sum_rows};
use super::pack::packed;
use super::places::Target;
use super::product::{Operands, Right, gemm};
use super::strategy::Strategy;
use super::{masks, norm};
use crate::cells::Width;
use crate::error::Result;
use crate::kernels::{GatherParams, GemmParams, OuterParams};
use crate::plan::{BufferId, Parts, PlanBuilder};
use crate::weights::{Offsets, offsets};
use std::ops::Range;

impl LayerBackward<'_> {
    /// Gradients of W, R, biases and projection from the rows of some steps.
    pub fn emit_weight_gradients(&self, plan: &mut PlanBuilder, part: Range<usize>) {
        let Some(parameters) = self.trained() else { return };
        let pass = self.pass;
        let config = pass.config();
        let rows = &pass.rows;
        let count = rows.offset(part.end) - rows.offset(part.start);
        let target = gradient_parts(plan, parameters);
        let offsets = offsets(config, self.layer);
        let gates = pass.gates();
        let reserve = OuterParams {
            batch: config.tracks(),
            a_row: pass.columns.width,
            a_batch: self.reserve.chunk() * pass.columns.width,
            c_batch: offsets.words,
            to: count,
            accumulate: true,
            ..rows.outer_part(part.start, part.end)
        };
        let inputs = config.input_of(self.layer);
        let start = if rows.identity { rows.offset(part.start) * inputs } else { 0 };
        let params = OuterParams {
            m: gates,
            n: inputs,
            b_offset: self.input.offset + start,
            b_row: inputs,
            c_row: inputs,
            mapped: (!rows.identity).into(),
            ..reserve
        };
        outer(plan, [self.rows, self.input.buffer, pass.map], (&target, offsets.w), &params);
        if let Some(b_w) = offsets.b_w.filter(|_| !self.pass.strategies.backward.norms()) {
            sum_rows(plan, [self.rows, pass.map], (&target, b_w), (0, gates), &reserve);
        }
        if config.cell.has_diagonal() {
            sum_rows(plan, [self.rows, pass.map], (&target, offsets.r), (gates, gates), &reserve);
        }
        self.emit_recurrent_gradients(plan, &target, &offsets, &reserve);
    }

    /// Gradients of R, its biases and the projection, phase by phase.
    fn emit_recurrent_gradients(
        &self,
        plan: &mut PlanBuilder,
        target: &Parts,
        &Offsets { r, b_r, w_hr, .. }: &Offsets,
        reserve: &OuterParams,
    ) {
        let pass = self.pass;
        let config = pass.config();
        let b_r = b_r.filter(|_| !self.pass.strategies.backward.norms());
        let mut row = 0;
        for (i, phase) in config.phases().iter().enumerate() {
            let units = phase.units.of(config.hidden, config.state_size());
            let source = phase.source.of(config.hidden, config.state_size());
            let projects = phase.source == Width::Hidden;
            let (weight, bias_at) = if projects { (w_hr.unwrap_or(0), None) } else { (r + row * source, b_r) };
            let mut done = 0;
            // Normed products have all of their gradients in one place.
            let normed = [(pass.columns.normed / units + phase.gates, phase.gates)];
            let recurrent = if self.pass.strategies.backward.norms() { &normed[..] } else { phase.recurrent };
            for &(field, fields) in recurrent {
                let (column, width) = (pass.columns.fields[i] + field * units, fields * units);
                let params = OuterParams {
                    m: width,
                    n: source,
                    a_offset: column,
                    b_offset: if i == 0 { pass.columns.source } else { pass.columns.between },
                    b_row: reserve.a_row,
                    b_batch: reserve.a_batch,
                    c_row: source,
                    ..*reserve
                };
                // One buffer read twice.
                outer(plan, [self.rows, self.rows, pass.map], (target, weight + done * source), &params);
                if let Some(b_r) = bias_at {
                    let to = b_r + row + done;
                    sum_rows(plan, [self.rows, pass.map], (target, to), (column, width), reserve);
                }
                done += width;
            }
            row += done;
        }
    }

    /// The gradient of the rows that the layer read in some steps: both directions' add up.
    pub fn emit_input_gradient(&self, plan: &mut PlanBuilder, part: Range<usize>) -> Result<()> {
        let Some(Target { at: dx, accumulate }) = self.dx else { return Ok(()) };
        let pass = self.pass;
        let config = pass.config();
        let rows = &pass.rows;
        let (start, m) = (rows.offset(part.start), rows.offset(part.end) - rows.offset(part.start));
        let inputs = config.input_of(self.layer);
        let layout = packed(plan.device(), pass.gates(), inputs);
        let weights = &pass.rnn.backward_weights(self.layer)?[0];
        for direction in 0..config.tracks() {
            let shared = rows.gemm_part(part.start, part.end);
            let params = GemmParams {
                m,
                n: inputs,
                k: pass.gates(),
                batch: 1,
                a_offset: direction * self.reserve.chunk() * pass.columns.width,
                a_row: pass.columns.width,
                a_column: 1,
                b_offset: direction * layout.vectors(),
                c_offset: dx.offset + if rows.identity { start * inputs } else { 0 },
                c_row: inputs,
                mapped: if rows.identity { 0 } else { 2 },
                map_offset: direction * rows.rows + shared.map_offset,
                accumulate: (accumulate || direction > 0),
                ..shared
            };
            gemm(
                plan,
                Operands { a: self.rows, b: Right::Packed(weights), map: pass.map, c: dx.buffer, narrow: false },
                &params,
            );
        }
        Ok(())
    }

    /// The part of the initial state's gradient that comes through the first step's gates.
    pub fn emit_initial_gradient(&self, plan: &mut PlanBuilder, d: BufferId) -> Result<()> {
        match self.pass.strategies.backward {
            // Scans hand it on themselves.
            Strategy::Scan => Ok(()),
            Strategy::Normed => norm::emit_initial_gradient(plan, self.pass, self.layer, [d, self.dh]),
            Strategy::Step | Strategy::Sequence(_) | Strategy::Grid(_) | Strategy::Wavefront => {
                self.emit_initial_gradient_by_gates(plan, d)
            }
        }
    }

    fn emit_initial_gradient_by_gates(&self, plan: &mut PlanBuilder, d: BufferId) -> Result<()> {
        let pass = self.pass;
        let config = pass.config();
        let params = self.layer_params(plan);
        let width = pass.phase_gates(0).next_multiple_of(4);
        let (weights, weights_track) = if config.phases().len() > 1 {
            (params.weights_1, params.weights_track_1)
        } else {
            (params.weights_0, params.weights_track_0)
        };
        let (row, h) = (self.layer * pass.layer_states(), pass.h_width());
        let params = GemmParams {
            m: pass.batch,
            n: config.state_size(),
            k: pass.phase_gates(0),
            batch: config.tracks(),
            a_offset: row * width,
            a_row: width,
            a_column: 1,
            a_batch: pass.batch * width,
            b_offset: weights,
            b_batch: weights_track,
            c_offset: row * h,
            c_row: h,
            c_batch: pass.batch * h,
            accumulate: true,
            ..Default::default()
        };
        let matrix = &pass.rnn.backward_weights(self.layer)?[1];
        let none = plan.workspace("no map", 1);
        if config.options.noise.recurrent_dropout.is_some() {
            // R has not seen the initial state but through its mask.
            let masked = plan.workspace("gradient of the masked state", pass.states() * h);
            let operands = Operands { a: d, b: Right::Packed(matrix), map: none, c: masked, narrow: false };
            gemm(plan, operands, &GemmParams { accumulate: false, ..params });
            let seed = self.reserve.masks(plan, self.layer);
            masks::drop_states(plan, pass, self.layer, seed, masked);
            copy_rows(plan, masked, self.dh, GatherParams { accumulate: true, ..self.states_params() });
            return Ok(());
        }
        gemm(plan, Operands { a: d, b: Right::Packed(matrix), map: none, c: self.dh, narrow: false }, &params);
        Ok(())
    }
}
