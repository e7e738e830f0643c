//! Products of matrices and convolutions.

use super::super::tensor::Tensor;
use super::builder::{Builder, Site};
use super::item::{Item, Numbers};
use super::moves::permuted;
use crate::error::Result;
use crate::layer::Linear;
use crate::plan::Value;
use crate::train::Conv1d;
use ndarray::{Array1, ArrayD, ArrayView2, Ix2, IxDyn};

/// A known matrix of floats.
fn matrix<'a>(site: &'a Site<'_>, input: usize) -> Option<ArrayView2<'a, f32>> {
    known_array(site, input)?.view().into_dimensionality::<Ix2>().ok()
}

/// A known array of floats.
fn known_array<'a>(site: &'a Site<'_>, input: usize) -> Option<&'a ArrayD<f32>> {
    match site.inputs.get(input)?.as_ref()? {
        Item::Known(constant) => constant.tensor.numbers(),
        _ => None,
    }
}

/// The steps of each window side by side: of [T, N, C] they make [T', N, K·C].
fn window_rows(
    builder: &mut Builder<'_>,
    x: &Value,
    [windows, kernel]: [usize; 2],
    [stride, dilation]: [usize; 2],
) -> Result<Value> {
    let &[steps, batch, channels] = x.shape() else { return Ok(x.clone()) };
    // What is more than all steps is not taken: there is one window then, or one step of each.
    let [stride, dilation] = [stride, dilation].map(|apart| x.strides[0] * apart.min(steps));
    let view = Value {
        shape: vec![windows, batch, kernel, channels],
        strides: vec![stride, x.strides[1], dilation, x.strides[2]],
        ..x.clone()
    };
    builder.reshaped(&view, &[windows, batch, kernel * channels])
}

/// Products with a known matrix over the last axis: its weights are packed once.
fn with_known(
    builder: &mut Builder<'_>,
    x: &Value,
    weight: ArrayView2<'_, f32>,
    bias: Option<&Array1<f32>>,
) -> Result<Value> {
    let linear = Linear::new(builder.device(), weight, bias.map(|bias| bias.view()))?;
    let x = builder.tape.contiguous(x)?;
    builder.tape.linear(&linear, &x)
}

pub(super) fn matmul(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let a = site.numbers(builder, 0)?;
    if let Some(weight) = matrix(site, 1).filter(|weight| a.shape.last() == Some(&weight.nrows())) {
        let value = with_known(builder, &a.value, weight.reversed_axes(), None)?;
        return Ok(vec![Item::numbers(value)]);
    }
    let b = site.numbers(builder, 1)?;
    if a.shape.is_empty() || b.shape.is_empty() {
        return Err(site.call.fault("a matrix without axes"));
    }
    // A vector is a matrix of one row on the left, of one column on the right.
    let left = if a.shape.len() == 1 { a.value.insert_axis(0)? } else { a.value.clone() };
    let right = if b.shape.len() == 1 { b.value.insert_axis(1)? } else { b.value.clone() };
    let product = builder.tape.matmul(&left, &right)?;
    let mut shape = product.shape().to_vec();
    if b.shape.len() == 1 {
        shape.pop();
    }
    if a.shape.len() == 1 {
        let rows = shape.len() - if b.shape.len() == 1 { 1 } else { 2 };
        shape.remove(rows);
    }
    let value = builder.reshaped(&product, &shape)?;
    Ok(vec![Item::Numbers(Numbers { value, shape })])
}

/// α·A·B + β·C.
pub(super) fn gemm(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let attributes = site.call.attributes();
    let [alpha, beta] = [attributes.float("alpha", 1.0)?, attributes.float("beta", 1.0)?];
    let [turns_a, turns_b] = [attributes.integer("transA", 0)? != 0, attributes.integer("transB", 0)? != 0];
    let a = site.numbers(builder, 0)?;
    let is_matrix = |shape: &[usize]| shape.len() == 2;
    if !is_matrix(&a.shape) || !is_matrix(site.shape(1)?) {
        return Err(site.call.fault(format!("shapes {:?} and {:?}, expected matrices", a.shape, site.shape(1)?)));
    }
    let left = if turns_a { a.value.transpose(0, 1)? } else { a.value.clone() };
    let outputs = site.shape(1)?[usize::from(!turns_b)];
    // A known bias is part of the layer where it is one number for each output.
    let bias = match site.inputs.get(2).and_then(Option::as_ref) {
        Some(Item::Known(constant)) => match &constant.tensor {
            Tensor::Numbers(array) if array.len() == outputs && array.shape().last() == Some(&outputs) => {
                Some(array.iter().map(|value| value * beta).collect::<Array1<f32>>())
            }
            _ => None,
        },
        _ => None,
    };
    let product = match matrix(site, 1) {
        Some(weight) => {
            let weight = if turns_b { weight } else { weight.reversed_axes() };
            if left.shape()[1] != weight.ncols() {
                return Err(site.call.fault(format!("matrices of shapes {:?} and {:?}", a.shape, site.shape(1)?)));
            }
            let product = if alpha == 1.0 {
                with_known(builder, &left, weight, bias.as_ref())?
            } else {
                with_known(builder, &left, (&weight * alpha).view(), bias.as_ref())?
            };
            if bias.is_some() {
                return Ok(vec![Item::numbers(product)]);
            }
            product
        }
        None => {
            let b = site.numbers(builder, 1)?.value;
            let right = if turns_b { b.transpose(0, 1)? } else { b };
            let product = builder.tape.matmul(&left, &right)?;
            if alpha == 1.0 { product } else { builder.tape.scale(&product, alpha)? }
        }
    };
    let value = match site.optional_numbers(builder, 2)? {
        None => product,
        Some(c) => builder.tape.map([&product, &c.value], |[product, c]| product + c * beta)?,
    };
    Ok(vec![Item::numbers(value)])
}

