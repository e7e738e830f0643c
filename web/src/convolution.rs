//! Convolutions over the steps of sequences.

use crate::arguments;
use crate::fault::Result;
use crate::handles;
use crate::options::{self, Pair};
use crate::tape::Tape;
use crate::value::Value;
use serde::Deserialize;
use wasm_bindgen::prelude::*;
use wgrnn::Conv1d;

#[derive(Deserialize)]
struct Convolution {
    stride: Option<usize>,
    dilation: Option<usize>,
    groups: Option<usize>,
    padding: Option<Pair<usize>>,
}

fn convolution(value: &JsValue) -> Result<Conv1d> {
    let options: Convolution = options::read("options of a convolution", value)?;
    let Pair([before, after]) = options.padding.unwrap_or(Pair([0, 0]));
    Ok(Conv1d::default()
        .stride(options.stride.unwrap_or(1))
        .dilation(options.dilation.unwrap_or(1))
        .groups(options.groups.unwrap_or(1))
        .padding(before, after))
}

#[wasm_bindgen]
impl Tape {
    /// A convolution over the steps of sequences, PyTorch's `Conv1d`: y[t, n, o] = b[o] + Σ over c and k of
    /// x[t · stride + k · dilation, n, c] · w[o, c, k]. x is [T, N, C], `weight` [O, C / groups, K], `bias` [O], and the result
    /// [T', N, O] with T' = ⌊(T + padding − dilation · (K − 1) − 1) / stride⌋ + 1.
    pub fn conv1d(
        &self,
        x: &Value,
        weight: &Value,
        #[wasm_bindgen(unchecked_optional_param_type = "Value | null")] bias: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "Conv1d")] options: &JsValue,
    ) -> Result<Value> {
        let (bias, options) = (handles::optional::<Value>("bias", bias)?, convolution(options)?);
        self.value(|tape| tape.conv1d(x.inner(), weight.inner(), bias.as_ref().map(Value::inner), options))
    }

    /// Puts zeros before and after the elements of an axis.
    pub fn pad(
        &self,
        x: &Value,
        #[wasm_bindgen(unchecked_param_type = "number")] axis: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number")] before: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number")] after: &JsValue,
    ) -> Result<Value> {
        let axis = arguments::size("axis", axis)?;
        let (before, after) = (arguments::size("before", before)?, arguments::size("after", after)?);
        self.value(|tape| tape.pad(x.inner(), axis, before, after))
    }
}
