//! Parameter groups: parameters with a learning rate and a weight decay of their own.

use super::optimizer::Segment;
use super::options::TrainerOptions;
use super::trainer::Trained;
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
    arrays: Vec<String>,
    factor: f64,
    weight_decay: Option<f32>,
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

    pub(super) fn factor(&self) -> f64 {
        self.factor
    }

    fn validate(&self, name: &str, trained: &[Trained]) -> Result<()> {
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
    fn has(&self, parameters: &Parameters, array: &str) -> bool {
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

/// Refuses groups that can't be.
pub(super) fn validate(options: &TrainerOptions, trained: &[Trained]) -> Result<()> {
    for (i, group) in options.groups.iter().enumerate() {
        group.validate(&format!("parameter group {i}"), trained)?;
    }
    for block in trained {
        for (array, _) in block.parameters.names() {
            let mut groups = (0..options.groups.len()).filter(|&i| options.groups[i].has(&block.parameters, array));
            if let (Some(first), Some(second)) = (groups.next(), groups.next()) {
                let got = format!("groups {first} and {second}");
                return Err(Error::value(format!("parameter group of array '{array}'"), "one at most", got));
            }
        }
    }
    Ok(())
}

/// The numbers of a block with their options: neighbours of equal ones together, from the first to the last.
pub(super) fn segments(options: &TrainerOptions, parameters: &Parameters) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut offset = 0;
    for (array, shape) in parameters.names() {
        let group = options.groups.iter().find(|group| group.has(parameters, array));
        let factor = group.map_or(1.0, |group| group.factor as f32);
        let is_named = group.is_some_and(|group| !group.arrays.is_empty() && group.weight_decay.is_some());
        let decays = shape.len() > 1 || options.decay_vectors || is_named;
        let decay = group.and_then(|group| group.weight_decay).unwrap_or_else(|| options.optimizer.decay());
        let decay = if decays { decay } else { 0.0 };
        let count = shape.iter().product();
        match segments.last_mut() {
            Some(last) if (last.factor, last.decay) == (factor, decay) => last.count += count,
            _ => segments.push(Segment { offset, count, factor, decay }),
        }
        offset += count;
    }
    segments
}
