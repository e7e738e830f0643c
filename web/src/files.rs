//! Arrays by name out of files of other frameworks, and the weights in them.

use crate::arguments;
use crate::arrays::{array, named_arrays, object, shape_to_js, to_js};
use crate::fault::{Fault, Result};
use crate::layer::RnnWeights;
use crate::options;
use js_sys::Array;
use ndarray::{ArrayD, Ix2};
use wasm_bindgen::prelude::*;
use wgrnn::dialects::{keras, pytorch};
use wgrnn::{Direction, RnnConfig, files};

/// Arrays by name, of a file or from JavaScript. Numbers become 32-bit floats when they are asked for.
#[wasm_bindgen]
pub struct Arrays(files::Arrays<'static>);

#[wasm_bindgen]
impl Arrays {
    /// Those of a file, whose format is recognised by its first bytes: safetensors, PyTorch (.pt, .pth), NumPy (.npz, .npy), Keras
    /// (.keras, .weights.h5). No code of a file is run: one that asks for some is refused.
    #[wasm_bindgen(js_name = fromBytes)]
    pub fn from_bytes(
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] bytes: &JsValue,
    ) -> Result<Self> {
        Ok(Self(files::Arrays::from_vec(arguments::bytes("bytes", bytes)?)?))
    }

    /// Those of an object or a `Map`.
    #[wasm_bindgen(js_name = fromNamed)]
    pub fn from_named(
        #[wasm_bindgen(unchecked_param_type = "Record<string, NdArray> | Map<string, NdArray>")] arrays: &JsValue,
    ) -> Result<Self> {
        Ok(Self(files::Arrays::from_named(named_arrays("arrays", arrays)?)?))
    }

    /// The format that they come from.
    #[wasm_bindgen(unchecked_return_type = "'memory' | 'safetensors' | 'pyTorch' | 'numPy' | 'keras'")]
    pub fn format(&self) -> String {
        let name = format!("{:?}", self.0.format());
        name[..1].to_lowercase() + &name[1..]
    }

    /// The names of all arrays, sorted.
    pub fn names(&self) -> Vec<String> {
        self.0.names().map(str::to_owned).collect()
    }

    /// What stands before the names of the state dict, of a file that has more than that: `"state_dict."`.
    pub fn root(&self) -> String {
        self.0.root().to_owned()
    }

    /// The name of an array in the file, as given or within the state dict; undefined where it is not there.
    pub fn find(&self, #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue) -> Result<Option<String>> {
        Ok(self.0.find(&arguments::text("name", name)?).map(str::to_owned))
    }

    /// Its shape; undefined where it is not there.
    #[wasm_bindgen(unchecked_return_type = "number[] | undefined")]
    pub fn shape(&self, #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue) -> Result<JsValue> {
        Ok(self.0.shape(&arguments::text("name", name)?).map_or(JsValue::UNDEFINED, shape_to_js))
    }

    /// What its numbers are in the file: `"F32"`, `"BF16"`, `"I64"` and so on; undefined where it is not there.
    pub fn kind(&self, #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue) -> Result<Option<String>> {
        Ok(self.0.kind(&arguments::text("name", name)?))
    }

    /// An array as 32-bit floats.
    #[wasm_bindgen(unchecked_return_type = "NdArray")]
    pub fn get(&self, #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue) -> Result<JsValue> {
        Ok(to_js(self.0.get(&arguments::text("name", name)?)?.view()))
    }
}

impl Arrays {
    pub fn inner(&self) -> &files::Arrays<'static> {
        &self.0
    }
}

/// A configuration that follows from weights of PyTorch or Keras.
fn config_to_js(config: &RnnConfig, weights: &wgrnn::RnnWeights) -> JsValue {
    let first = weights.layers().first().and_then(|directions| directions.first());
    let bias = match first.map(|weights| (weights.b_w.is_some(), weights.b_r.is_some())) {
        Some((_, true)) => "two",
        Some((true, false)) => "one",
        _ => "none",
    };
    let number = |number: usize| JsValue::from_f64(number as f64);
    let projection = first.and_then(|weights| weights.w_hr.as_ref()).map(|w| ("projection", number(w.nrows())));
    let direction = if config.directions() == 2 { "bidirectional" } else { "forward" };
    let properties = [
        ("cell", config.cell().name().into()),
        ("inputSize", number(config.input_size())),
        ("hiddenSize", number(config.hidden_size())),
        ("layers", number(config.layer_count())),
        ("direction", direction.into()),
        ("bias", bias.into()),
    ];
    object(properties.into_iter().chain(projection))
}

fn pair(config: JsValue, weights: wgrnn::RnnWeights) -> JsValue {
    object([("config", config), ("weights", RnnWeights::of(weights).into())])
}

/// Weights of PyTorch's `RNN`, `LSTM` and `GRU` and their `Cell` classes.
#[wasm_bindgen]
pub struct Pytorch;

