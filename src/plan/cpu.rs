//! Plans run by the kernels' twins.

use super::commands::{Buffer, BufferId, Command, Dispatch, Plan, Role};
use crate::cpu::{self, Call, Scratch, View, halves, write_halves};
use crate::device::locked;
use crate::error::{Error, Result};
use crate::kernels::{Access, MAX_BINDINGS};
use crate::storage::{Memory, Storage, read_lock, write_lock};
use std::ops::Range;
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

    /// The words to write; none where the plan only reads them.
    fn written(&mut self) -> Option<&mut Vec<f32>> {
        match self {
            Self::Read(_) => None,
            Self::Write(words) => Some(words),
        }
    }
}

/// The words that a kernel writes, taken out of their buffers for the call. They are put back when this is dropped: a panic in
/// a twin leaves every buffer its memory. The locks that it holds are poisoned then, which marks what was being written.
struct Taken<'h, 'a> {
    held: &'h mut [Held<'a>],
    ids: [Option<usize>; MAX_BINDINGS],
    words: [Vec<f32>; MAX_BINDINGS],
}

impl<'h, 'a> Taken<'h, 'a> {
    fn new(held: &'h mut [Held<'a>], ids: [Option<usize>; MAX_BINDINGS]) -> Self {
        let words = ids.map(|id| id.and_then(|id| held[id].written()).map(std::mem::take).unwrap_or_default());
        Self { held, ids, words }
    }
}

impl Drop for Taken<'_, '_> {
    fn drop(&mut self) {
        for (id, words) in self.ids.iter().zip(&mut self.words) {
            if let Some(written) = id.and_then(|id| self.held[id].written()) {
                *written = std::mem::take(words);
            }
        }
    }
}

impl Runner {
    pub fn new(plan: &Plan, memory: Vec<Storage>) -> Self {
        let memory: Vec<_> = memory
            .into_iter()
            .filter_map(|storage| match storage {
                Storage::Cpu(memory) => Some(memory),
                Storage::Gpu(_) | Storage::Parts(_) | Storage::Texture(_) => None,
            })
            .collect();
        let mut order: Vec<_> = (0..memory.len()).map(|i| (i, plan.writes(BufferId(i)))).collect();
        order.sort_by_key(|&(i, _)| Arc::as_ptr(&memory[i]));
        Self { memory, order, scratch: Mutex::default() }
    }

    /// Runs once.
    ///
    /// # Errors
    /// [`Spoilt`](Error::Spoilt) where a tensor was being written when a kernel panicked, and not since.
    pub fn run(&self, plan: &Plan) -> Result<()> {
        self.run_part(plan, 0..plan.commands().len())
    }

    /// Runs some of the plan's commands.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_part(&self, plan: &Plan, part: Range<usize>) -> Result<()> {
        self.run_with(plan, part, |_, dispatch| dispatch())
    }

    /// Runs once; seconds of each of the plan's variants.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn profile(&self, plan: &Plan) -> Result<Vec<f64>> {
        let mut seconds = vec![0.0; plan.variants().len()];
        self.run_with(plan, 0..plan.commands().len(), |variant, dispatch| {
            let start = Instant::now();
            dispatch();
            seconds[variant] += start.elapsed().as_secs_f64();
        })?;
        Ok(seconds)
    }

    /// Runs one command of the plan, on what its memory holds now.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_command(&self, plan: &Plan, command: &Command) -> Result<()> {
        let mut held = self.hold(plan)?;
        execute(plan, command, &mut held, &mut locked(&self.scratch), &mut |_, dispatch| dispatch());
        Ok(())
    }

    /// The memory of a buffer.
    pub fn memory(&self, buffer: BufferId) -> &Memory {
        &self.memory[buffer.0]
    }

    /// Runs each dispatch of a part through `around`, which gets its variant.
    fn run_with(&self, plan: &Plan, part: Range<usize>, mut around: impl FnMut(usize, &mut dyn FnMut())) -> Result<()> {
        let scratch = &mut *locked(&self.scratch);
        let mut held = self.hold(plan)?;
        plan.commands()[part].iter().for_each(|command| execute(plan, command, &mut held, scratch, &mut around));
        Ok(())
    }

    /// Locks all buffers.
    fn hold(&self, plan: &Plan) -> Result<Vec<Held<'_>>> {
        let mut held: Vec<_> = self.memory.iter().map(|_| None).collect();
        for &(i, written) in &self.order {
            let memory = &self.memory[i];
            if memory.is_poisoned() {
                forgive(memory, &plan.buffers()[i])?;
            }
            held[i] = Some(if written { Held::Write(write_lock(memory)) } else { Held::Read(read_lock(memory)) });
        }
        Ok(held.into_iter().flatten().collect())
    }
}

