//! Models and their predictions.

use crate::arguments;
use crate::arrays::{array, to_js};
use crate::dense::{Embedding, Linear};
use crate::device::Device;
use crate::fault::{Fault, Result};
use crate::layer::{Rnn, read_state};
use crate::options;
use crate::promise::{attempt, promise};
use crate::tape::Tape;
use crate::tensor::DeviceState;
use crate::trainer::Trainer;
use crate::value::Value;
use js_sys::{Promise, Uint8Array};
use ndarray::ArrayD;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wgrnn::{Input, ModelInput, SessionOptions};

/// Embedding, recurrent layers and head.
#[wasm_bindgen]
pub struct Model(Rc<wgrnn::Model>);

impl Model {
    pub fn inner(&self) -> &wgrnn::Model {
        &self.0
    }
}

#[wasm_bindgen]
impl Model {
    /// A model with random weights.
    #[wasm_bindgen(constructor)]
    pub fn new(
        device: &Device,
        #[wasm_bindgen(unchecked_param_type = "ModelConfig")] config: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number")] seed: &JsValue,
    ) -> Result<Self> {
        let seed = arguments::whole("seed", seed)?;
        Ok(Self(Rc::new(wgrnn::Model::new(device.inner(), &options::model(config)?, seed)?)))
    }

    /// Takes its weights from a safetensors file, such as a checkpoint; after an error all is as it was.
    #[wasm_bindgen(js_name = loadSafetensors)]
    pub fn load_safetensors(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] bytes: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "string")] prefix: &JsValue,
    ) -> Result<()> {
        let bytes = arguments::bytes("bytes", bytes)?;
        Ok(self.0.load_safetensors(&bytes, &arguments::optional_text("prefix", prefix)?)?)
    }

    /// The same from a file that has more under the prefix; gives the names of what is left out.
    #[wasm_bindgen(js_name = loadSafetensorsPartial, unchecked_return_type = "string[]")]
    pub fn load_safetensors_partial(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] bytes: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "string")] prefix: &JsValue,
    ) -> Result<Vec<String>> {
        let bytes = arguments::bytes("bytes", bytes)?;
        Ok(self.0.load_safetensors_partial(&bytes, &arguments::optional_text("prefix", prefix)?)?)
    }

    /// The model's outputs for tokens [T, N] or vectors [T, N, I], [N, T] and [N, T, I] with `batchFirst`: all sequences at
    /// full length, from a state of zeros. A `Predictor` takes lengths and carries its state.
    #[wasm_bindgen(unchecked_return_type = "Promise<NdArray>")]
    pub fn predict(&self, #[wasm_bindgen(unchecked_param_type = "Tokens | NdArray")] x: &JsValue) -> Promise {
        attempt(|| {
            let (x, model) = (HostInput::new(symbols(&self.0)?, x)?, Rc::clone(&self.0));
            Ok(promise(async move { Ok(to_js(model.predict_async(x.view()).await?.view())) }))
        })
    }

    /// The recurrent layers, which share their weights with the model.
    pub fn rnn(&self) -> Rnn {
        Rnn::from(self.0.rnn().clone())
    }

    /// The embedding; undefined where vectors are read.
    pub fn embedding(&self) -> Option<Embedding> {
        self.0.embedding().map(Embedding::of)
    }

    /// The dense layer; undefined where there is none.
    pub fn head(&self) -> Option<Linear> {
        self.0.head().map(Linear::of)
    }

    /// A state of zeros for so many sequences.
    #[wasm_bindgen(js_name = deviceState)]
    pub fn device_state(
        &self,
        #[wasm_bindgen(unchecked_param_type = "number")] batch: &JsValue,
    ) -> Result<DeviceState> {
        Ok(DeviceState::of(self.0.device_state(arguments::size("batch", batch)?)?))
    }

    /// Writes the forward pass on a tape: scores [..., outputs] for symbols or vectors, from and to a state.
    pub fn forward(
        &self,
        tape: &Tape,
        x: &Value,
        state: &DeviceState,
        #[wasm_bindgen(unchecked_optional_param_type = "TapeCall")] call: &JsValue,
    ) -> Result<Value> {
        let call = options::tape_call(call)?;
        tape.write(|tape| self.0.forward(tape, x.inner(), state.inner(), &call)).map(Value::of)
    }

    /// Writes so many steps on a tape in which each output is what the next step reads; the first one reads x [N, I]. Gives all outputs,
    /// [steps, N, outputs].
    #[wasm_bindgen(js_name = feedBack)]
    pub fn feed_back(
        &self,
        tape: &Tape,
        x: &Value,
        state: &DeviceState,
        #[wasm_bindgen(unchecked_param_type = "number")] steps: &JsValue,
    ) -> Result<Value> {
        let steps = arguments::size("steps", steps)?;
        tape.write(|tape| self.0.feed_back(tape, x.inner(), state.inner(), steps)).map(Value::of)
    }

    /// Gives its parameters names in a trainer's checkpoints: `embedding.`, `rnn.` and `head.`, each after a prefix.
    pub fn name(
        &self,
        trainer: &Trainer,
        #[wasm_bindgen(unchecked_optional_param_type = "string")] prefix: &JsValue,
    ) -> Result<()> {
        let prefix = arguments::optional_text("prefix", prefix)?;
        trainer.with(|trainer| self.0.name(trainer, &prefix))
    }

    /// A safetensors file of its weights.
    #[wasm_bindgen(js_name = toSafetensors, unchecked_return_type = "Promise<Uint8Array>")]
    pub fn to_safetensors(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "string")] prefix: &JsValue,
    ) -> Promise {
        attempt(|| {
            let prefix = arguments::optional_text("prefix", prefix)?;
            let model = Rc::clone(&self.0);
            Ok(promise(async move {
                let bytes = model.to_safetensors_async(&prefix).await?;
                Ok(Uint8Array::from(&*bytes).into())
            }))
        })
    }
}

