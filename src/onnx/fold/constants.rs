//! Constants, and known arrays of other types: casts and eight bits.

use super::super::attributes::Attributes;
use super::super::external::DataFiles;
use super::super::proto::{self, attribute_type, data_type};
use super::super::rules::Call;
use super::super::tensor::Tensor;
use super::arithmetic::zip;
use super::moves::{of_either, one, repeated, reshape};
use crate::error::{Error, Result};
use half::{bf16, f16};
use ndarray::{Axis, arr0, arr1};

/// A known condition.
pub(in super::super) fn truth(tensor: &Tensor) -> Option<bool> {
    match tensor {
        Tensor::Integers(array) if array.len() == 1 => array.iter().next().map(|&value| value != 0),
        Tensor::Numbers(array) if array.len() == 1 => array.iter().next().map(|&value| value != 0.0),
        _ => None,
    }
}

pub(super) fn cast(call: &Call<'_>) -> Result<Vec<Tensor>> {
    let to = call.attributes().integer("to", 0)?;
    let to = i32::try_from(to).map_err(|_| call.fault(format!("a type {to}")))?;
    let integer = |value: i64| match to {
        data_type::UINT8 => (value as u8).into(),
        data_type::INT8 => (value as i8).into(),
        data_type::UINT16 => (value as u16).into(),
        data_type::INT16 => (value as i16).into(),
        data_type::INT32 => (value as i32).into(),
        data_type::UINT32 => (value as u32).into(),
        data_type::BOOL => (value != 0).into(),
        _ => value,
    };
    let number = |value: f32| match to {
        data_type::FLOAT16 => f16::from_f32(value).to_f32(),
        data_type::BFLOAT16 => bf16::from_f32(value).to_f32(),
        _ => value,
    };
    one(call, |x| {
        Ok(match (is_float(to), is_integer(to), x) {
            (true, _, Tensor::Numbers(x)) => Tensor::Numbers(x.mapv(number)),
            (true, _, Tensor::Integers(x)) => Tensor::Numbers(x.mapv(|value| number(value as f32))),
            (_, true, Tensor::Integers(x)) => Tensor::Integers(x.mapv(integer)),
            (_, true, Tensor::Numbers(x)) if to == data_type::BOOL => Tensor::Integers(x.mapv(|x| (x != 0.0).into())),
            (_, true, Tensor::Numbers(x)) => Tensor::Integers(x.mapv(|value| integer(value as i64))),
            _ => {
                return Err(call
                    .attributes()
                    .unsupported(&format!("a cast to {}", data_type::name(to)), "floats and integers are computed"));
            }
        })
    })
}

pub(in super::super) const fn is_float(kind: i32) -> bool {
    matches!(kind, data_type::FLOAT | data_type::FLOAT16 | data_type::BFLOAT16 | data_type::DOUBLE)
}

pub(in super::super) const fn is_integer(kind: i32) -> bool {
    use data_type as t;
    matches!(kind, t::UINT8 | t::INT8 | t::UINT16 | t::INT16 | t::INT32 | t::INT64 | t::UINT32 | t::UINT64 | t::BOOL)
}

/// `DequantizeLinear`: (x − zero point) · scale, with one scale for all elements, for each along an axis, or for each block of an
/// axis.
pub(super) fn dequantized(call: &Call<'_>) -> Result<Tensor> {
    let shape = call.tensor(0)?.shape();
    let rank = shape.len();
    let block = usize::try_from(call.attributes().integer("block_size", 0)?);
    let block = block.map_err(|_| call.fault("a negative block_size"))?;
    let mut spread = Vec::new();
    for input in [1, 2] {
        let Some(scale) = call.optional(input)? else {
            spread.push(None);
            continue;
        };
        let fault = || call.fault(format!("input {input} of shape {:?} for {shape:?}", scale.shape()));
        let axis = || call.axis(call.attributes().integer("axis", 1)?, rank);
        let one_each = |axis: usize| (0..rank).map(|at| if at == axis { shape[at] } else { 1 }).collect::<Vec<_>>();
        spread.push(Some(match scale.shape() {
            of if of.iter().product::<usize>() == 1 => reshape(call, scale, &vec![1; rank])?,
            &[count] if block == 0 && shape.get(axis()?) == Some(&count) => reshape(call, scale, &one_each(axis()?))?,
            of if block > 0 && of.len() == rank && shape[axis()?].div_ceil(block) == of[axis()?] => {
                let indices: Vec<_> = (0..shape[axis()?]).map(|i| i / block).collect();
                let axis = Axis(axis()?);
                of_either!(scale, array => array.select(axis, &indices))
            }
            _ => return Err(fault()),
        }));
    }
    let zero = spread.pop().flatten();
    match spread.pop().flatten() {
        Some(scale) => scaled(call, call.tensor(0)?, &scale, zero.as_ref()),
        None => Err(call.fault("no scale")),
    }
}

