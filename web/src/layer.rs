//! Recurrent layers and their weights.
#![allow(clippy::await_holding_refcell_ref, reason = "who else asks for a stream that waits gets an error")]

use crate::arguments;
use crate::arrays::{array, array_of, object, property, state, state_to_js, to_js, weights_to_js};
use crate::device::Device;
use crate::fault::{Fault, Result};
use crate::options;
use crate::promise::{attempt, promise};
use crate::sequences::{PackedSequence, matrices, matrices_to_js};
use crate::tensor::{BatchLengths, DeviceState, Parameters};
use js_sys::{Array, Promise};
use ndarray::Ix3;
use std::cell::{RefCell, RefMut};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wgrnn::SessionOptions;

/// Weights of a stack of layers.
#[wasm_bindgen]
pub struct RnnWeights(wgrnn::RnnWeights);

#[wasm_bindgen]
impl RnnWeights {
    /// Random ones, as PyTorch initialises a layer.
    pub fn init(
        #[wasm_bindgen(unchecked_param_type = "RnnConfig")] config: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number")] seed: &JsValue,
    ) -> Result<Self> {
        Ok(Self(wgrnn::RnnWeights::init(&options::config(config)?, arguments::whole("seed", seed)?)?))
    }

    /// Those of a safetensors file with PyTorch's names, each after `prefix`.
    #[wasm_bindgen(js_name = fromSafetensors)]
    pub fn from_safetensors(
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] bytes: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "RnnConfig")] config: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "string")] prefix: &JsValue,
    ) -> Result<Self> {
        let bytes = arguments::bytes("bytes", bytes)?;
        let prefix = arguments::optional_text("prefix", prefix)?;
        Ok(Self(wgrnn::RnnWeights::from_safetensors(&bytes, &options::config(config)?, &prefix)?))
    }

    /// Those of a file of any format that `Arrays.fromBytes` reads, with PyTorch's names.
    #[wasm_bindgen(js_name = fromBytes)]
    pub fn from_bytes(
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] bytes: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "RnnConfig")] config: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "string")] prefix: &JsValue,
    ) -> Result<Self> {
        let bytes = arguments::bytes("bytes", bytes)?;
        let prefix = arguments::optional_text("prefix", prefix)?;
        Ok(Self(wgrnn::RnnWeights::from_bytes(&bytes, &options::config(config)?, &prefix)?))
    }

    /// The same of arrays by name.
    #[wasm_bindgen(js_name = fromArrays)]
    pub fn from_arrays(
        arrays: &crate::files::Arrays,
        #[wasm_bindgen(unchecked_param_type = "RnnConfig")] config: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "string")] prefix: &JsValue,
    ) -> Result<Self> {
        let prefix = arguments::optional_text("prefix", prefix)?;
        Ok(Self(wgrnn::RnnWeights::from_arrays(arrays.inner(), &options::config(config)?, &prefix)?))
    }

    /// Those of an object or a `Map` of arrays with PyTorch's names: `{ weight_ih_l0: { data, shape }, ... }`.
    #[wasm_bindgen(js_name = fromNamed)]
    pub fn from_named(
        #[wasm_bindgen(unchecked_param_type = "RnnConfig")] config: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "Record<string, NdArray> | Map<string, NdArray>")] tensors: &JsValue,
    ) -> Result<Self> {
        let tensors = crate::arrays::named_arrays("tensors", tensors)?;
        Ok(Self(wgrnn::RnnWeights::from_named(&options::config(config)?, &tensors)?))
    }

    /// The same of a file that has more layers or directions under the prefix, with the names of what is left out.
    #[wasm_bindgen(
        js_name = fromSafetensorsPartial,
        unchecked_return_type = "{ weights: RnnWeights, leftOut: string[] }"
    )]
    pub fn from_safetensors_partial(
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] bytes: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "RnnConfig")] config: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "string")] prefix: &JsValue,
    ) -> Result<JsValue> {
        let bytes = arguments::bytes("bytes", bytes)?;
        let prefix = arguments::optional_text("prefix", prefix)?;
        let (weights, left) = wgrnn::RnnWeights::from_safetensors_partial(&bytes, &options::config(config)?, &prefix)?;
        let left: Array = left.into_iter().map(JsValue::from).collect();
        Ok(object([("weights", Self(weights).into()), ("leftOut", left.into())]))
    }

    /// A safetensors file of them.
    #[wasm_bindgen(js_name = toSafetensors)]
    pub fn to_safetensors(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "string")] prefix: &JsValue,
    ) -> Result<Vec<u8>> {
        Ok(self.0.to_safetensors(&arguments::optional_text("prefix", prefix)?)?)
    }

    /// The arrays by PyTorch's names.
    #[wasm_bindgen(unchecked_return_type = "Map<string, NdArray>")]
    pub fn named(&self) -> JsValue {
        weights_to_js(&self.0)
    }
}

