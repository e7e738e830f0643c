//! The kernel table: one name for a shader in `shaders/`, its twin in `src/cpu/`, its row here, and by the rows its
//! parity test and its bench. A missing file does not compile.

mod compose;
mod limits;
mod needs;
mod packed;
mod params;

pub(crate) use compose::compose_progress;
pub use compose::{Dialect, compose};
pub use limits::{MAX_BINDINGS, WINDOW};
pub(crate) use limits::{MAX_TRIPS, POLLS, PlanLimits, TEXELS, WINDOW_ALIGNMENT};
pub(crate) use needs::{
    EXCHANGE_HEAD, exchange_words, flop, grid, grid_trips, needs, row_tile, sequence_trips, state_width, trips,
    wrapped, wrapped_params,
};
pub(crate) use packed::{BLOCK, Packed};
pub(crate) use params::{
    AdamParams, ApplyParams, ArgmaxParams, BackwardParams, CrossEntropyParams, DropoutParams, ElementLossParams,
    GatherParams, GemmParams, GuardParams, LinksParams, MasksParams, NormParams, OuterParams, PackParams, PhaseParams,
    RecurrenceParams, ReduceParams, ScanParams, ScatterAddParams, SettleParams, SgdParams,
};

use crate::cells::{Activation, Form, Norm, Options, Phase, Scan};
use serde::{Deserialize, Serialize};

/// The kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kernel {
    /// Batched matrix product of strided A and packed B, with bias.
    Gemm,
    /// A matrix with its bias into the layout that products read.
    Pack,
    /// Rows of a table by index.
    Gather,
    /// A function of each element.
    Apply,
    /// The column of each row's largest element.
    Argmax,
    /// A linear recurrence over many steps.
    Scan,
    /// The same backwards.
    ScanBackward,
    /// One time step with layer norms, after its product.
    NormStep,
    /// The same backwards.
    NormStepBackward,
    /// One phase of one time step.
    Step,
    /// Many time steps at once.
    Sequence,
    /// Gradient of a matrix: rows times rows, summed over them.
    Outer,
    /// One phase of one time step backwards.
    StepBackward,
    /// Many time steps backwards.
    SequenceBackward,
    /// Numbers dropped at random.
    Dropout,
    /// Masks of zoneout and recurrent dropout.
    Masks,
    /// Lists of rows with equal indices.
    Links,
    /// Rows added to those of a table by index.
    ScatterAdd,
    /// Sums and counts.
    Reduce,
    /// Softmax cross-entropy and its gradient.
    CrossEntropy,
    /// Squared error or binary cross-entropy, and its gradient.
    ElementLoss,
    /// Whether a step of training is taken.
    Guard,
    /// Gradient descent with momentum.
    Sgd,
    /// Adam and AdamW.
    Adam,
    /// Many time steps at once, on many workgroups that hand values on.
    Grid,
    /// A step of each of some layers, each a step behind the one below.
    Wave,
    /// What follows a [`Kernel::Grid`]: its last states, or its work once more.
    Settle,
}

/// How a kernel uses a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads it.
    Read,
    /// Reads a packed matrix: from a texture in variants that say so.
    Matrix,
    /// Reads rows that are multiplied: through a window of a uniform buffer in variants that say so.
    Rows,
    /// Writes it, and may read it.
    Write,
}

/// One row of the table.
pub struct Row {
    /// The name, of the shader and the twin too.
    pub name: &'static str,
    /// The shader's template.
    pub wgsl: &'static str,
    /// Bindings in order: name in WGSL, access.
    pub bindings: &'static [(&'static str, Access)],
    /// Names of the parameters, a word each.
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

static GEMM: Row = row!(gemm, GemmParams, [Rows a, Matrix b, Read map, Write c]);
static PACK: Row = row!(pack, PackParams, [Read source, Read bias, Write packed]);
static GATHER: Row = row!(gather, GatherParams, [Read table, Read index, Write out]);
static APPLY: Row = row!(apply, ApplyParams, [Read x, Write out]);
static ARGMAX: Row = row!(argmax, ArgmaxParams, [Read values, Write out]);
static STEP: Row = row!(step, RecurrenceParams, [
    Write x, Matrix weights, Read map, Rows h_in, Write h_out, Write aux, Write y, Write h_final,
]);
static SEQUENCE: Row = row!(sequence, RecurrenceParams, [
    Write x, Matrix weights, Read map, Rows h_in, Write h_out, Write aux, Write y, Write h_final,
]);
static GRID: Row = row!(grid, RecurrenceParams, [
    Write x, Matrix weights, Read map, Rows h_in, Write exchange, Write aux, Write y, Write h_final,
]);
static WAVE: Row = row!(wave, RecurrenceParams, [
    Write x, Matrix weights, Read map, Rows h_in, Write h_out, Write aux, Write y, Write h_final,
]);
static SETTLE: Row = row!(settle, SettleParams, [Read exchange, Read map, Write guarded, Write h_out, Write aux]);
static SCAN: Row = row!(scan, ScanParams, [
    Write x, Read h_in, Read map, Write h_out, Write c, Write y, Write h_final, Write carry,
]);
static SCAN_BACKWARD: Row =
    row!(scan_backward, ScanParams, [Write reserve, Write dh, Read map, Write dc, Read dy, Write carry]);
