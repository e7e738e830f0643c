//! Operators that move, repeat or leave out elements: views of the same memory where they can be.

use super::super::fold;
use super::super::rules::Range;
use super::super::tensor::{Constant, Tensor};
use super::builder::{Builder, InputKind, Site};
use super::item::{Integers, Item, Numbers, with_axes};
use crate::error::Result;
use crate::plan::Value;
use ndarray::{ArrayD, IxDyn};
use std::sync::Arc;

/// The same elements in another shape.
fn in_shape(builder: &mut Builder<'_>, site: &Site<'_>, shape: Vec<usize>) -> Result<Vec<Item>> {
    Ok(vec![match site.item(0)? {
        Item::Numbers(numbers) => {
            let value = builder.reshaped(&numbers.value, &shape)?;
            Item::Numbers(Numbers { value, shape })
        }
        Item::Integers(integers) => {
            let value = integers.value.reshape(&with_axes(&shape))?;
            Item::Integers(Integers { value, shape, input: integers.input })
        }
        Item::Known(constant) => Item::known(fold::reshape(&site.call, &constant.tensor, &shape)?),
        Item::Lacking => Item::Lacking,
    }])
}

pub(super) fn reshape(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let of = site.shape(0)?;
    let shape = match &*site.node.op_type {
        "Reshape" => site.call.reshaped(of)?,
        "Flatten" => site.call.flattened(of)?,
        "Squeeze" => site.call.squeezed(of)?,
        _ => site.call.unsqueezed(of)?,
    };
    in_shape(builder, site, shape)
}

/// Of a value whose elements stay what they are.
pub(super) fn identity(_: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    Ok(vec![site.item(0)?.clone()])
}

/// `Dropout` of a trained model: all elements stay, as its mask says.
pub(super) fn dropout(_: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let mask = ArrayD::from_elem(IxDyn(site.shape(0)?), 1);
    Ok(vec![site.item(0)?.clone(), Item::known(Tensor::Integers(mask))])
}

/// Between floats nothing changes: all are of 32 bits here. Integers become floats; floats do not become integers.
pub(super) fn cast(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let to = site.call.attributes().integer("to", 1)? as i32;
    match site.item(0)? {
        Item::Numbers(numbers) if fold::is_float(to) => Ok(vec![Item::Numbers(numbers.clone())]),
        Item::Integers(integers) if fold::is_integer(to) => Ok(vec![Item::Integers(integers.clone())]),
        Item::Integers(integers) if fold::is_float(to) => {
            mark_read(builder, integers, None);
            let value = builder.tape.map([&integers.value], |[x]| x + 0.0)?;
            Ok(vec![Item::Numbers(Numbers { value, shape: integers.shape.clone() })])
        }
        _ => Err(site
            .call
            .attributes()
            .unsupported("a cast of floats to integers", "they are known only when the model runs")),
    }
}

/// Notes that something reads an input of integers: a table of so many rows, or else an operator that takes them as numbers.
pub(super) fn mark_read(builder: &mut Builder<'_>, integers: &Integers, rows: Option<usize>) {
    if let Some(input) = integers.input
        && let InputKind::Integers { tables, is_number, is_read, .. } = &mut builder.inputs[input].kind
    {
        *is_read = true;
        match rows {
            Some(rows) => tables.push(rows),
            None => *is_number = true,
        }
    }
}

pub(super) fn shape(_: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let shape = site.shape(0)?;
    Ok(vec![Item::known(if site.node.op_type == "Size" {
        Tensor::Integers(ndarray::arr0(shape.iter().product::<usize>() as i64).into_dyn())
    } else {
        fold::shape(&site.call, shape)?
    })])
}

/// The axes of a value in another order.
pub(super) fn permuted(value: &Value, axes: &[usize]) -> Result<Value> {
    let mut value = value.clone();
    let mut order: Vec<usize> = (0..axes.len()).collect();
    for (at, axis) in axes.iter().enumerate() {
        let from = order.iter().position(|other| other == axis).unwrap_or(at);
        if from != at {
            value = value.transpose(at, from)?;
            order.swap(at, from);
        }
    }
    Ok(value)
}

pub(super) fn transpose(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let axes = site.call.permutation(site.shape(0)?.len())?;
    let x = site.numbers(builder, 0)?;
    let shape = axes.iter().map(|&axis| x.shape[axis]).collect();
    let value = if axes.is_empty() { x.value } else { permuted(&x.value, &axes)? };
    Ok(vec![Item::Numbers(Numbers { value, shape })])
}

