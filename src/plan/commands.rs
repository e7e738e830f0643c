//! A plan as plain data: buffers, and commands over them.

#[cfg(doc)]
use crate::kernels::Kernel;
use crate::kernels::{self, Variant};

/// Names a buffer of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub(crate) usize);

/// Where a buffer comes from.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Role {
    /// A tensor of the caller.
    External,
    /// Memory that is made with the program and kept for later runs.
    Workspace,
    /// Indices known when the plan is made.
    Constant(Vec<u32>),
    /// Indices that the caller writes before a run, each at most as large as the one here.
    Indices(Vec<u32>),
    /// These indices, or zeros: a [`Kernel::Settle`] decides which while the plan runs.
    Guarded(Vec<u32>),
    /// What a forward pass keeps for the backward pass. This memory, too, belongs to the caller.
    Reserve,
}

impl Role {
    /// Whether the memory belongs to the plan.
    pub const fn is_own(&self) -> bool {
        matches!(self, Self::Workspace | Self::Constant(_) | Self::Guarded(_))
    }
}

/// A buffer of a plan: its name, its length, and where its memory comes from.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Buffer {
    /// The name used in messages and listings.
    pub name: String,
    /// Length in 32-bit words.
    pub words: u64,
    /// Where it comes from.
    pub role: Role,
}

/// One command of a plan.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// Run a kernel.
    Dispatch(Dispatch),
    /// Copy words from one buffer to another.
    #[non_exhaustive]
    Copy {
        /// The buffer to read from.
        from: BufferId,
        /// The buffer to write to.
        to: BufferId,
        /// How many 32-bit words, from the start of both buffers.
        words: u64,
    },
    /// Fill with zeros.
    #[non_exhaustive]
    Clear {
        /// The buffer to clear.
        buffer: BufferId,
        /// The first word.
        offset: u64,
        /// How many 32-bit words.
        words: u64,
    },
}

/// A kernel with its bindings and parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// Index into [`Plan::variants`].
    pub variant: usize,
    /// Index into [`Plan::bindings`].
    pub bindings: usize,
    /// The first word of the window through which the rows of a product are read, where they are read through a uniform
    /// buffer.
    pub window: u64,
    /// Which of the plan's parameters are its own.
    pub(crate) params: std::ops::Range<usize>,
    /// Workgroups in x, y and z.
    pub grid: [u32; 3],
    /// Floating-point operations of its products.
    pub flop: u64,
    /// The least number of bytes that it moves: each element that it reaches in its buffers counts once.
    pub bytes: u64,
}

/// A pass written down: buffers, and commands on them. Only a [`PlanBuilder`](crate::PlanBuilder) makes a plan. Shaders
/// run without bounds checks, so a plan must not change after it was checked.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::{Cell, Device, Rnn, RnnConfig, RnnWeights, SessionOptions, plan::Command};
/// let config = RnnConfig::new(Cell::Lstm, 4, 8);
/// let rnn = Rnn::new(&Device::auto(), &config, RnnWeights::init(&config, 0)?)?;
/// let session = rnn.session(SessionOptions::new(5, 2))?;
/// let plan = session.plan();
/// println!("{plan}\n{} FLOP, {} bytes of its own", plan.flop(), plan.workspace_bytes());
/// for command in plan.commands() {
///     if let Command::Dispatch(dispatch) = command {
///         println!("{} on {:?} workgroups", plan.variants()[dispatch.variant], dispatch.grid);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub(super) buffers: Vec<Buffer>,
    pub(super) variants: Vec<Variant>,
    pub(super) bindings: Vec<Vec<BufferId>>,
    pub(super) params: Vec<u32>,
    pub(super) commands: Vec<Command>,
}

impl Plan {
    /// The buffers, by [`BufferId`].
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// The buffer that commands and bindings name by this id; `None` if this plan has no such buffer.
    pub fn buffer(&self, id: BufferId) -> Option<&Buffer> {
        self.buffers.get(id.0)
    }

    /// The kernel variants that occur, each once.
    pub fn variants(&self) -> &[Variant] {
        &self.variants
    }

    /// The lists of bindings that occur, each once.
    pub fn bindings(&self) -> &[Vec<BufferId>] {
        &self.bindings
    }

    /// The commands, in order.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// The parameters of a dispatch of this plan; empty if the dispatch belongs to another plan that is longer.
    pub fn params(&self, dispatch: &Dispatch) -> &[u32] {
        self.params.get(dispatch.params.clone()).unwrap_or_default()
    }

    /// Buffers of which windows are bound.
    pub(crate) fn windowed(&self) -> Vec<BufferId> {
        let windows = self.dispatches().filter(|dispatch| self.variants[dispatch.variant].reads.uniform);
        let rows = windows.filter_map(|dispatch| {
            let row = self.variants[dispatch.variant].row();
            let at = row.bindings.iter().position(|binding| binding.1 == kernels::Access::Rows)?;
            self.bindings[dispatch.bindings].get(at).copied()
        });
        rows.collect()
    }

    /// Whether some command writes a buffer.
    pub(crate) fn writes(&self, id: BufferId) -> bool {
        self.commands.iter().any(|command| match command {
            Command::Clear { buffer, .. } => *buffer == id,
            Command::Copy { to, .. } => *to == id,
            Command::Dispatch(dispatch) => {
                let bindings = self.variants[dispatch.variant].row().bindings.iter();
                let mut bound = bindings.zip(&self.bindings[dispatch.bindings]);
                bound.any(|((_, access), bound)| *access == kernels::Access::Write && *bound == id)
            }
        })
    }

    /// Floating-point operations of all products.
    pub fn flop(&self) -> u64 {
        self.dispatches().map(|dispatch| dispatch.flop).sum()
    }

    /// Bytes that all dispatches together have to move at least.
    pub fn bytes(&self) -> u64 {
        self.dispatches().map(|dispatch| dispatch.bytes).sum()
    }

    /// Bytes of memory that the plan allocates besides the tensors of the caller.
    pub fn workspace_bytes(&self) -> u64 {
        self.buffers.iter().filter(|buffer| buffer.role.is_own()).map(|buffer| 4 * buffer.words).sum()
    }

    /// Bytes that forward passes keep for backward passes.
    pub fn reserve_bytes(&self) -> u64 {
        self.buffers.iter().filter(|buffer| buffer.role == Role::Reserve).map(|buffer| 4 * buffer.words).sum()
    }

    /// The dispatches among the commands.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.commands.iter().filter_map(|command| match command {
            Command::Dispatch(dispatch) => Some(dispatch),
            _ => None,
        })
    }

    /// The largest of `count` indices of a constant buffer; what is not known counts as endless.
    pub(crate) fn maximum(&self, buffer: BufferId, at: u64, count: u64) -> u64 {
        match &self.buffers[buffer.0].role {
            Role::Constant(data) | Role::Indices(data) | Role::Guarded(data) => {
                let range = usize::try_from(at).ok().zip(usize::try_from(at + count).ok());
                range
                    .and_then(|(from, to)| data.get(from..to))
                    .and_then(|indices| indices.iter().max())
                    .map_or(u64::from(u32::MAX), |&max| u64::from(max))
            }
            _ => u64::from(u32::MAX),
        }
    }
}
