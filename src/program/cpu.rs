//! Plans run by the kernels' twins.

use crate::cpu::{Call, Scratch, View, halves, write_halves};
use crate::device::locked;
use crate::kernels::{Access, MAX_BINDINGS};
use crate::plan::{BufferId, Command, Dispatch, Plan};
use crate::tensor::{Memory, Storage, read_lock, write_lock};
use std::sync::{Arc, Mutex, RwLockReadGuard, RwLockWriteGuard};
use web_time::Instant;

pub(super) struct Runner {
    memory: Vec<Memory>,
    /// Buffers in the order of their addresses, and whether the plan writes them: programs lock tensors in this order,
    /// so that two of them can't wait for each other.
    order: Vec<(usize, bool)>,
    scratch: Mutex<Scratch>,
}

/// A buffer while a plan runs: shared with other programs where it is only read, as weights are.
enum Held<'a> {
    Read(RwLockReadGuard<'a, Vec<f32>>),
    Write(RwLockWriteGuard<'a, Vec<f32>>),
}

impl Held<'_> {
    fn words(&self) -> &[f32] {
        match self {
            Self::Read(words) => words,
            Self::Write(words) => words,
        }
    }

    /// Takes the words out, to be put back by [`Self::put`].
    fn take(&mut self) -> Vec<f32> {
        match self {
            Self::Read(_) => Vec::new(),
            Self::Write(words) => std::mem::take(words),
        }
    }

    fn put(&mut self, taken: Vec<f32>) {
        if let Self::Write(words) = self {
            **words = taken;
        }
    }
}

impl Runner {
    pub fn new(plan: &Plan, memory: Vec<Storage>) -> Self {
        let memory: Vec<_> = memory
            .into_iter()
            .filter_map(|storage| match storage {
                Storage::Cpu(memory) => Some(memory),
                Storage::Gpu(_) | Storage::Texture(_) => None,
            })
            .collect();
        let mut order: Vec<_> = (0..memory.len()).map(|i| (i, plan.writes(BufferId(i)))).collect();
        order.sort_by_key(|&(i, _)| Arc::as_ptr(&memory[i]));
        Self { memory, order, scratch: Mutex::default() }
    }

    pub fn run(&self, plan: &Plan) {
        self.run_with(plan, |_, dispatch| dispatch());
    }

    /// Runs once; seconds of each of the plan's variants.
    pub fn profile(&self, plan: &Plan) -> Vec<f64> {
        let mut seconds = vec![0.0; plan.variants().len()];
        self.run_with(plan, |variant, dispatch| {
            let start = Instant::now();
            dispatch();
            seconds[variant] += start.elapsed().as_secs_f64();
        });
        seconds
    }

    /// Runs each dispatch through `around`, which gets its variant.
    fn run_with(&self, plan: &Plan, mut around: impl FnMut(usize, &mut dyn FnMut())) {
        let scratch = &mut *locked(&self.scratch);
        let mut held: Vec<_> = self.memory.iter().map(|_| None).collect();
        for &(i, written) in &self.order {
            let memory = &self.memory[i];
            held[i] = Some(if written { Held::Write(write_lock(memory)) } else { Held::Read(read_lock(memory)) });
        }
        let mut held: Vec<_> = held.into_iter().flatten().collect();
        for command in plan.commands() {
            match command {
                Command::Dispatch(dispatch) => {
                    around(dispatch.variant, &mut || run_dispatch(plan, dispatch, &mut held, scratch));
                }
                Command::Clear { buffer, offset, words } => {
                    let mut memory = held[buffer.0].take();
                    memory[*offset as usize..][..*words as usize].fill(0.0);
                    held[buffer.0].put(memory);
                }
                Command::Copy { from, to, words } => {
                    let mut target = held[to.0].take();
                    target[..*words as usize].copy_from_slice(&held[from.0].words()[..*words as usize]);
                    held[to.0].put(target);
                }
            }
        }
    }
}

fn run_dispatch(plan: &Plan, dispatch: &Dispatch, held: &mut [Held<'_>], scratch: &mut Scratch) {
    let variant = &plan.variants()[dispatch.variant];
    let row = variant.kernel.row();
    let bindings = &plan.bindings()[dispatch.bindings];
    // Written buffers are taken out for the call, since no two bindings of one dispatch share them.
    let mut written: [Vec<f32>; MAX_BINDINGS] = Default::default();
    let writes = |(i, id): (usize, &BufferId)| (row.bindings[i].1 == Access::Write).then_some((i, id.0));
    for (i, id) in bindings.iter().enumerate().filter_map(writes) {
        written[i] = held[id].take();
    }
    // Twins see numbers where shaders see halves: that is for parity only.
    let mut wide: [Vec<f32>; MAX_BINDINGS] = Default::default();
    for (i, id) in bindings.iter().enumerate().filter(|(i, _)| variant.holds_halves(*i)) {
        wide[i] = if written[i].is_empty() { halves(held[id.0].words()) } else { halves(&written[i]) };
        std::mem::swap(&mut wide[i], &mut written[i]);
    }
    let mut views: [View<'_>; MAX_BINDINGS] = Default::default();
    for ((i, id), written) in bindings.iter().enumerate().zip(&mut written) {
        views[i] = match row.bindings[i].1 {
            Access::Matrix if variant.holds_halves(i) => View::Read(written),
            Access::Rows if variant.uniform => View::Read(&held[id.0].words()[dispatch.window as usize..]),
            Access::Read | Access::Matrix | Access::Rows => View::Read(held[id.0].words()),
            Access::Write => View::Write(written),
        };
    }
    (row.twin)(&mut Call { variant, params: plan.params(dispatch), views, scratch });
    for (i, id) in bindings.iter().enumerate().filter_map(writes) {
        if variant.holds_halves(i) {
            write_halves(&written[i], &mut wide[i]);
            std::mem::swap(&mut wide[i], &mut written[i]);
        }
        held[id].put(std::mem::take(&mut written[i]));
    }
}
