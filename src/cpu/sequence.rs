//! Many time steps, each thread with sequences of its own.

use super::call::Call;
use super::recurrence::{Part, Recurrence};
use super::scratch::ForwardWorkspace;
use super::shares::shares;
use super::threads;

pub(crate) fn run(call: &mut Call<'_>) {
    let mut workspaces = std::mem::take(&mut call.scratch.threads);
    let recurrence = Recurrence::new(call);
    let started = recurrence.step(0).running;
    let shares = shares(call.variant.tile, recurrence.p.steps, started, |s| recurrence.step(s).running);
    let tasks = recurrence.p.tracks * shares.len();
    if workspaces.len() < tasks {
        workspaces.resize_with(tasks, ForwardWorkspace::default);
    }
    threads::for_each(&mut workspaces[..tasks], |task, workspace| {
        let ranks = &shares[task % shares.len()];
        tile(&recurrence, workspace, task / shares.len(), ranks.start, ranks.len());
    });
    call.scratch.threads = workspaces;
}

/// All steps of `count` sequences of one track.
fn tile(recurrence: &Recurrence<'_>, workspace: &mut ForwardWorkspace, track: usize, first: usize, count: usize) {
    let p = &recurrence.p;
    let stride = 4 * p.h_in_stride;
    let width = stride.max(recurrence.sizes(0).units);
    let [mut now, mut next] = std::mem::take(&mut workspace.state);
    now.resize(count * width, 0.0);
    next.resize(count * width, 0.0);
    for i in 0..count {
        let state = recurrence.state(track, first + i);
        now[i * width..][..stride].copy_from_slice(recurrence.multiplied(state, stride));
    }
    for s in 0..p.steps {
        let at = recurrence.step(s);
        if at.running <= first {
            break;
        }
        for phase in 0..recurrence.phases.len() {
            recurrence.phase(
                workspace,
                phase,
                &Part { track, ranks: first..at.running.min(first + count), units: 0..recurrence.sizes(phase).units },
                at,
                |i, _| &now[i * width..][..width],
                |i, _, value| next[i * width..][..value.len()].copy_from_slice(value),
            );
            std::mem::swap(&mut now, &mut next);
        }
    }
    let out = p.h_out_stride;
    for i in 0..count {
        let state = recurrence.state(track, first + i);
        // SAFETY: states of different sequences are different rows, and each is one tile's.
        let h = unsafe { recurrence.h_out.row(state * out, out) };
        h.copy_from_slice(&now[i * width..][..out]);
    }
    workspace.state = [now, next];
}