/// `Conv` of one axis: [N, C, T] and [O, C / groups, K] give [N, O, T'].
pub(super) fn conv(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let attributes = site.call.attributes();
    let x = site.numbers(builder, 0)?;
    let (&[_, channels, steps], &[_, of_group, kernel]) = (&x.shape[..], site.shape(1)?) else {
        let what = format!("an input of shape {:?}", x.shape);
        return Err(attributes.unsupported(&what, "convolutions run over one axis, that of [N, C, T]"));
    };
    let number = |name: &str, otherwise: usize| -> Result<usize> {
        match attributes.integers(name)? {
            None => Ok(otherwise),
            Some(&[number]) => usize::try_from(number).map_err(|_| attributes.fault(name, "a positive number", number)),
            Some(other) => Err(attributes.fault(name, "one number", format!("{other:?}"))),
        }
    };
    let (stride, dilation) = (number("strides", 1)?, number("dilations", 1)?);
    number("kernel_shape", kernel)?;
    let groups = attributes.integer("group", 1)?;
    let groups = usize::try_from(groups).map_err(|_| attributes.fault("group", "a positive number", groups))?;
    let reach = kernel.saturating_sub(1).saturating_mul(dilation).saturating_add(1);
    let [before, after] = match &*attributes.text("auto_pad", "NOTSET")? {
        "NOTSET" => match attributes.integers("pads")? {
            None => [0, 0],
            Some(&[before, after]) => {
                let pad =
                    |pad: i64| usize::try_from(pad).map_err(|_| attributes.fault("pads", "numbers from 0 on", pad));
                [pad(before)?, pad(after)?]
            }
            Some(other) => return Err(attributes.fault("pads", "two numbers", format!("{other:?}"))),
        },
        "VALID" => [0, 0],
        same @ ("SAME_UPPER" | "SAME_LOWER") => {
            let windows = steps.div_ceil(stride.max(1));
            let all = windows.saturating_sub(1).saturating_mul(stride).saturating_add(reach).saturating_sub(steps);
            let less = all / 2;
            if same == "SAME_UPPER" { [less, all - less] } else { [all - less, less] }
        }
        other => return Err(attributes.fault("auto_pad", "NOTSET, VALID, SAME_UPPER or SAME_LOWER", other)),
    };
    let bias = site.optional_numbers(builder, 2)?;
    // A file may ask for any number of zeros around the steps.
    site.call.elements(&[before, channels, x.shape[0]])?;
    site.call.elements(&[after, channels, x.shape[0]])?;
    let options = Conv1d::default().stride(stride).dilation(dilation).groups(groups).padding(before, after);
    let by_steps = permuted(&x.value, &[2, 0, 1])?;
    if let (1, Some(known)) = (groups, known_array(site, 1))
        && channels == of_group
        && let Some(windows) = options.steps(steps, kernel).filter(|&windows| windows > 0)
    {
        let padded = builder.tape.pad(&by_steps, 0, before, after)?;
        let rows = window_rows(builder, &padded, [windows, kernel], [stride, dilation])?;
        // [O, C, K] as [O, K·C].
        let outputs = known.shape()[0];
        let weight = known.view().permuted_axes(IxDyn(&[0, 2, 1])).as_standard_layout().into_owned();
        let weight =
            weight.into_shape_with_order((outputs, rows.shape()[2])).map_err(|error| site.call.fault(error))?;
        let known_bias = known_array(site, 2).map(|bias| bias.iter().copied().collect::<Array1<f32>>());
        let mut y = with_known(builder, &rows, weight.view(), known_bias.as_ref())?;
        if let (None, Some(bias)) = (known_bias, &bias) {
            y = builder.tape.add(&y, &bias.value)?;
        }
        return Ok(vec![Item::numbers(permuted(&y, &[1, 2, 0])?)]);
    }
    let weight = site.numbers(builder, 1)?;
    let y = builder.tape.conv1d(&by_steps, &weight.value, bias.as_ref().map(|bias| &bias.value), options)?;
    Ok(vec![Item::numbers(permuted(&y, &[1, 2, 0])?)])
}
