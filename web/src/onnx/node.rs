//! Recurrent nodes of a model.

use super::layer::OnnxLayer;
use super::tensor::{by_name, tensors};
use crate::activation::activation_to_js;
use crate::device::Device;
use crate::fault::Result;
use js_sys::Array;
use wasm_bindgen::prelude::*;
use wgrnn::onnx::Node;
use wgrnn::{Direction, Reset};

/// A recurrent node of a model.
#[wasm_bindgen]
pub struct OnnxNode(Node);

impl OnnxNode {
    pub fn of(node: Node) -> Self {
        Self(node)
    }
}

#[wasm_bindgen]
impl OnnxNode {
    /// Makes a layer on a device from the weights that the model holds and those in `given`, by the names that they have in the
    /// graph. Given tensors take precedence over those of the model, also for `sequence_lens`, `initial_h` and `initial_c`; what
    /// `run` gets takes precedence over both. Tensors that this node does not read are ignored, so one object serves all
    /// nodes of a model.
    pub fn layer(
        &self,
        device: &Device,
        #[wasm_bindgen(unchecked_optional_param_type = "OnnxTensors")] given: &JsValue,
    ) -> Result<OnnxLayer> {
        let given = tensors("given", given)?;
        Ok(OnnxLayer::of(self.0.layer(device.inner(), &by_name(&given))?))
    }

    /// Its name, which may be empty. That of a node in a body of an `If`, `Loop` or `Scan` begins with the names of the nodes and
    /// attributes that lead to it: `if/then_branch/lstm`.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.0.name.clone()
    }

    /// What it computes.
    #[wasm_bindgen(getter, unchecked_return_type = "\"RNN\" | \"LSTM\" | \"GRU\"")]
    pub fn operator(&self) -> String {
        self.0.operator.name().to_owned()
    }

    /// H: the number of hidden units.
    #[wasm_bindgen(getter, js_name = hiddenSize)]
    pub fn hidden_size(&self) -> usize {
        self.0.hidden_size
    }

    /// In which direction it reads.
    #[wasm_bindgen(getter, unchecked_return_type = "\"forward\" | \"reverse\" | \"bidirectional\"")]
    pub fn direction(&self) -> String {
        let name = match self.0.direction {
            Direction::Forward => "forward",
            Direction::Reverse => "reverse",
            Direction::Bidirectional => "bidirectional",
        };
        name.to_owned()
    }

    /// Whether batches come first: x [N, T, I], y [N, T, D, H], h and c [N, D, H]. Else x [T, N, I], y [T, D, N, H], h and c
    /// [D, N, H].
    #[wasm_bindgen(getter, js_name = batchFirst)]
    pub fn batch_first(&self) -> bool {
        self.0.batch_first
    }

    /// The activations of each direction: f of an `RNN`, f and g of a `GRU`, f, g and h of an `LSTM`. Places that an operator
    /// does not use hold the defaults.
    #[wasm_bindgen(getter, unchecked_return_type = "[Activation, Activation, Activation][]")]
    pub fn activations(&self) -> Result<Array> {
        let direction = |own: &[wgrnn::Activation; 3]| own.iter().map(|one| activation_to_js(*one)).collect();
        let all: Result<Vec<Array>> = self.0.activations.iter().map(direction).collect();
        Ok(all?.into_iter().collect())
    }

    /// Where a `GRU` applies its reset gate: before the product with R or after it (`linear_before_reset`).
    #[wasm_bindgen(getter, unchecked_return_type = "\"before\" | \"after\"")]
    pub fn reset(&self) -> String {
        match self.0.reset {
            Reset::Before => "before".to_owned(),
            Reset::After => "after".to_owned(),
        }
    }

    /// The bound on the sums that activations are applied to (`clip`).
    #[wasm_bindgen(getter)]
    pub fn clip(&self) -> Option<f32> {
        self.0.clip
    }

    /// Whether the forget gate of an `LSTM` is 1 − i (`input_forget`).
    #[wasm_bindgen(getter)]
    pub fn coupled(&self) -> bool {
        self.0.coupled
    }

    /// Whether it is a `DynamicQuantizeLSTM` (com.microsoft), whose weights have eight bits. It runs with their values as
    /// floats, and x and h are not rounded to eight bits as ONNX Runtime does.
    #[wasm_bindgen(getter)]
    pub fn quantized(&self) -> bool {
        self.0.quantized
    }

    /// The names of X, W, R, B, `sequence_lens`, `initial_h`, `initial_c` and P in the graph; undefined for those left out.
    #[wasm_bindgen(getter, unchecked_return_type = "(string | undefined)[]")]
    pub fn inputs(&self) -> Array {
        names(&self.0.inputs)
    }

    /// The names of Y, Y_h and Y_c in the graph; undefined for those left out.
    #[wasm_bindgen(getter, unchecked_return_type = "(string | undefined)[]")]
    pub fn outputs(&self) -> Array {
        names(&self.0.outputs)
    }
}

fn names(names: &[Option<String>]) -> Array {
    names.iter().map(|name| name.as_deref().map_or(JsValue::UNDEFINED, JsValue::from_str)).collect()
}
