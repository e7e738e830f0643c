//! Layers without a recurrence: dense ones and embeddings.

use crate::arrays::array_of;
use crate::device::Device;
use crate::fault::Result;
use crate::handles::Handle;
use crate::tensor::Parameters;
use ndarray::{Ix1, Ix2};
use wasm_bindgen::prelude::*;

/// A dense layer: x·Wᵀ + b, W [outputs, inputs].
#[wasm_bindgen]
#[derive(Clone)]
pub struct Linear(wgrnn::Linear);

impl Handle for Linear {
    const CLASS: &'static str = "Linear";
}

fn bias_of(bias: &JsValue) -> Result<Option<ndarray::Array1<f32>>> {
    if bias.is_undefined() || bias.is_null() { Ok(None) } else { array_of::<f32, Ix1>("bias", bias).map(Some) }
}

#[wasm_bindgen]
impl Linear {
    /// Copies a weight, and a bias if there is one, to the device.
    #[wasm_bindgen(constructor)]
    pub fn new(
        device: &Device,
        #[wasm_bindgen(unchecked_param_type = "NdArray")] weight: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "NdArray")] bias: &JsValue,
    ) -> Result<Self> {
        let (weight, bias) = (array_of::<f32, Ix2>("weight", weight)?, bias_of(bias)?);
        Ok(Self(wgrnn::Linear::new(device.inner(), weight.view(), bias.as_ref().map(|bias| bias.view()))?))
    }

    /// The same, with gradients.
    pub fn trainable(
        device: &Device,
        #[wasm_bindgen(unchecked_param_type = "NdArray")] weight: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "NdArray")] bias: &JsValue,
    ) -> Result<Self> {
        let (weight, bias) = (array_of::<f32, Ix2>("weight", weight)?, bias_of(bias)?);
        Ok(Self(wgrnn::Linear::trainable(device.inner(), weight.view(), bias.as_ref().map(|bias| bias.view()))?))
    }

    /// A layer without a bias whose weight is an embedding's table.
    pub fn tied(embedding: &Embedding) -> Result<Self> {
        Ok(Self(wgrnn::Linear::tied(&embedding.0)?))
    }

    /// Its trainable arrays, `weight` and `bias`; undefined of a layer that can't be trained.
    pub fn parameters(&self) -> Option<Parameters> {
        self.0.parameters().map(Parameters::of)
    }

    /// Takes over what was written into its parameters.
    pub fn refresh(&self) -> Result<()> {
        Ok(self.0.refresh()?)
    }

    /// Another handle of the same layer.
    #[wasm_bindgen(js_name = clone)]
    pub fn another(&self) -> Self {
        self.clone()
    }
}

impl Linear {
    pub fn of(linear: &wgrnn::Linear) -> Self {
        Self(linear.clone())
    }

    pub fn inner(&self) -> &wgrnn::Linear {
        &self.0
    }
}

/// A trainable table with a vector for each symbol.
#[wasm_bindgen]
#[derive(Clone)]
pub struct Embedding(wgrnn::Embedding);

#[wasm_bindgen]
impl Embedding {
    /// From a table [symbols, features].
    pub fn trainable(
        device: &Device,
        #[wasm_bindgen(unchecked_param_type = "NdArray")] table: &JsValue,
    ) -> Result<Self> {
        Ok(Self(wgrnn::Embedding::trainable(device.inner(), array_of::<f32, Ix2>("table", table)?.view())?))
    }

    /// The number of symbols.
    pub fn symbols(&self) -> usize {
        self.0.symbols()
    }

    /// The length of the vectors.
    pub fn features(&self) -> usize {
        self.0.features()
    }

    /// Its trainable array, `weight`.
    pub fn parameters(&self) -> Parameters {
        Parameters::of(self.0.parameters())
    }
}

impl Embedding {
    pub fn of(embedding: &wgrnn::Embedding) -> Self {
        Self(embedding.clone())
    }

    pub fn inner(&self) -> &wgrnn::Embedding {
        &self.0
    }
}
