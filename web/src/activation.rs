//! Activations by name.

use crate::arguments;
use crate::arrays::{object, property};
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

/// An activation as JavaScript has it.
pub fn activation_to_js(activation: Activation) -> Result<JsValue> {
    let with = |kind: &str, alpha: f32, beta: Option<f32>| {
        // The shortest decimal number that is this one of 32 bits, as it was most likely written.
        let number = |value: f32| JsValue::from_f64(value.to_string().parse().unwrap_or(f64::from(value)));
        let constants = [("kind", kind.into()), ("alpha", number(alpha))];
        object(constants.into_iter().chain(beta.map(|beta| ("beta", number(beta)))))
    };
    Ok(match activation {
        Activation::Tanh => "tanh".into(),
        Activation::Relu => "relu".into(),
        Activation::Sigmoid => "sigmoid".into(),
        Activation::Softsign => "softsign".into(),
        Activation::Softplus => "softplus".into(),
        Activation::LeakyRelu { alpha } => with("leakyRelu", alpha.get(), None),
        Activation::ThresholdedRelu { alpha } => with("thresholdedRelu", alpha.get(), None),
        Activation::Elu { alpha } => with("elu", alpha.get(), None),
        Activation::Affine { alpha, beta } => with("affine", alpha.get(), Some(beta.get())),
        Activation::ScaledTanh { alpha, beta } => with("scaledTanh", alpha.get(), Some(beta.get())),
        Activation::HardSigmoid { alpha, beta } => with("hardSigmoid", alpha.get(), Some(beta.get())),
        other => return Err(Fault::new(format!("the activation {other:?} has no JavaScript form"))),
    })
}