pub(super) fn slice(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let x = site.numbers(builder, 0)?;
    let ranges = site.call.slices(&x.shape)?;
    let value = part(builder, site, &x.value, &ranges)?;
    Ok(vec![Item::numbers(value)])
}

fn part(builder: &mut Builder<'_>, site: &Site<'_>, value: &Value, ranges: &[Range]) -> Result<Value> {
    let mut value = value.clone();
    for (axis, &Range { start, count, step }) in ranges.iter().enumerate() {
        if count == 0 {
            return Err(site.call.attributes().unsupported("a part without elements", "arrays on a device have some"));
        }
        if (start, count) == (0, value.shape()[axis]) && step == 1 {
            continue;
        }
        value = if step == 1 || count == 1 {
            value.slice(axis, start..start + count)?
        } else {
            let place = |i: usize| (start as i64 + i as i64 * step) as usize;
            picked(builder, &value, axis, &(0..count).map(place).collect::<Vec<_>>())?
        };
    }
    Ok(value)
}

/// The elements of these indices along an axis.
fn picked(builder: &mut Builder<'_>, value: &Value, axis: usize, indices: &[usize]) -> Result<Value> {
    let runs = indices.windows(2).all(|pair| pair[1] == pair[0] + 1);
    if let (true, Some(&first)) = (runs, indices.first()) {
        return value.slice(axis, first..first + indices.len());
    }
    // Rows of a table whose first axis it is.
    let mut order: Vec<usize> = (0..value.shape().len()).collect();
    order.swap(0, axis);
    let turned = permuted(value, &order)?;
    let rest: Vec<usize> = turned.shape()[1..].to_vec();
    let table = builder.reshaped(&turned, &[turned.shape()[0], rest.iter().product()])?;
    let table = builder.tape.contiguous(&table)?;
    let indices = builder.indices(indices)?;
    let rows = builder.tape.plan().embedding(&table, &indices)?;
    let shape = [&[indices.shape()[0]], &rest[..]].concat();
    permuted(&rows.reshape(&shape)?, &order)
}

pub(super) fn split(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let x = site.numbers(builder, 0)?;
    let (axis, sizes) = site.call.splits(&x.shape)?;
    let mut start = 0;
    let mut parts = Vec::new();
    for size in sizes {
        if size == 0 {
            return Err(site.call.attributes().unsupported("a part without elements", "arrays on a device have some"));
        }
        parts.push(Item::numbers(x.value.slice(axis, start..start + size)?));
        start += size;
    }
    Ok(parts)
}

pub(super) fn concat(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let shapes = (0..site.inputs.len()).map(|input| site.shape(input)).collect::<Result<Vec<_>>>()?;
    let (axis, shape) = site.call.concatenated(&shapes)?;
    let mut values = Vec::new();
    for (input, of) in shapes.iter().enumerate() {
        if !of.contains(&0) {
            values.push(site.numbers(builder, input)?.value);
        }
    }
    let value = match &values[..] {
        [only] => only.clone(),
        several => builder.tape.concat(&several.iter().collect::<Vec<_>>(), axis)?,
    };
    Ok(vec![Item::Numbers(Numbers { value, shape })])
}

pub(super) fn gather(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let of = site.shape(0)?.to_vec();
    let axis = site.call.axis(site.call.attributes().integer("axis", 0)?, of.len())?;
    let shape = [&of[..axis], site.shape(1)?, &of[axis + 1..]].concat();
    site.call.elements(&shape)?;
    let x = site.numbers(builder, 0)?;
    let value = match site.item(1)? {
        Item::Integers(integers) if axis == 0 => {
            let table = builder.reshaped(&x.value, &[of[0], of[1..].iter().product()])?;
            let table = builder.tape.contiguous(&table)?;
            mark_read(builder, integers, Some(of[0]));
            builder.tape.plan().embedding(&table, &integers.value)?
        }
        Item::Known(constant) => {
            let Some(indices) = constant.tensor.integers() else { return Err(site.call.fault("indices are floats")) };
            let indices = site.call.indices(indices.iter().copied(), of[axis])?;
            if indices.is_empty() {
                return Err(site.call.attributes().unsupported("no indices", "arrays on a device have elements"));
            }
            picked(builder, &x.value, axis, &indices)?
        }
        _ => {
            let reason = "indices that are known when the model runs look up rows of the first axis";
            return Err(site.call.attributes().unsupported(&format!("axis {axis}"), reason));
        }
    };
    let value = builder.reshaped(&value, &shape)?;
    Ok(vec![Item::Numbers(Numbers { value, shape })])
}