static NORM_STEP: Row = row!(norm_step, NormParams, [
    Write x, Read gains, Read map, Read products, Write h, Write c, Write y, Write h_final,
]);
static NORM_STEP_BACKWARD: Row = row!(norm_step_backward, NormParams, [
    Write reserve, Read gains, Read map, Read products, Write d, Write dh, Write dc, Read dy,
]);
static OUTER: Row = row!(outer, OuterParams, [Read a, Read b, Read map, Write c]);
static STEP_BACKWARD: Row = row!(step_backward, BackwardParams, [
    Write reserve, Matrix weights, Read map, Rows d_in, Write d_out, Write dh, Write dc, Read dy,
]);
static SEQUENCE_BACKWARD: Row = row!(sequence_backward, BackwardParams, [
    Write reserve, Matrix weights, Read map, Rows d_in, Write d_out, Write dh, Write dc, Read dy,
]);
static DROPOUT: Row = row!(dropout, DropoutParams, [Read seed, Write values]);
static MASKS: Row = row!(masks, MasksParams, [Read seed, Read map, Write out]);
static LINKS: Row = row!(links, LinksParams, [Read index, Write out]);
static SCATTER_ADD: Row = row!(scatter_add, ScatterAddParams, [Read values, Read index, Read links, Write table]);
static REDUCE: Row = row!(reduce, ReduceParams, [Read values, Read divisor, Write out]);
static CROSS_ENTROPY: Row =
    row!(cross_entropy, CrossEntropyParams, [Read logits, Read targets, Read count, Write losses, Write gradient]);
static ELEMENT_LOSS: Row =
    row!(element_loss, ElementLossParams, [Read x, Read targets, Read count, Write losses, Write gradient]);
static GUARD: Row = row!(guard, GuardParams, [Read hyper, Read loss, Read squares, Write status, Write control]);
static SGD: Row =
    row!(sgd, SgdParams, [Read gradient, Read hyper, Read control, Write weights, Write moment, Write status]);
static ADAM: Row = row!(adam, AdamParams, [
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

/// Which of a kernel's workgroups are numbered on over two axes where there are many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wraps {
    /// Those along y and z, in both.
    Rows,
    /// Those along x, in x and y.
    Columns,
}

/// The part of an output that one invocation or workgroup takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tile {
    /// Rows (`gemm`, `outer`), or sequences (`step`, `sequence` and their backward halves), of an invocation or a workgroup.
    pub rows: u32,
    /// Columns (`gemm`), or units (`step`), of an invocation; `outer` always takes four columns.
    pub columns: u32,
    /// Invocations of a workgroup.
    pub lanes: u32,
    /// Lanes of a subgroup that share what they loaded; 0: each loads all it needs.
    pub spread: u32,
}

/// Workgroup memory of a staged `gemm`: two stages of two operands, a vector for each lane.
const STAGED_BYTES: u64 = 2 * 2 * 256 * 16;

/// An adapter's units for small matrices, which a workgroup's subgroups share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cooperative {
    /// Rows and columns of the matrices that one multiplication takes: 8 or 16.
    pub edge: u32,
    /// Subgroups of a workgroup, at least.
    pub subgroups: u32,
}

impl Cooperative {
    /// A workgroup of `gemm`: its rows, columns and lanes.
    pub(crate) const GEMM: Tile = Tile { rows: 64, columns: 64, lanes: 256, spread: 0 };

    /// A workgroup of `step` for so many sequences and gates: its rows, units and lanes.
    pub(crate) const fn step(batch: usize, gates: usize) -> Tile {
        let rows = if batch > 16 { 32 } else { 16 };
        Tile { rows, columns: 64 / gates as u32 / 16 * 16, lanes: 8 * rows, spread: 0 }
    }
}

/// Numbers of a row that a stage of a cooperative product takes, with those between rows.
pub(crate) const COOPERATIVE_PITCH: u64 = 40;

/// Tiles of a staged `gemm`: rows and columns of a lane, the larger one first.
pub(crate) const STAGED: [Tile; 2] =
    [Tile { rows: 8, columns: 8, lanes: 256, spread: 0 }, Tile { rows: 4, columns: 4, lanes: 256, spread: 0 }];

