//! Arguments of functions that are no arrays and no options: each is looked at, where JavaScript would take `"3"`, -1 or
//! nothing for a number.

use crate::arrays::property;
use crate::fault::{Fault, Result};
use js_sys::{Array, ArrayBuffer, BigInt, Float32Array, Function, Map, Object, Uint8Array, Uint32Array};
use std::collections::HashMap;
use wasm_bindgen::{JsCast, JsValue};

/// What a value is, for an error.
pub fn describe(value: &JsValue) -> String {
    if let Some(text) = value.as_string() {
        let short: String = text.chars().take(40).collect();
        return if short == text { format!("{text:?}") } else { format!("{short:?}…") };
    }
    if let Some(number) = value.as_f64() {
        return if number.is_infinite() { "Infinity".to_owned() } else { number.to_string() };
    }
    if let Some(truth) = value.as_bool() {
        return truth.to_string();
    }
    if let Some(array) = value.dyn_ref::<Array>() {
        return format!("an array of {}", array.length());
    }
    if let Some(number) = value.dyn_ref::<BigInt>() {
        let digits = number.to_string(10).map_or_else(|_| String::new(), String::from);
        return if digits.len() <= 40 { format!("{digits}n") } else { format!("{}…n", &digits[..40]) };
    }
    match value {
        _ if value.is_undefined() => "undefined".to_owned(),
        _ if value.is_null() => "null".to_owned(),
        _ if value.is_function() => "a function".to_owned(),
        _ if value.is_symbol() => "a symbol".to_owned(),
        _ => {
            let class = property(&property(value, "constructor"), "name").as_string();
            format!("an object ({})", class.unwrap_or_else(|| "of no class".to_owned()))
        }
    }
}

/// An error that names an argument.
pub fn fault(name: &str, expected: &str, value: &JsValue) -> Fault {
    Fault::new(format!("{name}: expected {expected}, got {}", describe(value)))
}

/// A number of 32 bits, none below 0.
pub fn whole(name: &str, value: &JsValue) -> Result<u32> {
    let number = value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(number));
    Ok(number.ok_or_else(|| fault(name, "a whole number from 0 to 4294967295", value))? as u32)
}

/// An array of them.
pub fn wholes(name: &str, value: &JsValue) -> Result<Vec<usize>> {
    let array = value.dyn_ref::<Array>().ok_or_else(|| fault(name, "an array of whole numbers", value))?;
    let one = |(i, value): (usize, JsValue)| Ok(whole(&format!("{name}[{i}]"), &value)? as usize);
    array.iter().enumerate().map(one).collect()
}

pub fn number(name: &str, value: &JsValue) -> Result<f64> {
    value.as_f64().ok_or_else(|| fault(name, "a number", value))
}

pub fn text(name: &str, value: &JsValue) -> Result<String> {
    value.as_string().ok_or_else(|| fault(name, "a string", value))
}

/// A string, empty if it is left out.
pub fn optional_text(name: &str, value: &JsValue) -> Result<String> {
    if value.is_undefined() || value.is_null() { Ok(String::new()) } else { text(name, value) }
}

pub fn texts(name: &str, value: &JsValue) -> Result<Vec<String>> {
    let array = value.dyn_ref::<Array>().ok_or_else(|| fault(name, "an array of strings", value))?;
    array.iter().enumerate().map(|(i, value)| text(&format!("{name}[{i}]"), &value)).collect()
}

/// A file's bytes.
pub fn bytes(name: &str, value: &JsValue) -> Result<Vec<u8>> {
    if let Some(buffer) = value.dyn_ref::<ArrayBuffer>() {
        return Ok(Uint8Array::new(buffer).to_vec());
    }
    Ok(value.dyn_ref::<Uint8Array>().ok_or_else(|| fault(name, "a Uint8Array or an ArrayBuffer", value))?.to_vec())
}

pub fn floats(name: &str, value: &JsValue) -> Result<Vec<f32>> {
    if let Some(array) = value.dyn_ref::<Array>() {
        let one = |(i, value): (usize, JsValue)| Ok(number(&format!("{name}[{i}]"), &value)? as f32);
        return array.iter().enumerate().map(one).collect();
    }
    Ok(value.dyn_ref::<Float32Array>().ok_or_else(|| fault(name, "a Float32Array", value))?.to_vec())
}

/// Strings by name; none if they are left out.
pub fn notes(name: &str, value: &JsValue) -> Result<HashMap<String, String>> {
    if value.is_undefined() || value.is_null() {
        return Ok(HashMap::new());
    }
    let entry = |(key, value): (String, JsValue)| {
        let value = text(&format!("{name}.{key}"), &value)?;
        Ok((key, value))
    };
    entries(name, "an object of strings", value)?.into_iter().map(entry).collect()
}

/// Keys and values of an object or a `Map`.
pub fn entries(name: &str, expected: &str, value: &JsValue) -> Result<Vec<(String, JsValue)>> {
    let entries = match value.dyn_ref::<Map>() {
        Some(map) => Array::from(&map.entries()),
        None if value.is_object() && !value.is_instance_of::<Array>() && !value.is_instance_of::<Function>() => {
            Object::entries(value.unchecked_ref())
        }
        None => return Err(fault(name, expected, value)),
    };
    let entry = |entry: JsValue| {
        let entry: Array = entry.unchecked_into();
        Ok((text(&format!("a key of {name}"), &entry.get(0))?, entry.get(1)))
    };
    entries.iter().map(entry).collect()
}

pub fn function(name: &str, value: &JsValue) -> Result<Function> {
    value.dyn_ref::<Function>().cloned().ok_or_else(|| fault(name, "a function", value))
}

/// A number of 32 bits, if it is there.
pub fn optional_float(name: &str, value: &JsValue) -> Result<Option<f32>> {
    if value.is_undefined() || value.is_null() { Ok(None) } else { Ok(Some(number(name, value)? as f32)) }
}

/// An index or a length.
pub fn size(name: &str, value: &JsValue) -> Result<usize> {
    Ok(whole(name, value)? as usize)
}

/// Numbers of 32 bits, none below 0: a `Uint32Array` or an array.
pub fn words(name: &str, value: &JsValue) -> Result<Vec<u32>> {
    if let Some(array) = value.dyn_ref::<Uint32Array>() {
        return Ok(array.to_vec());
    }
    let array = value.dyn_ref::<Array>().ok_or_else(|| fault(name, "an array of whole numbers", value))?;
    array.iter().enumerate().map(|(i, value)| whole(&format!("{name}[{i}]"), &value)).collect()
}