/// The same with a scale and a zero point that have as many axes as the values.
pub(in super::super) fn dequantized_by(call: &Call<'_>) -> Result<Tensor> {
    scaled(call, call.tensor(0)?, call.tensor(1)?, call.optional(2)?)
}

pub(super) fn scaled(call: &Call<'_>, values: &Tensor, scale: &Tensor, zero: Option<&Tensor>) -> Result<Tensor> {
    let (Some(values), Some(scale)) = (values.integers(), scale.numbers()) else {
        return Err(call.fault("expected integers with a scale of floats"));
    };
    let shifted = match zero.map(Tensor::integers) {
        None => values.mapv(|value| value as f32),
        Some(Some(zero)) => zip(call, values, zero, |value, zero| (value - zero) as f32)?,
        Some(None) => return Err(call.fault("a zero point of floats")),
    };
    Ok(Tensor::Numbers(zip(call, &shifted, scale, |value, scale| value * scale)?))
}

pub(super) fn constant_of_shape(call: &Call<'_>, files: &DataFiles) -> Result<Vec<Tensor>> {
    let shape = call.shape(0)?;
    let value = call.attributes().tensor("value", files)?;
    let value = value.unwrap_or_else(|| Tensor::Numbers(arr0(0.0).into_dyn()));
    let value = reshape(call, &value, &vec![1; shape.len()])?;
    Ok(vec![repeated(call, &value, &shape)?])
}

/// Whether a `ConstantOfShape` gives zeros, as it does where it says no value.
pub(in super::super) fn fills_with_zero(node: &proto::Node, files: &DataFiles) -> Result<bool> {
    let value = Attributes { node }.tensor("value", files)?;
    Ok(match value {
        None => true,
        Some(Tensor::Numbers(array)) => array.iter().all(|&value| value == 0.0),
        Some(Tensor::Integers(array)) => array.iter().all(|&value| value == 0),
    })
}

/// The value of a `Constant` node, in any of its forms.
pub(super) fn constant(node: &proto::Node, files: &DataFiles) -> Result<Tensor> {
    let name = node.output.first().map_or("", |name| name);
    let fault = |reason: &str| Error::Onnx(format!("Constant node that makes '{name}': {reason}"));
    if node.output.len() != 1 {
        return Err(fault(&format!("{} outputs, expected one", node.output.len())));
    }
    let [attribute] = &node.attribute[..] else {
        return Err(fault(&format!("{} attributes, expected one, its value", node.attribute.len())));
    };
    let kind = match &*attribute.name {
        "value" => attribute_type::TENSOR,
        "value_float" => attribute_type::FLOAT,
        "value_floats" => attribute_type::FLOATS,
        "value_int" => attribute_type::INT,
        "value_ints" => attribute_type::INTS,
        other @ ("sparse_value" | "value_string" | "value_strings") => {
            let what = format!("{other} of the Constant node that makes '{name}'");
            return Err(Error::unsupported(what, "weights, states and lengths are dense tensors of numbers"));
        }
        other => return Err(fault(&format!("an attribute '{other}', expected its value"))),
    };
    attribute.check(kind).map_err(|got| fault(&format!("{} is {got}", attribute.name)))?;
    Ok(match kind {
        attribute_type::FLOAT => Tensor::Numbers(arr0(attribute.f).into_dyn()),
        attribute_type::FLOATS => Tensor::Numbers(arr1(&attribute.floats).into_dyn()),
        attribute_type::INT => Tensor::Integers(arr0(attribute.i).into_dyn()),
        attribute_type::INTS => Tensor::Integers(arr1(&attribute.ints).into_dyn()),
        _ => Tensor::new(attribute.t.as_ref().ok_or_else(|| fault("its value is no tensor"))?, name, files)?,
    })
}
