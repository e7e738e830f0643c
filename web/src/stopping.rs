//! What the host does with losses on data held out from training.

use crate::arguments;
use crate::fault::Result;
use crate::options::read;
use serde::Deserialize;
use std::cell::Cell;
use wasm_bindgen::prelude::*;
use wgrnn::Verdict;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stopping {
    min_delta: Option<f64>,
}

/// Ends training when the loss on held-out data does not fall any more.
#[wasm_bindgen]
pub struct EarlyStopping(Cell<wgrnn::EarlyStopping>);

#[wasm_bindgen]
impl EarlyStopping {
    /// Stops at the last of `patience` losses in a row that are no better than the best. A loss is better where it is less than
    /// best − `minDelta`.
    #[wasm_bindgen(constructor)]
    pub fn new(
        #[wasm_bindgen(unchecked_param_type = "number")] patience: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "{ minDelta?: number }")] options: &JsValue,
    ) -> Result<Self> {
        let Stopping { min_delta } = read("options of early stopping", options)?;
        let stopping = wgrnn::EarlyStopping::new(arguments::whole("patience", patience)?)?;
        Ok(Self(Cell::new(stopping.min_delta(min_delta.unwrap_or(0.0))?)))
    }

    /// Takes a loss: "improved" for the best so far, after which a checkpoint may be kept; "waiting" for one that is no better; "stop"
    /// for the last of `patience` of these.
    #[wasm_bindgen(unchecked_return_type = "\"improved\" | \"waiting\" | \"stop\"")]
    pub fn update(&self, #[wasm_bindgen(unchecked_param_type = "number")] loss: &JsValue) -> Result<String> {
        let mut stopping = self.0.get();
        let verdict = stopping.update(arguments::number("loss", loss)?);
        self.0.set(stopping);
        let name = match verdict {
            Verdict::Improved => "improved",
            Verdict::Stop => "stop",
            _ => "waiting",
        };
        Ok(name.to_owned())
    }

    /// The best loss so far; infinite before the first one.
    #[wasm_bindgen(getter)]
    pub fn best(&self) -> f64 {
        self.0.get().best()
    }

    /// What it remembers, as a note for a checkpoint.
    pub fn note(&self) -> String {
        self.0.get().note()
    }

    /// Goes on from a note.
    pub fn restore(&self, #[wasm_bindgen(unchecked_param_type = "string")] note: &JsValue) -> Result<()> {
        self.0.set(self.0.get().restore(&arguments::text("note", note)?)?);
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Plateau {
    factor: Option<f64>,
    patience: Option<u32>,
    threshold: Option<f64>,
    cooldown: Option<u32>,
    least: Option<f64>,
}

/// Lowers the learning rate when the loss does not fall any more, as PyTorch's `ReduceLROnPlateau` does.
#[wasm_bindgen]
pub struct ReduceOnPlateau(Cell<wgrnn::ReduceOnPlateau>);

#[wasm_bindgen]
impl ReduceOnPlateau {
    /// Begins with a rate. Options that are left out are PyTorch's: factor 0.1, patience 10, threshold 1e-4, cooldown 0, least 0.
    #[wasm_bindgen(constructor)]
    pub fn new(
        #[wasm_bindgen(unchecked_param_type = "number")] rate: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "PlateauOptions")] options: &JsValue,
    ) -> Result<Self> {
        let options: Plateau = read("options of a plateau", options)?;
        let mut plateau = wgrnn::ReduceOnPlateau::new(arguments::number("rate", rate)?)?;
        if let Some(factor) = options.factor {
            plateau = plateau.factor(factor)?;
        }
        if let Some(patience) = options.patience {
            plateau = plateau.patience(patience);
        }
        if let Some(threshold) = options.threshold {
            plateau = plateau.threshold(threshold)?;
        }
        if let Some(cooldown) = options.cooldown {
            plateau = plateau.cooldown(cooldown);
        }
        if let Some(least) = options.least {
            plateau = plateau.least(least)?;
        }
        Ok(Self(Cell::new(plateau)))
    }

    /// Takes a loss, and gives the rate of the steps that follow, for `Trainer.setLearningRate`.
    pub fn update(&self, #[wasm_bindgen(unchecked_param_type = "number")] loss: &JsValue) -> Result<f64> {
        let mut plateau = self.0.get();
        let rate = plateau.update(arguments::number("loss", loss)?);
        self.0.set(plateau);
        Ok(rate)
    }

    /// The rate now.
    #[wasm_bindgen(getter)]
    pub fn rate(&self) -> f64 {
        self.0.get().rate()
    }

    /// The best loss so far; infinite before the first one.
    #[wasm_bindgen(getter)]
    pub fn best(&self) -> f64 {
        self.0.get().best()
    }

    /// What it remembers, as a note for a checkpoint.
    pub fn note(&self) -> String {
        self.0.get().note()
    }

    /// Goes on from a note.
    pub fn restore(&self, #[wasm_bindgen(unchecked_param_type = "string")] note: &JsValue) -> Result<()> {
        self.0.set(self.0.get().restore(&arguments::text("note", note)?)?);
        Ok(())
    }
}
