//! Cases of `scan` and `scan_backward`.

use super::case::{Case, Words};
use super::forms::forms;
use super::numbers::{Numbers, poison};
use super::recurrence::form_of;
use super::rows::{Rows, TRACKS};
use crate::cells::{Cell, Form};
use crate::device::Device;
use crate::kernels::{FLAT, Kernel, Of, Part, ScanParams, Variant};
use crate::layer;

/// Every cell without R, whole and in parts: totals, and what is made of them.
pub(crate) fn scans(kernel: Kernel) -> Vec<(Variant, [usize; 4])> {
    let sizes = [
        (Part::Whole, [1, 1, 1, 1]),
        (Part::Whole, [3, 65, 7, 1]),
        (Part::Totals, [5, 33, 11, 4]),
        (Part::Steps, [5, 33, 11, 4]),
        (Part::Steps, [2, 64, 6, 3]),
    ];
    let of = move |form, part| match kernel {
        Kernel::Scan => Of::Scan { form, keep: false, part },
        _ => Of::ScanBackward { form, part },
    };
    let variants = forms(kernel).flat_map(|form| {
        let whole = form.cell.has_diagonal();
        let sizes = sizes.into_iter().filter(move |&(part, _)| part == Part::Whole || !whole);
        sizes.map(move |(part, sizes)| (Variant::new(of(form, part), FLAT, 4), sizes))
    });
    variants.collect()
}

pub(crate) fn scan(_: &Device) -> Vec<Case> {
    let forms = |variant: Variant| {
        // Totals keep nothing.
        let keeping = (variant.of.part() != Part::Totals).then(|| variant.clone().keeping());
        std::iter::once(variant).chain(keeping).collect::<Vec<_>>()
    };
    let cases = scans(Kernel::Scan)
        .into_iter()
        .flat_map(|(variant, sizes)| forms(variant).into_iter().map(move |v| scan_case(v, sizes)));
    let cases: Vec<_> = cases.collect();
    // Halves of one cell, whole and in parts.
    let qrnn = |case: &&Case| form_of(&case.variant).cell == Cell::Qrnn && !case.variant.of.keep();
    let halves: Vec<_> = cases.iter().filter(qrnn).map(|case| case.in_half(true)).collect();
    cases.into_iter().chain(halves).collect()
}

pub(crate) fn scan_backward(_: &Device) -> Vec<Case> {
    scans(Kernel::ScanBackward).into_iter().map(|(variant, sizes)| scan_backward_case(variant, sizes)).collect()
}

/// Words of c, or of the diagonal of R, which takes its place; one where there is neither.
pub(crate) fn second_state(form: &Form, states: usize, units: usize, panel: u32) -> usize {
    match form.cell {
        cell if cell.has_cell_state() => states * units,
        cell if cell.has_diagonal() => TRACKS * units * panel as usize,
        _ => 1,
    }
}

/// What a scan's sizes come to, with `stride` words in a row of its gates.
pub(crate) fn scan_params(
    form: &Form,
    rows: &Rows,
    stride: usize,
    panel: u32,
    [batch, units, steps, parts]: [usize; 4],
) -> ScanParams {
    ScanParams {
        rows: rows.params(batch, TRACKS * batch, stride),
        steps,
        running: rows.running,
        h_stride: units.next_multiple_of(4),
        c_stride: units * if form.cell.has_diagonal() { panel as usize } else { 1 },
        y_stride: TRACKS * units,
        y_offset: 2,
        source: layer::Columns::new(form, units, units).source,
        units,
        part: steps.div_ceil(parts),
        parts,
        rank: 0,
    }
}

/// What parts hand on: written by totals, read by what follows them.
pub(crate) fn scan_carry(numbers: &mut Numbers, part: Part, [batch, units, _, parts]: [usize; 4]) -> Words {
    let words = (2 * parts + 1) * TRACKS * batch * units;
    match part {
        Part::Whole => Words::Numbers(vec![0.0]),
        Part::Totals => poison(words),
        Part::Steps => Words::Numbers(numbers.uniform(words, 1.0)),
    }
}

pub(crate) fn scan_case(variant: Variant, sizes: [usize; 4]) -> Case {
    let [batch, units, steps, parts] = sizes;
    let mut numbers = Numbers::new(batch * 1000 + units);
    let form = form_of(&variant);
    let stride = if variant.of.keep() { layer::Columns::new(&form, units, units).width } else { form.gates() * units };
    let rows = Rows::new(batch, steps, TRACKS);
    let states = 2 * TRACKS * batch;
    let width = units.next_multiple_of(4);
    let totals = variant.of.part() == Part::Totals;
    // What is not written holds numbers.
    let out =
        |count: usize, is_written: bool| if is_written { poison(count) } else { Words::Numbers(vec![0.0; count]) };
    Case {
        name: format!("{variant} of N {batch}, H {units}, T {steps} in {parts}"),
        // A few roundings a step, of numbers that gates keep near 1.
        tolerance: 16.0 * f64::from(f32::EPSILON) * steps as f64,
        params: scan_params(&form, &rows, stride, variant.reads.panel, sizes).words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(TRACKS * rows.rows * stride, 1.0)),
            Words::Numbers(numbers.uniform(states * width, 1.0)),
            Words::Indices(rows.map),
            out(states * width, !totals),
            Words::Numbers(numbers.uniform(second_state(&form, states, units, variant.reads.panel), 1.0)),
            out(2 + rows.rows * TRACKS * units, !totals),
            out(states * width, !totals),
            scan_carry(&mut numbers, variant.of.part(), sizes),
        ],
        variant,
    }
}

pub(crate) fn scan_backward_case(variant: Variant, sizes: [usize; 4]) -> Case {
    let [batch, units, steps, parts] = sizes;
    let mut numbers = Numbers::new(batch * 1000 + units);
    let form = form_of(&variant);
    let stride = layer::Columns::new(&form, units, units).width;
    let rows = Rows::new(batch, steps, TRACKS);
    let states = 2 * TRACKS * batch;
    Case {
        name: format!("{variant} of N {batch}, H {units}, T {steps} in {parts}"),
        // As forwards, with the gradients of all steps added up.
        tolerance: 64.0 * f64::from(f32::EPSILON) * steps as f64,
        params: scan_params(&form, &rows, stride, variant.reads.panel, sizes).words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(TRACKS * rows.rows * stride, 1.0)),
            Words::Numbers(numbers.uniform(states * units.next_multiple_of(4), 1.0)),
            Words::Indices(rows.map),
            Words::Numbers(numbers.uniform(second_state(&form, states, units, variant.reads.panel), 1.0)),
            Words::Numbers(numbers.uniform(2 + rows.rows * TRACKS * units, 1.0)),
            scan_carry(&mut numbers, variant.of.part(), sizes),
        ],
        variant,
    }
}
