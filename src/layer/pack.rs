//! Weights on the device, in the layout that products read.

use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{FLAT, Kernel, PackParams, Packed, Variant};
use crate::plan::{Draft, Role};
use crate::program::Program;
use crate::tensor::{Storage, Tensor};
use ndarray::{ArrayView1, ArrayView2};

/// A matrix to pack, [columns, rows] as weights are stored, and its bias [columns].
pub(crate) struct Matrix<'a> {
    pub name: String,
    pub weight: ArrayView2<'a, f32>,
    pub bias: Option<ArrayView1<'a, f32>>,
}

impl Matrix<'_> {
    fn columns(&self) -> usize {
        self.weight.nrows()
    }

    fn rows(&self) -> usize {
        self.weight.ncols()
    }
}

/// The layout of a packed matrix on a device.
pub(crate) fn packed(device: &Device, rows: usize, columns: usize) -> Packed {
    Packed { rows, columns, panel: device.panel() as usize }
}

/// Packs matrices one after another into memory of the device.
pub(crate) fn pack(device: &Device, name: &str, matrices: &[Matrix<'_>]) -> Result<Storage> {
    let words: usize = matrices.iter().map(|matrix| packed(device, matrix.rows(), matrix.columns()).words()).sum();
    if u32::try_from(words).is_err() {
        let allowed = 4 * u64::from(u32::MAX);
        return Err(Error::Limit { what: name.to_owned(), needed: 4 * words as u64, limit: "32-bit indices", allowed });
    }
    let storage = Storage::zeros(device, name, words as u64)?;
    let mut draft = Draft::default();
    let target = draft.buffer(name, words as u64, Role::External);
    let mut binds = vec![(target, storage.clone())];
    let none = draft.buffer("no bias", 1, Role::Workspace);
    let mut offset = 0;
    for matrix in matrices {
        let (rows, columns) = (matrix.rows(), matrix.columns());
        let mut upload = |name: &str, tensor: &Tensor| {
            let id = draft.buffer(name, (tensor.shape().iter().product::<usize>()) as u64, Role::External);
            binds.push((id, tensor.storage.clone()));
            id
        };
        let source = upload(&matrix.name, &Tensor::from_array(device, matrix.weight)?);
        let bias = match matrix.bias {
            Some(bias) => upload(&format!("{} bias", matrix.name), &Tensor::from_array(device, bias)?),
            None => none,
        };
        let layout = packed(device, rows, columns);
        let words = layout.words();
        let params = PackParams {
            rows: rows as u32,
            columns: columns as u32,
            pitch: layout.pitch() as u32,
            width: device.panel(),
            source_row: 1,
            source_column: rows as u32,
            biased: matrix.bias.is_some().into(),
            packed_offset: offset as u32,
            row_lanes: row_lanes(words),
            ..Default::default()
        };
        let variant = Variant::new(Kernel::Pack, FLAT, device.panel());
        draft.dispatch(variant, vec![source, bias, target], &params.words());
        offset += words;
    }
    Program::new(device, draft.plan, &binds)?.run()?;
    Ok(storage)
}

/// Lanes along x of a kernel that takes one element a lane, in a grid no axis of which is too long.
pub(crate) fn row_lanes(elements: usize) -> u32 {
    let groups = elements.div_ceil(FLAT.lanes as usize).clamp(1, 1 << 15);
    groups as u32 * FLAT.lanes
}
