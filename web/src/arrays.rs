//! Arrays of both languages: `{data, shape}` in JavaScript, row-major.

use crate::arguments;
use crate::fault::{Fault, Result};
use js_sys::{Array, Float32Array, Map, Object, Reflect, Uint8Array, Uint32Array};
use ndarray::{Array2, ArrayD, ArrayViewD, Dimension, IxDyn};
use wasm_bindgen::{JsCast, JsValue};
use wgrnn::{RnnWeights, State};

/// Numbers that an array may hold.
pub trait Number: Copy {
    /// The typed array's name.
    const ARRAY: &'static str;
    fn vector(value: &JsValue) -> Option<Vec<Self>>;
}

impl Number for f32 {
    const ARRAY: &'static str = "Float32Array";
    fn vector(value: &JsValue) -> Option<Vec<Self>> {
        value.dyn_ref::<Float32Array>().map(Float32Array::to_vec)
    }
}

impl Number for u32 {
    const ARRAY: &'static str = "Uint32Array";
    fn vector(value: &JsValue) -> Option<Vec<Self>> {
        value.dyn_ref::<Uint32Array>().map(Uint32Array::to_vec)
    }
}

/// A property; undefined of what has none.
pub fn property(of: &JsValue, name: &str) -> JsValue {
    Reflect::get(of, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

/// An array from JavaScript; `name` stands in errors.
pub fn array<T: Number>(name: &str, value: &JsValue) -> Result<ArrayD<T>> {
    let fault = |what: String| Fault::new(format!("{name}: expected {what}"));
    let data = property(value, "data");
    let expected = format!("{{data: {}, shape: number[]}}", T::ARRAY);
    let data = T::vector(&data).ok_or_else(|| match value.is_object() && !data.is_undefined() {
        true => fault(format!("{expected}, got data: {}", arguments::describe(&data))),
        false => arguments::fault(name, &expected, value),
    })?;
    shaped(name, value, data)
}

/// These numbers in the shape that an array from JavaScript says.
pub fn shaped<T>(name: &str, value: &JsValue, data: Vec<T>) -> Result<ArrayD<T>> {
    let fault = |what: String| Fault::new(format!("{name}: expected {what}"));
    let shape: Option<Vec<usize>> = property(value, "shape").dyn_ref::<Array>().and_then(|shape| {
        let whole = |axis: f64| axis >= 0.0 && axis.fract() == 0.0;
        shape.iter().map(|axis| axis.as_f64().filter(|&axis| whole(axis)).map(|axis| axis as usize)).collect()
    });
    let shape = shape.ok_or_else(|| fault("a shape of whole numbers".to_owned()))?;
    let count = data.len();
    ArrayD::from_shape_vec(IxDyn(&shape), data)
        .map_err(|_| fault(format!("as many numbers as its shape {shape:?} says, got {count}")))
}

/// The same with so many axes.
pub fn array_of<T: Number, D: Dimension>(name: &str, value: &JsValue) -> Result<ndarray::Array<T, D>> {
    let array = array(name, value)?;
    let shape = array.shape().to_vec();
    let axes = D::NDIM.unwrap_or_default();
    array.into_dimensionality().map_err(|_| Fault::new(format!("{name}: expected {axes} axes, got shape {shape:?}")))
}

/// 1 or 0 for each step: `{data: Uint8Array, shape}`.
pub fn flags(name: &str, value: &JsValue) -> Result<Array2<bool>> {
    let expected = "{data: Uint8Array, shape: number[]}";
    let data = property(value, "data");
    let data = data.dyn_ref::<Uint8Array>().ok_or_else(|| arguments::fault(name, expected, value))?.to_vec();
    let shape = arguments::wholes(&format!("{name}.shape"), &property(value, "shape"))?;
    let [rows, columns] = *shape else {
        return Err(Fault::new(format!("{name}: expected 2 axes, got shape {shape:?}")));
    };
    let count = data.len();
    Array2::from_shape_vec((rows, columns), data.into_iter().map(|flag| flag != 0).collect())
        .map_err(|_| Fault::new(format!("{name}: expected as many numbers as its shape {shape:?} says, got {count}")))
}

fn set(object: &Object, name: &str, value: &JsValue) {
    // A new object takes any property.
    Reflect::set(object, &name.into(), value).unwrap_or_default();
}

/// An object of these properties.
pub fn object<'a>(properties: impl IntoIterator<Item = (&'a str, JsValue)>) -> JsValue {
    let object = Object::new();
    properties.into_iter().for_each(|(name, value)| set(&object, name, &value));
    object.into()
}

/// An object of properties with names from outside: also `__proto__` is one of them.
pub fn named_object(properties: impl IntoIterator<Item = (String, JsValue)>) -> JsValue {
    let entry = |(name, value): (String, JsValue)| Array::of2(&name.into(), &value);
    let entries: Array = properties.into_iter().map(entry).collect();
    // Pairs with a string are entries.
    Object::from_entries(&entries).map_or(JsValue::UNDEFINED, JsValue::from)
}

/// A shape, as a plain array.
pub fn shape_to_js(shape: &[usize]) -> JsValue {
    shape.iter().map(|&axis| JsValue::from_f64(axis as f64)).collect::<Array>().into()
}

pub fn to_js(array: ArrayViewD<'_, f32>) -> JsValue {
    let data = match array.as_slice() {
        Some(slice) => Float32Array::from(slice),
        None => Float32Array::from(&*array.iter().copied().collect::<Vec<_>>()),
    };
    object([("data", data.into()), ("shape", shape_to_js(array.shape()))])
}

pub fn indices_to_js(array: ArrayViewD<'_, u32>) -> JsValue {
    let data = Uint32Array::from(&*array.iter().copied().collect::<Vec<_>>());
    object([("data", data.into()), ("shape", shape_to_js(array.shape()))])
}

/// Arrays by name, of an object or a `Map`.
pub fn named_arrays(name: &str, value: &JsValue) -> Result<Vec<(String, ArrayD<f32>)>> {
    let entry = |(key, value): (String, JsValue)| {
        let array = array(&format!("{name}.{key}"), &value)?;
        Ok((key, array))
    };
    arguments::entries(name, "an object of arrays", value)?.into_iter().map(entry).collect()
}

pub fn named_to_js(arrays: &[(String, ArrayD<f32>)]) -> JsValue {
    let map = Map::new();
    for (name, array) in arrays {
        map.set(&name.into(), &to_js(array.view()));
    }
    map.into()
}

/// `{h, c}`; none for undefined.
pub fn state(name: &str, value: &JsValue) -> Result<Option<State>> {
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    let c = property(value, "c");
    let c = if c.is_undefined() || c.is_null() { None } else { Some(array_of(&format!("{name}'s c"), &c)?) };
    Ok(Some(State { h: array_of(&format!("{name}'s h"), &property(value, "h"))?, c }))
}

pub fn state_to_js(state: &State) -> JsValue {
    let c = state.c.as_ref().map(|c| ("c", to_js(c.view().into_dyn())));
    object([("h", to_js(state.h.view().into_dyn()))].into_iter().chain(c))
}

/// Arrays by name.
pub fn weights_to_js(weights: &RnnWeights) -> JsValue {
    let map = Map::new();
    for (name, array) in weights.named() {
        map.set(&name.into(), &to_js(array));
    }
    map.into()
}