impl RnnWeights {
    pub const fn of(weights: wgrnn::RnnWeights) -> Self {
        Self(weights)
    }

    pub const fn inner(&self) -> &wgrnn::RnnWeights {
        &self.0
    }
}

/// A stack of recurrent layers on a device.
#[wasm_bindgen]
pub struct Rnn(Rc<wgrnn::Rnn>);

#[wasm_bindgen]
impl Rnn {
    /// Copies weights to the device.
    #[wasm_bindgen(constructor)]
    pub fn new(
        device: &Device,
        #[wasm_bindgen(unchecked_param_type = "RnnConfig")] config: &JsValue,
        weights: &RnnWeights,
    ) -> Result<Self> {
        Ok(Self(Rc::new(wgrnn::Rnn::new(device.inner(), &options::config(config)?, weights.0.clone())?)))
    }

    /// The same, with gradients.
    pub fn trainable(
        device: &Device,
        #[wasm_bindgen(unchecked_param_type = "RnnConfig")] config: &JsValue,
        weights: &RnnWeights,
    ) -> Result<Self> {
        Ok(Self(Rc::new(wgrnn::Rnn::trainable(device.inner(), &options::config(config)?, &weights.0)?)))
    }

    /// Output and final state of sequences [T, N, I], or [N, T, I] with `batchFirst`.
    #[wasm_bindgen(unchecked_return_type = "Promise<RnnOutput>")]
    pub fn forward(
        &self,
        #[wasm_bindgen(unchecked_param_type = "NdArray")] x: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "RnnCall")] call: &JsValue,
    ) -> Promise {
        attempt(|| {
            let x = array_of::<f32, Ix3>("input", x)?;
            let initial = state("state", &property(call, "state"))?;
            let (rnn, call) = (Rc::clone(&self.0), options::call(call)?);
            Ok(promise(async move {
                let output = rnn.forward_with_async(x.view(), initial.as_ref(), &call).await?;
                Ok(object([("y", to_js(output.y.view())), ("state", state_to_js(&output.state))]))
            }))
        })
    }

    /// Outputs and final state of sequences of different lengths, an array [T, I] each; a sequence may have no step.
    #[wasm_bindgen(js_name = forwardRagged, unchecked_return_type = "Promise<RaggedOutput>")]
    pub fn forward_ragged(
        &self,
        #[wasm_bindgen(unchecked_param_type = "NdArray[]")] x: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "RnnCall")] call: &JsValue,
    ) -> Promise {
        attempt(|| {
            let x = matrices("sequences", x)?;
            let initial = state("state", &property(call, "state"))?;
            let (rnn, call) = (Rc::clone(&self.0), options::call(call)?);
            Ok(promise(async move {
                let views: Vec<_> = x.iter().map(|x| x.view()).collect();
                let output = rnn.forward_ragged_async(&views, initial.as_ref(), &call).await?;
                Ok(object([("y", matrices_to_js(&output.y)), ("state", state_to_js(&output.state))]))
            }))
        })
    }

    /// Outputs and final state of packed sequences.
    #[wasm_bindgen(js_name = forwardPacked, unchecked_return_type = "Promise<PackedOutput>")]
    pub fn forward_packed(
        &self,
        x: &PackedSequence,
        #[wasm_bindgen(unchecked_optional_param_type = "RnnCall")] call: &JsValue,
    ) -> Promise {
        attempt(|| {
            let x = x.inner().clone();
            let initial = state("state", &property(call, "state"))?;
            let (rnn, call) = (Rc::clone(&self.0), options::call(call)?);
            Ok(promise(async move {
                let output = rnn.forward_packed_async(&x, initial.as_ref(), &call).await?;
                let y = PackedSequence::of(output.y);
                Ok(object([("y", y.into()), ("state", state_to_js(&output.state))]))
            }))
        })
    }

