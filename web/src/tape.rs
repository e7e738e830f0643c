//! The tape: a model's forward pass, operation by operation.

use crate::activation::activation;
use crate::arguments;
use crate::attention::{Memory, attention};
use crate::dense::{Embedding, Linear};
use crate::device::Device;
use crate::evaluation::Evaluation;
use crate::expression::Mapped;
use crate::fault::{Fault, Result};
use crate::handles;
use crate::layer::Rnn;
use crate::options;
use crate::tensor::{DeviceState, Elements, Parameters, Tensor};
use crate::trainer::Trainer;
use crate::training_options::trainer_options;
use crate::value::{Value, axes_of};
use std::cell::RefCell;
use wasm_bindgen::prelude::*;

/// Writes a model's forward pass operation by operation and remembers the operations. `trainer` then adds the backward pass and the
/// optimiser; `evaluation` makes a program that computes only the loss. One function can therefore describe a model for training
/// and for evaluation, where dropout does nothing.
///
/// Both end the tape: what is asked of it afterwards throws.
#[wasm_bindgen]
pub struct Tape(RefCell<Option<wgrnn::Tape>>);

impl Tape {
    /// Writes on it.
    pub fn write<T, E>(&self, write: impl FnOnce(&mut wgrnn::Tape) -> Result<T, E>) -> Result<T>
    where
        Fault: From<E>,
    {
        let mut tape = self.0.try_borrow_mut().map_err(|_| Fault::new("the tape is being written on"))?;
        let ended = || Fault::new("the tape has ended: a trainer or an evaluation was made of it; begin another one");
        Ok(write(tape.as_mut().ok_or_else(ended)?)?)
    }

    /// An operation that gives a value.
    pub fn value<E>(&self, write: impl FnOnce(&mut wgrnn::Tape) -> Result<wgrnn::plan::Value, E>) -> Result<Value>
    where
        Fault: From<E>,
    {
        self.write(write).map(Value::of)
    }

    /// The tape itself, for a program of it, if it is a tape for that.
    fn end(&self, training: bool) -> Result<wgrnn::Tape> {
        if self.is_training()? != training {
            let names = ["Tape.evaluating, got one for training", "Tape.training, got one for evaluation"];
            return Err(Fault::new(format!("tape: expected one made by {}", names[usize::from(training)])));
        }
        let tape = self.0.try_borrow_mut().ok().and_then(|mut tape| tape.take());
        tape.ok_or_else(|| Fault::new("the tape is being written on"))
    }
}

#[wasm_bindgen]
impl Tape {
    /// A tape for training.
    pub fn training(device: &Device) -> Result<Self> {
        Ok(Self(RefCell::new(Some(wgrnn::Tape::training(device.inner())?))))
    }

    /// A tape for evaluation: nothing is kept for a backward pass, and dropout does nothing.
    pub fn evaluating(device: &Device) -> Result<Self> {
        Ok(Self(RefCell::new(Some(wgrnn::Tape::evaluating(device.inner())?))))
    }

    /// Whether it is a tape for training.
    #[wasm_bindgen(getter, js_name = isTraining)]
    pub fn is_training(&self) -> Result<bool> {
        self.write(|tape| Ok::<_, Fault>(tape.is_training()))
    }

