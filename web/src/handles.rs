//! Objects of this package where JavaScript may leave them out, or has them in lists and options.

use crate::arguments;
use crate::arrays::property;
use crate::fault::{Fault, Result};
use js_sys::{Array, Function};
use wasm_bindgen::convert::TryFromJsValue;
use wasm_bindgen::{JsCast, JsValue};

/// A class whose objects are handles: its method `clone` gives another one of the same.
pub trait Handle: TryFromJsValue {
    const CLASS: &'static str;
}

/// An object of a class. wasm-bindgen takes what it converts away from JavaScript, so what it gets is a clone.
pub fn handle<T: Handle>(name: &str, value: &JsValue) -> Result<T> {
    let fault = || {
        let article = if T::CLASS.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
        arguments::fault(name, &format!("{article} {}", T::CLASS), value)
    };
    let clone: Function = property(value, "clone").dyn_into().map_err(|_| fault())?;
    let clone = clone.call0(value).map_err(|error| Fault::thrown(name, &error))?;
    T::try_from_js_value(clone).map_err(|_| fault())
}

/// The same where it may be left out.
pub fn optional<T: Handle>(name: &str, value: &JsValue) -> Result<Option<T>> {
    if value.is_undefined() || value.is_null() { Ok(None) } else { handle(name, value).map(Some) }
}

/// A list of them.
pub fn list<T: Handle>(name: &str, value: &JsValue) -> Result<Vec<T>> {
    let array = value.dyn_ref::<Array>().ok_or_else(|| arguments::fault(name, "an array", value))?;
    array.iter().enumerate().map(|(i, value)| handle(&format!("{name}[{i}]"), &value)).collect()
}
