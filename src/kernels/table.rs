//! The kernel table: the name of each kernel, its bindings and its parameters.

use super::params::{
    AdamParams, ApplyParams, ArgmaxParams, BackwardParams, CrossEntropyParams, DropoutParams, ElementLossParams,
    GatherParams, GemmParams, GuardParams, LinksParams, MasksParams, NormParams, OuterParams, PackParams,
    RecurrenceParams, ReduceParams, ScanParams, ScatterAddParams, SettleParams, SgdParams,
};
use super::tile::Wraps;

/// The kernels. Each is a shader in `shaders/` with a twin in `src/cpu/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kernel {
    /// Product of matrices: strided A times packed B, plus a bias, for a batch of them.
    Gemm,
    /// Copies a matrix and its bias into the layout that products read.
    Pack,
    /// Copies rows of a table, by index or in order.
    Gather,
    /// Applies a function to each element.
    Apply,
    /// Finds the column of each row's largest element.
    Argmax,
    /// Many time steps of a cell without a matrix R.
    Scan,
    /// Many time steps of a cell without a matrix R, backwards.
    ScanBackward,
    /// One time step of a cell with layer norms, after its product with R.
    NormStep,
    /// One time step of a cell with layer norms, backwards.
    NormStepBackward,
    /// One phase of one time step: product with R, and gates.
    Step,
    /// Many time steps; a workgroup keeps the state of its sequences.
    Sequence,
    /// Gradient of a matrix: outer products of rows, summed over all rows.
    Outer,
    /// One phase of one time step, backwards.
    StepBackward,
    /// Many time steps, backwards.
    SequenceBackward,
    /// Sets numbers to 0 at random and scales the others.
    Dropout,
    /// Draws the masks of zoneout and of recurrent dropout.
    Masks,
    /// Finds rows with equal indices, for `ScatterAdd`.
    Links,
    /// Adds rows to the rows of a table, by index.
    ScatterAdd,
    /// Sums numbers, squares, or counts of valid targets.
    Reduce,
    /// Softmax cross-entropy and its gradient.
    CrossEntropy,
    /// Squared error or binary cross-entropy, and its gradient.
    ElementLoss,
    /// Decides whether a step of training is taken, and how gradients are scaled.
    Guard,
    /// Gradient descent with momentum.
    Sgd,
    /// The optimisers Adam and AdamW.
    Adam,
    /// Many time steps, spread over many workgroups that hand values on to each other.
    Grid,
    /// One time step of each of several layers, each a step behind the one below.
    Wave,
    /// Follows a [`Kernel::Grid`]: takes its last states, or has `Sequence` do its work again.
    Settle,
}

/// How a kernel uses a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only reads it.
    Read,
    /// Reads a packed matrix, from a texture in variants that do so.
    Matrix,
    /// Reads the rows of a product, through a window of a uniform buffer in variants that do so.
    Rows,
    /// Writes it, and may read it too.
    Write,
}

/// One row of the table of kernels.
pub struct Row {
    /// The kernel's name, which is also that of its shader and of its twin.
    pub name: &'static str,
    /// The template of the shader.
    pub wgsl: &'static str,
    /// The bindings in order: their names in WGSL, and how the kernel uses them.
    pub bindings: &'static [(&'static str, Access)],
    /// The names of the parameters, each of which is one 32-bit word.
    pub params: &'static [&'static str],
}

macro_rules! row {
    ($name:ident, $params:ty, [$($access:ident $binding:ident),* $(,)?]) => {
        Row {
            name: stringify!($name),
            wgsl: include_str!(concat!("../../shaders/", stringify!($name), ".wgsl")),
            bindings: &[$((stringify!($binding), Access::$access)),*],
            params: <$params>::FIELDS,
        }
    };
}

pub(super) static GEMM: Row = row!(gemm, GemmParams, [Rows a, Matrix b, Read map, Write c]);

pub(super) static PACK: Row = row!(pack, PackParams, [Read source, Read bias, Write packed]);

pub(super) static GATHER: Row = row!(gather, GatherParams, [Read table, Read index, Write out]);

pub(super) static APPLY: Row = row!(apply, ApplyParams, [Read x, Write out]);

pub(super) static ARGMAX: Row = row!(argmax, ArgmaxParams, [Read values, Write out]);

pub(super) static STEP: Row = row!(step, RecurrenceParams, [
    Write x, Matrix weights, Read map, Rows h_in, Write h_out, Write aux, Write y, Write h_final,
]);

pub(super) static SEQUENCE: Row = row!(sequence, RecurrenceParams, [
    Write x, Matrix weights, Read map, Rows h_in, Write h_out, Write aux, Write y, Write h_final,
]);

pub(super) static GRID: Row = row!(grid, RecurrenceParams, [
    Write x, Matrix weights, Read map, Rows h_in, Write exchange, Write aux, Write y, Write h_final,
]);

pub(super) static WAVE: Row = row!(wave, RecurrenceParams, [
    Write x, Matrix weights, Read map, Rows h_in, Write h_out, Write aux, Write y, Write h_final,
]);

pub(super) static SETTLE: Row =
    row!(settle, SettleParams, [Read exchange, Read map, Write guarded, Write h_out, Write aux]);

pub(super) static SCAN: Row = row!(scan, ScanParams, [
    Write x, Read h_in, Read map, Write h_out, Write c, Write y, Write h_final, Write carry,
]);

pub(super) static SCAN_BACKWARD: Row =
    row!(scan_backward, ScanParams, [Write reserve, Write dh, Read map, Write dc, Read dy, Write carry]);

pub(super) static NORM_STEP: Row = row!(norm_step, NormParams, [
    Write x, Read gains, Read map, Read products, Write h, Write c, Write y, Write h_final,
]);