    /// Adds the backward pass and the optimiser, and makes a program of it.
    pub fn trainer(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "TrainerOptions")] options: &JsValue,
    ) -> Result<Trainer> {
        let options = trainer_options("training", options, &[])?;
        Ok(Trainer::of_tape(wgrnn::Trainer::new(self.end(true)?, options)?))
    }

    /// Makes a program that computes the loss.
    pub fn evaluation(&self) -> Result<Evaluation> {
        Ok(Evaluation::of(self.end(false)?.evaluation()?))
    }

    /// Makes a tensor a value of the tape, to be read or written.
    pub fn input(&self, tensor: &Tensor) -> Result<Value> {
        self.value(|tape| match tensor.elements() {
            Elements::Numbers(tensor) => tape.input(tensor),
            Elements::Indices(tensor) => tape.input(tensor),
        })
    }

    /// Leaves parameters as they are: the optimiser does not change them. Gradients still pass through their layers.
    pub fn freeze(&self, parameters: &Parameters) -> Result<()> {
        self.write(|tape| tape.freeze(parameters.inner()))
    }

    /// Writes the gradient of a value to a tensor during the backward pass.
    #[wasm_bindgen(js_name = wantGradient)]
    pub fn want_gradient(&self, of: &Value, tensor: &Tensor) -> Result<()> {
        let tensor = tensor.numbers("gradient wanted")?;
        self.write(|tape| tape.want_gradient(of.inner(), tensor))
    }

    /// Adds a gradient from outside, a value of its shape, to what comes from losses. It adds nothing to the loss that is
    /// reported: `giveLoss` does.
    #[wasm_bindgen(js_name = giveGradient)]
    pub fn give_gradient(&self, of: &Value, gradient: &Value) -> Result<()> {
        self.write(|tape| tape.give_gradient(of.inner(), gradient.inner()))
    }

    /// Looks up the vectors of symbols: indices [...] give [..., features].
    pub fn embedding(&self, embedding: &Embedding, indices: &Value) -> Result<Value> {
        self.value(|tape| tape.embedding(embedding.inner(), indices.inner()))
    }

    /// x·Wᵀ + b over the last axis.
    pub fn linear(&self, linear: &Linear, x: &Value) -> Result<Value> {
        self.value(|tape| tape.linear(linear.inner(), x.inner()))
    }

    /// Runs a recurrent layer over x [T, N, I], or [N, T, I] with `batchFirst`, or [rows, I] of packed sequences, from and to a state on
    /// the device.
    pub fn rnn(
        &self,
        rnn: &Rnn,
        x: &Value,
        state: &DeviceState,
        #[wasm_bindgen(unchecked_optional_param_type = "TapeCall")] call: &JsValue,
    ) -> Result<Value> {
        let call = options::tape_call(call)?;
        self.value(|tape| tape.rnn(rnn.inner(), x.inner(), state.inner(), &call))
    }

    /// Sets each number to 0 with this probability, and divides the others by 1 − p. In evaluation it gives x.
    pub fn dropout(
        &self,
        x: &Value,
        #[wasm_bindgen(unchecked_param_type = "number")] probability: &JsValue,
    ) -> Result<Value> {
        let probability = arguments::number("probability", probability)?;
        self.value(|tape| tape.dropout(x.inner(), probability))
    }

    /// A function of the elements of up to five values (six for evaluation), as one kernel: it gets a list of expressions, one for
    /// each value, and gives an expression. Shapes are broadcast as in NumPy.
    pub fn map(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Value[]")] values: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "(elements: Expression[]) => Expression")] function: &JsValue,
    ) -> Result<Value> {
        let values = handles::list::<Value>("values", values)?;
        let function = arguments::function("function", function)?;
        let mapped = Mapped::new(values.len(), &function)?;
        let values: Vec<_> = values.iter().map(Value::inner).collect();
        self.value(|tape| mapped.record(tape, &values))
    }

    /// a + b, with shapes broadcast, as in the operations that follow.
    pub fn add(&self, a: &Value, b: &Value) -> Result<Value> {
        self.value(|tape| tape.add(a.inner(), b.inner()))
    }

    /// a − b.
    pub fn sub(&self, a: &Value, b: &Value) -> Result<Value> {
        self.value(|tape| tape.sub(a.inner(), b.inner()))
    }

    /// a · b, element by element.
    pub fn mul(&self, a: &Value, b: &Value) -> Result<Value> {
        self.value(|tape| tape.mul(a.inner(), b.inner()))
    }

    /// a / b, element by element.
    pub fn div(&self, a: &Value, b: &Value) -> Result<Value> {
        self.value(|tape| tape.div(a.inner(), b.inner()))
    }

    /// factor · x.
    pub fn scale(&self, x: &Value, #[wasm_bindgen(unchecked_param_type = "number")] factor: &JsValue) -> Result<Value> {
        let factor = arguments::number("factor", factor)? as f32;
        self.value(|tape| tape.scale(x.inner(), factor))
    }

    /// An activation of every element.
    pub fn activate(
        &self,
        x: &Value,
        #[wasm_bindgen(unchecked_param_type = "Activation")] kind: &JsValue,
    ) -> Result<Value> {
        let activation = activation("activation", kind)?;
        self.value(|tape| tape.activate(x.inner(), activation))
    }

    /// The gated linear unit: the first half of an axis times σ of the second.
    pub fn glu(&self, x: &Value, #[wasm_bindgen(unchecked_param_type = "number")] axis: &JsValue) -> Result<Value> {
        let axis = arguments::size("axis", axis)?;
        self.value(|tape| tape.glu(x.inner(), axis))
    }

    /// The same elements one after the other: the value itself where they lie so, else a copy.
    pub fn contiguous(&self, x: &Value) -> Result<Value> {
        self.value(|tape| tape.contiguous(x.inner()))
    }

    /// Sums along axes, which the result lacks.
    pub fn sum(
        &self,
        x: &Value,
        #[wasm_bindgen(unchecked_param_type = "number[] | number")] axes: &JsValue,
    ) -> Result<Value> {
        let axes = axes_of(axes)?;
        self.value(|tape| tape.sum(x.inner(), &axes))
    }

    /// Averages along axes, which the result lacks.
    pub fn mean(
        &self,
        x: &Value,
        #[wasm_bindgen(unchecked_param_type = "number[] | number")] axes: &JsValue,
    ) -> Result<Value> {
        let axes = axes_of(axes)?;
        self.value(|tape| tape.mean(x.inner(), &axes))
    }

    /// Finds the largest element along axes, which the result lacks.
    pub fn max(
        &self,
        x: &Value,
        #[wasm_bindgen(unchecked_param_type = "number[] | number")] axes: &JsValue,
    ) -> Result<Value> {
        let axes = axes_of(axes)?;
        self.value(|tape| tape.max(x.inner(), &axes))
    }

    /// Sums along an axis over as many elements as a length says: indices that are broadcast to x, 1 long along the axis.
    #[wasm_bindgen(js_name = sumValid)]
    pub fn sum_valid(
        &self,
        x: &Value,
        #[wasm_bindgen(unchecked_param_type = "number")] axis: &JsValue,
        lengths: &Value,
    ) -> Result<Value> {
        let axis = arguments::size("axis", axis)?;
        self.value(|tape| tape.sum_valid(x.inner(), axis, lengths.inner()))
    }

    /// Averages along an axis over as many elements as a length says; 0 for a length of 0.
    #[wasm_bindgen(js_name = meanValid)]
    pub fn mean_valid(
        &self,
        x: &Value,
        #[wasm_bindgen(unchecked_param_type = "number")] axis: &JsValue,
        lengths: &Value,
    ) -> Result<Value> {
        let axis = arguments::size("axis", axis)?;
        self.value(|tape| tape.mean_valid(x.inner(), axis, lengths.inner()))
    }

    /// Finds the largest element along an axis among as many as a length says; minus infinity for a length of 0.
    #[wasm_bindgen(js_name = maxValid)]
    pub fn max_valid(
        &self,
        x: &Value,
        #[wasm_bindgen(unchecked_param_type = "number")] axis: &JsValue,
        lengths: &Value,
    ) -> Result<Value> {
        let axis = arguments::size("axis", axis)?;
        self.value(|tape| tape.max_valid(x.inner(), axis, lengths.inner()))
    }

    /// Takes the element of an index along an axis, which the result lacks: with lengths minus 1, the last valid step.
    pub fn take(
        &self,
        x: &Value,
        #[wasm_bindgen(unchecked_param_type = "number")] axis: &JsValue,
        indices: &Value,
    ) -> Result<Value> {
        let axis = arguments::size("axis", axis)?;
        self.value(|tape| tape.take(x.inner(), axis, indices.inner()))
    }

    /// exp(x) / Σ exp(x) along an axis. With lengths only so many elements count, and the others are 0.
    pub fn softmax(
        &self,
        x: &Value,
        #[wasm_bindgen(unchecked_param_type = "number")] axis: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "Value | null")] lengths: &JsValue,
    ) -> Result<Value> {
        let (axis, lengths) = (arguments::size("axis", axis)?, handles::optional::<Value>("lengths", lengths)?);
        self.value(|tape| tape.softmax(x.inner(), axis, lengths.as_ref().map(Value::inner)))
    }

    /// The logarithm of the softmax; minus infinity for elements that do not count.
    #[wasm_bindgen(js_name = logSoftmax)]
    pub fn log_softmax(
        &self,
        x: &Value,
        #[wasm_bindgen(unchecked_param_type = "number")] axis: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "Value | null")] lengths: &JsValue,
    ) -> Result<Value> {
        let (axis, lengths) = (arguments::size("axis", axis)?, handles::optional::<Value>("lengths", lengths)?);
        self.value(|tape| tape.log_softmax(x.inner(), axis, lengths.as_ref().map(Value::inner)))
    }

    /// Puts values one after the other along an axis.
    pub fn concat(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Value[]")] values: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number")] axis: &JsValue,
    ) -> Result<Value> {
        let (values, axis) = (handles::list::<Value>("values", values)?, arguments::size("axis", axis)?);
        let values: Vec<_> = values.iter().map(Value::inner).collect();
        self.value(|tape| tape.concat(&values, axis))
    }

    /// The product of matrices, [..., M, K] · [..., K, N] = [..., M, N]; the axes before are broadcast.
    pub fn matmul(&self, a: &Value, b: &Value) -> Result<Value> {
        self.value(|tape| tape.matmul(a.inner(), b.inner()))
    }

    /// Layer normalisation over the last axis: (x − mean) / √(variance + ε), times `gain` and plus `bias`, [features], where there
    /// are any. ε is 1e-5 unless it is given.
    #[wasm_bindgen(js_name = layerNorm)]
    pub fn layer_norm(
        &self,
        x: &Value,
        #[wasm_bindgen(unchecked_optional_param_type = "Value | null")] gain: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "Value | null")] bias: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "number")] epsilon: &JsValue,
    ) -> Result<Value> {
        let (gain, bias) = (handles::optional::<Value>("gain", gain)?, handles::optional::<Value>("bias", bias)?);
        let epsilon = arguments::optional_float("epsilon", epsilon)?.unwrap_or(1e-5);
        let (gain, bias) = (gain.as_ref().map(Value::inner), bias.as_ref().map(Value::inner));
        self.value(|tape| tape.layer_norm(x.inner(), gain, bias, epsilon))
    }

    /// An array of a block of parameters as a value, which is trained: for layers of one's own.
    pub fn parameter(
        &self,
        parameters: &Parameters,
        #[wasm_bindgen(unchecked_param_type = "string")] name: &JsValue,
    ) -> Result<Value> {
        let name = arguments::text("name", name)?;
        self.value(|tape| tape.parameter(parameters.inner(), &name))
    }

    /// Makes the outputs of an encoder, [S, N, M], a memory for attention. With `lengths`, indices [N], only so many steps of each
    /// sequence can be seen.
    pub fn memory(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Attention")] kind: &JsValue,
        encoded: &Value,
        #[wasm_bindgen(unchecked_optional_param_type = "Value | null")] lengths: &JsValue,
    ) -> Result<Memory> {
        let (attention, lengths) = (attention("attention", kind)?, handles::optional::<Value>("lengths", lengths)?);
        let lengths = lengths.as_ref().map(Value::inner);
        self.write(|tape| tape.memory(&attention, encoded.inner(), lengths)).map(Memory::of)
    }

    /// Copies numbers to a value of the same shape, such as a tensor that the host can read. It has no backward pass.
    pub fn copy(&self, from: &Value, to: &Value) -> Result<()> {
        self.write(|tape| tape.plan().copy(from.inner(), to.inner()))
    }

    /// Writes the column of the largest element of each row, [rows, columns], to `out`, [rows].
    pub fn argmax(&self, values: &Value, out: &Value) -> Result<()> {
        self.write(|tape| tape.plan().argmax(values.inner(), out.inner()))
    }

    /// Draws a column of each row of logits, [rows, columns], and writes it to `out`, [rows]: it may be the tensor that the tape reads as its
    /// input, so that a text goes on from run to run without coming back to the host.
    pub fn sample(
        &self,
        logits: &Value,
        out: &Value,
        #[wasm_bindgen(unchecked_optional_param_type = "Sampling")] sampling: &JsValue,
    ) -> Result<()> {
        let sampling = options::sampling(sampling)?;
        self.write(|tape| tape.plan().sample(logits.inner(), out.inner(), &sampling))
    }
}
