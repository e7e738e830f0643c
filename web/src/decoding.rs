//! The texts and labels that a network finds, on the device: beam search, and decoding of CTC.
#![allow(clippy::await_holding_refcell_ref, reason = "whoever continues beams that are being read gets an error")]

use crate::arguments;
use crate::arrays::{array, object};
use crate::device::Device;
use crate::fault::{Fault, Result};
use crate::handles;
use crate::options;
use crate::promise::{attempt, promise};
use crate::tape::Tape;
use crate::tensor::DeviceState;
use crate::value::Value;
use js_sys::{Array, Promise, Uint32Array};
use ndarray::aview1;
use serde::Deserialize;
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wgrnn::{BeamSearch, CtcDecoding, Hypothesis, PlanBuilder, Tensor};

#[derive(Deserialize)]
struct Search {
    start: u32,
    end: u32,
    steps: usize,
    beams: Option<usize>,
    alpha: Option<f32>,
}

fn search(value: &JsValue) -> Result<BeamSearch> {
    let options: Search = options::read("options of a beam search", value)?;
    let search = BeamSearch::new(options.start, options.end, options.steps);
    let search = options.beams.map_or(search, |beams| search.beams(beams));
    Ok(options.alpha.map_or(search, |alpha| search.alpha(alpha)))
}

#[derive(Deserialize)]
struct Labels {
    beams: Option<usize>,
    blank: Option<u32>,
}

fn decoding(value: &JsValue) -> Result<CtcDecoding> {
    let options: Labels = options::read("options of CTC decoding", value)?;
    let decoding = options.beams.map_or(CtcDecoding::greedy(), CtcDecoding::beam_search);
    Ok(decoding.blank(options.blank.unwrap_or(0)))
}

/// For each sequence, what was found for it.
fn found(all: &[Vec<Hypothesis>]) -> JsValue {
    let one = |hypothesis: &Hypothesis| {
        object([
            ("tokens", Uint32Array::from(&*hypothesis.tokens).into()),
            ("score", hypothesis.score.into()),
            ("logProbability", hypothesis.log_probability.into()),
        ])
    };
    all.iter().map(|sequence| sequence.iter().map(one).collect::<Array>()).collect::<Array>().into()
}

/// The beams of a search: a batch of N sequences has N·K rows, the K beams of a sequence one after the other.
#[wasm_bindgen]
pub struct Beams(Rc<RefCell<wgrnn::Beams>>);

impl Beams {
    fn with<T>(&self, call: impl FnOnce(&wgrnn::Beams) -> Result<T>) -> Result<T> {
        call(&*self.0.try_borrow().map_err(|_| Fault::new("the beams are being continued"))?)
    }
}

#[wasm_bindgen]
impl Beams {
    /// N·K: the rows of tokens, logits and states.
    #[wasm_bindgen(getter)]
    pub fn rows(&self) -> Result<usize> {
        self.with(|beams| Ok(beams.rows()))
    }

    /// The last token of each beam, indices [N·K]: at first the start token.
    pub fn tokens(&self) -> Result<Value> {
        self.with(|beams| Ok(Value::of(beams.tokens())))
    }

    /// Continues the beams by the logits [N·K, C] of the next token.
    pub fn advance(&self, tape: &Tape, logits: &Value) -> Result<()> {
        let mut beams = self.0.try_borrow_mut().map_err(|_| Fault::new("the beams are being read"))?;
        tape.write(|tape| beams.advance(tape.plan(), logits.inner()))
    }

    /// The rows of a value [N·K, ...] of the beams that the last step continued, in the order of the new beams.
    pub fn follow(&self, tape: &Tape, value: &Value) -> Result<Value> {
        self.with(|beams| tape.value(|tape| beams.follow(tape.plan(), value.inner())))
    }

    /// Makes the state of a recurrent layer that of the beams that the last step continued, in the order of the new beams.
    #[wasm_bindgen(js_name = followState)]
    pub fn follow_state(&self, tape: &Tape, state: &DeviceState) -> Result<()> {
        self.with(|beams| tape.write(|tape| beams.follow_state(tape.plan(), state.inner())))
    }

