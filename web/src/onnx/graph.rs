//! A whole model on a device.

use super::tensor::{by_name, tensor_to_js, tensors};
use crate::arrays::{named_object, object, shape_to_js};
use crate::fault::Result;
use crate::promise::{attempt, promise};
use js_sys::{Array, Promise};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wgrnn::onnx::Graph;

/// A whole model on a device, for inputs of given shapes: one program. All floats are of 32 bits, whatever a model casts them to.
#[wasm_bindgen]
pub struct OnnxGraph(Rc<Graph>);

impl OnnxGraph {
    pub fn of(graph: Graph) -> Self {
        Self(Rc::new(graph))
    }
}

#[wasm_bindgen]
impl OnnxGraph {
    /// The operators that a model may be made of, beside those that are evaluated when the program is made.
    #[wasm_bindgen(unchecked_return_type = "string[]")]
    pub fn operators() -> Vec<String> {
        Graph::operators().into_iter().map(str::to_owned).collect()
    }

    /// The names and shapes of what `run` takes.
    #[wasm_bindgen(getter, unchecked_return_type = "{ name: string; shape: number[] }[]")]
    pub fn inputs(&self) -> Array {
        self.0.inputs().map(named_shape).collect()
    }

    /// The names and shapes of what `run` gives, in the model's order.
    #[wasm_bindgen(getter, unchecked_return_type = "{ name: string; shape: number[] }[]")]
    pub fn outputs(&self) -> Array {
        self.0.outputs().map(named_shape).collect()
    }

    /// Runs the model once on tensors by the names of its inputs, of which every one has to be there, and gives its outputs by
    /// their names.
    #[wasm_bindgen(unchecked_return_type = "Promise<Record<string, OnnxTensor>>")]
    pub fn run(&self, #[wasm_bindgen(unchecked_param_type = "OnnxTensors")] inputs: &JsValue) -> Promise {
        attempt(|| {
            let (inputs, graph) = (tensors("inputs", inputs)?, Rc::clone(&self.0));
            Ok(promise(async move {
                let outputs = graph.run_async(&by_name(&inputs)).await?;
                let one = |(name, tensor)| Ok((name, tensor_to_js(&tensor)?));
                Ok(named_object(outputs.into_iter().map(one).collect::<Result<Vec<_>>>()?))
            }))
        })
    }
}

fn named_shape((name, shape): (&str, &[usize])) -> JsValue {
    object([("name", name.into()), ("shape", shape_to_js(shape))])
}