    /// Gradients for the given ones of the output and, if there are any, of the final state.
    #[wasm_bindgen(unchecked_return_type = "Promise<RnnGradients>")]
    pub fn gradients(
        &self,
        #[wasm_bindgen(unchecked_param_type = "NdArray")] x: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "NdArray")] dy: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "RnnCall & { stateGradient?: State }")] call: &JsValue,
    ) -> Promise {
        attempt(|| {
            let (x, dy) = (array_of::<f32, Ix3>("input", x)?, array::<f32>("gradient of the output", dy)?);
            let initial = state("state", &property(call, "state"))?;
            let last = state("stateGradient", &property(call, "stateGradient"))?;
            let (rnn, call) = (Rc::clone(&self.0), options::call(call)?);
            Ok(promise(async move {
                let all = rnn.gradients_async(x.view(), initial.as_ref(), &call, dy.view(), last.as_ref()).await?;
                let output = object([("y", to_js(all.output.y.view())), ("state", state_to_js(&all.output.state))]);
                Ok(object([
                    ("output", output),
                    ("x", to_js(all.x.view().into_dyn())),
                    ("state", state_to_js(&all.state)),
                    ("weights", weights_to_js(&all.weights)),
                ]))
            }))
        })
    }

    /// Its trainable arrays; undefined of a layer that can't be trained.
    pub fn parameters(&self) -> Option<Parameters> {
        self.0.parameters().map(Parameters::of)
    }

    /// Takes over what was written into its parameters.
    pub fn refresh(&self) -> Result<()> {
        Ok(self.0.refresh()?)
    }

    /// A state of zeros for so many sequences, for `Tape.rnn`.
    #[wasm_bindgen(js_name = deviceState)]
    pub fn device_state(
        &self,
        #[wasm_bindgen(unchecked_param_type = "number")] batch: &JsValue,
    ) -> Result<DeviceState> {
        Ok(DeviceState::of(self.0.device_state(arguments::size("batch", batch)?)?))
    }

    /// Lengths on the device, which may change from run to run of one program: of `batch` sequences of at most `steps` steps. They
    /// are `lengths` of a session, a predictor, a trainer, or a call on a tape.
    #[wasm_bindgen(js_name = batchLengths)]
    pub fn batch_lengths(
        &self,
        #[wasm_bindgen(unchecked_param_type = "number")] steps: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number")] batch: &JsValue,
    ) -> Result<BatchLengths> {
        let (steps, batch) = (arguments::size("steps", steps)?, arguments::size("batch", batch)?);
        Ok(BatchLengths::of(self.0.batch_lengths(steps, batch)?))
    }

    /// A stream of `batch` sequences.
    pub fn stream(&self, #[wasm_bindgen(unchecked_param_type = "number")] batch: &JsValue) -> Result<Stream> {
        let stream = self.0.stream(arguments::whole("batch", batch)? as usize)?;
        let state = stream.state().clone();
        Ok(Stream { stream: Rc::new(RefCell::new(stream)), state })
    }

    /// The layer for one shape, from which nothing is read back but what is asked for.
    pub fn session(
        &self,
        #[wasm_bindgen(unchecked_param_type = "SessionOptions")] options: &JsValue,
    ) -> Result<Session> {
        let (steps, batch, call) = options::shape("session", options, true)?;
        Ok(Session(self.0.session(SessionOptions::new(steps, batch).call(call))?))
    }
}

impl Rnn {
    pub fn inner(&self) -> &wgrnn::Rnn {
        &self.0
    }
}

impl From<wgrnn::Rnn> for Rnn {
    fn from(rnn: wgrnn::Rnn) -> Self {
        Self(Rc::new(rnn))
    }
}

/// Sequences that come piece by piece: each call goes on where the last one ended. A server gives each caller a slot, one
/// sequence of the batch, which is reset, read and written while the others go on.
#[wasm_bindgen]
pub struct Stream {
    stream: Rc<RefCell<wgrnn::Stream>>,
    state: wgrnn::DeviceState,
}

#[wasm_bindgen]
impl Stream {
    /// The next steps: [T, N, I], or [N, T, I] with `batchFirst`. Rejects while a promise of an earlier call is pending.
    #[wasm_bindgen(unchecked_return_type = "Promise<NdArray>")]
    pub fn push(&self, #[wasm_bindgen(unchecked_param_type = "NdArray")] x: &JsValue) -> Promise {
        attempt(|| {
            let (x, stream) = (array_of::<f32, Ix3>("input", x)?, Rc::clone(&self.stream));
            Ok(promise(async move {
                let y = free(&stream)?.push_async(x.view()).await?;
                Ok(to_js(y.view()))
            }))
        })
    }

    /// The next steps of sequences of these lengths, from 0 to T; the output is 0 beyond them. A sequence of length 0 pauses:
    /// its state stays as it is.
    #[wasm_bindgen(js_name = pushWith, unchecked_return_type = "Promise<NdArray>")]
    pub fn push_with(
        &self,
        #[wasm_bindgen(unchecked_param_type = "NdArray")] x: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number[]")] lengths: &JsValue,
    ) -> Promise {
        attempt(|| {
            let (x, stream) = (array_of::<f32, Ix3>("input", x)?, Rc::clone(&self.stream));
            let lengths = arguments::wholes("lengths", lengths)?;
            Ok(promise(async move {
                let y = free(&stream)?.push_with_async(x.view(), &lengths).await?;
                Ok(to_js(y.view()))
            }))
        })
    }

