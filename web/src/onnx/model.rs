//! A model's file: what is in it.

use super::graph::OnnxGraph;
use super::node::OnnxNode;
use super::tensor::{by_name, counts, tensor_to_js, tensors};
use crate::arguments;
use crate::arrays::named_object;
use crate::device::Device;
use crate::fault::{Fault, Result};
use js_sys::{Array, ArrayBuffer};
use wasm_bindgen::prelude::*;
use wgrnn::Error;
use wgrnn::onnx::Model;

/// An ONNX model: its graph, and the values that it holds, which its nodes share.
#[wasm_bindgen]
pub struct OnnxModel(Model);

#[wasm_bindgen]
impl OnnxModel {
    /// Reads the bytes of a `.onnx` file. Data that lie in other files, such as the `.onnx.data` of `torch.onnx.export`, come as
    /// `data`: bytes by the name that the model has for each file, or the bytes alone where it names one. Files that it does not name
    /// are left alone.
    #[wasm_bindgen(js_name = fromBytes)]
    pub fn from_bytes(
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] bytes: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "OnnxData")] data: &JsValue,
    ) -> Result<Self> {
        let bytes = arguments::bytes("bytes", bytes)?;
        let mut files = Files::new(data)?;
        let mut fault = None;
        let model = Model::from_bytes_with(&bytes, |location| {
            files.read(location).map_err(|error| Error::Onnx(fault.insert(error).to_string()))
        });
        // What is wrong with the files is said as it is.
        match fault {
            Some(fault) => Err(fault),
            None => Ok(Self(model?)),
        }
    }

    /// All recurrent nodes, in the order of the graph; those in bodies of `If`, `Loop` and `Scan` stand behind the node whose body
    /// it is. In place of a node that asks for something unsupported, or whose tensors are damaged, stands an `Error` that
    /// names it. Where the model has no recurrent node, the list is one `Error` that says what it is made of instead.
    #[wasm_bindgen(unchecked_return_type = "(OnnxNode | Error)[]")]
    pub fn nodes(&self) -> Array {
        let one = |node: wgrnn::Result<_>| match node {
            Ok(node) => OnnxNode::of(node).into(),
            Err(error) => JsValue::from(Fault::from(error)),
        };
        self.0.nodes().into_iter().map(one).collect()
    }

    /// The recurrent node with this name. One in a body of an `If`, `Loop` or `Scan` has those before it that lead to it, as in
    /// `if/then_branch/lstm`, and is found by its own name alone where no other node has that.
    pub fn node(&self, #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue) -> Result<OnnxNode> {
        Ok(OnnxNode::of(self.0.node(&arguments::text("name", name)?)?))
    }

    /// The names of the tensors that the model holds.
    #[wasm_bindgen(js_name = tensorNames, unchecked_return_type = "string[]")]
    pub fn tensor_names(&self) -> Result<Vec<String>> {
        Ok(self.0.tensor_names()?)
    }

    /// A tensor by its name in the graph: one that the model holds, or one that nodes compute from such ones.
    #[wasm_bindgen(unchecked_return_type = "OnnxTensor")]
    pub fn tensor(&self, #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue) -> Result<JsValue> {
        tensor_to_js(&self.0.tensor(&arguments::text("name", name)?)?)
    }

    /// The operators of the graph and of the bodies in it, and how many nodes have each.
    #[wasm_bindgen(unchecked_return_type = "Record<string, number>")]
    pub fn operators(&self) -> JsValue {
        named_object(self.0.operators().into_iter().map(|(name, count)| (name, JsValue::from_f64(count as f64))))
    }

    /// The names of the inputs that have to be given, in the order of the graph: those that the model holds no value for.
    #[wasm_bindgen(getter, unchecked_return_type = "string[]")]
    pub fn inputs(&self) -> Vec<String> {
        self.0.inputs().map(str::to_owned).collect()
    }

    /// The names of the graph's outputs.
    #[wasm_bindgen(getter, unchecked_return_type = "string[]")]
    pub fn outputs(&self) -> Vec<String> {
        self.0.outputs().map(str::to_owned).collect()
    }

    /// Makes a program of the whole model on a device. `shapes` are those of its inputs by name; one whose shape the model says
    /// itself may be left out. `given` are values of inputs that are known now, such as a sampling rate, or take the place of
    /// others in the model; an `If` needs them where they decide its condition.
    pub fn graph(
        &self,
        device: &Device,
        #[wasm_bindgen(unchecked_optional_param_type = "OnnxShapes")] shapes: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "OnnxTensors")] given: &JsValue,
    ) -> Result<OnnxGraph> {
        let (shapes, given) = (named_shapes(shapes)?, tensors("given", given)?);
        let shapes: Vec<_> = shapes.iter().map(|(name, shape)| (&**name, &**shape)).collect();
        Ok(OnnxGraph::of(self.0.graph(device.inner(), &shapes, &by_name(&given))?))
    }
}

/// Shapes by name; none if they are left out.
fn named_shapes(value: &JsValue) -> Result<Vec<(String, Vec<usize>)>> {
    if value.is_undefined() || value.is_null() {
        return Ok(Vec::new());
    }
    let entry = |(name, value): (String, JsValue)| {
        let shape = counts(&format!("shapes.{name}"), &value)?;
        Ok((name, shape))
    };
    arguments::entries("shapes", "an object of shapes", value)?.into_iter().map(entry).collect()
}

/// The files with data that were given with a model.
enum Files {
    None,
    /// One, and the name that the model has for it once it has asked.
    Only(JsValue, Option<String>),
    Named(Vec<(String, JsValue)>),
}

impl Files {
    fn new(value: &JsValue) -> Result<Self> {
        if value.is_undefined() || value.is_null() {
            return Ok(Self::None);
        }
        if value.is_instance_of::<ArrayBuffer>() || ArrayBuffer::is_view(value) {
            return Ok(Self::Only(value.clone(), None));
        }
        let expected = "a Uint8Array or an ArrayBuffer, or an object of them by name";
        Ok(Self::Named(arguments::entries("data", expected, value)?))
    }

    /// The bytes of a file that the model names.
    fn read(&mut self, location: &str) -> Result<Vec<u8>> {
        match self {
            Self::None => Err(Fault::new(format!(
                "data: expected the bytes of '{location}', where the model's data lie, as the second argument of \
                 OnnxModel.fromBytes, got none"
            ))),
            Self::Only(_, Some(first)) => Err(Fault::new(format!(
                "data: expected an object of bytes by name, since the model's data lie in '{first}' and '{location}', got \
                 one file"
            ))),
            Self::Only(bytes, name) => {
                *name = Some(location.to_owned());
                arguments::bytes("data", bytes)
            }
            Self::Named(files) => match files.iter().find(|(name, _)| name == location) {
                Some((name, bytes)) => arguments::bytes(&format!("data.{name}"), bytes),
                None => {
                    let names: Vec<_> = files.iter().take(20).map(|(name, _)| format!("'{name}'")).collect();
                    let got = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                    Err(Fault::new(format!(
                        "data: expected the bytes of '{location}', where the model's data lie, got {got}"
                    )))
                }
            },
        }
    }
}
