//! Arrays inside of a tape.

use crate::arguments;
use crate::arrays::shape_to_js;
use crate::fault::{Fault, Result};
use crate::handles::Handle;
use wasm_bindgen::prelude::*;

/// An array inside of a tape: an input, or the result of an operation. It can be used only with the tape that made it.
///
/// `at`, `slice`, `transpose`, `insertAxis` and `reshape` give views: they cost nothing when the program runs, and gradients pass
/// through them.
#[wasm_bindgen]
#[derive(Clone)]
pub struct Value(wgrnn::plan::Value);

impl Handle for Value {
    const CLASS: &'static str = "Value";
}

#[wasm_bindgen]
impl Value {
    /// The shape.
    #[wasm_bindgen(getter, unchecked_return_type = "number[]")]
    pub fn shape(&self) -> JsValue {
        shape_to_js(self.0.shape())
    }

    /// The part at this index of the first axis.
    pub fn at(&self, #[wasm_bindgen(unchecked_param_type = "number")] index: &JsValue) -> Result<Self> {
        Ok(Self(self.0.at(arguments::size("index", index)?)?))
    }

    /// The elements along an axis from `start` to before `end`.
    pub fn slice(
        &self,
        #[wasm_bindgen(unchecked_param_type = "number")] axis: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number")] start: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number")] end: &JsValue,
    ) -> Result<Self> {
        let range = arguments::size("start", start)?..arguments::size("end", end)?;
        Ok(Self(self.0.slice(arguments::size("axis", axis)?, range)?))
    }

    /// The same elements with two axes exchanged.
    pub fn transpose(
        &self,
        #[wasm_bindgen(unchecked_param_type = "number")] one: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number")] other: &JsValue,
    ) -> Result<Self> {
        Ok(Self(self.0.transpose(arguments::size("axis", one)?, arguments::size("axis", other)?)?))
    }

    /// The same elements with an axis of size 1 before this one; after the last one for the number of axes.
    #[wasm_bindgen(js_name = insertAxis)]
    pub fn insert_axis(&self, #[wasm_bindgen(unchecked_param_type = "number")] axis: &JsValue) -> Result<Self> {
        Ok(Self(self.0.insert_axis(arguments::size("axis", axis)?)?))
    }

    /// The same elements in another shape. A view whose elements do not lie one after the other may need `Tape.contiguous` before.
    pub fn reshape(&self, #[wasm_bindgen(unchecked_param_type = "number[]")] shape: &JsValue) -> Result<Self> {
        Ok(Self(self.0.reshape(&arguments::wholes("shape", shape)?)?))
    }

    /// Another handle of the same value.
    #[wasm_bindgen(js_name = clone)]
    pub fn another(&self) -> Self {
        self.clone()
    }
}

impl Value {
    pub fn of(value: wgrnn::plan::Value) -> Self {
        Self(value)
    }

    pub fn inner(&self) -> &wgrnn::plan::Value {
        &self.0
    }
}

/// The axes of a sum: one of them, or a list.
pub fn axes_of(value: &JsValue) -> Result<Vec<usize>> {
    if value.as_f64().is_some() {
        return Ok(vec![arguments::size("axes", value)?]);
    }
    let axes = arguments::wholes("axes", value)?;
    if axes.is_empty() { Err(Fault::new("axes: expected at least one, got none")) } else { Ok(axes) }
}
