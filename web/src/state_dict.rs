//! Whole models out of a state dict, by a map of names.

use crate::arguments;
use crate::arrays::{named_arrays, named_to_js, property, to_js};
use crate::dense::{Embedding, Linear};
use crate::device::Device;
use crate::fault::{Fault, Result};
use crate::files::{Arrays, pair_of};
use crate::layer::RnnWeights;
use crate::options;
use std::collections::HashMap;
use wasm_bindgen::prelude::*;
use wgrnn::dialects::pytorch;

/// The parts of a model with their weights, out of a state dict: a map gives the prefix of each part's names.
#[wasm_bindgen]
pub struct StateDict {
    inner: pytorch::StateDict,
    /// Configurations that the caller gave.
    configs: HashMap<String, JsValue>,
}

#[wasm_bindgen]
impl StateDict {
    /// Reads all parts from a file of any format that `Arrays.fromBytes` reads. What is missing, left over or of another shape is
    /// one error that lists all of it; with `partial`, tensors may be left over.
    #[wasm_bindgen(js_name = fromBytes)]
    pub fn from_bytes(
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] bytes: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "Parts")] parts: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "{ partial?: boolean }")] options: &JsValue,
    ) -> Result<Self> {
        Self::from_arrays(&Arrays::from_bytes(bytes)?, parts, options)
    }

    /// The same from arrays by name.
    #[wasm_bindgen(js_name = fromArrays)]
    pub fn from_arrays(
        arrays: &Arrays,
        #[wasm_bindgen(unchecked_param_type = "Parts")] parts: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "{ partial?: boolean }")] options: &JsValue,
    ) -> Result<Self> {
        let mut configs = HashMap::new();
        let mut map = pytorch::Parts::new();
        for (name, part) in arguments::entries("parts", "an object of parts", parts)? {
            let place = format!("parts.{name}");
            options::check_names(&place, &part, &["prefix", "kind", "cell", "config", "shapes"])?;
            let prefix = arguments::text(&format!("{place}.prefix"), &property(&part, "prefix"))?;
            let (cell, config) = (property(&part, "cell"), property(&part, "config"));
            let kind = arguments::text(&format!("{place}.kind"), &property(&part, "kind"))?;
            if kind != "rnn" && !(cell.is_undefined() && config.is_undefined()) {
                return Err(Fault::new(format!("{place}: cell and config are of the kind \"rnn\", got \"{kind}\"")));
            }
            map = match &*kind {
                "rnn" if config.is_undefined() => {
                    let cell = options::cell(&arguments::text(&format!("{place}.cell"), &cell)?)?;
                    map.rnn(&name, &prefix, cell)
                }
                "rnn" if !cell.is_undefined() => {
                    return Err(Fault::new(format!("{place}: expected a cell or a config, got both")));
                }
                "rnn" => {
                    configs.insert(name.clone(), config.clone());
                    map.rnn_of(&name, &prefix, &options::config(&config)?)
                }
                "embedding" => map.embedding(&name, &prefix),
                "linear" => map.linear(&name, &prefix),
                "arrays" => map.arrays(&name, &prefix),
                other => {
                    let expected = "\"rnn\", \"embedding\", \"linear\" or \"arrays\"";
                    return Err(Fault::new(format!("{place}.kind: expected {expected}, got {other:?}")));
                }
            };
            let shapes = property(&part, "shapes");
            if !shapes.is_undefined() {
                for (tensor, shape) in arguments::entries(&format!("{place}.shapes"), "an object of shapes", &shapes)? {
                    let shape = arguments::wholes(&format!("{place}.shapes.{tensor}"), &shape)?;
                    map = map.shape(&name, &tensor, &shape);
                }
            }
        }
        if !options.is_undefined() {
            options::check_names("options", options, &["partial"])?;
            let partial = property(options, "partial");
            if !partial.is_undefined() {
                let truth = partial.as_bool();
                map = map.partial(truth.ok_or_else(|| arguments::fault("partial", "true or false", &partial))?);
            }
        }
        Ok(Self { inner: map.from_arrays(arrays.inner())?, configs })
    }

    /// The names of the parts, in the order of the map.
    pub fn names(&self) -> Vec<String> {
        self.inner.names().map(str::to_owned).collect()
    }

    /// The names of tensors that belong to no part.
    #[wasm_bindgen(js_name = leftOver)]
    pub fn left_over(&self) -> Vec<String> {
        self.inner.left_over().to_vec()
    }

    /// The configuration and the weights of recurrent layers.
    #[wasm_bindgen(unchecked_return_type = "{ config: RnnConfig, weights: RnnWeights }")]
    pub fn rnn(&self, #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue) -> Result<JsValue> {
        let name = arguments::text("name", name)?;
        let (config, weights) = self.inner.rnn(&name)?;
        Ok(pair_of(self.configs.get(&name).cloned(), config, weights))
    }

    /// An embedding on a device, which can be trained.
    pub fn embedding(
        &self,
        device: &Device,
        #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue,
    ) -> Result<Embedding> {
        Ok(Embedding::of(&self.inner.embedding(device.inner(), &arguments::text("name", name)?)?))
    }

    /// A dense layer on a device, with fixed weights.
    pub fn linear(
        &self,
        device: &Device,
        #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue,
    ) -> Result<Linear> {
        Ok(Linear::of(&self.inner.linear(device.inner(), &arguments::text("name", name)?)?))
    }

    /// The same, which can be trained.
    #[wasm_bindgen(js_name = linearTrainable)]
    pub fn linear_trainable(
        &self,
        device: &Device,
        #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue,
    ) -> Result<Linear> {
        Ok(Linear::of(&self.inner.linear_trainable(device.inner(), &arguments::text("name", name)?)?))
    }

    /// The arrays of a part that is no recurrent layer, by their names after the prefix.
    #[wasm_bindgen(unchecked_return_type = "Map<string, NdArray>")]
    pub fn arrays(&self, #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue) -> Result<JsValue> {
        Ok(named_to_js(self.inner.arrays(&arguments::text("name", name)?)?))
    }

    /// One of them.
    #[wasm_bindgen(unchecked_return_type = "NdArray")]
    pub fn array(
        &self,
        #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "string")] tensor: &JsValue,
    ) -> Result<JsValue> {
        let (name, tensor) = (arguments::text("name", name)?, arguments::text("tensor", tensor)?);
        Ok(to_js(self.inner.array(&name, &tensor)?.view()))
    }

    /// Puts other weights into a part, such as trained ones, by the names that `parameters()` has.
    pub fn set(
        &mut self,
        #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "Record<string, NdArray> | Map<string, NdArray>")] arrays: &JsValue,
    ) -> Result<()> {
        Ok(self.inner.set(&arguments::text("name", name)?, &named_arrays("arrays", arrays)?)?)
    }

    /// The same of recurrent layers.
    #[wasm_bindgen(js_name = setRnn)]
    pub fn set_rnn(
        &mut self,
        #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue,
        weights: &RnnWeights,
    ) -> Result<()> {
        Ok(self.inner.set_rnn(&arguments::text("name", name)?, weights.inner())?)
    }

    /// The weights of all parts as a safetensors file with the names that the file had, for PyTorch's `load_state_dict`.
    #[wasm_bindgen(js_name = toSafetensors)]
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        Ok(self.inner.to_safetensors()?)
    }
}
