//! What `step`, `sequence`, `grid` and `wave` have in common: their parameters, and what their dispatches reach.

use super::kernel::Kernel;
use super::params::{PhaseParams, RowParams, of_phases, params_of_rows};
use super::table::Maxima;
use super::tile::Tile;
use super::variant::Variant;
use super::words::{MAP, StepRows, packed_vectors, u};

params_of_rows! {
    /// `step`, `sequence`, `grid` and `wave`.
    RecurrenceParams {
        steps, running, h_in_row, h_in_stride, h_out_stride, final_stride, y_stride, y_offset, aux_stride, source,
        between, units_0, panels_0, weights_0, weights_track_0, gate_0, units_1, panels_1, weights_1,
        weights_track_1, gate_1, layer, last,
    }
}

of_phases!(RecurrenceParams, gate_0, gate_1);

impl RecurrenceParams {
    /// What a `wave` is for the layer that is `behind` steps behind its lowest one: a step of one track, with weights,
    /// states and rows of its own. What overflows is beyond every buffer.
    pub fn of_layer(&self, behind: usize) -> Self {
        const BEYOND: usize = u32::MAX as usize;
        let layer = self.layer.saturating_add(behind);
        let after = |at: usize, count: usize, size: usize| at.saturating_add(count.saturating_mul(size)).min(BEYOND);
        Self {
            rows: RowParams {
                tracks: 1,
                state_row: after(self.state_row, layer, self.batch),
                offsets: self.offsets.checked_sub(behind).unwrap_or(BEYOND),
                x_track: 0,
                ..self.rows
            },
            h_in_row: after(self.h_in_row, layer, self.batch),
            weights_0: after(self.weights_0, layer.saturating_mul(2), self.weights_track_0),
            y_stride: if layer == self.last { self.y_stride } else { 0 },
            layer,
            ..*self
        }
    }
}

/// Words that are reached in each binding.
#[derive(Default)]
pub(super) struct Reach {
    pub x: u64,
    pub weights: u64,
    pub map: u64,
    pub h_in: u64,
    pub h_out: u64,
    pub aux: u64,
    pub y: u64,
    pub h_final: u64,
}

/// What a dispatch reaches in its bindings.
pub(super) fn reach(variant: &Variant, p: &RecurrenceParams, maxima: Maxima<'_>) -> Reach {
    let mut words = Reach::default();
    let phases = variant.phases();
    let one_step = variant.kernel() == Kernel::Step;
    let rows = StepRows::new(one_step, [p.offsets, p.chunk, p.steps], maxima);
    let steps = if one_step { 1 } else { u(p.steps) };
    words.map = (u(p.offsets) + steps + 2).max(u(p.chunk) + 1);
    let last = u(p.tracks).saturating_sub(1);
    let states = u(p.state_row) + last * u(p.batch) + maxima(MAP, u(p.order), rows.running) + 1;
    let (sizes, units) = (p.phases(), p.units());
    let state_units = units[phases.len() - 1];
    // The columns of a row that it reaches; the old h has what is drawn behind it.
    let drawn = 1 + variant.of.form().map_or(0, |form| form.drawn_columns()) as u64;
    let mut columns = 0;
    for (i, phase) in phases.iter().enumerate() {
        let PhaseParams { panels, weights, weights_track, column, .. } = sizes[i];
        let wide = phase.gates as u64 * units[i];
        let rows = if variant.reads.panel == 1 { panels as u64 } else { 4 * panels as u64 };
        let end = weights as u64 + last * weights_track as u64 + packed_vectors(rows, wide, u(variant.reads.panel));
        let peepholes = if variant.template_equations().peepholes && phase.input {
            u(p.tracks) * packed_vectors(0, wide, u(variant.reads.panel))
        } else {
            0
        };
        words.weights = words.weights.max((end + peepholes) * u(variant.reads.vector_words()));
        if phase.input {
            columns = columns.max(column as u64 + wide);
        }
        if variant.of.keep() {
            columns = columns.max(column as u64 + phase.kept as u64 * units[i]).max(u(p.source) + drawn * state_units);
            columns = columns.max(if i + 1 < phases.len() { u(p.between) + units[i] } else { 0 });
        }
        words.aux = words.aux.max((states - 1) * u(p.aux_stride) + phase.slots as u64 * units[i]);
    }
    let x_rows = rows.last_in_chunk();
    words.x = last * u(p.x_track) + x_rows * u(p.x_stride) + columns;
    if variant.reads.narrow {
        words.x = words.x.div_ceil(2);
    }
    words.map = words.map.max(u(p.order) + rows.running);
    // A row is read as far as the product goes.
    let panels = sizes[usize::from(variant.of.phase() != 0)].panels as u64;
    let over = if one_step && variant.reads.panel > 1 { panels.saturating_sub(u(p.h_in_stride)) } else { 0 };
    words.h_in = (states - u(p.state_row) + u(p.h_in_row)) * 4 * u(p.h_in_stride) + 4 * over;
    // A step writes the units of its phase, a sequence whole rows.
    let out_words = if one_step {
        phases[variant.of.phase()].units.of(units[0], state_units)
    } else {
        state_units.max(u(p.h_out_stride))
    };
    words.h_out = (states - 1) * u(p.h_out_stride) + out_words;
    let (y, map) = rows.output(&p.rows, [p.y_offset, p.y_stride], state_units, maxima);
    (words.y, words.map) = (y, words.map.max(map));
    words.h_final = (states - 1) * u(p.final_stride) + state_units;
    words
}

/// Workgroups of `step` and `wave`.
pub(super) fn step_grid(variant: &Variant, p: &RecurrenceParams) -> [u64; 3] {
    let units = p.units()[usize::from(variant.of.phase() != 0)];
    let Tile { rows, columns, lanes, .. } = variant.tile;
    // A lane of a cooperative product has no columns of its own.
    let across = if variant.of.units().is_some() { columns } else { lanes * columns };
    [units.div_ceil(u(across)), u(p.running).div_ceil(u(rows)), u(p.tracks)]
}

/// Floating-point operations of the products, forwards and backwards.
///
/// Backwards a phase's product is the transpose of the next one's, so that all of them together come to the same.
pub(super) fn flop(
    variant: &Variant,
    units: [u64; 2],
    tracks: usize,
    [offsets, steps]: [usize; 2],
    maxima: Maxima<'_>,
) -> u64 {
    let phases = variant.phases();
    let product = |phase: usize| {
        let k = phases[phase].source.of(units[0], units[phases.len() - 1]);
        2 * phases[phase].gates as u64 * units[phase] * k * u(tracks)
    };
    let rows = |steps: u64| maxima(MAP, u(offsets) + steps, 1).saturating_sub(maxima(MAP, u(offsets), 1));
    match variant.kernel() {
        Kernel::Step => product(variant.of.phase()) * rows(1),
        Kernel::StepBackward => product((variant.of.phase() + 1) % phases.len()) * rows(1),
        _ => (0..phases.len()).map(product).sum::<u64>() * rows(u(steps)),
    }
}
