//! Trainers: a forward pass, a backward pass and an optimiser as one program.
#![allow(clippy::await_holding_refcell_ref, reason = "who else asks for a trainer that waits gets an error")]

use crate::arguments;
use crate::arrays::{array, object};
use crate::fault::{Fault, Result};
use crate::learning_rate::learning_rate;
use crate::model::{Model, symbols, tokens};
use crate::promise::{attempt, promise};
use crate::tensor::{DeviceState, Parameters};
use crate::training_options::{Loss, ModelTraining, model_training};
use js_sys::{Array, Function, Promise, Uint8Array};
use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use wgrnn::plan::Value;
use wgrnn::{Output, RnnCall, Tape, Targets, Tensor};

/// What a trainer reads, on the device.
#[derive(Clone)]
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
#[derive(Clone)]
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

/// What a trainer made of a model reads and carries.
#[derive(Clone)]
struct Feed {
    source: Source,
    goal: Goal,
    state: wgrnn::DeviceState,
}

/// A model that learns.
#[wasm_bindgen]
pub struct Trainer {
    /// None of a tape, whose tensors the caller writes.
    feed: Option<Feed>,
    trainer: Rc<RefCell<wgrnn::Trainer>>,
    /// What `trainer` says, for whoever asks while it waits.
    steps: Rc<Cell<u32>>,
    /// Whether averages are in the weights' place.
    averaged: Rc<Cell<bool>>,
}

impl Trainer {
    pub fn of_tape(trainer: wgrnn::Trainer) -> Self {
        Self::of(trainer, None)
    }

    fn of(trainer: wgrnn::Trainer, feed: Option<Feed>) -> Self {
        Self { feed, trainer: Rc::new(RefCell::new(trainer)), steps: Rc::default(), averaged: Rc::default() }
    }

    /// Another handle of the same trainer.
    fn another(&self) -> Self {
        let (steps, averaged) = (Rc::clone(&self.steps), Rc::clone(&self.averaged));
        Self { feed: self.feed.clone(), trainer: Rc::clone(&self.trainer), steps, averaged }
    }

    /// Uses it, unless one of its promises is still waiting.
    pub fn with<T>(&self, call: impl FnOnce(&mut wgrnn::Trainer) -> wgrnn::Result<T>) -> Result<T> {
        Ok(call(&mut *free(&self.trainer)?)?)
    }