#[wasm_bindgen]
impl Pytorch {
    /// Those of a state dict in a file of any format that `Arrays.fromBytes` reads. All of the configuration but the cell and
    /// `batchFirst` follows from the tensors. `prefix` stands before their names (`"encoder."`).
    #[wasm_bindgen(js_name = fromBytes, unchecked_return_type = "{ config: RnnConfig, weights: RnnWeights }")]
    pub fn from_bytes(
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] bytes: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "string")] cell: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "string")] prefix: &JsValue,
    ) -> Result<JsValue> {
        Self::from_arrays(&Arrays::from_bytes(bytes)?, cell, prefix)
    }

    /// The same of arrays by name.
    #[wasm_bindgen(js_name = fromArrays, unchecked_return_type = "{ config: RnnConfig, weights: RnnWeights }")]
    pub fn from_arrays(
        arrays: &Arrays,
        #[wasm_bindgen(unchecked_param_type = "string")] cell: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "string")] prefix: &JsValue,
    ) -> Result<JsValue> {
        let cell = options::cell(&arguments::text("cell", cell)?)?;
        let (config, weights) = pytorch::from_arrays(&arrays.0, cell, &arguments::optional_text("prefix", prefix)?)?;
        Ok(pair(config_to_js(&config, &weights), weights))
    }
}

/// Weights of Keras's `SimpleRNN`, `LSTM`, `GRU` and `Bidirectional`.
#[wasm_bindgen]
pub struct Keras;

#[wasm_bindgen]
impl Keras {
    /// Those of a layer in a `.keras` archive, a `.weights.h5` or an old `.h5` file: for each direction an object as of
    /// `get_weights`. `layer` is the layer's name in the file: `"lstm"`, `"gru_1"`, `"bidirectional"`.
    #[wasm_bindgen(js_name = fromBytes, unchecked_return_type = "KerasWeights[]")]
    pub fn from_bytes(
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] bytes: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "string")] layer: &JsValue,
    ) -> Result<JsValue> {
        Self::from_arrays(&Arrays::from_bytes(bytes)?, layer)
    }

    /// The same of arrays by name: `lstm/kernel`, `lstm/recurrent_kernel` and `lstm/bias`.
    #[wasm_bindgen(js_name = fromArrays, unchecked_return_type = "KerasWeights[]")]
    pub fn from_arrays(
        arrays: &Arrays,
        #[wasm_bindgen(unchecked_param_type = "string")] layer: &JsValue,
    ) -> Result<JsValue> {
        let weights = keras::from_arrays(&arrays.0, &arguments::text("layer", layer)?)?;
        let directions = weights.iter().map(|weights| {
            let bias = weights.bias.as_ref().map(|bias| ("bias", to_js(bias.view())));
            let kernels = [
                ("kernel", to_js(weights.kernel.view().into_dyn())),
                ("recurrentKernel", to_js(weights.recurrent_kernel.view().into_dyn())),
            ];
            object(kernels.into_iter().chain(bias))
        });
        Ok(directions.collect::<Array>().into())
    }

    /// The configuration and the weights of a layer with these weights of Keras, of one direction or of two. The configuration is
    /// batch first, as Keras's layers are; activations that are not Keras's defaults belong into it.
    #[wasm_bindgen(js_name = toOwn, unchecked_return_type = "{ config: RnnConfig, weights: RnnWeights }")]
    pub fn to_own(
        #[wasm_bindgen(unchecked_param_type = "string")] cell: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "KerasWeights[]")] weights: &JsValue,
    ) -> Result<JsValue> {
        let cell = options::cell(&arguments::text("cell", cell)?)?;
        let list = weights.dyn_ref::<Array>().filter(|list| (1..=2).contains(&list.length()));
        let list = list.ok_or_else(|| arguments::fault("weights", "an array of one direction's or of two", weights))?;
        let mut own = Vec::new();
        let mut sizes = None;
        let mut biases = None;
        for (i, value) in list.iter().enumerate() {
            let name = format!("weights[{i}]");
            options::check_names(&name, &value, &["kernel", "recurrentKernel", "bias"])?;
            let part = |part: &str| crate::arrays::property(&value, part);
            let matrix =
                |part_name: &str| crate::arrays::array_of::<f32, Ix2>(&format!("{name}.{part_name}"), &part(part_name));
            let bias = part("bias");
            let has_bias = !bias.is_undefined() && !bias.is_null();
            let bias = has_bias.then(|| array::<f32>(&format!("{name}.bias"), &bias)).transpose()?;
            let theirs =
                keras::Weights { kernel: matrix("kernel")?, recurrent_kernel: matrix("recurrentKernel")?, bias };
            sizes = sizes.or(Some((theirs.kernel.nrows(), theirs.recurrent_kernel.nrows())));
            let (count, layer) = theirs.to_own(cell)?;
            biases = biases.or(Some(count));
            own.push(layer);
        }
        let (input, hidden) = sizes.unwrap_or_default();
        let direction = if own.len() == 2 { Direction::Bidirectional } else { Direction::Forward };
        let config = RnnConfig::new(cell, input, hidden).direction(direction);
        let config = biases.map_or(config.clone(), |biases| config.bias(biases));
        let weights = wgrnn::RnnWeights::new(vec![own]);
        // Checks that both directions have the same sizes.
        let named: Vec<(String, ArrayD<f32>)> = weights.named().map(|(name, array)| (name, array.to_owned())).collect();
        let weights = wgrnn::RnnWeights::from_named(&config, &named)?;
        let js = config_to_js(&config, &weights);
        js_sys::Reflect::set(&js, &"batchFirst".into(), &true.into())
            .map_err(|error| Fault::thrown("configuration", &error))?;
        Ok(pair(js, weights))
    }
}

/// `{config, weights}`, with the caller's configuration or the one that follows from the weights.
pub fn pair_of(given: Option<JsValue>, config: &RnnConfig, weights: &wgrnn::RnnWeights) -> JsValue {
    pair(given.unwrap_or_else(|| config_to_js(config, weights)), weights.clone())
}
