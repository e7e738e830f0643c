//! The pretrained models of the repository's examples, and how a text is drawn from scores.

use crate::arrays::object;
use crate::device::Device;
use crate::promise::promise;
use crate::vad;
use js_sys::{Array, Float32Array, Promise};
use std::rc::Rc;
use wasm_bindgen::prelude::*;

#[path = "../../examples/char_lm/choose.rs"]
mod choose;
#[allow(dead_code, reason = "its example also compares scores")]
#[path = "../../examples/g2p/model.rs"]
mod g2p;

fn fault(error: anyhow::Error) -> JsError {
    JsError::new(&format!("{error:#}"))
}

/// A symbol by its score: one of the `topK` best, or of all where that is 0, with a probability that grows with
/// exp(score / temperature); `uniform`, from 0 to less than 1, decides. The best one at temperature 0.
#[wasm_bindgen]
pub fn choose(
    scores: &[f32],
    temperature: f64,
    #[wasm_bindgen(js_name = topK)] top_k: usize,
    uniform: f64,
) -> Result<usize, JsError> {
    if !(temperature.is_finite() && temperature >= 0.0) {
        return Err(JsError::new(&format!("temperature: expected a number from 0, got {temperature}")));
    }
    if scores.is_empty() {
        return Err(JsError::new("scores: expected one at least, got none"));
    }
    Ok(choose::choose(scores, temperature, top_k, uniform))
}

/// English words to phonemes: g2p-en's network.
#[wasm_bindgen]
pub struct G2p(Rc<g2p::G2p>);

#[wasm_bindgen]
impl G2p {
    /// From the bytes of `g2p_en.safetensors`.
    #[wasm_bindgen(constructor)]
    pub fn new(device: &Device, weights: &[u8]) -> Result<Self, JsError> {
        let weights = g2p::Weights::read(weights).map_err(fault)?;
        Ok(Self(Rc::new(g2p::G2p::new(device.inner(), weights).map_err(fault)?)))
    }

    /// The phonemes of each word, in ARPAbet with stresses, with spaces between them.
    #[wasm_bindgen(unchecked_return_type = "Promise<string[]>")]
    pub fn pronounce(&self, words: Vec<String>) -> Promise {
        let model = Rc::clone(&self.0);
        promise(async move {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let answer = model.pronounce(&words).await.map_err(fault)?;
            Ok(answer.phonemes.into_iter().map(JsValue::from).collect::<Array>().into())
        })
    }
}

/// Where somebody speaks: Silero VAD's network for 16 kHz.
#[wasm_bindgen]
pub struct Vad(Rc<vad::model::Vad>);

#[wasm_bindgen]
impl Vad {
    /// From the bytes of `silero_vad_16k.safetensors`.
    #[wasm_bindgen(constructor)]
    pub fn new(device: &Device, weights: &[u8]) -> Result<Self, JsError> {
        let weights = vad::model::Weights::read(weights).map_err(fault)?;
        Ok(Self(Rc::new(vad::model::Vad::new(device.inner(), &weights).map_err(fault)?)))
    }

    /// The probability of speech in each 512 samples, of samples from −1 to 1 at 16 kHz.
    #[wasm_bindgen(unchecked_return_type = "Promise<Float32Array>")]
    pub fn probabilities(&self, samples: Vec<f32>) -> Promise {
        let model = Rc::clone(&self.0);
        promise(async move {
            let found = model.probabilities(&[samples]).await.map_err(fault)?;
            Ok(Float32Array::from(&*found.concat()).into())
        })
    }

    /// Segments of speech in a file of so many samples.
    #[wasm_bindgen(unchecked_return_type = "{ start: number; end: number }[]")]
    pub fn segments(probabilities: &[f32], samples: usize) -> JsValue {
        let segment = |range: std::ops::Range<usize>| {
            object([("start", (range.start as f64).into()), ("end", (range.end as f64).into())])
        };
        let found = vad::segments::segments(probabilities, samples).into_iter().map(segment);
        found.collect::<Array>().into()
    }
}
