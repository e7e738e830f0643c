//! The pretrained models of the repository's examples, and how a text is drawn from scores.

use crate::arguments;
use crate::arrays::object;
use crate::device::Device;
use crate::fault::{Fault, Result};
use crate::options;
use crate::promise::{attempt, promise};
use crate::vad;
use js_sys::{Array, Float32Array, Promise};
use std::rc::Rc;
use wasm_bindgen::prelude::*;

#[allow(dead_code, reason = "its example also compares scores")]
#[path = "../../examples/g2p/model.rs"]
mod g2p;

/// A symbol by its score: one of the `topK` best, or of all where that is 0, with a probability that grows with
/// exp(score / temperature); `uniform`, from 0 to less than 1, decides. The best one at temperature 0.
#[wasm_bindgen]
pub fn choose(
    #[wasm_bindgen(unchecked_param_type = "Float32Array")] scores: &JsValue,
    #[wasm_bindgen(unchecked_param_type = "number")] temperature: &JsValue,
    #[wasm_bindgen(js_name = topK, unchecked_param_type = "number")] top_k: &JsValue,
    #[wasm_bindgen(unchecked_param_type = "number")] uniform: &JsValue,
) -> Result<usize> {
    let scores = arguments::floats("scores", scores)?;
    let (temperature, uniform) =
        (arguments::number("temperature", temperature)?, arguments::number("uniform", uniform)?);
    let top_k = arguments::whole("topK", top_k)? as usize;
    if !(temperature.is_finite() && temperature >= 0.0) {
        return Err(Fault::new(format!("temperature: expected a number from 0, got {temperature}")));
    }
    if !(0.0..1.0).contains(&uniform) {
        return Err(Fault::new(format!("uniform: expected a number from 0 to less than 1, got {uniform}")));
    }
    if scores.is_empty() {
        return Err(Fault::new("scores: expected one at least, got none"));
    }
    Ok(crate::choose::choose(&scores, temperature, top_k, uniform))
}

/// English words to phonemes: g2p-en's network.
#[wasm_bindgen]
pub struct G2p(Rc<g2p::G2p>);

#[wasm_bindgen]
impl G2p {
    /// From the bytes of `g2p_en.safetensors`.
    #[wasm_bindgen(constructor)]
    pub fn new(
        device: &Device,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] weights: &JsValue,
    ) -> Result<Self> {
        let weights = g2p::Weights::read(&arguments::bytes("weights", weights)?)?;
        Ok(Self(Rc::new(g2p::G2p::new(device.inner(), weights)?)))
    }

    /// The phonemes of each word, in ARPAbet with stresses, with spaces between them. Rejects words that have other
    /// characters than the letters a to z; with `partly`, only those that have no letter, and takes what is none for an
    /// unknown one.
    #[wasm_bindgen(unchecked_return_type = "Promise<string[]>")]
    pub fn pronounce(
        &self,
        #[wasm_bindgen(unchecked_param_type = "string[]")] words: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "{ partly?: boolean }")] options: &JsValue,
    ) -> Promise {
        attempt(|| {
            let partly = options::partly(options)?;
            let words = arguments::texts("words", words)?;
            let model = Rc::clone(&self.0);
            for word in &words {
                match model.weights.check(word) {
                    g2p::Readable::InPart(why) if !partly => {
                        return Err(Fault::new(format!("words: {why}, which has to be asked for: {{ partly: true }}")));
                    }
                    g2p::Readable::No(why) => return Err(Fault::new(format!("words: {why}"))),
                    g2p::Readable::InPart(_) | g2p::Readable::Yes => {}
                }
            }
            Ok(promise(async move {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let answer = model.pronounce(&words).await?;
                Ok(answer.phonemes.into_iter().map(JsValue::from).collect::<Array>().into())
            }))
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
    pub fn new(
        device: &Device,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] weights: &JsValue,
    ) -> Result<Self> {
        let weights = vad::model::Weights::read(&arguments::bytes("weights", weights)?)?;
        Ok(Self(Rc::new(vad::model::Vad::new(device.inner(), &weights)?)))
    }

    /// The probability of speech in each 512 samples, of samples from −1 to 1 at 16 kHz.
    #[wasm_bindgen(unchecked_return_type = "Promise<Float32Array>")]
    pub fn probabilities(&self, #[wasm_bindgen(unchecked_param_type = "Float32Array")] samples: &JsValue) -> Promise {
        attempt(|| {
            let samples = arguments::floats("samples", samples)?;
            let model = Rc::clone(&self.0);
            Ok(promise(async move {
                let found = model.probabilities(&[samples]).await?;
                Ok(Float32Array::from(&*found.concat()).into())
            }))
        })
    }

    /// Segments of speech in a file of so many samples.
    #[wasm_bindgen(unchecked_return_type = "{ start: number; end: number }[]")]
    pub fn segments(
        #[wasm_bindgen(unchecked_param_type = "Float32Array")] probabilities: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number")] samples: &JsValue,
    ) -> Result<JsValue> {
        let probabilities = arguments::floats("probabilities", probabilities)?;
        let samples = arguments::whole("samples", samples)? as usize;
        let segment = |range: std::ops::Range<usize>| {
            object([("start", (range.start as f64).into()), ("end", (range.end as f64).into())])
        };
        let found = vad::segments::segments(&probabilities, samples).into_iter().map(segment);
        Ok(found.collect::<Array>().into())
    }
}
