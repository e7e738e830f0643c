//! Losses on data held out from training.

use crate::fault::Fault;
use crate::promise::promise;
use js_sys::Promise;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// A program that computes a model's loss on data held out from training, or whatever else a tape for evaluation writes.
#[wasm_bindgen]
pub struct Evaluation(Rc<wgrnn::Evaluation>);

#[wasm_bindgen]
impl Evaluation {
    /// Runs on what the inputs hold now, and gives the loss; 0 if the tape has none.
    #[wasm_bindgen(unchecked_return_type = "Promise<number>")]
    pub fn run(&self) -> Promise {
        let evaluation = Rc::clone(&self.0);
        promise(async move { Ok(evaluation.run_async().await?.into()) })
    }

    /// Runs on what the inputs hold now, a batch of many, and adds the loss to the mean that `mean` gives. Nothing comes back to
    /// the host.
    pub fn add(&self) -> Result<(), Fault> {
        Ok(self.0.add()?)
    }

    /// The mean loss of the batches added since the last call, each weighted by its number of valid targets.
    #[wasm_bindgen(unchecked_return_type = "Promise<number>")]
    pub fn mean(&self) -> Promise {
        let evaluation = Rc::clone(&self.0);
        promise(async move { Ok(evaluation.mean_async().await?.into()) })
    }
}

impl Evaluation {
    pub fn of(evaluation: wgrnn::Evaluation) -> Self {
        Self(Rc::new(evaluation))
    }
}
