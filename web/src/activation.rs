//! Activations by name.

use crate::arguments;
use crate::arrays::property;
use crate::fault::{Fault, Result};
use crate::options::read;
use serde::Deserialize;
use serde::de::IgnoredAny;
use wasm_bindgen::JsValue;
use wgrnn::Activation;

#[derive(Deserialize)]
struct Constants {
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    alpha: Option<f32>,
    beta: Option<f32>,
}

const NAMES: &str =
    "tanh, relu, sigmoid, softsign, softplus, affine, leakyRelu, thresholdedRelu, scaledTanh, hardSigmoid, elu";

/// `"tanh"`, or `{kind: "leakyRelu", alpha: 0.01}`.
pub fn activation(name: &str, value: &JsValue) -> Result<Activation> {
    let is_name = value.is_string();
    let kind = if is_name { value.clone() } else { property(value, "kind") };
    let Some(kind) = kind.as_string() else {
        return Err(arguments::fault(name, "the name of an activation, or an object with its kind", value));
    };
    let given = if is_name { None } else { Some(read::<Constants>(name, value)?) };
    let [alpha, beta] = given.map_or([None; 2], |given| [given.alpha, given.beta]);
    let constant = |constant: &str, value: Option<f32>| {
        value.ok_or_else(|| Fault::new(format!("{name}: '{constant}' of {kind} is missing")))
    };
    let (found, count) = match &*kind {
        "tanh" => (Activation::Tanh, 0),
        "relu" => (Activation::Relu, 0),
        "sigmoid" => (Activation::Sigmoid, 0),
        "softsign" => (Activation::Softsign, 0),
        "softplus" => (Activation::Softplus, 0),
        "leakyRelu" => (Activation::LeakyRelu { alpha: constant("alpha", alpha)?.into() }, 1),
        "thresholdedRelu" => (Activation::ThresholdedRelu { alpha: constant("alpha", alpha)?.into() }, 1),
        "elu" => (Activation::Elu { alpha: constant("alpha", alpha)?.into() }, 1),
        "affine" | "scaledTanh" | "hardSigmoid" => {
            let (alpha, beta) = (constant("alpha", alpha)?.into(), constant("beta", beta)?.into());
            let found = match &*kind {
                "affine" => Activation::Affine { alpha, beta },
                "scaledTanh" => Activation::ScaledTanh { alpha, beta },
                _ => Activation::HardSigmoid { alpha, beta },
            };
            (found, 2)
        }
        _ => return Err(Fault::new(format!("{name}: expected {NAMES}; got {kind}"))),
    };
    let superfluous = [("alpha", alpha), ("beta", beta)].into_iter().skip(count).find(|(_, value)| value.is_some());
    match superfluous {
        Some((constant, _)) => Err(Fault::new(format!("{name}: {kind} has no {constant}"))),
        None => Ok(found),
    }
}
