//! A case of `step_backward` or `sequence_backward`.

use super::case::{Case, Words, dot_tolerance};
use super::numbers::{Numbers, poison};
use super::recurrence::{Weights, draw, form_of, padded};
use super::rows::{Rows, TRACKS};
use crate::cells::{Cell, Form};
use crate::kernels::{BackwardParams, Kernel, Packed, Variant};
use crate::layer;

/// A backward dispatch over what a forward pass might have kept, with gradients of every output.
pub(crate) fn backward_case(variant: Variant, batch: usize, hidden: usize, steps: usize) -> Case {
    let mut numbers = Numbers::new(batch * 1000 + hidden);
    let form = form_of(&variant);
    let phases = variant.phases();
    let state = if form.projected { hidden.div_ceil(2) } else { hidden };
    let gates = |phase: usize| phases[phase].gates * phases[phase].units.of(hidden, state);
    let state_row = TRACKS * batch;
    let states = state_row + TRACKS * batch;
    let reserve = layer::Columns::new(&form, hidden, state);
    let rows = Rows::new(batch, steps, TRACKS);

    let mut weights = Weights::default();
    for (i, phase) in phases.iter().enumerate() {
        let units = phase.units.of(hidden, state);
        let layout =
            Packed { rows: gates((i + 1) % phases.len()), columns: units, panel: variant.reads.panel as usize };
        weights.push(&mut numbers, layout, units, reserve.fields[i]);
    }
    let (source, target) = if variant.kernel() == Kernel::StepBackward {
        (gates((variant.of.phase() + 1) % phases.len()), gates(variant.of.phase()))
    } else {
        (gates(0), gates(0))
    };
    let (d_in, source_width) = padded(&mut numbers, states, source);
    let target_width = target.next_multiple_of(4);
    let dh_width = state.next_multiple_of(4);
    let cell_width = form.cell.cell_numbers().max(1) * hidden;
    let params = BackwardParams {
        rows: rows.params(batch, state_row, reserve.width),
        steps,
        running: rows.running,
        d_in_row: state_row,
        d_in_stride: source_width / 4,
        d_out_stride: target_width,
        dh_stride: dh_width,
        dc_stride: cell_width,
        dy_stride: TRACKS * state,
        dy_offset: 2,
        source: reserve.source,
        ..BackwardParams::of_phases(weights.phases)
    };
    let kept = kept(&mut numbers, &form, &reserve, [TRACKS * rows.rows, hidden, state]);
    let terms = gates(0).max(gates(phases.len() - 1));
    Case {
        name: format!("{variant} of N {batch}, H {hidden}, T {steps}"),
        // Gradients pass through products of up to `terms` terms, and grow by a small factor in each step.
        tolerance: dot_tolerance(terms) * 4.0 * steps as f64,
        variant,
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(kept),
            Words::Numbers(weights.words),
            Words::Indices(rows.map),
            Words::Numbers(d_in),
            poison(states * target_width),
            Words::Numbers(numbers.uniform(states * dh_width, 1.0)),
            Words::Numbers(numbers.uniform(states * cell_width, 1.0)),
            Words::Numbers(numbers.uniform(2 + rows.rows * TRACKS * state, 1.0)),
        ],
    }
}

/// What a forward pass might have kept: rows of hidden units' numbers and of states.
fn kept(numbers: &mut Numbers, form: &Form, reserve: &layer::Columns, [rows, hidden, state]: [usize; 3]) -> Vec<f32> {
    // Gates are from 0 to 1 where they are sigmoids, and nothing here is far from that.
    let mut kept: Vec<f32> =
        numbers.uniform(rows * reserve.width, 0.5).into_iter().map(|number| number + 0.5).collect();
    if form.cell == Cell::Slstm {
        for (i, row) in kept.chunks_exact_mut(reserve.width).enumerate() {
            row[5 * hidden..6 * hidden].iter_mut().for_each(|n| *n += 1.0);
            // Here m' is what was carried, or nothing is.
            row[hidden + i % hidden] = 1.0;
            row[5 * hidden + (i + 1) % hidden] = 0.0;
            row[(i + 1) % hidden] = 1.0;
        }
    }
    draw(&mut kept, form, reserve, state);
    kept
}
