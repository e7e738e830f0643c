//! Kernels with the options that each of them alone has.

use super::formula::Formula;
use super::kernel::Kernel;
use super::own_kernel::Own;
use super::tile::Cooperative;
use crate::cells::{Activation, Form};

/// What `apply` computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Function {
    /// An activation of each element.
    Activation(Activation),
    /// The magnitude of complex numbers, real parts before imaginary ones.
    Magnitude,
}

/// How the sums of `gemm` are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum By {
    /// Each lane reads its operands.
    Lanes,
    /// A workgroup of 16 by 16 lanes first copies its operands into workgroup memory.
    Staged,
    /// The adapter's units for products of small matrices multiply.
    Units(Cooperative),
}

/// How the sums of `step` are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sums {
    /// This number of invocations share the sums of a lane, each with some of the terms; 1 if they are not shared.
    Split(u32),
    /// The adapter's units for products of small matrices multiply.
    Units(Cooperative),
}

/// Which part of a scan's work a dispatch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The whole scan: a lane takes all steps.
    Whole,
    /// The totals: the steps are cut into parts, and for each part this computes its effect on an arbitrary state.
    Totals,
    /// The steps of each part, which start from the totals of the parts before it.
    Steps,
}

/// What becomes of the terms of a `fold`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Folding {
    /// Their sum.
    Sum,
    /// The largest one; NaN if one of them is.
    Max,
}

/// A kernel with the options that it alone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Of {
    /// A kernel without options.
    Plain(Kernel),
    /// `apply`, with the function that it applies.
    Apply(Function),
    /// `map`.
    Map {
        /// What it computes of each element.
        formula: Formula,
        /// The number of axes.
        axes: u32,
        /// The values that hold integers: a bit for each.
        integers: u32,
        /// Whose elements lie one after the other, the result and the values: a bit for each.
        dense: u32,
    },
    /// `fold`.
    Fold {
        /// What it computes of each element.
        formula: Formula,
        /// What becomes of these.
        folding: Folding,
        /// The number of axes of the result.
        axes: u32,
        /// The number of axes that are folded, which follow those of the result.
        folded: u32,
        /// The values that hold integers: a bit for each.
        integers: u32,
        /// Whether the lanes of a workgroup share a result.
        shared: bool,
    },
    /// `own`, with the kernel from outside that it is.
    Own(Own),
    /// `attend`.
    Attend {
        /// Whether queries, keys and values are read four elements at a time.
        vector: bool,
    },
    /// `gemm`.
    Gemm {
        /// How sums are made.
        by: By,
        /// Whether rows are read four elements at a time.
        vector: bool,
        /// Whether the bias is left out, because this dispatch adds up only part of longer sums.
        unbiased: bool,
    },
    /// `outer`.
    Outer {
        /// Whether rows are read four elements at a time.
        vector: bool,
        /// Whether a workgroup of 16 by 16 lanes first copies its operands into workgroup memory, by vectors.
        staged: bool,
        /// The number of parts that the rows are cut into, each with sums of its own, which are written as vectors where
        /// rows are read so; 1 if they are not cut.
        parts: u32,
    },
    /// `step`.
    Step {
        /// The cell in its form.
        form: Form,
        /// The index of the phase in [`Form::phases`].
        phase: usize,
        /// Whether what the backward pass needs is kept.
        keep: bool,
        /// How sums are made.
        sums: Sums,
    },
    /// `step_backward`.
    StepBackward {
        /// The cell in its form.
        form: Form,
        /// The index of the phase in [`Form::phases`].
        phase: usize,
        /// The number of invocations that share the sums of a lane.
        split: u32,
    },
    /// `sequence`.
    Sequence {
        /// The cell in its form.
        form: Form,
        /// Whether what the backward pass needs is kept.
        keep: bool,
        /// The words of a row of the state in workgroup memory.
        state_width: u32,
        /// Whether each lane keeps the weights of its unit over all steps.
        resident: bool,
    },
    /// `sequence_backward`.
    SequenceBackward {
        /// The cell in its form.
        form: Form,
        /// The words of a row of gate gradients in workgroup memory.
        state_width: u32,
    },
    /// `grid`.
    Grid {
        /// The cell in its form.
        form: Form,
        /// The words of a row of the state in workgroup memory.
        state_width: u32,
    },
    /// `wave`.
    Wave {
        /// The cell in its form.
        form: Form,
        /// The number of invocations that share the sums of a lane.
        split: u32,
    },
    /// `scan`.
    Scan {
        /// The cell in its form.
        form: Form,
        /// Whether what the backward pass needs is kept.
        keep: bool,
        /// The part of the work.
        part: Part,
    },
    /// `scan_backward`.
    ScanBackward {
        /// The cell in its form.
        form: Form,
        /// The part of the work.
        part: Part,
    },
    /// `norm_step`.
    NormStep {
        /// The cell in its form.
        form: Form,
        /// Whether what the backward pass needs is kept.
        keep: bool,
    },
    /// `norm_step_backward`.
    NormStepBackward {
        /// The cell in its form.
        form: Form,
    },
}

