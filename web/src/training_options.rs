//! Options of trainers.

use crate::arguments;
use crate::arrays::property;
use crate::fault::{Fault, Result};
use crate::handles::{self, Handle};
use crate::learning_rate::learning_rate;
use crate::options::{Pair, Shape, names, read, read_beside, shape_beside};
use crate::tensor::Parameters;
use js_sys::Array;
use serde::Deserialize;
use serde::de::IgnoredAny;
use wasm_bindgen::{JsCast, JsValue};
use wgrnn::{Clip, MovingAverage, Optimizer, ParameterGroup, RnnCall, TrainerOptions};

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Loss {
    CrossEntropy,
    MeanSquaredError,
    BinaryCrossEntropy,
    MeanAbsoluteError,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OptimizerName {
    Sgd,
    Adam,
    AdamW,
    RmsProp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Training {
    optimizer: Option<OptimizerName>,
    momentum: Option<f32>,
    nesterov: Option<bool>,
    betas: Option<Pair<f32>>,
    alpha: Option<f32>,
    centered: Option<bool>,
    epsilon: Option<f32>,
    weight_decay: Option<f32>,
    decay_vectors: Option<bool>,
    clip_norm: Option<f32>,
    clip_value: Option<f32>,
    seed: Option<u32>,
    warm_up: Option<u32>,
    skip_nonfinite: Option<u32>,
    /// Read elsewhere.
    #[serde(rename = "learningRate")]
    _learning_rate: Option<IgnoredAny>,
    #[serde(rename = "groups")]
    _groups: Option<IgnoredAny>,
    #[serde(rename = "average")]
    _average: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfModel {
    loss: Option<Loss>,
    keep_every: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Average {
    decay: f32,
    bias_corrected: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    #[serde(rename = "parameters")]
    _parameters: IgnoredAny,
    arrays: Option<Vec<String>>,
    rate_factor: Option<f64>,
    weight_decay: Option<f32>,
}

/// How a model is trained.
pub struct ModelTraining {
    pub steps: usize,
    pub batch: usize,
    pub call: RnnCall,
    pub loss: Loss,
    pub trainer: TrainerOptions,
}

pub fn model_training(value: &JsValue) -> Result<ModelTraining> {
    let name = "training";
    let [own, shape, of_model] = [names::<Training>(), names::<Shape>(), names::<OfModel>()];
    let OfModel { loss, keep_every } = read_beside(name, value, &[&own[..], &shape].concat())?;
    let (steps, batch, call) = shape_beside(name, value, false, &[&own[..], &of_model].concat())?;
    let trainer = trainer_options(name, value, &[shape, of_model].concat())?;
    let call = call.keep_every(keep_every);
    Ok(ModelTraining { steps, batch, call, loss: loss.unwrap_or(Loss::CrossEntropy), trainer })
}

/// Options of a trainer, in an object that may have others beside them.
pub fn trainer_options(name: &str, value: &JsValue, others: &[&str]) -> Result<TrainerOptions> {
    let options: Training = read_beside(name, value, others)?;
    let clip = match (options.clip_norm, options.clip_value) {
        (None, None) => Clip::None,
        (Some(norm), None) => Clip::Norm(norm),
        (None, Some(value)) => Clip::Value(value),
        (Some(_), Some(_)) => return Err(Fault::new(format!("{name}: expected clipNorm or clipValue, not both"))),
    };
    let mut trainer = TrainerOptions::new(optimizer(name, &options)?)
        .clip(clip)
        .seed(options.seed.unwrap_or(0))
        .decay_vectors(options.decay_vectors.unwrap_or(true))
        .warm_up(options.warm_up.unwrap_or(0))
        .skip_nonfinite(options.skip_nonfinite.unwrap_or(0))
        .average(average(name, &property(value, "average"))?);
    let rate = property(value, "learningRate");
    if !rate.is_undefined() && !rate.is_null() {
        trainer = trainer.learning_rate(learning_rate(&format!("{name}: learningRate"), &rate)?);
    }
    for group in groups(name, &property(value, "groups"))? {
        trainer = trainer.group(group);
    }
    Ok(trainer)
}

/// A decay, or `{decay, biasCorrected}`.
fn average(name: &str, value: &JsValue) -> Result<Option<MovingAverage>> {
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    if let Some(decay) = value.as_f64() {
        return Ok(Some(MovingAverage::new(decay as f32)));
    }
    let Average { decay, bias_corrected } = read(&format!("{name}: average"), value)?;
    Ok(Some(MovingAverage::new(decay).bias_corrected(bias_corrected.unwrap_or(false))))
}

/// `[{parameters, arrays, rateFactor, weightDecay}]`, `parameters` being a block or several.
fn groups(name: &str, value: &JsValue) -> Result<Vec<ParameterGroup>> {
    if value.is_undefined() || value.is_null() {
        return Ok(Vec::new());
    }
    let name = format!("{name}: groups");
    let list = value.dyn_ref::<Array>().ok_or_else(|| arguments::fault(&name, "an array of groups", value))?;
    let one = |(i, value): (usize, JsValue)| {
        let name = format!("{name}[{i}]");
        let options: Group = read(&name, &value)?;
        let (name, blocks) = (format!("{name}: parameters"), property(&value, "parameters"));
        let blocks = match blocks.is_instance_of::<Array>() {
            true => handles::list::<Parameters>(&name, &blocks)?,
            false => vec![handles::handle::<Parameters>(&name, &blocks)?],
        };
        let Some((first, others)) = blocks.split_first() else {
            return Err(Fault::new(format!("{name}: expected at least one {}, got none", Parameters::CLASS)));
        };
        let group = others.iter().fold(ParameterGroup::new(first.inner()), |group, block| group.with(block.inner()));
        let group = group.arrays(options.arrays.unwrap_or_default()).rate_factor(options.rate_factor.unwrap_or(1.0));
        Ok(match options.weight_decay {
            Some(decay) => group.weight_decay(decay),
            None => group,
        })
    };
    list.iter().enumerate().map(one).collect()
}

/// Adam unless it is named otherwise; options of another one are errors.
fn optimizer(name: &str, options: &Training) -> Result<Optimizer> {
    use OptimizerName::{Adam, AdamW, RmsProp, Sgd};
    let kind = options.optimizer.unwrap_or(Adam);
    let (sgd, adam, rms_prop) = (matches!(kind, Sgd), matches!(kind, Adam | AdamW), matches!(kind, RmsProp));
    let rules = [
        ("momentum", options.momentum.is_some(), sgd || rms_prop, "only sgd and rmsprop have"),
        ("nesterov", options.nesterov.is_some(), sgd, "only sgd has"),
        ("betas", options.betas.is_some(), adam, "only adam and adamw have"),
        ("alpha", options.alpha.is_some(), rms_prop, "only rmsprop has"),
        ("centered", options.centered.is_some(), rms_prop, "only rmsprop has"),
        ("epsilon", options.epsilon.is_some(), adam || rms_prop, "only adam, adamw and rmsprop have"),
    ];
    if let Some((option, .., only)) = rules.into_iter().find(|(_, given, allowed, _)| *given && !allowed) {
        return Err(Fault::new(format!("{name}: {only} {option}")));
    }
    let (momentum, betas) = (options.momentum.unwrap_or(0.0), options.betas.map_or([0.9, 0.999], |Pair(betas)| betas));
    let (alpha, epsilon) = (options.alpha.unwrap_or(0.99), options.epsilon.unwrap_or(1e-8));
    let optimizer = match kind {
        Sgd if options.nesterov == Some(true) => Optimizer::nesterov(momentum),
        Sgd => Optimizer::sgd(momentum),
        Adam => Optimizer::adam(betas, epsilon),
        AdamW => Optimizer::adam_w(betas, epsilon),
        RmsProp if options.centered == Some(true) => Optimizer::rms_prop_centered(alpha, epsilon, momentum),
        RmsProp => Optimizer::rms_prop(alpha, epsilon, momentum),
    };
    Ok(match options.weight_decay {
        Some(decay) => optimizer.weight_decay(decay),
        None => optimizer,
    })
}