    /// The texts of each sequence after a run of the program, the best one first: K of them, or fewer where fewer are possible.
    #[wasm_bindgen(unchecked_return_type = "Promise<Hypothesis[][]>")]
    pub fn read(&self) -> Promise {
        let beams = Rc::clone(&self.0);
        promise(async move {
            let beams = beams.try_borrow().map_err(|_| Fault::new("the beams are being continued"))?;
            Ok(found(&beams.read_async().await?))
        })
    }
}

/// Labels on the device.
#[wasm_bindgen]
pub struct CtcDecoded(wgrnn::CtcDecoded);

#[wasm_bindgen]
impl CtcDecoded {
    /// The labels of each sequence after a run of the program, the best ones first: one of greedy decoding, else as many as beams, or
    /// fewer where fewer are possible.
    #[wasm_bindgen(unchecked_return_type = "Promise<Hypothesis[][]>")]
    pub fn read(&self) -> Promise {
        let decoded = self.0.clone();
        promise(async move { Ok(found(&decoded.read_async().await?)) })
    }
}

#[wasm_bindgen]
impl Tape {
    /// Starts a beam search for N sequences: the best texts of a decoder whose steps follow on this tape, `steps` times
    /// `beams.tokens()`, the decoder's logits of them, `beams.advance(tape, logits)`, and `beams.followState(tape, state)` for what
    /// the decoder remembers. When the program has run, `beams.read()` gives the texts.
    #[wasm_bindgen(js_name = beamSearch)]
    pub fn beam_search(
        &self,
        #[wasm_bindgen(unchecked_param_type = "BeamSearch")] options: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number")] batch: &JsValue,
    ) -> Result<Beams> {
        let (search, batch) = (search(options)?, arguments::size("batch", batch)?);
        self.write(|tape| tape.plan().beam_search(&search, batch)).map(|beams| Beams(Rc::new(RefCell::new(beams))))
    }

    /// Finds the labels of sequences from the logits [T, N, C] of a network trained with a CTC loss. With `lengths`, indices [N], only
    /// so many steps of each sequence count. When the program has run, `read` of what this returns gives the labels.
    #[wasm_bindgen(js_name = ctcDecode)]
    pub fn ctc_decode(
        &self,
        logits: &Value,
        #[wasm_bindgen(unchecked_optional_param_type = "Value | null")] lengths: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "CtcDecoding")] options: &JsValue,
    ) -> Result<CtcDecoded> {
        let (lengths, decoding) = (handles::optional::<Value>("lengths", lengths)?, decoding(options)?);
        let lengths = lengths.as_ref().map(Value::inner);
        self.write(|tape| tape.plan().ctc_decode(logits.inner(), lengths, &decoding)).map(CtcDecoded)
    }
}

/// `Tape.ctcDecode` of logits [T, N, C] that the host has: for each sequence its labels, the best ones first.
#[wasm_bindgen(js_name = ctcDecode, unchecked_return_type = "Promise<Hypothesis[][]>")]
pub fn ctc_decode(
    device: &Device,
    #[wasm_bindgen(unchecked_param_type = "NdArray")] logits: &JsValue,
    #[wasm_bindgen(unchecked_optional_param_type = "number[] | Uint32Array | null")] lengths: &JsValue,
    #[wasm_bindgen(unchecked_optional_param_type = "CtcDecoding")] options: &JsValue,
) -> Promise {
    attempt(|| {
        let decoding = decoding(options)?;
        let mut plan = PlanBuilder::new(device.inner());
        let logits = plan.tensor(&Tensor::from_array(device.inner(), array::<f32>("logits", logits)?.view())?)?;
        let lengths = if lengths.is_undefined() || lengths.is_null() {
            None
        } else {
            let lengths = arguments::words("lengths", lengths)?;
            Some(plan.tensor(&Tensor::from_array(device.inner(), aview1(&lengths))?)?)
        };
        let decoded = plan.ctc_decode(&logits, lengths.as_ref(), &decoding)?;
        plan.build()?.run()?;
        Ok(promise(async move { Ok(found(&decoded.read_async().await?)) }))
    })
}