impl Part {
    /// Its name in templates.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Totals => "totals",
            Self::Steps => "steps",
        }
    }
}

impl Of {
    /// Whether these are the kernel's own options: a kernel that has some is not plain.
    pub(super) const fn fits(&self) -> bool {
        use Kernel::{
            Apply, Attend, Fold, Gemm, Grid, Map, NormStep, NormStepBackward, Outer, Own, Scan, ScanBackward, Sequence,
            SequenceBackward, Step, StepBackward, Wave,
        };
        !matches!(
            self,
            Self::Plain(
                Apply
                    | Attend
                    | Fold
                    | Map
                    | Gemm
                    | Outer
                    | Own
                    | Step
                    | StepBackward
                    | Sequence
                    | SequenceBackward
                    | Grid
                    | Wave
                    | Scan
                    | ScanBackward
                    | NormStep
                    | NormStepBackward
            )
        )
    }

    /// A recurrent kernel for a cell in its form, with rows of `state_width` words in workgroup memory if it keeps rows
    /// there. It computes the first phase, or a whole scan, keeps nothing for the backward pass, and shares no sums. A
    /// kernel without a cell becomes [`Of::Plain`].
    pub const fn recurrent(kernel: Kernel, form: Form, state_width: u32) -> Self {
        match kernel {
            Kernel::Step => Self::Step { form, phase: 0, keep: false, sums: Sums::Split(1) },
            Kernel::StepBackward => Self::StepBackward { form, phase: 0, split: 1 },
            Kernel::Sequence => Self::Sequence { form, keep: false, state_width, resident: false },
            Kernel::SequenceBackward => Self::SequenceBackward { form, state_width },
            Kernel::Grid => Self::Grid { form, state_width },
            Kernel::Wave => Self::Wave { form, split: 1 },
            Kernel::Scan => Self::Scan { form, keep: false, part: Part::Whole },
            Kernel::ScanBackward => Self::ScanBackward { form, part: Part::Whole },
            Kernel::NormStep => Self::NormStep { form, keep: false },
            Kernel::NormStepBackward => Self::NormStepBackward { form },
            _ => Self::Plain(kernel),
        }
    }

    /// `gemm` by lanes with its bias.
    pub(crate) const fn gemm(vector: bool) -> Self {
        Self::Gemm { by: By::Lanes, vector, unbiased: false }
    }

    /// `outer` by lanes over all rows.
    pub(crate) const fn outer(vector: bool) -> Self {
        Self::Outer { vector, staged: false, parts: 1 }
    }

    /// The kernel.
    pub const fn kernel(&self) -> Kernel {
        match self {
            Self::Plain(kernel) => *kernel,
            Self::Apply(_) => Kernel::Apply,
            Self::Own(_) => Kernel::Own,
            Self::Map { .. } => Kernel::Map,
            Self::Fold { .. } => Kernel::Fold,
            Self::Attend { .. } => Kernel::Attend,
            Self::Gemm { .. } => Kernel::Gemm,
            Self::Outer { .. } => Kernel::Outer,
            Self::Step { .. } => Kernel::Step,
            Self::StepBackward { .. } => Kernel::StepBackward,
            Self::Sequence { .. } => Kernel::Sequence,
            Self::SequenceBackward { .. } => Kernel::SequenceBackward,
            Self::Grid { .. } => Kernel::Grid,
            Self::Wave { .. } => Kernel::Wave,
            Self::Scan { .. } => Kernel::Scan,
            Self::ScanBackward { .. } => Kernel::ScanBackward,
            Self::NormStep { .. } => Kernel::NormStep,
            Self::NormStepBackward { .. } => Kernel::NormStepBackward,
        }
    }

