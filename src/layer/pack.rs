//! Weights on the device, in the layout that products read.

use super::config::Precision;
use super::schedule::packs_textures;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{FLAT, Kernel, PackParams, Packed, Variant};
use crate::plan::{BufferId, Parts, PlanBuilder};
use crate::tensor::Storage;

/// A matrix to pack out of a block of weights: element [k, j] is at offset + k · row + j · column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix {
    pub rows: usize,
    pub columns: usize,
    pub offset: usize,
    pub row: usize,
    pub column: usize,
    /// Where the bias begins.
    pub bias: Option<usize>,
}

impl Matrix {
    /// A weight stored as [columns, rows], as x·Wᵀ multiplies it.
    pub const fn of_weight(offset: usize, columns: usize, rows: usize, bias: Option<usize>) -> Self {
        Self { rows, columns, offset, row: 1, column: rows, bias }
    }

    /// A weight stored as [rows, columns], as the gradient dy·W multiplies it.
    pub const fn transposed(offset: usize, rows: usize, columns: usize) -> Self {
        Self { rows, columns, offset, row: columns, column: 1, bias: None }
    }
}

/// The layout of a packed matrix on a device.
pub(crate) fn packed(device: &Device, rows: usize, columns: usize) -> Packed {
    Packed { rows, columns, panel: device.panel() as usize }
}

/// Matrices packed one after another into memory of the device.
pub(crate) struct PackedMatrices {
    name: String,
    matrices: Vec<Matrix>,
    pub storage: Storage,
    pub words: usize,
    /// Whether kernels read them in half precision.
    pub half: bool,
}

impl PackedMatrices {
    /// Memory for them, which [`Self::emit`] fills.
    pub fn new(device: &Device, name: String, matrices: Vec<Matrix>, precision: Precision) -> Result<Self> {
        Self::in_memory(device, name, matrices, precision, packs_textures(device))
    }

    /// The same in a buffer, whatever the device prefers.
    pub fn in_buffer(device: &Device, name: String, matrices: Vec<Matrix>) -> Result<Self> {
        Self::in_memory(device, name, matrices, Precision::Single, false)
    }

    fn in_memory(
        device: &Device,
        name: String,
        matrices: Vec<Matrix>,
        precision: Precision,
        texture: bool,
    ) -> Result<Self> {
        let half = precision == Precision::Half;
        let vectors = matrices.iter().map(|matrix| packed(device, matrix.rows, matrix.columns).vectors());
        // A cell without R has no matrices there.
        let words = (vectors.sum::<usize>() * precision.vector_words(device) as usize).max(4);
        if u32::try_from(words).is_err() {
            let allowed = 4 * u64::from(u32::MAX);
            return Err(Error::Limit { what: name, needed: 4 * words as u64, limit: "32-bit indices", allowed });
        }
        let texture = if texture { Storage::texture(device, &name, words as u64, half)? } else { None };
        let (storage, words) = match texture {
            // All of its rows, the last one too.
            Some(texture) => (texture.clone(), texture.words() as usize),
            None => (Storage::zeros(device, &name, words as u64)?, words),
        };
        Ok(Self { name, matrices, storage, words, half })
    }

    /// Whether kernels read them from a texture.
    pub const fn is_texture(&self) -> bool {
        matches!(self.storage, Storage::Texture(_))
    }

    pub fn buffer(&self, plan: &mut PlanBuilder) -> BufferId {
        plan.external(&self.name, &self.storage, self.words as u64)
    }

    /// Packs them out of the weights: kernels find them so after the plan's end.
    pub fn emit(&self, plan: &mut PlanBuilder, weights: &Parts) {
        if self.matrices.is_empty() {
            return;
        }
        let matrices = self.buffer(plan);
        // Kernels can't write all formats of textures everywhere: a copy follows, which would end a pass here.
        let target = if self.is_texture() {
            let packed = plan.own(&format!("{}, packed", self.name), self.words as u64);
            plan.copy_last(packed, matrices, self.words as u64);
            packed
        } else {
            matrices
        };
        let device = plan.device().clone();
        let mut offset = 0;
        for matrix in &self.matrices {
            let layout = packed(&device, matrix.rows, matrix.columns);
            let variant = Variant { half: self.half, ..Variant::new(Kernel::Pack, FLAT, device.panel()) };
            let words = layout.vectors() * variant.vector_words() as usize;
            let (source, source_offset) = weights.at(matrix.offset);
            let (bias, bias_offset) = matrix.bias.map_or((source, 0), |bias| weights.at(bias));
            let params = PackParams {
                rows: matrix.rows as u32,
                columns: matrix.columns as u32,
                pitch: layout.pitch() as u32,
                width: device.panel(),
                source_offset: source_offset as u32,
                source_row: matrix.row as u32,
                source_column: matrix.column as u32,
                biased: matrix.bias.is_some().into(),
                bias_offset: bias_offset as u32,
                packed_offset: offset as u32,
                row_lanes: row_lanes(words),
            };
            plan.draft.dispatch(variant, vec![source, bias, target], &params.words());
            offset += words;
        }
    }
}

/// Packs matrices of a block now.
pub(crate) fn pack<'a>(
    device: &Device,
    block: &Storage,
    words: usize,
    all: impl IntoIterator<Item = &'a PackedMatrices>,
) -> Result<()> {
    let mut plan = PlanBuilder::new(device);
    let source = plan.parts("weights", block, words);
    all.into_iter().for_each(|matrices| matrices.emit(&mut plan, &source));
    plan.build()?.run()
}

/// Lanes along x of a kernel that takes one element a lane, in a grid no axis of which is too long.
pub(crate) fn row_lanes(elements: usize) -> u32 {
    let groups = elements.div_ceil(FLAT.lanes as usize).clamp(1, 1 << 15);
    groups as u32 * FLAT.lanes
}
