//! Dense layers and tables of vectors with random numbers to begin with, as PyTorch draws them.

use anyhow::{Context, Result};
use ndarray::{Array1, Array2, Dimension, ShapeBuilder};
use rand_mt::Mt;
use wgrnn::{Attention, Device, Embedding, Linear, Parameters, Trainer};

/// A dense layer to train: weights [outputs, inputs] and biases, uniform between ±1/√inputs.
///
/// # Errors
///
/// Memory that there is not.
pub fn dense(device: &Device, [outputs, inputs]: [usize; 2], seed: u32) -> Result<Linear> {
    let mut random = Mt::new(seed);
    let bound = 1.0 / (inputs.max(1) as f32).sqrt();
    let weight: Array2<f32> = uniform((outputs, inputs), bound, &mut random);
    let bias: Array1<f32> = uniform(outputs, bound, &mut random);
    Ok(Linear::trainable(device, weight.view(), Some(bias.view()))?)
}

/// A dense layer without biases, the rest as [`dense`] makes it: attention has such.
///
/// # Errors
///
/// Memory that there is not.
pub fn linear(device: &Device, [outputs, inputs]: [usize; 2], seed: u32) -> Result<Linear> {
    let bound = 1.0 / (inputs.max(1) as f32).sqrt();
    let weight: Array2<f32> = uniform((outputs, inputs), bound, &mut Mt::new(seed));
    Ok(Linear::trainable(device, weight.view(), None)?)
}

/// A table of vectors to train, [symbols, features]: uniform, with variance 1.
///
/// # Errors
///
/// Memory that there is not.
pub fn embedding(device: &Device, [symbols, features]: [usize; 2], seed: u32) -> Result<Embedding> {
    let table: Array2<f32> = uniform((symbols, features), 3.0_f32.sqrt(), &mut Mt::new(seed));
    Ok(Embedding::trainable(device, table.view())?)
}

/// Numbers between ±`bound`.
fn uniform<D: Dimension, S: ShapeBuilder<Dim = D>>(shape: S, bound: f32, random: &mut Mt) -> ndarray::Array<f32, D> {
    ndarray::Array::from_shape_simple_fn(shape, || (random.next_u32() as f32 / 2.0_f32.powi(31) - 1.0) * bound)
}

/// Additive attention without biases (Bahdanau et al. 2015), of so many features of query, memory and score.
///
/// # Errors
///
/// Memory that there is not.
pub fn additive(device: &Device, [query, memory, score]: [usize; 3], seed: u32) -> Result<Attention> {
    Ok(Attention::Additive {
        query: linear(device, [score, query], seed)?,
        memory: linear(device, [score, memory], seed.wrapping_add(1))?,
        score: linear(device, [1, score], seed.wrapping_add(2))?,
    })
}

/// Gives the arrays of additive or general attention their names in checkpoints.
///
/// # Errors
///
/// Those of [`name`].
pub fn name_attention(trainer: &mut Trainer, attention: &Attention) -> Result<()> {
    match attention {
        Attention::Additive { query, memory, score } => {
            let layers = [("attention.query", query), ("attention.memory", memory), ("attention.score", score)];
            name(trainer, &layers.map(|(name, layer)| (name, layer.parameters())))
        }
        Attention::General(layer) => name(trainer, &[("attention", layer.parameters())]),
        _ => Ok(()),
    }
}

/// Gives arrays their names in checkpoints.
///
/// # Errors
///
/// Layers that are not trained, names that come twice.
pub fn name(trainer: &mut Trainer, layers: &[(&str, Option<&Parameters>)]) -> Result<()> {
    layers.iter().try_for_each(|(name, parameters)| {
        let parameters = parameters.with_context(|| format!("the layer {name} is not trained"))?;
        Ok(trainer.name(name, parameters)?)
    })
}
