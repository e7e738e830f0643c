//! A case of `step`, `sequence` or `grid`.

use super::case::{Case, Words, dot_tolerance};
use super::numbers::{Numbers, packed, poison};
use super::rows::{Rows, TRACKS};
use crate::cells::{Cell, Form, Width};
use crate::kernels::{Kernel, Packed, PhaseParams, RecurrenceParams, Variant, exchange_words};
use crate::layer;

/// The form of a recurrent variant's cell.
pub(crate) fn form_of(variant: &Variant) -> Form {
    variant.of.form().unwrap_or(Form::new(Cell::Lstm, false))
}

/// A layer's second of two tracks' worth of states, sequences of falling lengths, all outputs wanted.
pub(crate) fn recurrence_case(variant: Variant, batch: usize, hidden: usize, steps: usize) -> Case {
    let mut numbers = Numbers::new(batch * 1000 + hidden);
    let form = form_of(&variant);
    let phases = variant.phases();
    let state = if form.projected { hidden.div_ceil(2) } else { hidden };
    let size = |width: Width| width.of(hidden, state);
    let state_row = TRACKS * batch;
    let states = state_row + TRACKS * batch;
    let reserve = layer::Columns::new(&form, hidden, state);
    let stride = if variant.of.keep() { reserve.width } else { form.gates() * hidden };
    let rows = Rows::new(batch, steps, TRACKS);

    let mut weights = Weights::default();
    for (i, phase) in phases.iter().enumerate() {
        let layout = Packed {
            rows: size(phase.source),
            columns: phase.gates * size(phase.units),
            panel: variant.reads.panel as usize,
        };
        weights.push(&mut numbers, layout, size(phase.units), reserve.gates[i]);
        if form.options.equations.peepholes && i == 0 {
            weights.words.extend(packed(&mut numbers, Packed { rows: 0, ..layout }, TRACKS));
        }
    }
    let (source, target) = if variant.kernel() == Kernel::Step {
        let phase = &phases[variant.of.phase()];
        // The first phase reads the state, a second one what the first wrote.
        (size(phase.source), size(phase.units))
    } else {
        (state, state)
    };
    let (h_in, source_width) = padded(&mut numbers, states, source);
    let target_width = target.next_multiple_of(4);
    let slots = phases.iter().map(|phase| phase.slots).max().unwrap_or(0);
    let final_width = state.next_multiple_of(4);
    let params = RecurrenceParams {
        rows: rows.params(batch, state_row, stride),
        steps,
        running: rows.running,
        h_in_row: state_row,
        h_in_stride: source_width / 4,
        h_out_stride: target_width,
        final_stride: final_width,
        y_stride: TRACKS * state,
        y_offset: 2,
        aux_stride: slots * hidden,
        source: reserve.source,
        between: reserve.between,
        ..RecurrenceParams::of_phases(weights.phases)
    };
    let tolerance = dot_tolerance(hidden) * steps as f64;
    let mut x = numbers.uniform(TRACKS * rows.rows * stride, 1.0);
    if variant.of.keep() {
        draw(&mut x, &form, &reserve, state);
    }
    let h_final = final_states(&mut numbers, &form, states * final_width);
    let (params, out) = if variant.kernel() == Kernel::Grid {
        let width = phases.iter().map(|phase| size(phase.units)).max().unwrap_or(0).next_multiple_of(4);
        through_exchange(params, width, steps * phases.len())
    } else {
        (params, poison(states * target_width))
    };
    Case {
        name: format!("{variant} of N {batch}, H {hidden}, T {steps}"),
        variant,
        tolerance,
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(x),
            Words::Numbers(weights.words),
            Words::Indices(rows.map),
            Words::Numbers(h_in),
            out,
            Words::Numbers(slots_before(&mut numbers, &form, [states, slots, hidden])),
            poison(2 + rows.rows * TRACKS * state),
            h_final,
        ],
    }
}

/// A `grid`'s exchange, of which no slot is filled yet, and the parameters of a dispatch that hands rows on through it.
fn through_exchange(params: RecurrenceParams, width: usize, slots: usize) -> (RecurrenceParams, Words) {
    let states = (params.tracks * params.batch) as u64;
    let words = exchange_words(states, slots as u64, width as u64, params.aux_stride as u64);
    (RecurrenceParams { h_out_stride: width, ..params }, Words::Numbers(vec![0.0; words as usize]))
}

/// Where final states go; with recurrent dropout, the h without its mask is there.
fn final_states(numbers: &mut Numbers, form: &Form, count: usize) -> Words {
    if form.sees_unmasked() { Words::Numbers(numbers.uniform(count, 1.0)) } else { poison(count) }
}

/// The matrices of phases, one after the other, and where each is.
#[derive(Default)]
pub(crate) struct Weights {
    pub words: Vec<f32>,
    pub phases: [PhaseParams; 2],
    count: usize,
}

impl Weights {
    /// Adds the matrix of the next phase, of all tracks.
    pub fn push(&mut self, numbers: &mut Numbers, layout: Packed, units: usize, column: usize) {
        self.phases[self.count] = PhaseParams {
            units,
            panels: layout.panels(),
            weights: self.words.len() / layout.panel,
            weights_track: layout.vectors(),
            column,
        };
        self.count += 1;
        self.words.extend(packed(numbers, layout, TRACKS));
    }
}

/// Rows of numbers, each followed by zeros up to a multiple of four; and that width.
pub(crate) fn padded(numbers: &mut Numbers, rows: usize, width: usize) -> (Vec<f32>, usize) {
    let whole = width.next_multiple_of(4);
    let mut words = numbers.uniform(rows * whole, 1.0);
    words.chunks_exact_mut(whole).for_each(|row| row[width..].fill(0.0));
    (words, whole)
}

/// Numbers a unit that pass from step to step: rows, slots of each, units. An sLSTM's n is a sum of what is positive, or 0 with c
/// where nothing is carried yet.
pub(crate) fn slots_before(numbers: &mut Numbers, form: &Form, [rows, slots, units]: [usize; 3]) -> Vec<f32> {
    let mut words = numbers.uniform((rows * slots * units).max(1), 1.0);
    if form.cell == Cell::Slstm {
        for (i, row) in words.chunks_exact_mut(3 * units).enumerate() {
            let (c, rest) = row.split_at_mut(units);
            for (unit, (c, n)) in c.iter_mut().zip(rest).enumerate() {
                *n = if (i + unit) % 3 == 0 { 0.0 } else { 1.0 + n.abs() };
                *c *= if *n == 0.0 { 0.0 } else { 1.0 };
            }
        }
    }
    words
}

/// What zoneout may have drawn, into the rows of a reserve; masks of recurrent dropout are numbers as others are.
pub(crate) fn draw(rows: &mut [f32], form: &Form, columns: &layer::Columns, units: usize) {
    if form.options.noise.zoneout.is_some() {
        for row in rows.chunks_exact_mut(columns.width) {
            let which = if form.cell.has_cell_state() { 3 } else { 1 };
            let drawn = &mut row[columns.source + units..][..units];
            drawn.iter_mut().for_each(|number| *number = (number.to_bits() >> 8 & which) as f32);
        }
    }
}
