//! What stays on a device from run to run: tensors, parameters, states, lengths.

use crate::arguments;
use crate::arrays::{
    array, flags, indices_to_js, named_arrays, named_to_js, property, shape_to_js, state_to_js, to_js,
};
use crate::device::Device;
use crate::fault::{Fault, Result};
use crate::handles::Handle;
use crate::layer::{given_state, read_state};
use crate::promise::{attempt, promise};
use js_sys::{Promise, Uint32Array};
use wasm_bindgen::prelude::*;

/// An array on a device: numbers, or indices such as tokens, targets and lengths. A tape reads and writes it, and the host does
/// between runs.
#[wasm_bindgen]
#[derive(Clone)]
pub struct Tensor(Elements);

#[derive(Clone)]
pub enum Elements {
    Numbers(wgrnn::Tensor),
    Indices(wgrnn::Tensor<u32>),
}

impl Handle for Tensor {
    const CLASS: &'static str = "Tensor";
}

#[wasm_bindgen]
impl Tensor {
    /// Zeros: numbers, or indices for "u32".
    pub fn zeros(
        device: &Device,
        #[wasm_bindgen(unchecked_param_type = "number[]")] shape: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "\"f32\" | \"u32\"")] element: &JsValue,
    ) -> Result<Self> {
        let shape = arguments::wholes("shape", shape)?;
        Ok(Self(match arguments::optional_text("element", element)?.as_str() {
            "" | "f32" => Elements::Numbers(wgrnn::Tensor::zeros(device.inner(), &shape)?),
            "u32" => Elements::Indices(wgrnn::Tensor::zeros(device.inner(), &shape)?),
            _ => return Err(arguments::fault("element", "\"f32\" or \"u32\"", element)),
        }))
    }

    /// A copy of an array: numbers of a `Float32Array`, indices of a `Uint32Array`.
    #[wasm_bindgen(js_name = fromArray)]
    pub fn from_array(
        device: &Device,
        #[wasm_bindgen(unchecked_param_type = "NdArray | Tokens")] values: &JsValue,
    ) -> Result<Self> {
        let device = device.inner();
        Ok(Self(if property(values, "data").is_instance_of::<Uint32Array>() {
            Elements::Indices(wgrnn::Tensor::from_array(device, array::<u32>("array", values)?.view())?)
        } else {
            Elements::Numbers(wgrnn::Tensor::from_array(device, array::<f32>("array", values)?.view())?)
        }))
    }

    /// The shape.
    #[wasm_bindgen(getter, unchecked_return_type = "number[]")]
    pub fn shape(&self) -> JsValue {
        shape_to_js(match &self.0 {
            Elements::Numbers(tensor) => tensor.shape(),
            Elements::Indices(tensor) => tensor.shape(),
        })
    }

    /// Copies an array of its shape to the device, for the runs that follow.
    pub fn write(&self, #[wasm_bindgen(unchecked_param_type = "NdArray | Tokens")] values: &JsValue) -> Result<()> {
        match &self.0 {
            Elements::Numbers(tensor) => tensor.write(array::<f32>("array", values)?.view())?,
            Elements::Indices(tensor) => tensor.write(array::<u32>("array", values)?.view())?,
        }
        Ok(())
    }

    /// Copies it to the host, once the work submitted before is done: tokens if it holds indices.
    #[wasm_bindgen(unchecked_return_type = "Promise<NdArray | Tokens>")]
    pub fn read(&self) -> Promise {
        let elements = self.0.clone();
        promise(async move {
            Ok(match elements {
                Elements::Numbers(tensor) => to_js(tensor.read_async().await?.view()),
                Elements::Indices(tensor) => indices_to_js(tensor.read_async().await?.view()),
            })
        })
    }

    /// Another handle of the same tensor.
    #[wasm_bindgen(js_name = clone)]
    pub fn another(&self) -> Self {
        self.clone()
    }
}

impl Tensor {
    pub fn elements(&self) -> &Elements {
        &self.0
    }

    pub fn of_indices(tensor: &wgrnn::Tensor<u32>) -> Self {
        Self(Elements::Indices(tensor.clone()))
    }

    /// The tensor, if it holds numbers.
    pub fn numbers(&self, name: &str) -> Result<&wgrnn::Tensor> {
        match &self.0 {
            Elements::Numbers(tensor) => Ok(tensor),
            Elements::Indices(_) => {
                Err(Fault::new(format!("{name}: expected a Tensor of numbers, got one of indices")))
            }
        }
    }

    /// The tensor, if it holds indices.
    pub fn indices(&self, name: &str) -> Result<&wgrnn::Tensor<u32>> {
        match &self.0 {
            Elements::Indices(tensor) => Ok(tensor),
            Elements::Numbers(_) => {
                Err(Fault::new(format!("{name}: expected a Tensor of indices (\"u32\"), got one of numbers")))
            }
        }
    }
}

/// A block of trainable arrays: the weights of a layer, or of one's own.
#[wasm_bindgen]
#[derive(Clone)]
pub struct Parameters(wgrnn::Parameters);

impl Handle for Parameters {
    const CLASS: &'static str = "Parameters";
}

