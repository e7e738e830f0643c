//! One phase of one time step backwards, all tracks.

use super::backward::Backward;
use super::call::Call;
use super::recurrence::Part;
use super::scratch::BackwardWorkspace;
use super::step::{PARALLEL, UNITS};
use super::threads;

pub(crate) fn run(call: &mut Call<'_>) {
    let phase = call.variant.of.phase();
    let mut workspaces = std::mem::take(&mut call.scratch.backward);
    let backward = Backward::new(call);
    let p = backward.p;
    let tracks = p.tracks;
    let sizes = backward.sizes(phase);
    let at = backward.step(0);
    if at.running > 0 {
        // Each thread takes some units of all sequences, so that all weights are read by one thread only.
        let parallel = tracks * at.running * backward.k[phase] * sizes.units >= PARALLEL;
        let threads_each = if parallel { threads::count().div_ceil(tracks) } else { 1 };
        let width = sizes.units.div_ceil(threads_each).next_multiple_of(UNITS).min(sizes.units);
        let blocks = sizes.units.div_ceil(width);
        let tasks = tracks * blocks;
        if workspaces.len() < tasks {
            workspaces.resize_with(tasks, BackwardWorkspace::default);
        }
        let stride = 4 * p.d_in_stride;
        let work = |task: usize, workspace: &mut BackwardWorkspace| {
            let unit = task % blocks * width;
            let part = Part { track: task / blocks, ranks: 0..at.running, units: unit..sizes.units.min(unit + width) };
            backward.phase(
                workspace,
                phase,
                &part,
                at,
                |_, state| backward.multiplied(state, stride),
                |_, state, gate, gradients| {
                    let at = state * p.d_out_stride + gate * sizes.units + unit;
                    // SAFETY: different sequences have different rows, and a unit is one thread's.
                    let out = unsafe { backward.d_out.row(at, gradients.len()) };
                    out.copy_from_slice(gradients);
                },
            );
        };
        if parallel {
            threads::for_each(&mut workspaces[..tasks], work);
        } else {
            workspaces[..tasks].iter_mut().enumerate().for_each(|(task, workspace)| work(task, workspace));
        }
    }
    call.scratch.backward = workspaces;
}