    /// The states of all sequences.
    #[wasm_bindgen(unchecked_return_type = "Promise<State>")]
    pub fn state(&self) -> Promise {
        read_state(self.state.clone())
    }

    /// Sets the states of all sequences.
    #[wasm_bindgen(js_name = writeState)]
    pub fn write_state(&self, #[wasm_bindgen(unchecked_param_type = "State")] state: &JsValue) -> Result<()> {
        Ok(self.state.write(&given_state(state)?)?)
    }

    /// Sets the states of all sequences to zeros.
    #[wasm_bindgen(js_name = resetState)]
    pub fn reset_state(&self) -> Result<()> {
        Ok(self.state.reset()?)
    }

    /// The state of one sequence, with N = 1.
    #[wasm_bindgen(js_name = readSlot, unchecked_return_type = "Promise<State>")]
    pub fn read_slot(&self, #[wasm_bindgen(unchecked_param_type = "number")] slot: &JsValue) -> Promise {
        attempt(|| {
            let (slot, state) = (arguments::whole("slot", slot)? as usize, self.state.clone());
            Ok(promise(async move { Ok(state_to_js(&state.read_slot_async(slot).await?)) }))
        })
    }

    /// Sets the state of one sequence; the others stay as they are.
    #[wasm_bindgen(js_name = writeSlot)]
    pub fn write_slot(
        &self,
        #[wasm_bindgen(unchecked_param_type = "number")] slot: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "State")] state: &JsValue,
    ) -> Result<()> {
        Ok(self.state.write_slot(arguments::whole("slot", slot)? as usize, &given_state(state)?)?)
    }

    /// Sets the state of one sequence to zeros; the others stay as they are.
    #[wasm_bindgen(js_name = resetSlot)]
    pub fn reset_slot(&self, #[wasm_bindgen(unchecked_param_type = "number")] slot: &JsValue) -> Result<()> {
        Ok(self.state.reset_slot(arguments::whole("slot", slot)? as usize)?)
    }
}

/// The stream, unless one of its promises is still waiting.
fn free(stream: &RefCell<wgrnn::Stream>) -> Result<RefMut<'_, wgrnn::Stream>> {
    let busy = "the stream is at work: await what push promised first";
    stream.try_borrow_mut().map_err(|_| Fault::new(busy))
}

/// A state that has to be there.
pub fn given_state(value: &JsValue) -> Result<wgrnn::State> {
    state("state", value)?.ok_or_else(|| arguments::fault("state", "{h, c}", value))
}

/// A layer's program for one shape: input, output and state stay on the device from run to run.
#[wasm_bindgen]
pub struct Session(wgrnn::Session);

#[wasm_bindgen]
impl Session {
    /// Copies the input to the device.
    pub fn write(&self, #[wasm_bindgen(unchecked_param_type = "NdArray")] x: &JsValue) -> Result<()> {
        Ok(self.0.input().write(array::<f32>("input", x)?.view())?)
    }

    /// Runs once: on a GPU the work is submitted.
    pub fn run(&self) -> Result<()> {
        Ok(self.0.run()?)
    }

    /// The output of the last run.
    #[wasm_bindgen(unchecked_return_type = "Promise<NdArray>")]
    pub fn output(&self) -> Promise {
        read(self.0.output().clone())
    }

    /// The state after the last run.
    #[wasm_bindgen(unchecked_return_type = "Promise<State>")]
    pub fn state(&self) -> Promise {
        read_state(self.0.state().clone())
    }

    /// Both, of one moment and with one wait.
    #[wasm_bindgen(unchecked_return_type = "Promise<RnnOutput>")]
    pub fn read(&self) -> Promise {
        let (output, state) = (self.0.output().clone(), self.0.state().clone());
        promise(async move {
            let (y, state) = wgrnn::read_together_async(&(&output, &state)).await?;
            Ok(object([("y", to_js(y.view())), ("state", state_to_js(&state))]))
        })
    }

    /// Sets the state to zeros.
    #[wasm_bindgen(js_name = resetState)]
    pub fn reset_state(&self) -> Result<()> {
        Ok(self.0.state().reset()?)
    }
}

fn read(tensor: wgrnn::Tensor) -> Promise {
    promise(async move { Ok(to_js(tensor.read_async().await?.view())) })
}

pub fn read_state(state: wgrnn::DeviceState) -> Promise {
    promise(async move { Ok(state_to_js(&state.read_async().await?)) })
}
