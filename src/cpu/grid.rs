//! Many time steps, values handed on through an exchange: here in order, so that nobody waits.

use super::call::{Call, View};
use super::recurrence::{Part, Recurrence};
use super::scratch::ForwardWorkspace;
use crate::kernels::EXCHANGE_HEAD;

pub(crate) fn run(call: &mut Call<'_>) {
    let exchange = call.write(4);
    // What is read at first is not overwritten.
    let mut aux = call.write(5).to_vec();
    let mut workspace = ForwardWorkspace::default();
    let mut views = std::mem::take(&mut call.views);
    views[5] = View::Write(&mut aux);
    let mut inner = Call { variant: call.variant, params: call.params, views, scratch: call.scratch };
    let recurrence = Recurrence::new(&mut inner);
    let p = recurrence.p;
    let (states, stride) = (p.tracks * p.batch, 4 * p.h_in_stride);
    let width = p.h_out_stride;
    let slot = |phase: usize, row: usize| EXCHANGE_HEAD as usize + (phase * states + row) * width;
    let phases = recurrence.phases.len();
    for track in 0..p.tracks {
        for s in 0..p.steps {
            let at = recurrence.step(s);
            for phase in 0..phases {
                let index = s * phases + phase;
                let row = |state: usize| state - p.state_row;
                let part = Part { track, ranks: 0..at.running, units: 0..recurrence.sizes(phase).units };
                let mut values = Vec::new();
                recurrence.phase(
                    &mut workspace,
                    phase,
                    &part,
                    at,
                    |_, state| match index.checked_sub(1) {
                        None => recurrence.multiplied(state, stride),
                        Some(before) => &exchange[slot(before, row(state))..][..width],
                    },
                    |_, state, value| values.push((slot(index, row(state)), value.to_vec())),
                );
                for (at, value) in values {
                    exchange[at..][..value.len()].copy_from_slice(&value);
                }
            }
        }
    }
    let held = states * p.aux_stride;
    let at = slot(p.steps * phases, 0);
    exchange[at..][..held].copy_from_slice(&aux[p.state_row * p.aux_stride..][..held]);
}
