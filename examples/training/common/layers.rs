//! Layers with random numbers to begin with, as PyTorch draws them.

use anyhow::Result;
use ndarray::{Array1, Array2, Dimension, ShapeBuilder};
use rand_mt::Mt;
use wgrnn::{Device, Embedding, Linear};

/// A dense layer with a bias, uniformly distributed up to 1/√inputs.
///
/// # Errors
///
/// Those of [`Linear::trainable`].
pub fn linear(device: &Device, [outputs, inputs]: [usize; 2], seed: u32) -> Result<Linear> {
    let mut random = Mt::new(seed);
    let most = 1.0 / (inputs.max(1) as f32).sqrt();
    let weight: Array2<f32> = uniform((outputs, inputs), most, &mut random);
    let bias: Array1<f32> = uniform(outputs, most, &mut random);
    Ok(Linear::trainable(device, weight.view(), Some(bias.view()))?)
}

/// A vector for each symbol, with a deviation of 1.
///
/// # Errors
///
/// Those of [`Embedding::trainable`].
pub fn embedding(device: &Device, [symbols, features]: [usize; 2], seed: u32) -> Result<Embedding> {
    let table: Array2<f32> = uniform((symbols, features), 3.0_f32.sqrt(), &mut Mt::new(seed));
    Ok(Embedding::trainable(device, table.view())?)
}

/// Numbers from -`most` to `most`.
fn uniform<D: Dimension, S: ShapeBuilder<Dim = D>>(shape: S, most: f32, random: &mut Mt) -> ndarray::Array<f32, D> {
    ndarray::Array::from_shape_simple_fn(shape, || (random.next_u32() as f32 / 2.0_f32.powi(31) - 1.0) * most)
}
