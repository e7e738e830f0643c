//! A node as a layer on a device.

use super::tensor::counts;
use crate::arrays::{array_of, object, property, to_js};
use crate::fault::Result;
use crate::layer::Rnn;
use crate::options::check_names;
use crate::promise::{attempt, promise};
use js_sys::{Array, Promise};
use ndarray::{Array3, Ix3};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wgrnn::onnx::{Inputs, Layer, Outputs};

/// A recurrent node with its weights on a device.
#[wasm_bindgen]
pub struct OnnxLayer(Rc<Layer>);

impl OnnxLayer {
    pub fn of(layer: Layer) -> Self {
        Self(Rc::new(layer))
    }
}

#[wasm_bindgen]
impl OnnxLayer {
    /// Runs the node, with inputs and outputs as ONNX lays them out. `lengths`, `h` and `c` that are left out take the values that
    /// the model holds, or else all steps and zeros. A sequence without a step has a y, h and c of 0.
    #[wasm_bindgen(unchecked_return_type = "Promise<OnnxOutputs>")]
    pub fn run(&self, #[wasm_bindgen(unchecked_param_type = "OnnxInputs")] inputs: &JsValue) -> Promise {
        attempt(|| {
            check_names("inputs", inputs, &["x", "lengths", "h", "c"])?;
            let x = array_of::<f32, Ix3>("x", &property(inputs, "x"))?;
            let lengths = given(inputs, "lengths").map(|lengths| counts("lengths", &lengths)).transpose()?;
            let (h, c) = (state(inputs, "h")?, state(inputs, "c")?);
            let layer = Rc::clone(&self.0);
            Ok(promise(async move {
                let inputs = Inputs::new(x.view()).lengths(lengths);
                let inputs = inputs.h(h.as_ref().map(|h| h.view())).c(c.as_ref().map(|c| c.view()));
                Ok(outputs_to_js(&layer.run_async(&inputs).await?))
            }))
        })
    }

    /// I: the numbers of a step that it reads.
    #[wasm_bindgen(getter, js_name = inputSize)]
    pub fn input_size(&self) -> usize {
        self.0.config().input_size()
    }

    /// The layers that compute this node: one, or two of one direction each if the directions have different activations.
    #[wasm_bindgen(unchecked_return_type = "Rnn[]")]
    pub fn parts(&self) -> Array {
        self.0.parts().iter().map(|part| JsValue::from(Rnn::from(part.clone()))).collect()
    }
}

/// A property, if it is there.
fn given(inputs: &JsValue, name: &str) -> Option<JsValue> {
    Some(property(inputs, name)).filter(|value| !value.is_undefined() && !value.is_null())
}

fn state(inputs: &JsValue, name: &str) -> Result<Option<Array3<f32>>> {
    given(inputs, name).map(|value| array_of(name, &value)).transpose()
}

fn outputs_to_js(outputs: &Outputs) -> JsValue {
    let c = outputs.c.as_ref().map(|c| ("c", to_js(c.view().into_dyn())));
    let [y, h] = [to_js(outputs.y.view().into_dyn()), to_js(outputs.h.view().into_dyn())];
    object([("y", y), ("h", h)].into_iter().chain(c))
}
