//! A kernel with all that is fixed when its shader is composed.

use super::kernel::{Access, Kernel};
use super::tile::{COOPERATIVE_PITCH, Cooperative, STAGED_BYTES, Tile};
use crate::cells::{Activation, Equations, Form, Noise, Norm, Phase, Scan};

/// What `apply` computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Function {
    /// An activation of each element.
    Activation(Activation),
    /// The magnitude of complex numbers, real parts before imaginary ones.
    Magnitude,
}

/// A kernel with everything that is fixed when its shader is composed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Variant {
    /// The kernel.
    pub kernel: Kernel,
    /// Its tile.
    pub tile: Tile,
    /// The cell in its form, for the recurrent kernels.
    pub cell: Option<Form>,
    /// The function, for `apply`.
    pub function: Option<Function>,
    /// For `step` and `step_backward`: which phase of the cell. For `scan` and `scan_backward`: 0 if a lane takes all
    /// steps, 1 for what a part makes of any state, 2 for the steps of a part.
    pub phase: u32,
    /// For `step` and `sequence`: whether what the backward pass needs is kept.
    pub keep: bool,
    /// For `gemm` and `outer`: whether rows are read four elements at a time.
    pub vector: bool,
    /// For `gemm`: whether a workgroup of 16 by 16 lanes first copies its operands into workgroup memory.
    pub staged: bool,
    /// For `gemm` and `step` in half precision: the adapter's units for small matrices, if they are used.
    pub cooperative: Option<Cooperative>,
    /// For `step`, `step_backward` and `wave`: how many invocations share the sums of a lane, each with some of the
    /// terms.
    pub split: u32,
    /// For `sequence`: whether each lane keeps the weights of its unit over all steps.
    pub resident: bool,
    /// For `sequence`, `sequence_backward` and `grid`: the width of a row in workgroup memory.
    pub width: u32,
    /// How many rows of a packed matrix lie together: 4 in shaders, 1 for the twins.
    pub panel: u32,
    /// Whether its packed matrix is a texture.
    pub texture: bool,
    /// Whether its packed matrix is in half precision.
    pub half: bool,
    /// For `gemm` and the recurrent kernels forward: whether the input part of the gates is in half precision, two
    /// numbers a word.
    pub narrow: bool,
    /// For `gemm`: whether the bias is left out, because this dispatch adds up only part of longer sums.
    pub unbiased: bool,
    /// How many workgroups lie along y where the grid is spread over two axes, because one axis allows too few; else 0.
    pub wrapped: u32,
    /// Whether the rows of the product are a window of [`WINDOW`](crate::kernels::WINDOW) words of a uniform buffer.
    pub uniform: bool,
}

impl Variant {
    /// A variant in which every optional field is off.
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

    /// The cell's equations, if they are not the usual ones.
    pub(crate) fn equations(&self) -> Option<Equations> {
        self.cell.and_then(|form| form.equations())
    }

    /// The cell's equations as its template is told of them, with the activation that is the cell's own.
    pub(super) fn template_equations(&self) -> Equations {
        self.cell
            .map_or(Equations::USUAL, |form| Equations { activations: form.activations(), ..form.options.equations })
    }

    /// What training draws within the cell.
    pub(crate) fn noise(&self) -> Noise {
        self.cell.map_or(Noise::NONE, |form| form.options.noise)
    }

    /// The name of its phase; of a phase that its cell has not, that.
    fn phase_name(&self) -> &'static str {
        self.phases().get(self.phase as usize).map_or("a phase that its cell has not", |phase| phase.name)
    }

    /// The phases of its cell; empty if it has no cell, or one without a matrix R.
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
        match (self.kernel, self.cooperative) {
            (Kernel::Outer, _) => write!(f, " {rows}x4x{lanes}")?,
            (_, Some(Cooperative { edge, .. })) => write!(f, " {rows}x{columns} cooperative by {edge}")?,
            (Kernel::NormStep | Kernel::NormStepBackward, None) => write!(f, " {lanes}")?,
            (Kernel::Argmax | Kernel::CrossEntropy, None) if columns > 1 => write!(f, " by {columns}")?,
            (_, None) if self.staged => write!(f, " {}x{} staged", 16 * rows, 16 * columns)?,
            (kernel, None) if kernel.row().is_tiled => write!(f, " {rows}x{columns}x{lanes}")?,
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
