//! The losses of a tape, and their targets.

use crate::arguments;
use crate::arrays::{array, property};
use crate::device::Device;
use crate::fault::{Fault, Result};
use crate::handles::optional;
use crate::options::{names, read, read_beside};
use crate::tape::Tape;
use crate::tensor::Tensor;
use crate::value::Value;
use js_sys::Array;
use serde::Deserialize;
use serde::de::IgnoredAny;
use wasm_bindgen::prelude::*;

#[derive(Deserialize)]
struct Weight {
    weight: Option<f32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CrossEntropy {
    label_smoothing: Option<f32>,
    #[serde(rename = "classWeights")]
    _class_weights: Option<IgnoredAny>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum ReductionName {
    Mean,
    Sum,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ctc {
    blank: Option<u32>,
    reduction: Option<ReductionName>,
    zero_infinity: Option<bool>,
}

/// The options of CTC, which may stand beside the weight of the loss.
fn ctc_options(value: &JsValue) -> Result<wgrnn::CtcOptions> {
    let options: Ctc = read_beside("options of CTC", value, &names::<Weight>())?;
    let reduction = match options.reduction {
        None | Some(ReductionName::Mean) => wgrnn::Reduction::Mean,
        Some(ReductionName::Sum) => wgrnn::Reduction::Sum,
    };
    Ok(wgrnn::CtcOptions::default()
        .blank(options.blank.unwrap_or(0))
        .reduction(reduction)
        .zero_infinity(options.zero_infinity.unwrap_or(false)))
}

impl Tape {
    /// Adds a loss, times its weight.
    fn lose(
        &self,
        options: &JsValue,
        others: &[&str],
        loss: impl FnOnce(&mut wgrnn::Tape) -> wgrnn::Result<()>,
    ) -> Result<()> {
        let Weight { weight } = read_beside("options of a loss", options, others)?;
        self.write(|tape| match weight {
            Some(weight) => tape.weighted(weight, loss),
            None => loss(tape),
        })
    }
}

#[wasm_bindgen]
impl Tape {
    /// Adds to the loss the mean over targets of −log softmax(logits) at the target. Logits are [..., C], targets are classes
    /// [...], of which 0xffffffff counts for nothing, or probabilities [..., C].
    #[wasm_bindgen(js_name = crossEntropy)]
    pub fn cross_entropy(
        &self,
        logits: &Value,
        targets: &Value,
        #[wasm_bindgen(unchecked_optional_param_type = "CrossEntropyOptions")] options: &JsValue,
    ) -> Result<()> {
        let given: CrossEntropy = read_beside("options of a loss", options, &names::<Weight>())?;
        let mut own = wgrnn::CrossEntropy::default().label_smoothing(given.label_smoothing.unwrap_or(0.0));
        if let Some(weights) = optional::<Tensor>("classWeights", &property(options, "classWeights"))? {
            own = own.class_weights(weights.numbers("classWeights")?);
        }
        let others = names::<CrossEntropy>();
        self.lose(options, &others, |tape| tape.cross_entropy_with(logits.inner(), targets.inner(), &own))
    }

    /// Adds to the loss the mean of (x − t)² over targets t that are not NaN.
    #[wasm_bindgen(js_name = meanSquaredError)]
    pub fn mean_squared_error(
        &self,
        x: &Value,
        targets: &Value,
        #[wasm_bindgen(unchecked_optional_param_type = "LossOptions")] options: &JsValue,
    ) -> Result<()> {
        self.lose(options, &[], |tape| tape.mean_squared_error(x.inner(), targets.inner()))
    }

    /// Adds to the loss the mean of −t·log σ(x) − (1 − t)·log(1 − σ(x)) over targets t that are not NaN.
    #[wasm_bindgen(js_name = binaryCrossEntropy)]
    pub fn binary_cross_entropy(
        &self,
        x: &Value,
        targets: &Value,
        #[wasm_bindgen(unchecked_optional_param_type = "LossOptions")] options: &JsValue,
    ) -> Result<()> {
        self.lose(options, &[], |tape| tape.binary_cross_entropy(x.inner(), targets.inner()))
    }

    /// Adds to the loss the mean of |x − t| over targets t that are not NaN.
    #[wasm_bindgen(js_name = meanAbsoluteError)]
    pub fn mean_absolute_error(
        &self,
        x: &Value,
        targets: &Value,
        #[wasm_bindgen(unchecked_optional_param_type = "LossOptions")] options: &JsValue,
    ) -> Result<()> {
        self.lose(options, &[], |tape| tape.mean_absolute_error(x.inner(), targets.inner()))
    }

    /// Adds to the loss the mean over targets t that are not NaN of d²/2 where |d| ≤ δ, else δ·(|d| − δ/2), with d = x − t.
    pub fn huber(
        &self,
        x: &Value,
        targets: &Value,
        #[wasm_bindgen(unchecked_param_type = "number")] delta: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "LossOptions")] options: &JsValue,
    ) -> Result<()> {
        let delta = arguments::number("delta", delta)? as f32;
        self.lose(options, &[], |tape| tape.huber(x.inner(), targets.inner(), delta))
    }

    /// Adds the mean of a value's numbers to the loss: a loss of one's own, which operations of the tape computed.
    pub fn loss(
        &self,
        value: &Value,
        #[wasm_bindgen(unchecked_optional_param_type = "LossOptions")] options: &JsValue,
    ) -> Result<()> {
        self.lose(options, &[], |tape| tape.loss(value.inner()))
    }

    /// Adds a number, [1], to the loss that is reported, without a gradient.
    #[wasm_bindgen(js_name = giveLoss)]
    pub fn give_loss(
        &self,
        loss: &Value,
        #[wasm_bindgen(unchecked_optional_param_type = "LossOptions")] options: &JsValue,
    ) -> Result<()> {
        self.lose(options, &[], |tape| tape.give_loss(loss.inner()))
    }

    /// Adds to the loss that of connectionist temporal classification: −log of the probability of all alignments that give the labels.
    /// Logits are [T, N, C], labels indices [N, S], lengths indices [N].
    pub fn ctc(
        &self,
        logits: &Value,
        labels: &Value,
        #[wasm_bindgen(js_name = inputLengths)] input_lengths: &Value,
        #[wasm_bindgen(js_name = labelLengths)] label_lengths: &Value,
        #[wasm_bindgen(unchecked_optional_param_type = "CtcOptions & LossOptions")] options: &JsValue,
    ) -> Result<()> {
        let own = ctc_options(options)?;
        self.lose(options, &names::<Ctc>(), |tape| {
            let [labels, inputs, counts] = [labels, input_lengths, label_lengths].map(Value::inner);
            tape.ctc(logits.inner(), labels, inputs, counts, &own)
        })
    }
}

/// Class targets on a device, which are checked before they are copied there.
#[wasm_bindgen]
pub struct Targets(wgrnn::Targets);

#[wasm_bindgen]
impl Targets {
    /// Memory for targets of this shape, each less than `classes`, or 0xffffffff to be left out. They are zeros at first.
    #[wasm_bindgen(constructor)]
    pub fn new(
        device: &Device,
        #[wasm_bindgen(unchecked_param_type = "number[]")] shape: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number")] classes: &JsValue,
    ) -> Result<Self> {
        let (shape, classes) = (arguments::wholes("shape", shape)?, arguments::size("classes", classes)?);
        Ok(Self(wgrnn::Targets::new(device.inner(), &shape, classes)?))
    }

    /// The tensor, for `Tape.input`.
    pub fn tensor(&self) -> Tensor {
        Tensor::of_indices(self.0.tensor())
    }

    /// Checks targets and copies them to the device.
    pub fn write(&self, #[wasm_bindgen(unchecked_param_type = "Tokens")] targets: &JsValue) -> Result<()> {
        Ok(self.0.write(array::<u32>("targets", targets)?.view())?)
    }
}

/// Labels and lengths for `Tape.ctc`, which are checked before they are copied to the device.
#[wasm_bindgen]
pub struct CtcTargets(wgrnn::CtcTargets);

#[wasm_bindgen]
impl CtcTargets {
    /// Memory for logits of the shape [T, N, C] and up to `labels` labels of each sequence.
    #[wasm_bindgen(constructor)]
    pub fn new(
        device: &Device,
        #[wasm_bindgen(unchecked_param_type = "[number, number, number]")] shape: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number")] labels: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "CtcOptions")] options: &JsValue,
    ) -> Result<Self> {
        let given = arguments::wholes("shape", shape)?;
        let shape = given.as_slice().try_into();
        let shape = shape.map_err(|_| Fault::new(format!("shape: expected [T, N, C], got {given:?}")))?;
        // The weight of a loss is none of theirs.
        read::<Ctc>("options of CTC", options)?;
        let labels = arguments::size("labels", labels)?;
        Ok(Self(wgrnn::CtcTargets::new(device.inner(), shape, labels, &ctc_options(options)?)?))
    }

    /// The labels, [N, S].
    pub fn labels(&self) -> Tensor {
        Tensor::of_indices(self.0.labels())
    }

    /// The steps of each sequence, [N].
    #[wasm_bindgen(js_name = inputLengths)]
    pub fn input_lengths(&self) -> Tensor {
        Tensor::of_indices(self.0.input_lengths())
    }

    /// The number of labels of each sequence, [N].
    #[wasm_bindgen(js_name = labelLengths)]
    pub fn label_lengths(&self) -> Tensor {
        Tensor::of_indices(self.0.label_lengths())
    }

    /// Checks the labels and the steps of each sequence, and copies them to the device. Where there are fewer sequences than N, the
    /// last ones are left out.
    pub fn write(
        &self,
        #[wasm_bindgen(unchecked_param_type = "(number[] | Uint32Array)[]")] labels: &JsValue,
        #[wasm_bindgen(js_name = inputLengths, unchecked_param_type = "number[] | Uint32Array")]
        input_lengths: &JsValue,
    ) -> Result<()> {
        let list = labels.dyn_ref::<Array>().ok_or_else(|| arguments::fault("labels", "an array of arrays", labels))?;
        let one = |(n, labels): (usize, JsValue)| arguments::words(&format!("labels[{n}]"), &labels);
        let labels: Vec<_> = list.iter().enumerate().map(one).collect::<Result<_>>()?;
        Ok(self.0.write(&labels, &arguments::words("inputLengths", input_lengths)?)?)
    }
}
