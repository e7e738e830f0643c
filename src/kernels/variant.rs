//! A kernel with all that is fixed when its shader is composed.

use super::kernel::{Access, Kernel};
use super::of::{By, Folding, Function, Of, Part, Sums};
use super::own_kernel::{Own, OwnKernel};
use super::tile::{COOPERATIVE_PITCH, Cooperative, STAGED_BYTES, Tile, attended_at_once};
use crate::cells::{Equations, Noise, Norm, Phase, Scan};

/// How a kernel reads its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Reads {
    /// The number of rows of a packed matrix that lie together: 4 in shaders, 1 for the twins.
    pub panel: u32,
    /// Whether the packed matrix is a texture.
    pub texture: bool,
    /// Whether the packed matrix is in half precision.
    pub half: bool,
    /// For `gemm` and the recurrent kernels forward: whether the input part of the gates is in half precision, two
    /// numbers a word.
    pub narrow: bool,
    /// Whether the rows of the product are a window of [`WINDOW`](crate::kernels::WINDOW) words of a uniform buffer.
    pub uniform: bool,
}

impl Reads {
    /// Buffers of 32-bit numbers, with panels of this number of rows.
    pub const fn plain(panel: u32) -> Self {
        Self { panel, texture: false, half: false, narrow: false, uniform: false }
    }

    /// Words of a vector of the packed matrix. On the CPU halves take a word each, whose number is rounded.
    pub(crate) const fn vector_words(self) -> u32 {
        if self.half && self.panel > 1 { self.panel / 2 } else { self.panel }
    }
}

/// A kernel with everything that is fixed when its shader is composed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Variant {
    /// The kernel with its options.
    pub of: Of,
    /// The tile.
    pub tile: Tile,
    /// How operands are read.
    pub reads: Reads,
    /// The number of workgroups along y where the grid is spread over two axes, because one axis allows too few; else 0.
    pub wrapped: u32,
}

impl Variant {
    /// A variant that reads buffers of 32-bit numbers, with panels of this number of rows.
    pub const fn new(of: Of, tile: Tile, panel: u32) -> Self {
        Self { of, tile, reads: Reads::plain(panel), wrapped: 0 }
    }

    /// A variant of a kernel without options.
    pub const fn plain(kernel: Kernel, tile: Tile, panel: u32) -> Self {
        Self::new(Of::Plain(kernel), tile, panel)
    }

    /// The kernel.
    pub const fn kernel(&self) -> Kernel {
        self.of.kernel()
    }

    /// Bytes of workgroup memory: two copies of a row's state in `sequence` and `sequence_backward`, one of the rows that
    /// are multiplied, and a flag, in `grid`; sums where they are split, or over alignments; what a search chooses among; hardly any
    /// elsewhere.
    pub(crate) fn workgroup_bytes(&self) -> u64 {
        let Tile { rows, lanes, .. } = self.tile;
        let [rows, lanes] = [rows, lanes].map(u64::from);
        match self.of {
            _ if self.of.staged() => STAGED_BYTES,
            _ if self.of.units().is_some() => 2 * COOPERATIVE_PITCH * (2 * rows + self.sums()) + 4 * rows * self.sums(),
            _ if self.of.split() > 1 => 4 * u64::from(self.of.split()) * rows * lanes * self.sums(),
            Of::NormStep { .. } | Of::NormStepBackward { .. } => 16 * lanes,
            Of::Fold { shared: true, .. } => 4 * lanes,
            // The sums of two steps, and the largest ones.
            Of::Plain(Kernel::CtcLattice) => 4 * lanes * (2 * u64::from(self.tile.columns) + 1),
            // Scores; what lanes share of them and of their context.
            Of::Attend { vector } => (4 << 10) + 4 * lanes * attended_at_once(lanes) * if vector { 5 } else { 2 },
            // Those that are chosen, and what the lanes count; of `ctc_beam` 12 words of each prefix too.
            Of::Plain(Kernel::Beam) => (4 << 8) + 8 * lanes + 12,
            Of::Plain(Kernel::CtcBeam) => (4 << 8) + 56 * lanes + 16,
            Of::Grid { state_width, .. } => 4 * rows * u64::from(state_width) + 16,
            _ => 2 * 4 * rows * u64::from(self.of.state_width()),
        }
    }

