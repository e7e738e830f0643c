//! One phase of one time step, all tracks.

use super::call::Call;
use super::recurrence::{Part, Recurrence};
use super::scratch::ForwardWorkspace;
use super::threads;

/// Fewer multiplications than this are done before a second thread has woken.
pub(super) const PARALLEL: usize = 1 << 18;
/// Units are shared out in multiples of this: whole vectors.
pub(super) const UNITS: usize = 16;

pub(crate) fn run(call: &mut Call<'_>) {
    let phase = call.variant.of.phase();
    let mut workspaces = std::mem::take(&mut call.scratch.threads);
    let recurrence = Recurrence::new(call);
    let p = recurrence.p;
    let tracks = p.tracks;
    let sizes = recurrence.sizes(phase);
    let at = recurrence.step(0);
    if at.running == 0 {
        call.scratch.threads = workspaces;
        return;
    }
    // Each thread takes some units of all sequences, so that all weights are read by one thread only.
    let parallel = tracks * at.running * recurrence.k[phase] * sizes.units >= PARALLEL;
    let threads_each = if parallel { threads::count().div_ceil(tracks) } else { 1 };
    let width = sizes.units.div_ceil(threads_each).next_multiple_of(UNITS).min(sizes.units);
    let blocks = sizes.units.div_ceil(width);
    let tasks = tracks * blocks;
    if workspaces.len() < tasks {
        workspaces.resize_with(tasks, ForwardWorkspace::default);
    }
    let stride = 4 * p.h_in_stride;
    let work = |task: usize, workspace: &mut ForwardWorkspace| {
        let unit = task % blocks * width;
        let part = Part { track: task / blocks, ranks: 0..at.running, units: unit..sizes.units.min(unit + width) };
        recurrence.phase(
            workspace,
            phase,
            &part,
            at,
            |_, state| recurrence.multiplied(state, stride),
            |_, state, value| {
                // SAFETY: different sequences have different rows, and a unit is one thread's.
                let out = unsafe { recurrence.h_out.row(state * p.h_out_stride + unit, value.len()) };
                out.copy_from_slice(value);
            },
        );
    };
    if parallel {
        threads::for_each(&mut workspaces[..tasks], work);
    } else {
        workspaces[..tasks].iter_mut().enumerate().for_each(|(task, workspace)| work(task, workspace));
    }
    call.scratch.threads = workspaces;
}
