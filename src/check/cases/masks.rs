//! Cases of `masks`.

use super::case::{Case, Words};
use super::numbers::poison;
use super::rows::{EARLIER, Rows, TRACKS};
use crate::device::Device;
use crate::kernels::{FLAT, Kernel, MasksParams, Variant};
use crate::layer;

/// Zoneout of h and of c, and recurrent dropout; batches second and first.
pub(crate) fn masks(_: &Device) -> Vec<Case> {
    let z = |z: f64| (z * 4_294_967_296.0) as u32;
    let zoneout = [(z(0.3), 1.0, z(0.1)), (z(0.9), 1.0, 0)];
    let dropped = [(layer::threshold(0.4), (1.0 / 0.6) as f32, 0)];
    let sizes = [(1, 5, 4), (3, 63, 5), (9, 65, 7)];
    let drawn = zoneout.into_iter().map(|drawn| (drawn, false)).chain(dropped.map(|drawn| (drawn, true)));
    drawn.flat_map(|(drawn, dropped)| sizes.map(|size| masks_case(size, drawn, dropped))).collect()
}

pub(crate) fn masks_case(
    (batch, units, steps): (usize, usize, usize),
    (threshold, weight, threshold_2): (u32, f32, u32),
    dropped: bool,
) -> Case {
    let rows = Rows::new(batch, steps, TRACKS);
    // The rows of the steps, which lie behind others.
    let count = rows.rows - EARLIER;
    let (out_offset, out_row) = (3, units + 5);
    let out_track = count * out_row + 2;
    let [counter_row, counter_track] = if dropped { [units + 1, batch * (units + 1)] } else { [TRACKS * units, units] };
    let params = MasksParams {
        // More than there are.
        rows: count + 2,
        units,
        tracks: TRACKS,
        out_offset,
        out_row,
        out_track,
        map_track: rows.rows,
        first: rows.offsets,
        end: rows.offsets + steps,
        divisor: if dropped { 2 } else { 1 },
        modulus: if dropped { batch as u32 } else { u32::MAX },
        counter_row: counter_row as u32,
        counter_track: counter_track as u32,
        threshold,
        weight,
        threshold_2,
        stream: 7,
        row_lanes: 2 * FLAT.lanes as usize,
    };
    Case {
        name: format!("masks of N {batch}, H {units}, T {steps}, {threshold} and {threshold_2}"),
        variant: Variant::plain(Kernel::Masks, FLAT, 4),
        // Chosen numbers.
        tolerance: 0.0,
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Indices(vec![11, 5]),
            Words::Indices(rows.map),
            poison(out_offset + TRACKS * out_track + 2 * out_row),
        ],
    }
}