    /// Sums of a lane, or of a workgroup where it is cooperative, for each of its rows, in the kernels that can be split.
    fn sums(&self) -> u64 {
        let gates = match self.of {
            Of::Step { form, phase, .. } => form.phases().get(phase).map_or(1, |phase| phase.gates),
            Of::Wave { form, .. } => form.phases().first().map_or(1, |phase| phase.gates),
            _ => 1,
        };
        u64::from(self.tile.columns) * gates as u64
    }

    /// The same by units for small matrices that workgroups of a number of lanes have; none where the kernel or the
    /// adapter can't.
    pub(crate) fn with_units(&self, units: impl Fn(u32) -> Option<Cooperative>, rows: usize) -> Option<Self> {
        let (tile, of) = match self.of {
            Of::Gemm { vector, unbiased, .. } => {
                let tile = Cooperative::GEMM;
                (tile, Of::Gemm { by: By::Units(units(tile.lanes)?), vector, unbiased })
            }
            Of::Step { form, phase, keep, .. } => {
                let tile = Cooperative::step(rows, form.phases().get(phase)?.gates);
                (tile, Of::Step { form, phase, keep, sums: Sums::Units(units(tile.lanes)?) })
            }
            _ => return None,
        };
        Some(Self { of, tile, ..self.clone() })
    }

    /// The same whose sums are shared by this number of invocations; none where the kernel's can't be.
    pub(crate) fn with_split(&self, split: u32) -> Option<Self> {
        let of = match self.of {
            Of::Step { form, phase, keep, .. } => Of::Step { form, phase, keep, sums: Sums::Split(split) },
            Of::StepBackward { form, phase, .. } => Of::StepBackward { form, phase, split },
            Of::Wave { form, .. } => Of::Wave { form, split },
            _ => return None,
        };
        Some(Self { of, ..self.clone() })
    }

    /// The same that reads the rows of its product through a window of a uniform buffer, or not.
    pub(crate) const fn reading(mut self, uniform: bool) -> Self {
        self.reads.uniform = uniform;
        self
    }

    /// The same `gemm` that leaves the bias out; other kernels add none.
    pub(crate) const fn unbiased(mut self) -> Self {
        if let Of::Gemm { unbiased, .. } = &mut self.of {
            *unbiased = true;
        }
        self
    }

    /// The same that keeps what the backward pass needs, where its kernel can.
    pub(crate) fn keeping(mut self) -> Self {
        if let Of::Step { keep, .. } | Of::Sequence { keep, .. } | Of::Scan { keep, .. } | Of::NormStep { keep, .. } =
            &mut self.of
        {
            *keep = true;
        }
        self
    }

    /// Invocations of a workgroup.
    pub const fn invocations(&self) -> u32 {
        self.tile.lanes * self.of.split()
    }

    /// Whether a binding holds halves, two a word. On the CPU none does: numbers are rounded there.
    pub(crate) fn holds_halves(&self, binding: usize) -> bool {
        let Reads { panel, half, narrow, .. } = self.reads;
        let is_input_part = binding == if self.kernel() == Kernel::Gemm { 3 } else { 0 };
        let is_matrix = match self.kernel() {
            Kernel::Pack => binding == 2,
            _ => self.row().bindings[binding].1 == Access::Matrix,
        };
        panel > 1 && (half && is_matrix || narrow && is_input_part)
    }

