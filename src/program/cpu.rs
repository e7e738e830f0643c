//! Plans run by the kernels' twins.

use crate::cpu::{Call, Scratch, View};
use crate::device::locked;
use crate::kernels::{Access, MAX_BINDINGS};
use crate::plan::{BufferId, Command, Dispatch, Plan};
use crate::tensor::Storage;
use std::sync::{Arc, Mutex};

type Memory = Arc<Mutex<Vec<f32>>>;

pub(super) struct Runner {
    memory: Vec<Memory>,
    state: Mutex<State>,
}

/// What one run needs; kept, so that a replay allocates nothing.
#[derive(Default)]
struct State {
    /// Every buffer's words while the plan runs.
    words: Vec<Vec<f32>>,
    scratch: Scratch,
}

impl Runner {
    pub fn new(memory: Vec<Storage>) -> Self {
        let memory = memory
            .into_iter()
            .filter_map(|storage| match storage {
                Storage::Cpu(memory) => Some(memory),
                Storage::Gpu(_) => None,
            })
            .collect();
        Self { memory, state: Mutex::default() }
    }

    pub fn run(&self, plan: &Plan) {
        let State { words, scratch } = &mut *locked(&self.state);
        // Held to the end: another program that shares a tensor waits. Programs lock tensors in the order of their
        // addresses, so that two of them can't wait for each other.
        let mut order: Vec<usize> = (0..self.memory.len()).collect();
        order.sort_by_key(|&i| Arc::as_ptr(&self.memory[i]));
        let mut guards: Vec<_> = order.iter().map(|&i| (i, locked(&self.memory[i]))).collect();
        words.resize_with(self.memory.len(), Vec::new);
        for (i, guard) in &mut guards {
            words[*i] = std::mem::take(&mut **guard);
        }
        for command in &plan.commands {
            match command {
                Command::Dispatch(dispatch) => run_dispatch(plan, dispatch, words, scratch),
                Command::Clear(id) => words[id.0][..plan.buffers[id.0].words as usize].fill(0.0),
                Command::Copy { from, to, words: count } => {
                    let source = std::mem::take(&mut words[from.0]);
                    words[to.0][..*count as usize].copy_from_slice(&source[..*count as usize]);
                    words[from.0] = source;
                }
            }
        }
        for (i, guard) in &mut guards {
            **guard = std::mem::take(&mut words[*i]);
        }
    }
}

fn run_dispatch(plan: &Plan, dispatch: &Dispatch, words: &mut [Vec<f32>], scratch: &mut Scratch) {
    let variant = &plan.variants[dispatch.variant];
    let row = variant.kernel.row();
    let bindings = &plan.bindings[dispatch.bindings];
    // Written buffers are taken out of the list for the call, since no two bindings of one dispatch share them.
    let mut written: [Vec<f32>; MAX_BINDINGS] = Default::default();
    let writes = |(i, id): (usize, &BufferId)| (row.bindings[i].1 == Access::Write).then_some((i, id.0));
    for (i, id) in bindings.iter().enumerate().filter_map(writes) {
        written[i] = std::mem::take(&mut words[id]);
    }
    let mut views: [View<'_>; MAX_BINDINGS] = Default::default();
    for ((i, id), written) in bindings.iter().enumerate().zip(&mut written) {
        views[i] = match row.bindings[i].1 {
            Access::Read => View::Read(&words[id.0]),
            Access::Write => View::Write(written),
        };
    }
    (row.twin)(&mut Call { variant, params: &plan.params[dispatch.params.clone()], views, scratch });
    for (i, id) in bindings.iter().enumerate().filter_map(writes) {
        words[id] = std::mem::take(&mut written[i]);
    }
}
