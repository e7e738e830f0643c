//! Learning rates of steps.

use crate::arguments;
use crate::arrays::property;
use crate::fault::{Fault, Result};
use crate::options::read;
use serde::Deserialize;
use serde::de::IgnoredAny;
use wasm_bindgen::JsValue;
use wgrnn::LearningRate;

/// What a kind of schedule has beside its kind.
macro_rules! kinds {
    ($($name:ident { $($field:ident: $type:ty),+ })+) => {$(
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct $name {
            #[serde(rename = "kind")]
            _kind: IgnoredAny,
            $($field: $type,)+
        }
    )+};
}

kinds! {
    Step { rate: f64, factor: f64, every: u32 }
    Exponential { rate: f64, factor: f64 }
    Cosine { rate: f64, steps: u32, least: Option<f64>, warm_up: Option<u32> }
    Polynomial { rate: f64, steps: u32, power: Option<f64> }
    OneCycle {
        rate: f64, steps: u32, pct_start: Option<f64>, div_factor: Option<f64>, final_div_factor: Option<f64>, linear: Option<bool>
    }
}

/// A number, or `{kind: "cosine", rate, least, warmUp, steps}` and so on.
pub fn learning_rate(name: &str, value: &JsValue) -> Result<LearningRate> {
    if let Some(rate) = value.as_f64() {
        return Ok(LearningRate::Constant(rate));
    }
    let Some(kind) = property(value, "kind").as_string() else {
        return Err(arguments::fault(name, "a number, or an object with the kind of a schedule", value));
    };
    Ok(match &*kind {
        "step" => {
            let Step { rate, factor, every, .. } = read(name, value)?;
            LearningRate::Step { rate, factor, every }
        }
        "exponential" => {
            let Exponential { rate, factor, .. } = read(name, value)?;
            LearningRate::Exponential { rate, factor }
        }
        "cosine" => {
            let Cosine { rate, steps, least, warm_up, .. } = read(name, value)?;
            LearningRate::Cosine { rate, least: least.unwrap_or(0.0), warm_up: warm_up.unwrap_or(0), steps }
        }
        "polynomial" => {
            let Polynomial { rate, steps, power, .. } = read(name, value)?;
            LearningRate::Polynomial { rate, power: power.unwrap_or(1.0), steps }
        }
        "oneCycle" => {
            let OneCycle { rate, steps, pct_start, div_factor, final_div_factor, linear, .. } = read(name, value)?;
            LearningRate::OneCycle {
                rate,
                steps,
                pct_start: pct_start.unwrap_or(0.3),
                div_factor: div_factor.unwrap_or(25.0),
                final_div_factor: final_div_factor.unwrap_or(1e4),
                linear: linear.unwrap_or(false),
            }
        }
        _ => {
            let known = "step, exponential, cosine, polynomial, oneCycle";
            return Err(Fault::new(format!("{name}: expected a kind of {known}; got {kind}")));
        }
    })
}