#[wasm_bindgen]
impl Parameters {
    /// A block of arrays of one's own, by their names.
    #[wasm_bindgen(constructor)]
    pub fn new(
        device: &Device,
        #[wasm_bindgen(unchecked_param_type = "Record<string, NdArray> | Map<string, NdArray>")] arrays: &JsValue,
    ) -> Result<Self> {
        let arrays = named_arrays("arrays", arrays)?;
        let views = arrays.iter().map(|(name, array)| (name.clone(), array.view()));
        Ok(Self(wgrnn::Parameters::new(device.inner(), views)?))
    }

    /// The names of its arrays.
    pub fn names(&self) -> Vec<String> {
        self.0.names().map(|(name, _)| name.to_owned()).collect()
    }

    /// Its arrays.
    #[wasm_bindgen(unchecked_return_type = "Promise<Map<string, NdArray>>")]
    pub fn read(&self) -> Promise {
        let parameters = self.0.clone();
        promise(async move { Ok(named_to_js(&parameters.read_async().await?)) })
    }

    /// The gradients of the last step.
    #[wasm_bindgen(unchecked_return_type = "Promise<Map<string, NdArray>>")]
    pub fn gradients(&self) -> Promise {
        let parameters = self.0.clone();
        promise(async move { Ok(named_to_js(&parameters.gradients_async().await?)) })
    }

    /// Sets arrays by their names; others stay as they are. Then call `refresh` of the layer or of the trainer.
    pub fn write(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Record<string, NdArray> | Map<string, NdArray>")] arrays: &JsValue,
    ) -> Result<()> {
        Ok(self.0.write(&named_arrays("arrays", arrays)?)?)
    }

    /// Another handle of the same parameters.
    #[wasm_bindgen(js_name = clone)]
    pub fn another(&self) -> Self {
        self.clone()
    }
}

impl Parameters {
    pub fn of(parameters: &wgrnn::Parameters) -> Self {
        Self(parameters.clone())
    }

    pub fn inner(&self) -> &wgrnn::Parameters {
        &self.0
    }
}

/// The state of recurrent layers, which stays on the device from call to call.
#[wasm_bindgen]
#[derive(Clone)]
pub struct DeviceState(wgrnn::DeviceState);

#[wasm_bindgen]
impl DeviceState {
    /// Copies it to the host.
    #[wasm_bindgen(unchecked_return_type = "Promise<State>")]
    pub fn read(&self) -> Promise {
        read_state(self.0.clone())
    }

    /// Copies a state of the host to the device.
    pub fn write(&self, #[wasm_bindgen(unchecked_param_type = "State")] state: &JsValue) -> Result<()> {
        Ok(self.0.write(&given_state(state)?)?)
    }

    /// Sets it to zeros.
    pub fn reset(&self) -> Result<()> {
        Ok(self.0.reset()?)
    }

    /// The state of one sequence, with N = 1.
    #[wasm_bindgen(js_name = readSlot, unchecked_return_type = "Promise<State>")]
    pub fn read_slot(&self, #[wasm_bindgen(unchecked_param_type = "number")] slot: &JsValue) -> Promise {
        attempt(|| {
            let (slot, state) = (arguments::whole("slot", slot)? as usize, self.0.clone());
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
        Ok(self.0.write_slot(arguments::size("slot", slot)?, &given_state(state)?)?)
    }

    /// Sets the state of one sequence to zeros; the others stay as they are.
    #[wasm_bindgen(js_name = resetSlot)]
    pub fn reset_slot(&self, #[wasm_bindgen(unchecked_param_type = "number")] slot: &JsValue) -> Result<()> {
        Ok(self.0.reset_slot(arguments::whole("slot", slot)? as usize)?)
    }

    /// Another handle of the same state.
    #[wasm_bindgen(js_name = clone)]
    pub fn another(&self) -> Self {
        self.clone()
    }
}

impl DeviceState {
    pub fn of(state: wgrnn::DeviceState) -> Self {
        Self(state)
    }

    pub fn inner(&self) -> &wgrnn::DeviceState {
        &self.0
    }
}

/// Lengths of sequences on a device, which may change from run to run of one program.
#[wasm_bindgen]
#[derive(Clone)]
pub struct BatchLengths(wgrnn::BatchLengths);

impl Handle for BatchLengths {
    const CLASS: &'static str = "BatchLengths";
}

#[wasm_bindgen]
impl BatchLengths {
    /// Sets the lengths of the runs that follow.
    pub fn write(&self, #[wasm_bindgen(unchecked_param_type = "number[]")] lengths: &JsValue) -> Result<()> {
        Ok(self.0.write(&arguments::wholes("lengths", lengths)?)?)
    }

    /// Sets a mask for the runs that follow, in place of lengths: 1 or 0 for each step, in the first two axes of the input.
    #[wasm_bindgen(js_name = writeMask)]
    pub fn write_mask(&self, #[wasm_bindgen(unchecked_param_type = "Flags")] mask: &JsValue) -> Result<()> {
        Ok(self.0.write_mask(flags("mask", mask)?.view())?)
    }

    /// The lengths as they are now; of a mask, how many steps count.
    #[wasm_bindgen(unchecked_return_type = "number[]")]
    pub fn list(&self) -> JsValue {
        shape_to_js(&self.0.list())
    }

    /// Another handle of the same lengths.
    #[wasm_bindgen(js_name = clone)]
    pub fn another(&self) -> Self {
        self.clone()
    }
}

impl BatchLengths {
    pub fn of(lengths: wgrnn::BatchLengths) -> Self {
        Self(lengths)
    }

    pub fn inner(&self) -> &wgrnn::BatchLengths {
        &self.0
    }
}