/// Kernels that work on single elements need no more than this.
pub(crate) const FLAT: Tile = Tile { rows: 1, columns: 1, lanes: 64, spread: 0 };
/// Nor one that decides by itself more than this.
pub(crate) const ALONE: Tile = Tile { lanes: 1, ..FLAT };

/// What `apply` computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// An activation of each element.
    Activation(Activation),
    /// The magnitude of complex numbers, real parts before imaginary ones.
    Magnitude,
}

/// A kernel with all that is fixed when its shader is composed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// The kernel.
    pub kernel: Kernel,
    /// Its tile.
    pub tile: Tile,
    /// `step`, `sequence`, `grid`, `wave` and backward: the cell in its form.
    pub cell: Option<Form>,
    /// `apply`: the function.
    pub function: Option<Function>,
    /// `step` and `step_backward`: which phase of the cell. `scan` and backward: 0 for all steps by a lane, 1 for what parts make
    /// of a state, 2 for their steps.
    pub phase: u32,
    /// `step`, `sequence`: whether what the backward pass needs is kept.
    pub keep: bool,
    /// `gemm`, `outer`: whether rows can be read four elements at a time.
    pub vector: bool,
    /// `gemm`: whether a workgroup of 16 by 16 lanes brings its operands into workgroup memory first.
    pub staged: bool,
    /// `gemm`, `step`, in half precision: by an adapter's units for small matrices.
    pub cooperative: Option<Cooperative>,
    /// `step`, `step_backward`, `wave`: invocations that share the sums of a lane, each with some of their terms.
    pub split: u32,
    /// `sequence`: whether each lane keeps the weights of its unit over all steps.
    pub resident: bool,
    /// `sequence` and backward, `grid`: width of a row in workgroup memory.
    pub width: u32,
    /// Rows of a packed matrix that lie together: 4 in shaders; 1 lets the twins read plain rows.
    pub panel: u32,
    /// Whether its packed matrix is a texture.
    pub texture: bool,
    /// Whether its packed matrix is in half precision.
    pub half: bool,
    /// `gemm`, `step`, `sequence`, `grid`, `wave`: whether the input part of the gates is in half precision, two numbers a word.
    pub narrow: bool,
    /// `gemm`: whether the bias is left out, since these are some of the terms of longer sums.
    pub unbiased: bool,
    /// Workgroups along y where there are more than one axis of a grid may have, so that they are spread over two; else 0.
    pub wrapped: u32,
    /// Whether the rows that it multiplies are a window of [`WINDOW`] words, bound as a uniform buffer.
    pub uniform: bool,
}

impl Variant {
    /// A variant without what only some kernels have.
    pub const fn new(kernel: Kernel, tile: Tile, panel: u32) -> Self {
        Self {
            kernel,
            tile,
            cell: None,
            function: None,
            phase: 0,
            keep: false,
            vector: false,
            staged: false,
            cooperative: None,
            split: 1,
            resident: false,
            width: 0,
            panel,
            texture: false,
            half: false,
            narrow: false,
            unbiased: false,
            wrapped: 0,
            uniform: false,
        }
    }

    /// Bytes of workgroup memory: two copies of a row's state in `sequence` and `sequence_backward`, one of the rows that
    /// are multiplied, and a flag, in `grid`; sums where they are split; none elsewhere.
    pub(crate) fn workgroup_bytes(&self) -> u64 {
        if self.staged {
            return STAGED_BYTES;
        }
        if self.cooperative.is_some() {
            let [rows, columns] = [u64::from(self.tile.rows), self.sums()];
            return 2 * COOPERATIVE_PITCH * (2 * rows + columns) + 4 * rows * columns;
        }
        if self.split > 1 {
            return 4 * (self.split * self.tile.rows * self.tile.lanes) as u64 * self.sums();
        }
        if matches!(self.kernel, Kernel::NormStep | Kernel::NormStepBackward) {
            return 16 * u64::from(self.tile.lanes);
        }
        let rows = 4 * self.tile.rows as u64 * self.width as u64;
        if matches!(self.kernel, Kernel::Grid) { rows + 16 } else { 2 * rows }
    }

    /// Sums of a lane, or of a workgroup where it is cooperative, for each of its rows, in the kernels that can be split.
    fn sums(&self) -> u64 {
        let gates = match (self.kernel, self.cell) {
            (Kernel::Step | Kernel::Wave, Some(form)) => form.phases()[self.phase as usize].gates,
            _ => 1,
        };
        self.tile.columns as u64 * gates as u64
    }

