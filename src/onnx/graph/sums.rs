//! Sums and means along axes, and norms.

use super::super::tensor::{Constant, Tensor};
use super::builder::{Builder, Site};
use super::item::{Integers, Item, Numbers, with_axes};
use crate::error::Result;
use crate::plan::Value;
use crate::tensor::Tensor as DeviceTensor;
use ndarray::{ArrayD, IxDyn};
use std::sync::Arc;

pub(super) fn reduce(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let x = site.numbers(builder, 0)?;
    let (axes, keeps) = site.call.reduced(x.shape.len())?;
    if axes.is_empty() {
        return Ok(vec![Item::Numbers(x)]);
    }
    let tape = &mut builder.tape;
    let value = match &*site.node.op_type {
        "ReduceMean" => tape.mean(&x.value, &axes)?,
        "ReduceSum" => tape.sum(&x.value, &axes)?,
        "ReduceMax" => tape.max(&x.value, &axes)?,
        "ReduceMin" => {
            let negated = tape.map([&x.value], |[x]| -x)?;
            let most = tape.max(&negated, &axes)?;
            tape.map([&most], |[x]| -x)?
        }
        "ReduceL1" => {
            let absolute = tape.map([&x.value], |[x]| x.abs())?;
            tape.sum(&absolute, &axes)?
        }
        _ => {
            let squares = tape.map([&x.value], |[x]| x * x)?;
            let sum = tape.sum(&squares, &axes)?;
            if site.node.op_type == "ReduceL2" { tape.map([&sum], |[x]| x.sqrt())? } else { sum }
        }
    };
    let kept = |axis: usize| match (axes.contains(&axis), keeps) {
        (true, true) => Some(1),
        (true, false) => None,
        (false, _) => Some(x.shape[axis]),
    };
    let shape: Vec<usize> = (0..x.shape.len()).filter_map(kept).collect();
    let value = builder.reshaped(&value, &shape)?;
    Ok(vec![Item::Numbers(Numbers { value, shape })])
}

/// `GlobalAveragePool` and `GlobalMaxPool`: of all axes behind the channels.
pub(super) fn pool(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let x = site.numbers(builder, 0)?;
    let axes: Vec<usize> = (2..x.shape.len()).collect();
    let of_max = site.node.op_type == "GlobalMaxPool";
    let value = if of_max { builder.tape.max(&x.value, &axes)? } else { builder.tape.mean(&x.value, &axes)? };
    let shape: Vec<usize> = x.shape.iter().enumerate().map(|(axis, &size)| if axis < 2 { size } else { 1 }).collect();
    let value = builder.reshaped(&value, &shape)?;
    Ok(vec![Item::Numbers(Numbers { value, shape })])
}

pub(super) fn softmax(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let x = site.numbers(builder, 0)?;
    // Before version 13 all axes from this one on are one.
    let flattens = site.call.opset < 13;
    let axis = site.call.attributes().integer("axis", if flattens { 1 } else { -1 })?;
    let axis = site.call.axis(axis, x.shape.len())?;
    let (value, axis) = if flattens {
        let (rows, columns) = x.shape.split_at(axis);
        (builder.reshaped(&x.value, &[rows.iter().product(), columns.iter().product()])?, 1)
    } else {
        (x.value, axis)
    };
    let value = match &*site.node.op_type {
        "Softmax" => builder.tape.softmax(&value, axis, None)?,
        _ => builder.tape.log_softmax(&value, axis, None)?,
    };
    let value = builder.reshaped(&value, &x.shape)?;
    Ok(vec![Item::Numbers(Numbers { value, shape: x.shape })])
}

