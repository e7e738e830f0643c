//! One step of each of some layers, each a step behind the one below: layer by layer.

use super::call::{Call, View};
use super::product::Matrix;
use super::recurrence::{Part, Recurrence};
use super::rows::SharedRows;
use super::scratch::ForwardWorkspace;
use crate::kernels::{Packed, RecurrenceParams, RowParams};

pub(crate) fn run(call: &mut Call<'_>) {
    let p: RecurrenceParams = call.params();
    let [x, h_out, aux, y, h_final] = [0, 4, 5, 6, 7].map(|binding| call.write(binding));
    let [weights, map, h_in] = [1, 2, 3].map(|binding| call.read(binding));
    let panel = call.variant.reads.panel as usize;
    let gates = call.variant.phases()[0].gates * p.units_0;
    let stride = 4 * p.h_in_stride;
    let mut workspace = ForwardWorkspace::default();
    for behind in 0..p.tracks {
        let params = p.of_layer(behind);
        let layer = params.layer;
        // Layers above the lowest read rows of their own, which begin with their step: the lowest one's chunk may begin later.
        let above = RecurrenceParams {
            rows: RowParams { x_stride: gates, chunk: params.offsets, ..params.rows },
            gate_0: 0,
            ..params
        };
        let params = if layer == 0 { params } else { above };
        let words = params.words();
        let indices: &[u32] = bytemuck::cast_slice(map);
        let rank_row = |rank: usize| indices[p.order + rank] as usize;
        let offset = |s: usize| indices[params.offsets + s] as usize;
        let running = offset(1) - offset(0);
        // What the layer below gave for this step, as the input part of this one.
        let mut inputs = vec![0.0; if layer == 0 { 0 } else { running * gates }];
        if layer > 0 {
            let layout = Packed { rows: p.units_0, columns: gates, panel };
            let base = (params.weights_0 - p.weights_track_0) * panel;
            let below = p.h_in_row + (layer - 1) * p.batch;
            let row = |rank: usize| &h_in[(below + rank_row(rank)) * stride..][..stride];
            let c = SharedRows::new(&mut inputs);
            Matrix::new(&weights[base..], layout, call.variant.reads.half)
                // SAFETY: one thread works on it, and keeps no part.
                .multiply(running, row, 0..gates, false, |i, column, len| unsafe { c.row(i * gates + column, len) });
        }
        let views = [
            View::Write(if layer == 0 { &mut *x } else { &mut inputs }),
            View::Read(weights),
            View::Read(map),
            View::Read(h_in),
            View::Write(&mut *h_out),
            View::Write(&mut *aux),
            View::Write(&mut *y),
            View::Write(&mut *h_final),
        ];
        let mut inner = Call { variant: call.variant, params: &words, views, scratch: &mut *call.scratch };
        let recurrence = Recurrence::new(&mut inner);
        let at = recurrence.step(0);
        let part = Part { track: 0, ranks: 0..at.running, units: 0..p.units_0 };
        recurrence.phase(
            &mut workspace,
            0,
            &part,
            at,
            |_, state| recurrence.multiplied(state, stride),
            |_, state, value| {
                // SAFETY: different sequences have different rows.
                let out = unsafe { recurrence.h_out.row(state * p.h_out_stride, value.len()) };
                out.copy_from_slice(value);
            },
        );
    }
}