    /// The same by units that workgroups of so many lanes have.
    pub(crate) fn cooperative(&self, units: impl Fn(u32) -> Option<Cooperative>, rows: usize) -> Option<Self> {
        let tile = match self.kernel {
            Kernel::Gemm => Cooperative::GEMM,
            Kernel::Step => Cooperative::step(rows, self.phases()[self.phase as usize].gates),
            _ => return None,
        };
        Some(Self { tile, cooperative: Some(units(tile.lanes)?), staged: false, split: 1, ..self.clone() })
    }

    /// Invocations of a workgroup.
    pub const fn invocations(&self) -> u32 {
        self.tile.lanes * self.split
    }

    /// Words of a vector of its packed matrix. On the CPU halves take a word each, whose number is rounded.
    pub(crate) const fn vector_words(&self) -> u32 {
        if self.half && self.panel > 1 { self.panel / 2 } else { self.panel }
    }

    /// Whether a binding holds halves, two a word. On the CPU none does: numbers are rounded there.
    pub(crate) fn holds_halves(&self, binding: usize) -> bool {
        let narrow = match self.kernel {
            Kernel::Gemm => 3,
            _ => 0,
        };
        let is_matrix = match self.kernel {
            Kernel::Pack => binding == 2,
            _ => self.kernel.row().bindings[binding].1 == Access::Matrix,
        };
        self.panel > 1 && (self.half && is_matrix || self.narrow && binding == narrow)
    }

    /// What its cell without R is.
    pub(crate) fn scan(&self) -> Option<&'static Scan> {
        self.cell.and_then(|form| form.cell.scan())
    }

    /// What its cell norms.
    pub(crate) fn norm(&self) -> Option<&'static Norm> {
        self.cell.and_then(|form| form.norm())
    }

    /// The cell's options.
    pub(crate) fn options(&self) -> Options {
        self.cell.map_or(Options::USUAL, |form| Options { activations: form.activations(), ..form.options })
    }

    /// The name of its phase; of a phase that its cell has not, that.
    fn phase_name(&self) -> &'static str {
        self.phases().get(self.phase as usize).map_or("a phase that its cell has not", |phase| phase.name)
    }

    /// The phases of its cell; none where there is no cell.
    pub fn phases(&self) -> &'static [Phase] {
        self.cell.map_or(&[], |form| form.phases())
    }
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.kernel.row().name)?;
        match self.function {
            Some(Function::Activation(activation)) => write!(f, " {activation}")?,
            Some(Function::Magnitude) => write!(f, " magnitude")?,
            None => {}
        }
        if let Some(form) = self.cell {
            match self.kernel {
                Kernel::Step | Kernel::StepBackward if form.draws() || !form.is_usual() => {
                    write!(f, " {} of {form}", self.phase_name())?;
                }
                Kernel::Step | Kernel::StepBackward => write!(f, " {}", self.phase_name())?,
                Kernel::Scan | Kernel::ScanBackward => {
                    write!(f, " {form}{}", ["", ", totals", ", parts"][self.phase as usize % 3])?;
                }
                _ => write!(f, " {form}")?,
            }
        }
        let Tile { rows, columns, lanes, spread } = self.tile;
        if self.keep {
            write!(f, " keeping")?;
        }
        match self.kernel {
            Kernel::Outer => write!(f, " {rows}x4x{lanes}")?,
            _ if let Some(Cooperative { edge, .. }) = self.cooperative => {
                write!(f, " {rows}x{columns} cooperative by {edge}")?;
            }
            Kernel::NormStep | Kernel::NormStepBackward => write!(f, " {lanes}")?,
            Kernel::Argmax | Kernel::CrossEntropy if columns > 1 => write!(f, " by {columns}")?,
            _ if self.staged => write!(f, " {}x{} staged", 16 * rows, 16 * columns)?,
            kernel if kernel.is_tiled() => write!(f, " {rows}x{columns}x{lanes}")?,
            _ => {}
        }
        match self.kernel {
            Kernel::Gemm | Kernel::Outer if !self.vector => write!(f, " by element")?,
            Kernel::Sequence | Kernel::Grid | Kernel::SequenceBackward if self.width > 0 => {
                write!(f, " rows of {}", self.width)?
            }
            _ => {}
        }
        if spread > 0 {
            write!(f, " spread {spread}")?;
        }
        if self.split > 1 {
            write!(f, " split {}", self.split)?;
        }
        let forms = [
            (self.resident, "resident"),
            (self.uniform, "uniform"),
            (self.texture, "texture"),
            (self.half, "half"),
            (self.narrow, "narrow"),
            (self.unbiased, "part"),
            (self.wrapped > 0, "wrapped"),
        ];
        for (_, name) in forms.into_iter().filter(|(is, _)| *is) {
            write!(f, " {name}")?;
        }
        Ok(())
    }
}
