//! Cases of `apply`.

use super::case::{Case, Words};
use super::numbers::{Numbers, poison};
use crate::cells::Form;
use crate::device::Device;
use crate::kernels::{ApplyParams, FLAT, Function, Of, Variant};

/// Every activation, and magnitudes, with rows apart.
pub(crate) fn apply(_: &Device) -> Vec<Case> {
    let activations = Form::all().flat_map(|form| form.activations());
    let mut functions = vec![Function::Magnitude];
    for function in activations.map(Function::Activation) {
        if !functions.contains(&function) {
            functions.push(function);
        }
    }
    let sizes = [(1, 7), (3, 65), (40, 33)];
    functions.into_iter().flat_map(|function| sizes.map(|size| apply_case(function, size))).collect()
}

pub(crate) fn apply_case(function: Function, (rows, columns): (usize, usize)) -> Case {
    let mut numbers = Numbers::new(rows + columns);
    let params = ApplyParams {
        rows,
        columns,
        x_offset: 1,
        x_row: 2 * columns + 1,
        out_offset: 2,
        out_row: columns + 3,
        row_lanes: 2 * FLAT.lanes as usize,
    };
    let variant = Variant::new(Of::Apply(function), FLAT, 4);
    Case {
        name: format!("{variant} of {rows}x{columns}"),
        variant,
        // exp and log of WGSL, for arguments below 4: see `extremes` in the tests.
        tolerance: 16.0 * f64::from(f32::EPSILON),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(1 + rows * (2 * columns + 1), 4.0)),
            poison(2 + rows * (columns + 3)),
        ],
    }
}