/// Runs a command; a dispatch through `around`, which gets its variant.
fn execute(
    plan: &Plan,
    command: &Command,
    held: &mut [Held<'_>],
    scratch: &mut Scratch,
    around: &mut dyn FnMut(usize, &mut dyn FnMut()),
) {
    match command {
        Command::Dispatch(dispatch) => {
            around(dispatch.variant, &mut || run_dispatch(plan, dispatch, held, scratch));
        }
        Command::Clear { buffer, offset, words } => {
            if let Some(memory) = held[buffer.0].written() {
                memory[*offset as usize..][..*words as usize].fill(0.0);
            }
        }
        Command::Copy { from, to, words } => {
            // A plan is refused where the two are one.
            if let Ok([from, to]) = held.get_disjoint_mut([from.0, to.0])
                && let Some(to) = to.written()
            {
                to[..*words as usize].copy_from_slice(&from.words()[..*words as usize]);
            }
        }
    }
}

/// What a panic left behind: a plan writes its own memory, and a reserve, before it reads them; a tensor has to be written anew.
fn forgive(memory: &Memory, buffer: &Buffer) -> Result<()> {
    if !buffer.role.is_own() && buffer.role != Role::Reserve {
        return Err(Error::Spoilt { tensor: format!("'{}'", buffer.name) });
    }
    memory.clear_poison();
    Ok(())
}

fn run_dispatch(plan: &Plan, dispatch: &Dispatch, held: &mut [Held<'_>], scratch: &mut Scratch) {
    let variant = &plan.variants()[dispatch.variant];
    let row = variant.row();
    let bindings = &plan.bindings()[dispatch.bindings];
    // Written buffers are taken out for the call, since no two bindings of one dispatch share them.
    let is_written = |i: usize| row.bindings[i].1 == Access::Write;
    let mut ids = [None; MAX_BINDINGS];
    bindings.iter().enumerate().filter(|(i, _)| is_written(*i)).for_each(|(i, id)| ids[i] = Some(id.0));
    let mut taken = Taken::new(held, ids);
    let Taken { held, words, .. } = &mut taken;
    // Twins see numbers where shaders see halves: that is for parity only.
    let mut wide: [Vec<f32>; MAX_BINDINGS] = Default::default();
    for (i, id) in bindings.iter().enumerate().filter(|(i, _)| variant.holds_halves(*i)) {
        wide[i] = halves(if is_written(i) { &words[i] } else { held[id.0].words() });
    }
    let mut views: [View<'_>; MAX_BINDINGS] = Default::default();
    for ((i, id), (words, wide)) in bindings.iter().enumerate().zip(words.iter_mut().zip(&mut wide)) {
        views[i] = match row.bindings[i].1 {
            Access::Write if variant.holds_halves(i) => View::Write(wide),
            Access::Write => View::Write(words),
            _ if variant.holds_halves(i) => View::Read(wide),
            Access::Rows if variant.reads.uniform => View::Read(&held[id.0].words()[dispatch.window as usize..]),
            Access::Read | Access::Matrix | Access::Rows => View::Read(held[id.0].words()),
        };
    }
    cpu::twin(variant.kernel())(&mut Call { variant, params: plan.params(dispatch), views, scratch });
    for i in (0..bindings.len()).filter(|&i| is_written(i) && variant.holds_halves(i)) {
        write_halves(&wide[i], &mut words[i]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Device, block_on};
    use crate::kernels::{FLAT, GatherParams, Kernel, Variant};
    use crate::plan::Draft;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// A plan that copies so many words of 4 to 4, by a kernel: no check has looked at it.
    fn copying(words: usize) -> Plan {
        let mut draft = Draft::default();
        let [from, index, to] = ["from", "index", "to"].map(|name| draft.buffer(name, 4, Role::External));
        let params = GatherParams { m: 1, columns: words, table_rows: 1, ..Default::default() };
        draft.dispatch(Variant::plain(Kernel::Gather, FLAT, 1), vec![from, index, to], &params.words());
        draft.plan
    }

    #[test]
    fn a_panic_in_a_twin_leaves_memory_in_place_and_what_it_wrote_is_refused_until_it_is_written_anew() {
        let device = Device::cpu();
        let memory = ["from", "index", "to"].map(|name| Storage::zeros(&device, name, 4).unwrap());
        let [from, _, to] = &memory;
        from.write(&device, &[1, 2, 3, 4]).unwrap();
        let spoilt = |result: Result<()>| {
            let error = result.expect_err("what was written half is no result");
            assert!(matches!(&error, Error::Spoilt { .. }) && error.to_string().contains("panic"), "{error}");
        };

        let beyond = copying(5);
        let runner = Runner::new(&beyond, memory.to_vec());
        assert!(catch_unwind(AssertUnwindSafe(|| runner.run(&beyond))).is_err(), "the twin reads beyond its table");
        assert_eq!(memory.each_ref().map(Storage::words), [4; 3]);
        // What was only read is as it was; what was written is not.
        assert_eq!(block_on(from.read(&device, 4)).unwrap(), [1, 2, 3, 4]);
        spoilt(block_on(to.read(&device, 4)).map(drop));
        let whole = copying(4);
        let runner = Runner::new(&whole, memory.to_vec());
        spoilt(runner.run(&whole));
        spoilt(runner.profile(&whole).map(drop));

        to.write(&device, &[0; 4]).unwrap();
        runner.run(&whole).unwrap();
        assert_eq!(block_on(to.read(&device, 4)).unwrap(), [1, 2, 3, 4]);
    }
}
