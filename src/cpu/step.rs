//! One phase of one time step, all directions.

use super::Call;
use super::recurrence::{Recurrence, StepRows, Workspace};
use gemm::Parallelism;

/// Products smaller than this are done before a second thread has woken.
const PARALLEL: usize = 1 << 18;

pub(crate) fn run(call: &mut Call<'_>) {
    let phase = call.variant.phase as usize;
    let directions = call.params::<crate::kernels::RecurrenceParams>().directions as usize;
    let mut threads = std::mem::take(&mut call.scratch.threads);
    if threads.is_empty() {
        threads.push(Workspace::default());
    }
    let recurrence = Recurrence::new(call);
    let p = recurrence.p;
    let sizes = recurrence.sizes(phase);
    let running = p.running as usize;
    let at = StepRows {
        x_row: p.x_row as usize,
        map_row: p.map_row as usize,
        running,
        next_running: p.next_running as usize,
    };
    let parallelism =
        if running * sizes.k * sizes.units >= PARALLEL { Parallelism::Rayon(0) } else { Parallelism::None };
    let stride = 4 * p.h_in_stride as usize;
    for direction in 0..directions {
        recurrence.phase(
            &mut threads[0],
            phase,
            direction,
            (0, running),
            at,
            parallelism,
            |_, state| &recurrence.h_in[state * stride..][..stride],
            |_, state, value| {
                // SAFETY: states of different sequences are different rows, and this is the only thread.
                let out = unsafe { recurrence.h_out.row(state * p.h_out_stride as usize, value.len()) };
                out.copy_from_slice(value);
            },
        );
    }
    call.scratch.threads = threads;
}