/// Symbols that a model reads; none where it reads vectors.
pub fn symbols(model: &wgrnn::Model) -> Result<Option<usize>> {
    match model.config().input {
        Input::Tokens { symbols, .. } => Ok(Some(symbols)),
        Input::Features => Ok(None),
        other => Err(Fault::new(format!("a model that reads {other:?} has no JavaScript form"))),
    }
}

/// Tokens, each of them one of the symbols.
pub fn tokens(symbols: usize, x: &JsValue) -> Result<ArrayD<u32>> {
    let x = array::<u32>("input", x)?;
    match x.iter().find(|&&symbol| symbol as usize >= symbols) {
        Some(symbol) => Err(Fault::new(format!("input: expected symbols less than {symbols}, got {symbol}"))),
        None => Ok(x),
    }
}

/// What a model reads.
enum HostInput {
    Tokens(ArrayD<u32>),
    Features(ArrayD<f32>),
}

impl HostInput {
    fn new(symbols: Option<usize>, x: &JsValue) -> Result<Self> {
        Ok(match symbols {
            Some(symbols) => Self::Tokens(tokens(symbols, x)?),
            None => Self::Features(array("input", x)?),
        })
    }

    fn view(&self) -> ModelInput<'_> {
        match self {
            Self::Tokens(tokens) => tokens.view().into(),
            Self::Features(features) => features.view().into(),
        }
    }
}

/// A model's outputs for one shape.
#[wasm_bindgen]
pub struct Predictor {
    predictor: Rc<wgrnn::Predictor>,
    symbols: Option<usize>,
}

#[wasm_bindgen]
impl Predictor {
    /// Makes the program.
    #[wasm_bindgen(constructor)]
    pub fn new(
        model: &Model,
        #[wasm_bindgen(unchecked_param_type = "SessionOptions")] options: &JsValue,
    ) -> Result<Self> {
        let (steps, batch, call) = options::shape("predictor", options, false)?;
        let predictor = Rc::new(model.0.predictor(SessionOptions::new(steps, batch).call(call))?);
        Ok(Self { predictor, symbols: symbols(&model.0)? })
    }

    /// The model's outputs for these inputs.
    #[wasm_bindgen(unchecked_return_type = "Promise<NdArray>")]
    pub fn predict(&self, #[wasm_bindgen(unchecked_param_type = "Tokens | NdArray")] x: &JsValue) -> Promise {
        attempt(|| {
            let (x, predictor) = (HostInput::new(self.symbols, x)?, Rc::clone(&self.predictor));
            Ok(promise(async move { Ok(to_js(predictor.predict_async(x.view()).await?.view())) }))
        })
    }

    /// The carried state.
    #[wasm_bindgen(unchecked_return_type = "Promise<State>")]
    pub fn state(&self) -> Promise {
        read_state(self.predictor.state().clone())
    }

    /// Sets the carried state to zeros.
    #[wasm_bindgen(js_name = resetState)]
    pub fn reset_state(&self) -> Result<()> {
        Ok(self.predictor.state().reset()?)
    }
}
