//! Many time steps backwards, each thread with sequences of its own.

use super::backward::Backward;
use super::call::Call;
use super::recurrence::Part;
use super::scratch::BackwardWorkspace;
use super::shares::shares;
use super::threads;

pub(crate) fn run(call: &mut Call<'_>) {
    let mut workspaces = std::mem::take(&mut call.scratch.backward);
    let backward = Backward::new(call);
    let started = backward.step(0).running;
    let shares = shares(call.variant.tile, backward.p.steps, started, |s| backward.step(s).running);
    let tasks = backward.p.tracks * shares.len();
    if workspaces.len() < tasks {
        workspaces.resize_with(tasks, BackwardWorkspace::default);
    }
    threads::for_each(&mut workspaces[..tasks], |task, workspace| {
        let ranks = &shares[task % shares.len()];
        tile(&backward, workspace, task / shares.len(), ranks.start, ranks.len());
    });
    call.scratch.backward = workspaces;
}

/// All steps of `count` sequences of one track.
fn tile(backward: &Backward<'_>, workspace: &mut BackwardWorkspace, track: usize, first: usize, count: usize) {
    let p = &backward.p;
    let stride = 4 * p.d_in_stride;
    let width = (0..backward.phases.len()).map(|phase| backward.k[phase]).fold(stride, usize::max);
    let [mut now, mut next] = std::mem::take(&mut workspace.state);
    for copy in [&mut now, &mut next] {
        // A sequence that has not begun has zeros.
        copy.clear();
        copy.resize(count * width, 0.0);
    }
    for i in 0..count {
        let state = backward.state(track, first + i);
        now[i * width..][..stride].copy_from_slice(backward.multiplied(state, stride));
    }
    for s in (0..p.steps).rev() {
        let at = backward.step(s);
        if at.running <= first {
            continue;
        }
        for phase in (0..backward.phases.len()).rev() {
            let units = backward.sizes(phase).units;
            backward.phase(
                workspace,
                phase,
                &Part { track, ranks: first..at.running.min(first + count), units: 0..units },
                at,
                |i, _| &now[i * width..][..width],
                |i, _, gate, gradients| next[i * width + gate * units..][..units].copy_from_slice(gradients),
            );
            std::mem::swap(&mut now, &mut next);
        }
    }
    let out = p.d_out_stride;
    for i in 0..count {
        let state = backward.state(track, first + i);
        // SAFETY: states of different sequences are different rows, and each is one tile's.
        let d = unsafe { backward.d_out.row(state * out, out) };
        d.copy_from_slice(&now[i * width..][..out]);
    }
    workspace.state = [now, next];
}
