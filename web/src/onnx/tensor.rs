//! Tensors of models: floats, or integers, which have 64 bits there.

use crate::arguments::{self, describe, whole};
use crate::arrays::{array, object, property, shape_to_js, shaped, to_js};
use crate::fault::{Fault, Result};
use js_sys::{
    Array, BigInt64Array, BigUint64Array, Float32Array, Int8Array, Int16Array, Int32Array, Uint8Array, Uint16Array,
    Uint32Array,
};
use wasm_bindgen::{JsCast, JsValue};
use wgrnn::onnx::Tensor;

/// The numbers of a typed array of integers; none for any other value.
fn integers(name: &str, value: &JsValue) -> Result<Option<Vec<i64>>> {
    if let Some(array) = value.dyn_ref::<BigUint64Array>() {
        let one = |value: u64| {
            i64::try_from(value).map_err(|_| Fault::new(format!("{name}: expected integers below 2⁶³, got {value}")))
        };
        return array.to_vec().into_iter().map(one).collect::<Result<_>>().map(Some);
    }
    let wide = value.dyn_ref::<BigInt64Array>().map(BigInt64Array::to_vec);
    Ok(wide
        .or_else(|| widened(value, Int32Array::to_vec))
        .or_else(|| widened(value, Uint32Array::to_vec))
        .or_else(|| widened(value, Uint8Array::to_vec))
        .or_else(|| widened(value, Int8Array::to_vec))
        .or_else(|| widened(value, Int16Array::to_vec))
        .or_else(|| widened(value, Uint16Array::to_vec)))
}

fn widened<A: JsCast, T: Into<i64>>(value: &JsValue, numbers: fn(&A) -> Vec<T>) -> Option<Vec<i64>> {
    value.dyn_ref::<A>().map(|array| numbers(array).into_iter().map(Into::into).collect())
}

/// Sizes or lengths: an array of numbers or bigints, or a typed array of integers.
pub fn counts(name: &str, value: &JsValue) -> Result<Vec<usize>> {
    if let Some(integers) = integers(name, value)? {
        let one = |(i, value): (usize, i64)| {
            let expected = format!("{name}[{i}]: expected a whole number from 0 to 4294967295, got {value}");
            u32::try_from(value).map(|value| value as usize).map_err(|_| Fault::new(expected))
        };
        return integers.into_iter().enumerate().map(one).collect();
    }
    let array = value.dyn_ref::<Array>().ok_or_else(|| arguments::fault(name, "an array of whole numbers", value))?;
    let one = |(i, value): (usize, JsValue)| {
        let bigint = if value.is_bigint() { i64::try_from(value.clone()).ok() } else { None };
        match bigint.and_then(|value| u32::try_from(value).ok()) {
            Some(value) => Ok(value as usize),
            None => Ok(whole(&format!("{name}[{i}]"), &value)? as usize),
        }
    };
    array.iter().enumerate().map(one).collect()
}

/// A tensor from JavaScript: of floats for a `Float32Array`, of integers for a typed array of these.
pub fn tensor(name: &str, value: &JsValue) -> Result<Tensor> {
    let data = property(value, "data");
    if let Some(integers) = integers(name, &data)? {
        return Ok(Tensor::Integers(shaped(name, value, integers)?));
    }
    if data.is_instance_of::<Float32Array>() {
        return array(name, value).map(Tensor::Numbers);
    }
    let got =
        if value.is_object() && !data.is_undefined() { format!("data: {}", describe(&data)) } else { describe(value) };
    let expected = "{data, shape: number[]} with a Float32Array, or, for integers, a BigInt64Array or Int32Array";
    Err(Fault::new(format!("{name}: expected {expected}, got {got}")))
}

/// Tensors by name, of an object or a `Map`; none if they are left out.
pub fn tensors(name: &str, value: &JsValue) -> Result<Vec<(String, Tensor)>> {
    if value.is_undefined() || value.is_null() {
        return Ok(Vec::new());
    }
    let entry = |(key, value): (String, JsValue)| {
        let tensor = tensor(&format!("{name}.{key}"), &value)?;
        Ok((key, tensor))
    };
    arguments::entries(name, "an object of tensors", value)?.into_iter().map(entry).collect()
}

/// The same as the library takes them.
pub fn by_name(tensors: &[(String, Tensor)]) -> Vec<(&str, &Tensor)> {
    tensors.iter().map(|(name, tensor)| (&**name, tensor)).collect()
}

/// Floats as a `Float32Array`, integers as a `BigInt64Array`.
pub fn tensor_to_js(tensor: &Tensor) -> Result<JsValue> {
    if let Some(numbers) = tensor.numbers() {
        return Ok(to_js(numbers.view()));
    }
    let integers = tensor.integers().ok_or_else(|| Fault::new("a tensor of this kind has no JavaScript form"))?;
    let data = BigInt64Array::from(&*integers.iter().copied().collect::<Vec<_>>());
    Ok(object([("data", data.into()), ("shape", shape_to_js(integers.shape()))]))
}