    /// The cell in its form, for the recurrent kernels.
    pub const fn form(&self) -> Option<Form> {
        match self {
            Self::Step { form, .. }
            | Self::StepBackward { form, .. }
            | Self::Sequence { form, .. }
            | Self::SequenceBackward { form, .. }
            | Self::Grid { form, .. }
            | Self::Wave { form, .. }
            | Self::Scan { form, .. }
            | Self::ScanBackward { form, .. }
            | Self::NormStep { form, .. }
            | Self::NormStepBackward { form } => Some(*form),
            Self::Plain(_)
            | Self::Apply(_)
            | Self::Own(_)
            | Self::Map { .. }
            | Self::Fold { .. }
            | Self::Attend { .. }
            | Self::Gemm { .. }
            | Self::Outer { .. } => None,
        }
    }

    /// The formula of `map` or `fold`, and the values of it that hold integers.
    pub(crate) const fn formula(&self) -> Option<(Formula, u32)> {
        match self {
            Self::Map { formula, integers, .. } | Self::Fold { formula, integers, .. } => Some((*formula, *integers)),
            _ => None,
        }
    }

    /// Of `map`, whose elements lie one after the other: a bit for the result, then for each value.
    pub(crate) const fn dense(&self) -> u32 {
        match self {
            Self::Map { dense, .. } => *dense,
            _ => 0,
        }
    }

    /// All axes of `map` or `fold`, and how many of them are folded.
    pub(crate) const fn axes(&self) -> (u32, u32) {
        match self {
            Self::Map { axes, .. } => (*axes, 0),
            Self::Fold { axes, folded, .. } => (*axes + *folded, *folded),
            _ => (0, 0),
        }
    }

    /// Whether the lanes of a workgroup share a result of `fold`.
    pub(crate) const fn shares_folds(&self) -> bool {
        matches!(self, Self::Fold { shared: true, .. })
    }

    /// The index of the phase, if the kernel computes only one phase; otherwise 0.
    pub const fn phase(&self) -> usize {
        match self {
            Self::Step { phase, .. } | Self::StepBackward { phase, .. } => *phase,
            _ => 0,
        }
    }

    /// The part of a scan's work; [`Part::Whole`] for other kernels.
    pub const fn part(&self) -> Part {
        match self {
            Self::Scan { part, .. } | Self::ScanBackward { part, .. } => *part,
            _ => Part::Whole,
        }
    }

    /// Whether what the backward pass needs is kept.
    pub const fn keep(&self) -> bool {
        match self {
            Self::Step { keep, .. }
            | Self::Sequence { keep, .. }
            | Self::Scan { keep, .. }
            | Self::NormStep { keep, .. } => *keep,
            _ => false,
        }
    }

    /// Whether the rows of a product are read four elements at a time.
    pub const fn vector(&self) -> bool {
        matches!(
            self,
            Self::Attend { vector: true } | Self::Gemm { vector: true, .. } | Self::Outer { vector: true, .. }
        )
    }

    /// Whether operands are copied into workgroup memory first.
    pub const fn staged(&self) -> bool {
        matches!(self, Self::Gemm { by: By::Staged, .. } | Self::Outer { staged: true, .. })
    }

    /// Whether the bias is left out.
    pub const fn unbiased(&self) -> bool {
        matches!(self, Self::Gemm { unbiased: true, .. })
    }

    /// Whether each lane keeps the weights of its unit over all steps.
    pub const fn resident(&self) -> bool {
        matches!(self, Self::Sequence { resident: true, .. })
    }

    /// The adapter's units for small matrices, if they multiply.
    pub const fn units(&self) -> Option<Cooperative> {
        match self {
            Self::Gemm { by: By::Units(units), .. } | Self::Step { sums: Sums::Units(units), .. } => Some(*units),
            _ => None,
        }
    }

    /// The number of invocations that share the sums of a lane.
    pub const fn split(&self) -> u32 {
        match self {
            Self::Step { sums: Sums::Split(split), .. }
            | Self::StepBackward { split, .. }
            | Self::Wave { split, .. } => *split,
            _ => 1,
        }
    }

    /// The number of parts that the rows of `outer` are cut into; 1 for other kernels.
    pub const fn parts(&self) -> u32 {
        match self {
            Self::Outer { parts, .. } => *parts,
            _ => 1,
        }
    }

    /// The words of a row in workgroup memory; 0 if the kernel keeps no rows there.
    pub const fn state_width(&self) -> u32 {
        match self {
            Self::Sequence { state_width, .. }
            | Self::SequenceBackward { state_width, .. }
            | Self::Grid { state_width, .. } => *state_width,
            _ => 0,
        }
    }
}
