//! Cases of `norm_step` and `norm_step_backward`.

use super::case::{Case, Words, dot_tolerance};
use super::forms::forms;
use super::numbers::{Numbers, poison};
use super::recurrence::form_of;
use super::rows::{Rows, TRACKS};
use crate::cells::Form;
use crate::device::Device;
use crate::kernels::{FLAT, Kernel, NormParams, Of, Packed, Tile, Variant};
use crate::layer;

/// Cells with layer norms, by fewer and more lanes than units.
pub(crate) fn norms(kernel: Kernel) -> impl Iterator<Item = (Variant, [usize; 2])> {
    let sizes = [(64, [1, 1]), (64, [3, 65]), (64, [5, 33]), (256, [2, 300])];
    forms(kernel).flat_map(move |form| {
        sizes.map(|(lanes, sizes)| (Variant::new(Of::recurrent(kernel, form, 0), Tile { lanes, ..FLAT }, 4), sizes))
    })
}

pub(crate) fn norm_step(_: &Device) -> Vec<Case> {
    let keeps = |(variant, sizes): (Variant, [usize; 2])| {
        [variant.clone(), variant.keeping()].map(|variant| norm_case(variant, sizes))
    };
    norms(Kernel::NormStep).flat_map(keeps).collect()
}

pub(crate) fn norm_step_backward(_: &Device) -> Vec<Case> {
    norms(Kernel::NormStepBackward).map(|(variant, sizes)| norm_backward_case(variant, sizes)).collect()
}

/// What a normed step's sizes come to, and its rows.
pub(crate) fn norm_params(form: &Form, keep: bool, panel: u32, [batch, units]: [usize; 2]) -> (NormParams, Rows) {
    let reserve = layer::Columns::new(form, units, units);
    let rows = Rows::new(batch, 1, TRACKS);
    let gates = form.gates() * units;
    let stride = if keep { reserve.width } else { gates };
    let vectors = |rows, columns| (Packed { rows, columns, panel: panel as usize }).vectors();
    let c = form.cell.cell_numbers();
    // Each number of them in turn.
    let biases = units % 3;
    let params = NormParams {
        rows: rows.params(batch, TRACKS * batch, stride),
        running: rows.running,
        rank: 0,
        h_stride: units.next_multiple_of(4),
        c_stride: c * units,
        d_stride: 5 * gates + 2 * c * units + 3,
        y_stride: TRACKS * units,
        y_offset: 2,
        source: reserve.source,
        normed: reserve.normed,
        scales: reserve.scales,
        units,
        biases,
        gates_gain: vectors(2 + biases, gates),
        units_gain: if c > 0 { vectors(1 + biases.min(1), units) } else { 0 },
    };
    (params, rows)
}

/// γ and β.
pub(crate) fn gains(numbers: &mut Numbers, p: &NormParams, panel: u32) -> Words {
    Words::Numbers(numbers.uniform(TRACKS * (p.gates_gain + p.units_gain) * panel as usize, 1.0))
}

/// Errors of a sum of `units` numbers are divided by as many; what is multiplied with 1 / √(var + ε) may be small, but not one of
/// these, but where there is one number: then nothing is left but rounding, over √ε.
pub(crate) fn norm_tolerance(units: usize) -> f64 {
    dot_tolerance(if units == 1 { 64 } else { 16 })
}

pub(crate) fn norm_case(variant: Variant, sizes: [usize; 2]) -> Case {
    let [batch, units] = sizes;
    let form = form_of(&variant);
    let mut numbers = Numbers::new(batch * 1000 + units);
    let (p, rows) = norm_params(&form, variant.of.keep(), variant.reads.panel, sizes);
    let states = 2 * TRACKS * batch;
    let h = states * p.h_stride;
    Case {
        name: format!("{variant} of N {batch}, H {units}"),
        tolerance: norm_tolerance(units),
        params: p.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(TRACKS * p.x_track, 1.0)),
            gains(&mut numbers, &p, variant.reads.panel),
            Words::Indices(rows.map),
            Words::Numbers(numbers.uniform(TRACKS * batch * form.gates() * units, 1.0)),
            Words::Numbers(numbers.uniform(h, 1.0)),
            Words::Numbers(numbers.uniform((states * p.c_stride).max(1), 1.0)),
            poison(2 + rows.rows * TRACKS * units),
            poison(h),
        ],
        variant,
    }
}

pub(crate) fn norm_backward_case(variant: Variant, sizes: [usize; 2]) -> Case {
    let [batch, units] = sizes;
    let form = form_of(&variant);
    let mut numbers = Numbers::new(batch * 1000 + units);
    let (p, rows) = norm_params(&form, true, variant.reads.panel, sizes);
    let states = 2 * TRACKS * batch;
    // Gates from 0 to 1, normed numbers of either sign.
    let mut reserve = numbers.uniform(TRACKS * p.x_track, 1.0);
    for row in reserve.chunks_exact_mut(p.x_stride) {
        row[..p.normed].iter_mut().for_each(|k| *k = k.abs());
    }
    Case {
        name: format!("{variant} of N {batch}, H {units}"),
        tolerance: 4.0 * norm_tolerance(units),
        params: p.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(reserve),
            gains(&mut numbers, &p, variant.reads.panel),
            Words::Indices(rows.map),
            Words::Numbers(numbers.uniform(TRACKS * batch * units, 1.0)),
            Words::Numbers(numbers.uniform(TRACKS * batch * p.d_stride, 1.0)),
            Words::Numbers(numbers.uniform(states * p.h_stride, 1.0)),
            Words::Numbers(numbers.uniform((states * p.c_stride).max(1), 1.0)),
            Words::Numbers(numbers.uniform(2 + rows.rows * TRACKS * units, 1.0)),
        ],
        variant,
    }
}
