//! Weights on the device, in the layout that products read.

use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{FLAT, Kernel, PackParams, Variant};
use crate::plan::{Draft, Role};
use crate::program::{Bind, Program};
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

/// Words of a packed matrix.
pub(crate) fn packed_words(device: &Device, rows: usize, columns: usize) -> usize {
    let panel = device.panel() as usize;
    (rows.div_ceil(panel) + 1) * columns * panel
}

/// Packs matrices one after another into memory of the device.
pub(crate) fn pack(device: &Device, name: &str, matrices: &[Matrix<'_>]) -> Result<Storage> {
    let words: usize = matrices.iter().map(|matrix| packed_words(device, matrix.rows(), matrix.columns())).sum();
    if u32::try_from(words).is_err() {
        let allowed = 4 * u64::from(u32::MAX);
        return Err(Error::Limit { what: name.to_owned(), needed: 4 * words as u64, limit: "32-bit indices", allowed });
    }
    let packed = Storage::zeros(device, name, words as u64)?;
    let mut draft = Draft::default();
    let target = draft.buffer(name, words as u64, Role::External);
    let mut binds = vec![Bind::storage(target, &packed, device)];
    let none = draft.buffer("no bias", 1, Role::Workspace);
    let mut offset = 0;
    for matrix in matrices {
        let (rows, columns) = (matrix.rows(), matrix.columns());
        let mut upload = |name: &str, tensor: &Tensor| {
            let id = draft.buffer(name, (tensor.shape().iter().product::<usize>()) as u64, Role::External);
            binds.push(Bind::new(id, tensor));
            id
        };
        let source = upload(&matrix.name, &Tensor::from_array(device, matrix.weight)?);
        let bias = match matrix.bias {
            Some(bias) => upload(&format!("{} bias", matrix.name), &Tensor::from_array(device, bias)?),
            None => none,
        };
        let words = packed_words(device, rows, columns);
        let params = PackParams {
            rows: rows as u32,
            columns: columns as u32,
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
    Ok(packed)
}

/// Lanes along x of a kernel that takes one element a lane, in a grid no axis of which is too long.
pub(crate) fn row_lanes(elements: usize) -> u32 {
    let groups = elements.div_ceil(FLAT.lanes as usize).clamp(1, 1 << 15);
    groups as u32 * FLAT.lanes
}