/// Over all axes from one on, times a scale and plus a bias of these axes.
pub(super) fn layer_norm(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let attributes = site.call.attributes();
    let x = site.numbers(builder, 0)?;
    let axis = site.call.axis(attributes.integer("axis", -1)?, x.shape.len())?;
    let columns: usize = x.shape[axis..].iter().product();
    let vector = |builder: &mut Builder<'_>, input: usize| -> Result<Option<Value>> {
        let Some(vector) = site.optional_numbers(builder, input)? else { return Ok(None) };
        if vector.shape != x.shape[axis..] {
            let got = format!("input {input} of shape {:?} for axes {:?}", vector.shape, &x.shape[axis..]);
            return Err(site.call.fault(got));
        }
        builder.reshaped(&vector.value, &[columns]).map(Some)
    };
    let (gain, bias) = (vector(builder, 1)?, vector(builder, 2)?);
    let rows = builder.reshaped(&x.value, &[x.shape[..axis].iter().product(), columns])?;
    let epsilon = attributes.float("epsilon", 1e-5)?;
    let value = builder.tape.layer_norm(&rows, gain.as_ref(), bias.as_ref(), epsilon)?;
    let value = builder.reshaped(&value, &x.shape)?;
    let mut items = vec![Item::Numbers(Numbers { value, shape: x.shape.clone() })];
    if site.node.output.iter().skip(1).any(|name| !name.is_empty()) {
        // The mean, and 1 / √(variance + ε).
        let mean = builder.tape.mean(&rows, &[1])?.insert_axis(1)?;
        let squares = builder.tape.map([&rows, &mean], |[x, mean]| (x - mean) * (x - mean))?;
        let variance = builder.tape.mean(&squares, &[1])?;
        let inverse = builder.tape.map([&variance], |[variance]| 1.0 / (variance + epsilon).sqrt())?;
        let shape: Vec<usize> =
            x.shape.iter().enumerate().map(|(at, &size)| if at < axis { size } else { 1 }).collect();
        for value in [mean, inverse] {
            let value = builder.reshaped(&value, &shape)?;
            items.push(Item::Numbers(Numbers { value, shape: shape.clone() }));
        }
    }
    Ok(items)
}

/// Of a trained model: (x − mean) / √(variance + ε) · scale + bias for each channel, the second axis.
pub(super) fn batch_norm(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let attributes = site.call.attributes();
    if attributes.integer("training_mode", 0)? != 0 {
        return Err(attributes.unsupported("training_mode", "means and variances are those of the model"));
    }
    let x = site.numbers(builder, 0)?;
    let channels = *x.shape.get(1).ok_or_else(|| site.call.fault(format!("shape {:?} without channels", x.shape)))?;
    let vector = |input: usize| -> Result<Vec<f32>> {
        let tensor = site.call.tensor(input)?;
        let fault = || site.call.fault(format!("input {input} of shape {:?}, expected [{channels}]", tensor.shape()));
        tensor
            .numbers()
            .filter(|array| array.shape() == [channels])
            .map(|array| array.iter().copied().collect())
            .ok_or_else(fault)
    };
    let [scale, bias, mean, variance] = [vector(1)?, vector(2)?, vector(3)?, vector(4)?];
    let epsilon = attributes.float("epsilon", 1e-5)?;
    let factors: Vec<f32> =
        scale.iter().zip(&variance).map(|(scale, variance)| scale / (variance + epsilon).sqrt()).collect();
    let offsets = (0..channels).map(|i| bias[i] - mean[i] * factors[i]).collect();
    let mut shape = vec![1; x.shape.len() - 1];
    shape[0] = channels;
    let mut spread = |values: Vec<f32>| {
        let array = ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|error| site.call.fault(error))?;
        builder.constant(&Arc::new(Constant::new(Tensor::Numbers(array))), &site.call)
    };
    let (factors, offsets) = (spread(factors)?, spread(offsets)?);
    let value = builder.tape.map([&x.value, &factors, &offsets], |[x, factor, offset]| x * factor + offset)?;
    Ok(vec![Item::Numbers(Numbers { value, shape: x.shape })])
}

pub(super) fn argmax(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let attributes = site.call.attributes();
    let x = site.numbers(builder, 0)?;
    let axis = site.call.axis(attributes.integer("axis", 0)?, x.shape.len())?;
    if attributes.integer("select_last_index", 0)? != 0 {
        return Err(attributes.unsupported("select_last_index", "the first of equal elements is found"));
    }
    // Rows of the axis.
    let last = x.shape.len() - 1;
    let turned = x.value.transpose(axis, last)?;
    let rows = builder.reshaped(&turned, &[turned.shape()[..last].iter().product(), x.shape[axis]])?;
    let rows = builder.tape.contiguous(&rows)?;
    let found = DeviceTensor::<u32>::zeros(builder.tape.device(), &[rows.shape()[0]])?;
    let found = builder.tape.input(&found)?;
    builder.tape.plan().argmax(&rows, &found)?;
    // Back to where the axis was, of which one element is left.
    let turned_shape = [&turned.shape()[..last], &[1]].concat();
    let found = found.reshape(&turned_shape)?.transpose(axis, last)?;
    let mut shape = x.shape.clone();
    if attributes.integer("keepdims", 1)? != 0 {
        shape[axis] = 1;
    } else {
        shape.remove(axis);
    }
    let value = found.reshape(&with_axes(&shape))?;
    Ok(vec![Item::Integers(Integers { value, shape, input: None })])
}
