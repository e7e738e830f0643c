//! What `step_backward` and `sequence_backward` have in common: their parameters, and what their dispatches reach.

use super::kernel::Kernel;
use super::params::{PhaseParams, of_phases, params_of_rows};
use super::table::Maxima;
use super::variant::Variant;
use super::words::{MAP, StepRows, packed_vectors, u};

params_of_rows! {
    /// `step_backward` and `sequence_backward`.
    BackwardParams {
        steps, running, d_in_row, d_in_stride, d_out_stride, dh_stride, dc_stride, dy_stride, dy_offset, source,
        units_0, panels_0, weights_0, weights_track_0, fields_0, units_1, panels_1, weights_1,
        weights_track_1, fields_1,
    }
}

of_phases!(BackwardParams, fields_0, fields_1);

/// Words that are reached in each binding.
#[derive(Default)]
pub(super) struct Reach {
    pub reserve: u64,
    pub weights: u64,
    pub map: u64,
    pub d_in: u64,
    pub d_out: u64,
    pub dh: u64,
    pub dc: u64,
    pub dy: u64,
}

/// What a dispatch reaches in its bindings.
pub(super) fn reach(variant: &Variant, p: &BackwardParams, maxima: Maxima<'_>) -> Reach {
    let mut words = Reach::default();
    let phases = variant.phases();
    let one_step = variant.kernel() == Kernel::StepBackward;
    let rows = StepRows::new(one_step, [p.offsets, p.chunk, p.steps], maxima);
    let steps = if one_step { 1 } else { u(p.steps) };
    words.map = (u(p.offsets) + steps + 1).max(u(p.chunk) + 1);
    let last = u(p.tracks).saturating_sub(1);
    let states = u(p.state_row) + last * u(p.batch) + maxima(MAP, u(p.order), rows.running) + 1;
    let (sizes, units) = (p.phases(), p.units());
    let state_units = units[phases.len() - 1];
    let drawn = 1 + variant.of.form().map_or(0, |form| form.drawn_columns()) as u64;
    let mut columns = 0;
    let mut gates = 0;
    for (i, phase) in phases.iter().enumerate() {
        let PhaseParams { panels, weights, weights_track, column, .. } = sizes[i];
        let k = if variant.reads.panel == 1 { panels as u64 } else { 4 * panels as u64 };
        let end = weights as u64 + last * weights_track as u64 + packed_vectors(k, units[i], u(variant.reads.panel));
        words.weights = words.weights.max(end * u(variant.reads.vector_words()));
        columns = columns.max(column as u64 + phase.fields as u64 * units[i]);
        if phase.hidden_backward || drawn > 1 {
            columns = columns.max(u(p.source) + drawn * units[i]);
        }
        if phase.carries_h {
            words.dh = words.dh.max((states - 1) * u(p.dh_stride) + units[i]);
        }
        if phase.carried > 0 {
            words.dc = words.dc.max((states - 1) * u(p.dc_stride) + phase.carried as u64 * units[i]);
        }
        if i == variant.of.phase() {
            gates = phase.gates as u64 * units[i];
        }
    }
    let x_rows = rows.last_in_chunk();
    words.reserve = last * u(p.x_track) + x_rows * u(p.x_stride) + columns;
    words.map = words.map.max(u(p.order) + rows.running);
    words.d_in = (states - u(p.state_row) + u(p.d_in_row)) * 4 * u(p.d_in_stride);
    words.d_out = (states - 1) * u(p.d_out_stride) + if one_step { gates } else { u(p.d_out_stride) };
    let (dy, map) = rows.output(&p.rows, [p.dy_offset, p.dy_stride], state_units, maxima);
    (words.dy, words.map) = (dy, words.map.max(map));
    words
}