/// `Expand` and `Tile`: every axis is picked again and again.
pub(super) fn repeat(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let x = site.numbers(builder, 0)?;
    let (value, shape) = if site.node.op_type == "Tile" {
        let repeats = site.call.repeats(&x.shape)?;
        (x.value, x.shape.iter().zip(repeats).map(|(size, repeats)| size * repeats).collect())
    } else {
        let shape = site.call.expanded(&x.shape)?;
        let before = vec![1; shape.len() - x.shape.len()];
        (builder.reshaped(&x.value, &[before, x.shape].concat())?, shape)
    };
    let mut value = value;
    for (axis, &size) in shape.iter().enumerate() {
        let own = value.shape()[axis];
        if size == 0 {
            return Err(site.call.attributes().unsupported("no repeats", "arrays on a device have elements"));
        }
        if own != size {
            value = picked(builder, &value, axis, &(0..size).map(|i| i % own).collect::<Vec<_>>())?;
        }
    }
    Ok(vec![Item::Numbers(Numbers { value, shape })])
}

/// `Pad`: numbers around an axis, or its own elements mirrored or repeated.
pub(super) fn pad(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let x = site.numbers(builder, 0)?;
    let rank = x.shape.len();
    let pads = site.call.list("pads", 1)?.ok_or_else(|| site.call.fault("no pads"))?;
    let axes = match site.call.integers(3)? {
        Some(axes) => axes.iter().map(|&axis| site.call.axis(axis, rank)).collect::<Result<Vec<_>>>()?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(site.call.fault(format!("{} pads of {} axes", pads.len(), axes.len())));
    }
    let number = site.call.number("value", 2)?.unwrap_or(0.0);
    let mode = site.call.attributes().text("mode", "constant")?;
    let mut value = x.value;
    for (i, &axis) in axes.iter().enumerate() {
        let (before, after) = (pads[i], pads[axes.len() + i]);
        let size = value.shape()[axis] as i64;
        let total = size.saturating_add(before).saturating_add(after);
        if total <= 0 {
            return Err(site.call.fault(format!("pads {pads:?} of shape {:?}", x.shape)));
        }
        let mut shape = value.shape().to_vec();
        shape[axis] = total as usize;
        site.call.elements(&shape)?;
        // Less than nothing around it is a part of it.
        let start = (-before).max(0) as usize;
        let end = (size - (-after).max(0)) as usize;
        if (start, end) != (0, size as usize) {
            value = value.slice(axis, start..end)?;
        }
        let [before, after] = [before, after].map(|pad| pad.max(0) as usize);
        if before == 0 && after == 0 {
            continue;
        }
        let own = value.shape()[axis];
        value = match &*mode {
            "constant" if number == 0.0 => builder.tape.pad(&value, axis, before, after)?,
            "constant" => {
                let mut around = |size: usize| {
                    let mut shape = value.shape().to_vec();
                    shape[axis] = size;
                    let numbers = ArrayD::from_elem(IxDyn(&shape), number);
                    builder.constant(&Arc::new(Constant::new(Tensor::Numbers(numbers))), &site.call)
                };
                let before = (before > 0).then(|| around(before)).transpose()?;
                let after = (after > 0).then(|| around(after)).transpose()?;
                let parts: Vec<_> = before.iter().chain([&value]).chain(&after).collect();
                builder.tape.concat(&parts, axis)?
            }
            "edge" => {
                let place = |i: usize| i.saturating_sub(before).min(own - 1);
                picked(builder, &value, axis, &(0..before + own + after).map(place).collect::<Vec<_>>())?
            }
            "wrap" => {
                let place = |i: usize| (i + own * before.div_ceil(own) - before) % own;
                picked(builder, &value, axis, &(0..before + own + after).map(place).collect::<Vec<_>>())?
            }
            "reflect" if before < own && after < own => {
                let place = |i: usize| {
                    let at = i.abs_diff(before);
                    if at < own { at } else { 2 * (own - 1) - at }
                };
                picked(builder, &value, axis, &(0..before + own + after).map(place).collect::<Vec<_>>())?
            }
            _ => return Err(site.call.fault(format!("mode {mode} with pads {before} and {after} of {own} elements"))),
        };
    }
    Ok(vec![Item::numbers(value)])
}
