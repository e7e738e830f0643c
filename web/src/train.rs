//! Models, and how they learn.
#![allow(clippy::await_holding_refcell_ref, reason = "who else asks for a trainer that waits gets an error")]

use crate::arguments;
use crate::arrays::{array, object, to_js};
use crate::device::Device;
use crate::fault::{Fault, Result};
use crate::layer::{Rnn, read_state};
use crate::options::{self, Loss, TrainingOptions};
use crate::promise::{attempt, promise};
use js_sys::{Promise, Uint8Array};
use ndarray::ArrayD;
use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wgrnn::plan::Value;
use wgrnn::{DeviceState, Input, ModelInput, Output, RnnCall, SessionOptions, Tape, Targets, Tensor};

/// Embedding, recurrent layers and head.
#[wasm_bindgen]
pub struct Model(Rc<wgrnn::Model>);

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
fn symbols(model: &wgrnn::Model) -> Result<Option<usize>> {
    match model.config().input {
        Input::Tokens { symbols, .. } => Ok(Some(symbols)),
        Input::Features => Ok(None),
        other => Err(Fault::new(format!("a model that reads {other:?} has no JavaScript form"))),
    }
}

/// Tokens, each of them one of the symbols.
fn tokens(symbols: usize, x: &JsValue) -> Result<ArrayD<u32>> {
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

/// What a trainer reads, on the device.
enum Source {
    Tokens { tensor: Tensor<u32>, symbols: usize },
    Features(Tensor),
}

impl Source {
    fn new(model: &wgrnn::Model, steps: usize, batch: usize) -> Result<Self> {
        let device = model.rnn().device();
        let config = &model.config().rnn;
        let [outer, inner] = if config.is_batch_first() { [batch, steps] } else { [steps, batch] };
        Ok(match symbols(model)? {
            Some(symbols) => Self::Tokens { tensor: Tensor::zeros(device, &[outer, inner])?, symbols },
            None => Self::Features(Tensor::zeros(device, &[outer, inner, config.input_size()])?),
        })
    }

    fn record(&self, tape: &mut Tape) -> wgrnn::Result<Value> {
        match self {
            Self::Tokens { tensor, .. } => tape.input(tensor),
            Self::Features(tensor) => tape.input(tensor),
        }
    }

    fn write(&self, x: &JsValue) -> Result<()> {
        match self {
            Self::Tokens { tensor, symbols } => tensor.write(tokens(*symbols, x)?.view())?,
            Self::Features(tensor) => tensor.write(array::<f32>("input", x)?.view())?,
        }
        Ok(())
    }
}

/// What it should have given.
enum Goal {
    Classes(Targets),
    Numbers(Tensor),
}

impl Goal {
    fn write(&self, targets: &JsValue) -> Result<()> {
        match self {
            Self::Classes(goal) => goal.write(array::<u32>("targets", targets)?.view())?,
            Self::Numbers(goal) => goal.write(array::<f32>("targets", targets)?.view())?,
        }
        Ok(())
    }
}

/// A model that learns.
#[wasm_bindgen]
pub struct Trainer {
    source: Source,
    goal: Goal,
    state: DeviceState,
    trainer: Rc<RefCell<wgrnn::Trainer>>,
    /// What `trainer` says, for whoever asks while it waits.
    steps: Cell<u32>,
}

/// The shape of a model's output for a call, as [`wgrnn::Model::forward`] gives it.
fn output_shape(model: &wgrnn::Model, steps: usize, batch: usize, call: &RnnCall) -> Result<Vec<usize>> {
    let rnn = &model.config().rnn;
    let width = model.config().outputs.unwrap_or(rnn.output_size());
    match (call.output, rnn.is_batch_first()) {
        (Output::Last, _) => Ok(vec![batch, width]),
        (Output::All, true) => Ok(vec![batch, steps, width]),
        (Output::All, false) => Ok(vec![steps, batch, width]),
        (other, _) => Err(Fault::new(format!("the output {other:?} has no JavaScript form"))),
    }
}

#[wasm_bindgen]
impl Trainer {
    /// Forward pass, loss, backward pass and optimiser as one program.
    #[wasm_bindgen(constructor)]
    pub fn new(
        model: &Model,
        #[wasm_bindgen(unchecked_param_type = "TrainerOptions")] options: &JsValue,
    ) -> Result<Self> {
        let TrainingOptions { steps, batch, call, loss, trainer } = options::training(options)?;
        let model = &*model.0;
        let device = model.rnn().device();
        let source = Source::new(model, steps, batch)?;
        let shape = output_shape(model, steps, batch, &call)?;
        let goal = match loss {
            Loss::CrossEntropy => {
                let (&classes, rest) = shape.split_last().unwrap_or((&0, &[]));
                Goal::Classes(Targets::new(device, rest, classes)?)
            }
            Loss::MeanSquaredError | Loss::BinaryCrossEntropy => Goal::Numbers(Tensor::zeros(device, &shape)?),
        };
        let state = model.device_state(batch)?;
        let mut tape = Tape::training(device)?;
        let x = source.record(&mut tape)?;
        let output = model.forward(&mut tape, &x, &state, &call)?;
        match &goal {
            Goal::Classes(goal) => {
                let targets = tape.input(goal.tensor())?;
                tape.cross_entropy(&output, &targets)?;
            }
            Goal::Numbers(goal) => {
                let targets = tape.input(goal)?;
                if loss == Loss::BinaryCrossEntropy {
                    tape.binary_cross_entropy(&output, &targets)?;
                } else {
                    tape.mean_squared_error(&output, &targets)?;
                }
            }
        }
        let mut trainer = wgrnn::Trainer::new(tape, trainer)?;
        model.name(&mut trainer, "")?;
        if call.carry {
            trainer.keep_state("carried", &state);
        }
        Ok(Self { source, goal, state, trainer: Rc::new(RefCell::new(trainer)), steps: Cell::new(0) })
    }

    /// One step on these inputs and targets: writes them and submits the work, without waiting for it. Targets of a cross
    /// entropy that are 0xffffffff count for nothing. Throws while a promise of this trainer is pending.
    pub fn step(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Tokens | NdArray")] x: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "Tokens | NdArray")] targets: &JsValue,
    ) -> Result<()> {
        let mut trainer = free(&self.trainer)?;
        self.source.write(x)?;
        self.goal.write(targets)?;
        trainer.step()?;
        self.steps.set(trainer.steps());
        Ok(())
    }

    /// Waits for the last step and says how it goes; rejects once the loss is no finite number.
    #[wasm_bindgen(unchecked_return_type = "Promise<Progress>")]
    pub fn progress(&self) -> Promise {
        let trainer = Rc::clone(&self.trainer);
        promise(async move {
            let progress = free(&trainer)?.progress_async().await?;
            Ok(object([
                ("steps", progress.steps.into()),
                ("lastLoss", progress.last_loss.into()),
                ("meanLoss", progress.mean_loss.into()),
                ("gradientNorm", progress.gradient_norm.into()),
            ]))
        })
    }

    /// Steps taken so far, those of a loaded checkpoint included.
    #[wasm_bindgen(getter)]
    pub fn steps(&self) -> u32 {
        self.steps.get()
    }

    /// Another learning rate from the next step on.
    #[wasm_bindgen(js_name = setLearningRate)]
    pub fn set_learning_rate(&self, #[wasm_bindgen(unchecked_param_type = "number")] rate: &JsValue) -> Result<()> {
        let rate = arguments::number("rate", rate)?;
        Ok(free(&self.trainer)?.set_learning_rate(wgrnn::LearningRate::Constant(rate))?)
    }

    /// Sets the carried state to zeros, as at the beginning of a text.
    #[wasm_bindgen(js_name = resetState)]
    pub fn reset_state(&self) -> Result<()> {
        Ok(self.state.reset()?)
    }

    /// A safetensors file to go on from: weights, what the optimiser keeps, carried state, step, and these notes.
    #[wasm_bindgen(js_name = toSafetensors, unchecked_return_type = "Promise<Uint8Array>")]
    pub fn to_safetensors(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "Record<string, string>")] notes: &JsValue,
    ) -> Promise {
        attempt(|| {
            let notes = arguments::notes("notes", notes)?;
            let trainer = Rc::clone(&self.trainer);
            Ok(promise(async move {
                let bytes = free(&trainer)?.to_safetensors_async(&notes).await?;
                Ok(Uint8Array::from(&*bytes).into())
            }))
        })
    }

    /// Goes on from a checkpoint of a model of this kind; gives its notes. After an error all is as it was.
    #[wasm_bindgen(js_name = loadSafetensors, unchecked_return_type = "Record<string, string>")]
    pub fn load_safetensors(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] bytes: &JsValue,
    ) -> Result<JsValue> {
        let bytes = arguments::bytes("bytes", bytes)?;
        let mut trainer = free(&self.trainer)?;
        let notes = trainer.load_safetensors(&bytes)?;
        self.steps.set(trainer.steps());
        Ok(notes_to_js(&notes))
    }

    /// The notes of a checkpoint, which may say what model it is of.
    #[wasm_bindgen(js_name = notesOfSafetensors, unchecked_return_type = "Record<string, string>")]
    pub fn notes_of_safetensors(
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] bytes: &JsValue,
    ) -> Result<JsValue> {
        let bytes = arguments::bytes("bytes", bytes)?;
        Ok(notes_to_js(&wgrnn::Trainer::notes_of_safetensors(&bytes)?))
    }
}

/// The trainer, unless one of its promises is still waiting.
fn free(trainer: &RefCell<wgrnn::Trainer>) -> Result<RefMut<'_, wgrnn::Trainer>> {
    let busy = "the trainer is at work: await what progress or toSafetensors promised first";
    trainer.try_borrow_mut().map_err(|_| Fault::new(busy))
}

fn notes_to_js(notes: &HashMap<String, String>) -> JsValue {
    object(notes.iter().map(|(key, note)| (key.as_str(), note.as_str().into())))
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