pub(super) static NORM_STEP_BACKWARD: Row = row!(norm_step_backward, NormParams, [
    Write reserve, Read gains, Read map, Read products, Write d, Write dh, Write dc, Read dy,
]);

pub(super) static OUTER: Row = row!(outer, OuterParams, [Read a, Read b, Read map, Write c]);

pub(super) static STEP_BACKWARD: Row = row!(step_backward, BackwardParams, [
    Write reserve, Matrix weights, Read map, Rows d_in, Write d_out, Write dh, Write dc, Read dy,
]);

pub(super) static SEQUENCE_BACKWARD: Row = row!(sequence_backward, BackwardParams, [
    Write reserve, Matrix weights, Read map, Rows d_in, Write d_out, Write dh, Write dc, Read dy,
]);

pub(super) static DROPOUT: Row = row!(dropout, DropoutParams, [Read seed, Write values]);

pub(super) static MASKS: Row = row!(masks, MasksParams, [Read seed, Read map, Write out]);

pub(super) static LINKS: Row = row!(links, LinksParams, [Read index, Write out]);

pub(super) static SCATTER_ADD: Row =
    row!(scatter_add, ScatterAddParams, [Read values, Read index, Read links, Write table]);

pub(super) static REDUCE: Row = row!(reduce, ReduceParams, [Read values, Read divisor, Write out]);

pub(super) static CROSS_ENTROPY: Row =
    row!(cross_entropy, CrossEntropyParams, [Read logits, Read targets, Read count, Write losses, Write gradient]);

pub(super) static ELEMENT_LOSS: Row =
    row!(element_loss, ElementLossParams, [Read x, Read targets, Read count, Write losses, Write gradient]);

pub(super) static GUARD: Row =
    row!(guard, GuardParams, [Read hyper, Read loss, Read squares, Write status, Write control]);

pub(super) static SGD: Row =
    row!(sgd, SgdParams, [Read gradient, Read hyper, Read control, Write weights, Write moment, Write status]);

pub(super) static ADAM: Row = row!(adam, AdamParams, [
    Read gradient, Read hyper, Read control, Write weights, Write moment, Write square, Write status,
]);

impl Kernel {
    /// Every kernel: tests, benches and `doctor` go through this list.
    pub const ALL: [Self; 27] = [
        Self::Gemm,
        Self::Pack,
        Self::Gather,
        Self::Apply,
        Self::Argmax,
        Self::Scan,
        Self::ScanBackward,
        Self::NormStep,
        Self::NormStepBackward,
        Self::Step,
        Self::Sequence,
        Self::Outer,
        Self::StepBackward,
        Self::SequenceBackward,
        Self::Dropout,
        Self::Masks,
        Self::Links,
        Self::ScatterAdd,
        Self::Reduce,
        Self::CrossEntropy,
        Self::ElementLoss,
        Self::Guard,
        Self::Sgd,
        Self::Adam,
        Self::Grid,
        Self::Settle,
        Self::Wave,
    ];

    /// Whether it has register tiles of its own; else a lane takes an element.
    pub(crate) const fn is_tiled(self) -> bool {
        matches!(
            self,
            Self::Gemm
                | Self::Outer
                | Self::Step
                | Self::Sequence
                | Self::Grid
                | Self::Wave
                | Self::StepBackward
                | Self::SequenceBackward
        )
    }

    /// How it takes more workgroups than one axis of a grid may have, if it can.
    pub(crate) const fn wraps(self) -> Option<Wraps> {
        match self {
            Self::Gemm
            | Self::Outer
            | Self::Step
            | Self::Sequence
            | Self::Grid
            | Self::Wave
            | Self::StepBackward
            | Self::SequenceBackward
            | Self::Scan
            | Self::ScanBackward
            | Self::NormStep
            | Self::NormStepBackward => Some(Wraps::Rows),
            Self::Argmax | Self::Reduce => Some(Wraps::Columns),
            // These are spread over two axes in any case, or are few.
            Self::Pack
            | Self::Gather
            | Self::Apply
            | Self::Dropout
            | Self::Masks
            | Self::Links
            | Self::ScatterAdd
            | Self::CrossEntropy
            | Self::ElementLoss
            | Self::Guard
            | Self::Sgd
            | Self::Adam
            | Self::Settle => None,
        }
    }

    /// This kernel's row of the table.
    pub fn row(self) -> &'static Row {
        match self {
            Self::Gemm => &GEMM,
            Self::Pack => &PACK,
            Self::Gather => &GATHER,
            Self::Apply => &APPLY,
            Self::Argmax => &ARGMAX,
            Self::Step => &STEP,
            Self::Sequence => &SEQUENCE,
            Self::Scan => &SCAN,
            Self::ScanBackward => &SCAN_BACKWARD,
            Self::NormStep => &NORM_STEP,
            Self::NormStepBackward => &NORM_STEP_BACKWARD,
            Self::Outer => &OUTER,
            Self::StepBackward => &STEP_BACKWARD,
            Self::SequenceBackward => &SEQUENCE_BACKWARD,
            Self::Dropout => &DROPOUT,
            Self::Masks => &MASKS,
            Self::Links => &LINKS,
            Self::ScatterAdd => &SCATTER_ADD,
            Self::Reduce => &REDUCE,
            Self::CrossEntropy => &CROSS_ENTROPY,
            Self::ElementLoss => &ELEMENT_LOSS,
            Self::Guard => &GUARD,
            Self::Sgd => &SGD,
            Self::Adam => &ADAM,
            Self::Grid => &GRID,
            Self::Settle => &SETTLE,
            Self::Wave => &WAVE,
        }
    }
}