    /// Writes what a step reads.
    fn feed(&self, x: &JsValue, targets: &JsValue) -> Result<()> {
        match &self.feed {
            Some(Feed { source, goal, .. }) => {
                source.write(x)?;
                goal.write(targets)
            }
            None if x.is_undefined() && targets.is_undefined() => Ok(()),
            None => {
                let why = "a trainer made of a tape reads the tensors of Tape.input: write these before";
                Err(Fault::new(format!("input: expected none, got {}; {why}", arguments::describe(x))))
            }
        }
    }
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
        #[wasm_bindgen(unchecked_param_type = "ModelTrainerOptions")] options: &JsValue,
    ) -> Result<Self> {
        let ModelTraining { steps, batch, call, loss, trainer } = model_training(options)?;
        let model = model.inner();
        let device = model.rnn().device();
        let source = Source::new(model, steps, batch)?;
        let shape = output_shape(model, steps, batch, &call)?;
        let goal = match loss {
            Loss::CrossEntropy => {
                let (&classes, rest) = shape.split_last().unwrap_or((&0, &[]));
                Goal::Classes(Targets::new(device, rest, classes)?)
            }
            _ => Goal::Numbers(Tensor::zeros(device, &shape)?),
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
                match loss {
                    Loss::BinaryCrossEntropy => tape.binary_cross_entropy(&output, &targets)?,
                    Loss::MeanAbsoluteError => tape.mean_absolute_error(&output, &targets)?,
                    _ => tape.mean_squared_error(&output, &targets)?,
                }
            }
        }
        let mut trainer = wgrnn::Trainer::new(tape, trainer)?;
        model.name(&mut trainer, "")?;
        if call.carry {
            trainer.keep_state("carried", &state);
        }
        Ok(Self::of(trainer, Some(Feed { source, goal, state })))
    }

    /// One step: submits the work, without waiting for it. A trainer made of a model takes inputs and targets, which it writes
    /// first; targets of a cross entropy that are 0xffffffff count for nothing. One made of a tape takes nothing: write the tape's
    /// tensors before. Throws while a promise of this trainer is pending.
    pub fn step(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "Tokens | NdArray")] x: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "Tokens | NdArray")] targets: &JsValue,
    ) -> Result<()> {
        let mut trainer = free(&self.trainer)?;
        self.feed(x, targets)?;
        trainer.step()?;
        self.steps.set(trainer.steps());
        Ok(())
    }

    /// Adds the gradients of a micro-batch to those of the step, without changing weights. `step` adds those of the last
    /// micro-batch, and updates the weights with the mean of all.
    pub fn accumulate(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "Tokens | NdArray")] x: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "Tokens | NdArray")] targets: &JsValue,
    ) -> Result<()> {
        let mut trainer = free(&self.trainer)?;
        self.feed(x, targets)?;
        Ok(trainer.accumulate()?)
    }

    /// How many micro-batches `accumulate` has added since the last step.
    #[wasm_bindgen(getter)]
    pub fn accumulated(&self) -> Result<u32> {
        Ok(free(&self.trainer)?.accumulated())
    }

    /// Trains until `steps` is this many. `feed` gets the number of each step, from 0 on: it writes the batch, or gives `[x, targets]` to a
    /// trainer made of a model. After every `every` steps and after the last one, `report` gets the progress; training ends if it
    /// gives false. What either promises is awaited. Gives whether all steps were taken.
    #[wasm_bindgen(unchecked_return_type = "Promise<boolean>")]
    pub fn train(
        &self,
        #[wasm_bindgen(unchecked_param_type = "number")] steps: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number")] every: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "(step: number) => unknown")] feed: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "(progress: Progress) => unknown")] report: &JsValue,
    ) -> Promise {
        attempt(|| {
            let (steps, every) = (arguments::whole("steps", steps)?, arguments::whole("every", every)?);
            if every == 0 {
                return Err(Fault::new("every: expected at least 1, got 0"));
            }
            let (feed, report) = (arguments::function("feed", feed)?, arguments::function("report", report)?);
            let trainer = self.another();
            Ok(future_to_promise(async move {
                while trainer.steps.get() < steps {
                    let batch = called(&feed, &trainer.steps.get().into()).await?;
                    let batch = batch.dyn_into::<Array>().unwrap_or_default();
                    trainer.step(&batch.get(0), &batch.get(1))?;
                    let done = trainer.steps.get();
                    if done.is_multiple_of(every) || done == steps {
                        let progress = progress_of(&trainer.trainer).await?;
                        if called(&report, &progress).await? == JsValue::FALSE {
                            return Ok(JsValue::FALSE);
                        }
                    }
                }
                Ok(JsValue::TRUE)
            }))
        })
    }

    /// Waits for the last step and says how it goes; rejects once the loss is no finite number.
    #[wasm_bindgen(unchecked_return_type = "Promise<Progress>")]
    pub fn progress(&self) -> Promise {
        let trainer = Rc::clone(&self.trainer);
        promise(async move { progress_of(&trainer).await })
    }

    /// Steps taken so far, those of a loaded checkpoint included.
    #[wasm_bindgen(getter)]
    pub fn steps(&self) -> u32 {
        self.steps.get()
    }

    /// Another learning rate from the next step on: a number or a schedule.
    #[wasm_bindgen(js_name = setLearningRate)]
    pub fn set_learning_rate(
        &self,
        #[wasm_bindgen(unchecked_param_type = "LearningRate")] rate: &JsValue,
    ) -> Result<()> {
        let rate = learning_rate("rate", rate)?;
        self.with(|trainer| trainer.set_learning_rate(rate))
    }

    /// The learning rate of the next step, without the factors of groups.
    #[wasm_bindgen(getter)]
    pub fn rate(&self) -> Result<f64> {
        Ok(free(&self.trainer)?.rate())
    }

    /// Names a layer's parameters in checkpoints. The name stands before the name of each array.
    pub fn name(
        &self,
        #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue,
        parameters: &Parameters,
    ) -> Result<()> {
        let name = arguments::text("name", name)?;
        self.with(|trainer| trainer.name(&name, parameters.inner()))
    }

    /// Keeps a state that is carried from step to step in checkpoints too.
    #[wasm_bindgen(js_name = keepState)]
    pub fn keep_state(
        &self,
        #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue,
        state: &DeviceState,
    ) -> Result<()> {
        let name = arguments::text("name", name)?;
        self.with(|trainer| {
            trainer.keep_state(&name, state.inner());
            Ok(())
        })
    }

    /// Takes over what was written into the layers' parameters from outside of the trainer.
    pub fn refresh(&self) -> Result<()> {
        self.with(|trainer| trainer.refresh())
    }

    /// Exchanges the weights with their moving averages, until the next call exchanges them back.
    #[wasm_bindgen(js_name = swapAverages)]
    pub fn swap_averages(&self) -> Result<()> {
        self.with(wgrnn::Trainer::swap_averages)?;
        self.averaged.set(!self.averaged.get());
        Ok(())
    }

    /// Calls a function while the moving averages are in the weights' place, and awaits what it promises.
    #[wasm_bindgen(js_name = withAverages, unchecked_return_type = "Promise<any>")]
    pub fn with_averages(&self, #[wasm_bindgen(unchecked_param_type = "() => unknown")] evaluate: &JsValue) -> Promise {
        attempt(|| {
            let evaluate = arguments::function("evaluate", evaluate)?;
            let swaps = !self.averaged.get();
            if swaps {
                self.swap_averages()?;
            }
            let (trainer, averaged) = (Rc::clone(&self.trainer), Rc::clone(&self.averaged));
            let promised = evaluate
                .call0(&JsValue::UNDEFINED)
                .map_or_else(|error| Promise::reject(&error), |value| Promise::resolve(&value));
            Ok(future_to_promise(async move {
                let result = JsFuture::from(promised).await;
                if swaps && averaged.get() {
                    free(&trainer).and_then(|mut trainer| Ok(trainer.swap_averages()?)).map_err(JsValue::from)?;
                    averaged.set(false);
                }
                result
            }))
        })
    }

    /// Sets the state that a trainer made of a model carries to zeros, as at the beginning of a text.
    #[wasm_bindgen(js_name = resetState)]
    pub fn reset_state(&self) -> Result<()> {
        let own = "the trainer carries no state: it was made of a tape, whose DeviceState has reset";
        Ok(self.feed.as_ref().ok_or_else(|| Fault::new(own))?.state.reset()?)
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

/// How it goes, as an object.
async fn progress_of(trainer: &RefCell<wgrnn::Trainer>) -> Result<JsValue> {
    let progress = free(trainer)?.progress_async().await?;
    Ok(object([
        ("steps", progress.steps.into()),
        ("lastLoss", progress.last_loss.into()),
        ("meanLoss", progress.mean_loss.into()),
        ("gradientNorm", progress.gradient_norm.into()),
        ("skipped", progress.skipped.into()),
    ]))
}

/// What a function of JavaScript gives, once it is there.
async fn called(function: &Function, argument: &JsValue) -> Result<JsValue, JsValue> {
    JsFuture::from(Promise::resolve(&function.call1(&JsValue::UNDEFINED, argument)?)).await
}

/// The trainer, unless one of its promises is still waiting.
fn free(trainer: &RefCell<wgrnn::Trainer>) -> Result<RefMut<'_, wgrnn::Trainer>> {
    let busy = "the trainer is at work: await what progress or toSafetensors promised first";
    trainer.try_borrow_mut().map_err(|_| Fault::new(busy))
}

fn notes_to_js(notes: &HashMap<String, String>) -> JsValue {
    object(notes.iter().map(|(key, note)| (key.as_str(), note.as_str().into())))
}
