//! Weights on the device, in the layout that products read.

use crate::config::Precision;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{FLAT, Kernel, PackParams, Packed, Reads, Variant};
use crate::plan::{BufferId, Parts, PlanBuilder};
use crate::storage::Storage;

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
    /// The kernel that packs them.
    fn variant(&self, device: &Device) -> Variant {
        let variant = Variant::plain(Kernel::Pack, FLAT, device.panel());
        Variant { reads: Reads { half: self.half, ..variant.reads }, ..variant }
    }

    /// Memory for them, which [`Self::emit_pack`] fills.
    pub fn new(device: &Device, name: String, matrices: Vec<Matrix>, precision: Precision) -> Result<Self> {
        Self::in_memory(device, name, matrices, precision, [device.packs_textures(), false])
    }

    /// The same of matrices that are multiplied one by one where they don't fit into one buffer together.
    pub fn apart(device: &Device, name: String, matrices: Vec<Matrix>, precision: Precision) -> Result<Self> {
        Self::in_memory(device, name, matrices, precision, [device.packs_textures(), true])
    }

    /// The same in a buffer, whatever the device prefers.
    pub fn in_buffer(device: &Device, name: String, matrices: Vec<Matrix>) -> Result<Self> {
        Self::in_memory(device, name, matrices, Precision::Single, [false, false])
    }

    fn in_memory(
        device: &Device,
        name: String,
        matrices: Vec<Matrix>,
        precision: Precision,
        [texture, apart]: [bool; 2],
    ) -> Result<Self> {
        let half = precision == Precision::Half;
        let vector = precision.vector_words(device) as usize;
        let words = |matrix: &Matrix| packed(device, matrix.rows, matrix.columns).vectors() * vector;
        let each: Vec<_> = matrices.iter().map(words).collect();
        // A cell without R has no matrices there.
        let words = each.iter().sum::<usize>().max(4);
        if u32::try_from(words).is_err() {
            let allowed = 4 * u64::from(u32::MAX);
            return Err(Error::Limit { what: name, needed: 4 * words as u64, limit: "32-bit indices", allowed });
        }
        let fits = |words: u64| 4 * words <= device.plan_limits().binding_bytes;
        let texture = if texture { Storage::texture(device, &name, words as u64, half)? } else { None };
        // It is packed in a buffer first.
        let (storage, words) = match texture.filter(|texture| fits(texture.words())) {
            // All of its rows, the last one too.
            Some(texture) => (texture.clone(), texture.words() as usize),
            None if apart && !fits(words as u64) => (Storage::in_parts(device, &name, &each)?, words),
            None => (Storage::zeros(device, &name, words as u64)?, words),
        };
        Ok(Self { name, matrices, storage, words, half })
    }

    /// Whether kernels read them from a texture.
    pub const fn is_texture(&self) -> bool {
        matches!(self.storage, Storage::Texture(_))
    }

    /// The buffer of all of them, or of the first one.
    pub fn buffer(&self, plan: &mut PlanBuilder) -> BufferId {
        plan.parts(&self.name, &self.storage, self.words).at(0).0
    }

    /// Whether each is in a buffer of its own.
    pub fn is_apart(&self) -> bool {
        self.storage.parts().is_some()
    }

    /// The buffer that has a vector, and which of its own vectors it is.
    pub fn at(&self, plan: &mut PlanBuilder, vector: usize) -> (BufferId, usize) {
        let variant = self.variant(plan.device());
        let words = variant.reads.vector_words() as usize;
        let parts = plan.parts(&self.name, &self.storage, self.words);
        let (buffer, at) = parts.at(vector * words);
        (buffer, at / words)
    }

    /// Packs them out of the weights: kernels find them so after the plan's end.
    pub fn emit_pack(&self, plan: &mut PlanBuilder, weights: &Parts) {
        if self.matrices.is_empty() {
            return;
        }
        let matrices = plan.parts(&self.name, &self.storage, self.words);
        // Kernels can't write all formats of textures everywhere: a copy follows, which would end a pass here.
        let target = if self.is_texture() {
            let packed = plan.own(&format!("{}, packed", self.name), self.words as u64);
            plan.copy_last(packed, matrices.at(0).0, self.words as u64);
            Some(packed)
        } else {
            None
        };
        let device = plan.device().clone();
        let mut offset = 0;
        for matrix in &self.matrices {
            let layout = packed(&device, matrix.rows, matrix.columns);
            let variant = self.variant(&device);
            let words = layout.vectors() * variant.reads.vector_words() as usize;
            let (source, source_offset) = weights.at(matrix.offset);
            let (bias, bias_offset) = matrix.bias.map_or((source, 0), |bias| weights.at(bias));
            let (target, packed_offset) = target.map_or_else(|| matrices.at(offset), |packed| (packed, offset));
            let places = [source_offset, bias_offset, packed_offset];
            emit_matrix(plan, &variant, matrix, [source, bias, target], places);
            offset += words;
        }
    }
}

/// Packs one matrix, from the first word of its source on, with its bias if it has one; each buffer with its offset.
pub(crate) fn emit_matrix(
    plan: &mut PlanBuilder,
    variant: &Variant,
    matrix: &Matrix,
    buffers: [BufferId; 3],
    [source_offset, bias_offset, packed_offset]: [usize; 3],
) {
    let layout = packed(plan.device(), matrix.rows, matrix.columns);
    let params = PackParams {
        rows: matrix.rows,
        columns: matrix.columns,
        pitch: layout.pitch(),
        panel: layout.panel,
        source_offset,
        source_row: matrix.row,
        source_column: matrix.column,
        biased: matrix.bias.is_some(),
        bias_offset,
        packed_offset,
        row_lanes: row_lanes(layout.vectors() * variant.reads.vector_words() as usize),
    };
    plan.draft.dispatch(variant.clone(), buffers.into(), &params.words());
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
    all.into_iter().for_each(|matrices| matrices.emit_pack(&mut plan, &source));
    plan.build()?.run()
}

/// Lanes along x of a kernel that takes one element a lane, in a grid no axis of which is too long.
pub(crate) fn row_lanes(elements: usize) -> usize {
    let groups = elements.div_ceil(FLAT.lanes as usize).clamp(1, 1 << 15);
    groups * FLAT.lanes as usize
}