    /// The kernel from outside that it is.
    pub(crate) const fn own(&self) -> Option<&'static OwnKernel> {
        if let Of::Own(Own(own)) = self.of { Some(own) } else { None }
    }

    /// What its cell without R is.
    pub(crate) fn scan(&self) -> Option<&'static Scan> {
        self.of.form().and_then(|form| form.cell.scan())
    }

    /// What its cell norms.
    pub(crate) fn norm(&self) -> Option<&'static Norm> {
        self.of.form().and_then(|form| form.norm())
    }

    /// The cell's equations, if they are not the usual ones.
    pub(crate) fn equations(&self) -> Option<Equations> {
        self.of.form().and_then(|form| form.equations())
    }

    /// The cell's equations as its template is told of them, with the activation that is the cell's own.
    pub(super) fn template_equations(&self) -> Equations {
        self.of
            .form()
            .map_or(Equations::USUAL, |form| Equations { activations: form.activations(), ..form.options.equations })
    }

    /// What training draws within the cell.
    pub(crate) fn noise(&self) -> Noise {
        self.of.form().map_or(Noise::NONE, |form| form.options.noise)
    }

    /// The name of its phase; of a phase that its cell has not, that.
    fn phase_name(&self) -> &'static str {
        self.phases().get(self.of.phase()).map_or("a phase that its cell has not", |phase| phase.name)
    }

    /// The phases of its cell; empty if it has no cell, or one without a matrix R.
    pub fn phases(&self) -> &'static [Phase] {
        self.of.form().map_or(&[], |form| form.phases())
    }

    /// Writes its cell, with the phase or the part of the work.
    fn write_cell(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.of {
            Of::Step { form, .. } | Of::StepBackward { form, .. } if form.draws() || !form.is_usual() => {
                write!(f, " {} of {form}", self.phase_name())
            }
            Of::Step { .. } | Of::StepBackward { .. } => write!(f, " {}", self.phase_name()),
            Of::Scan { form, part, .. } | Of::ScanBackward { form, part } => {
                let part = match part {
                    Part::Whole => "",
                    Part::Totals => ", totals",
                    Part::Steps => ", parts",
                };
                write!(f, " {form}{part}")
            }
            of => of.form().map_or(Ok(()), |form| write!(f, " {form}")),
        }
    }

    /// Writes its tile, and how sums are made.
    fn write_tile(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tile { rows, columns, lanes, .. } = self.tile;
        match self.of {
            _ if self.of.staged() => write!(f, " {}x{} staged", 16 * rows, 16 * columns)?,
            Of::Outer { .. } => write!(f, " {rows}x4x{lanes}")?,
            Of::Attend { .. } | Of::NormStep { .. } | Of::NormStepBackward { .. } => write!(f, " {lanes}")?,
            Of::Plain(Kernel::Argmax | Kernel::CrossEntropy) if columns > 1 => write!(f, " by {columns}")?,
            of => match of.units() {
                Some(Cooperative { edge, .. }) => write!(f, " {rows}x{columns} cooperative by {edge}")?,
                None if self.row().is_tiled => write!(f, " {rows}x{columns}x{lanes}")?,
                None => {}
            },
        }
        match self.of {
            Of::Attend { vector: false } | Of::Gemm { vector: false, .. } | Of::Outer { vector: false, .. } => {
                write!(f, " by element")
            }
            of if of.state_width() > 0 => write!(f, " rows of {}", of.state_width()),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.row().name)?;
        match self.of {
            Of::Own(own) => write!(f, " {}", own.0.name)?,
            Of::Apply(Function::Activation(activation)) => write!(f, " {activation}")?,
            Of::Apply(Function::Magnitude) => write!(f, " magnitude")?,
            Of::Map { formula, axes, integers, dense } => {
                write!(f, " {formula}, axes {axes}")?;
                if integers > 0 {
                    write!(f, ", integers {integers:b}")?;
                }
                if dense > 0 {
                    write!(f, ", dense {dense:b}")?;
                }
            }
            Of::Fold { formula, folding, axes, folded, integers, shared } => {
                let name = if folding == Folding::Max { "largest" } else { "sum" };
                write!(f, " {name} of {formula}, axes {axes} and {folded}")?;
                if integers > 0 {
                    write!(f, ", integers {integers:b}")?;
                }
                if shared {
                    write!(f, ", shared")?;
                }
            }
            _ => {}
        }
        self.write_cell(f)?;
        if self.of.keep() {
            write!(f, " keeping")?;
        }
        self.write_tile(f)?;
        if self.tile.spread > 0 {
            write!(f, " spread {}", self.tile.spread)?;
        }
        if self.of.split() > 1 {
            write!(f, " split {}", self.of.split())?;
        }
        if self.of.parts() > 1 {
            write!(f, " in {} parts", self.of.parts())?;
        }
        let forms = [
            (self.of.resident(), "resident"),
            (self.reads.uniform, "uniform"),
            (self.reads.texture, "texture"),
            (self.reads.half, "half"),
            (self.reads.narrow, "narrow"),
            (self.of.unbiased(), "part"),
            (self.wrapped > 0, "wrapped"),
        ];
        for (_, name) in forms.into_iter().filter(|(is, _)| *is) {
            write!(f, " {name}")?;
        }
        Ok(())
    }
}
