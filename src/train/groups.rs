//! Parameter groups: parameters with a learning rate and a weight decay of their own.

use super::trained::Trained;
use crate::error::{Error, Result};
use crate::parameters::Parameters;

/// Parameters that are trained with a learning rate and a weight decay of their own, as PyTorch's parameter groups are. What is in
/// no group has the options of the trainer.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::{Cell, Device, Model, ModelConfig, Optimizer, ParameterGroup, RnnConfig, TrainerOptions};
/// let config = ModelConfig::language(5, RnnConfig::new(Cell::Lstm, 3, 4));
/// let model = Model::new(&Device::cpu(), &config, 0)?;
/// let table = model.embedding().expect("it reads tokens").parameters();
/// // The embedding learns at a tenth of the rate, without weight decay; biases have none anywhere.
/// let options = TrainerOptions::new(Optimizer::ADAM_W)
///     .group(ParameterGroup::new(table).rate_factor(0.1).weight_decay(0.0))
///     .decay_vectors(false);
/// # let _ = options;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ParameterGroup {
    parameters: Vec<Parameters>,
    /// Of these names; empty for all.
    pub(super) arrays: Vec<String>,
    pub(super) factor: f64,
    pub(super) weight_decay: Option<f32>,
}

impl ParameterGroup {
    /// A group of all arrays of a block of parameters, with the trainer's learning rate and the optimiser's weight decay.
    pub fn new(parameters: &Parameters) -> Self {
        Self { parameters: vec![parameters.clone()], arrays: Vec::new(), factor: 1.0, weight_decay: None }
    }

    /// Adds another block.
    pub fn with(mut self, parameters: &Parameters) -> Self {
        self.parameters.push(parameters.clone());
        self
    }

    /// Takes only arrays of these names, as [`Parameters::names`] gives them; other arrays of the blocks may be in other groups.
    pub fn arrays(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.arrays.extend(names.into_iter().map(Into::into));
        self
    }

    /// Sets what the learning rate of each step is multiplied by.
    pub fn rate_factor(self, factor: f64) -> Self {
        Self { factor, ..self }
    }

    /// Sets the weight decay, in place of the optimiser's.
    pub fn weight_decay(self, weight_decay: f32) -> Self {
        Self { weight_decay: Some(weight_decay), ..self }
    }

    pub(super) fn validate(&self, name: &str, trained: &[Trained]) -> Result<()> {
        if !(self.factor >= 0.0 && (self.factor as f32).is_finite()) {
            let what = format!("rate factor of {name}");
            return Err(Error::value(what, "at least 0, and finite as a 32-bit float", self.factor));
        }
        if let Some(decay) = self.weight_decay.filter(|decay| !(*decay >= 0.0 && decay.is_finite())) {
            return Err(Error::value(format!("weight decay of {name}"), "finite and at least 0", decay));
        }
        for parameters in &self.parameters {
            let block = trained.iter().find(|block| block.parameters.is(parameters));
            match block {
                None => {
                    let expected = "parameters of layers on the tape";
                    return Err(Error::value(name, expected, "a block that no operation of the tape uses"));
                }
                Some(block) if block.frozen => {
                    let expected = "parameters that are trained";
                    return Err(Error::value(name, expected, "a frozen block; leave it out of the group"));
                }
                Some(_) => {}
            }
        }
        let own = |array: &String| self.parameters.iter().any(|block| block.names().any(|(name, _)| name == array));
        if let Some(array) = self.arrays.iter().find(|array| !own(array)) {
            let known = self.parameters.iter().flat_map(Parameters::names).map(|(name, _)| name);
            let known = known.collect::<Vec<_>>().join(", ");
            return Err(Error::value(format!("arrays of {name}"), format!("some of {known}"), array));
        }
        Ok(())
    }

    /// Whether an array of a block is one of the group's.
    pub(super) fn has(&self, parameters: &Parameters, array: &str) -> bool {
        self.parameters.iter().any(|block| block.is(parameters))
            && (self.arrays.is_empty() || self.arrays.iter().any(|name| name == array))
    }
}

impl PartialEq for ParameterGroup {
    fn eq(&self, other: &Self) -> bool {
        self.parameters.len() == other.parameters.len()
            && self.parameters.iter().zip(&other.parameters).all(|(a, b)| a.is(b))
            && (&self.arrays, self.factor, self.weight_decay) == (&other.arrays, other.factor, other.weight_decay)
    }
}
