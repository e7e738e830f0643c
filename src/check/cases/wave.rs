//! Cases of `wave`.

use super::case::{Case, Words, dot_tolerance};
use super::forms::{forms, in_all_forms, is_thorough, splits, tiles};
use super::numbers::{Numbers, packed, poison};
use super::recurrence::{form_of, slots_before};
use super::rows::Rows;
use crate::device::Device;
use crate::kernels::{Kernel, Of, Packed, PhaseParams, RecurrenceParams, RowParams, Tile, Variant};

/// The beginning of a stack of three layers, its middle and its end; alone and together.
pub(crate) fn wave(device: &Device) -> Vec<Case> {
    let mut cases = Vec::new();
    for form in forms(Kernel::Wave).filter(|form| form.phases().len() == 1 && !form.options.equations.peepholes) {
        let gates = form.gates() as u32;
        // One of this device's tiles for each cell, all of them and others' for one.
        let all = tiles(device, Kernel::Wave, &form);
        let count = if device.is_cpu() || is_thorough(&form) { all.len() } else { 1 };
        for tile in all.into_iter().take(count) {
            let tile = Tile { columns: (tile.columns / gates).max(1), ..tile };
            let variant = Variant::new(Of::Wave { form, split: 1 }, tile, 4);
            for (batch, units, layers) in [(1, 1, 0..1), (3, 63, 0..3), (33, 65, 1..3), (5, 20, 2..3)] {
                cases.push(wave_case(variant.clone(), batch, units, layers));
            }
        }
        for (tile, split) in splits(form) {
            let variant = Variant::new(Of::Wave { form, split }, tile, 4);
            cases.push(wave_case(variant, 7, 65, 0..3));
        }
    }
    in_all_forms(device, cases)
}

/// Some layers of a stack of three, each with a step of its own.
pub(crate) fn wave_case(variant: Variant, batch: usize, hidden: usize, layers: std::ops::Range<usize>) -> Case {
    const LAYERS: usize = 3;
    let mut numbers = Numbers::new(batch * 1000 + hidden);
    let gates = form_of(&variant).gates() * hidden;
    let count = layers.len();
    // The lowest layer is at the last of these steps, the topmost at the first.
    let rows = Rows::new(batch, count, 1);
    let layout = Packed { rows: hidden, columns: gates, panel: variant.reads.panel as usize };
    let weights = packed(&mut numbers, layout, 2 * LAYERS - 1);
    let width = hidden.next_multiple_of(4);
    let states = LAYERS * batch;
    let mut h_in = numbers.uniform(states * width, 1.0);
    for row in h_in.chunks_exact_mut(width) {
        row[hidden..].fill(0.0);
    }
    let slots = variant.phases()[0].slots;
    let stride = gates + 1;
    let sizes =
        PhaseParams { units: hidden, panels: layout.panels(), weights: 0, weights_track: layout.vectors(), column: 1 };
    let params = RecurrenceParams {
        rows: RowParams {
            batch,
            tracks: count,
            x_stride: stride,
            order: rows.order,
            offsets: rows.offsets + count - 1,
            chunk: rows.chunk(),
            ..RowParams::default()
        },
        steps: 1,
        running: rows.running,
        h_in_stride: width / 4,
        h_out_stride: width,
        final_stride: width,
        y_stride: hidden + 3,
        y_offset: 2,
        aux_stride: slots * hidden,
        layer: layers.start,
        last: LAYERS - 1,
        ..RecurrenceParams::of_phases([sizes, PhaseParams::default()])
    };
    Case {
        name: format!("{variant} of layers {layers:?}, N {batch}, H {hidden}"),
        tolerance: dot_tolerance(2 * hidden),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(rows.rows * stride, 1.0)),
            Words::Numbers(weights),
            Words::Indices(rows.map),
            Words::Numbers(h_in),
            poison(states * width),
            Words::Numbers(slots_before(&mut numbers, &form_of(&variant), [states, slots, hidden])),
            poison(2 + rows.rows * (hidden + 3)),
            poison(states * width),
        ],
        variant,
    }
}
