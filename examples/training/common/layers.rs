//! Dense layers and tables of vectors with random weights.

use anyhow::Result;
use ndarray::Array2;
use rand_mt::Mt;
use wgrnn::{Device, Embedding, Linear};

/// A dense layer to train, without a bias: weights [outputs, inputs] uniform between ±1/√inputs, as in PyTorch.
///
/// # Errors
///
/// Memory that there is not.
pub fn linear(device: &Device, shape: [usize; 2], seed: u32) -> Result<Linear> {
    let bound = 1.0 / (shape[1] as f32).sqrt();
    Ok(Linear::trainable(device, uniform(shape, bound, seed).view(), None)?)
}

/// A table of vectors to train, [symbols, features]: uniform, with variance 1 as in PyTorch.
///
/// # Errors
///
/// Memory that there is not.
pub fn embedding(device: &Device, shape: [usize; 2], seed: u32) -> Result<Embedding> {
    Ok(Embedding::trainable(device, uniform(shape, 3f32.sqrt(), seed).view())?)
}

fn uniform([rows, columns]: [usize; 2], bound: f32, seed: u32) -> Array2<f32> {
    let mut generator = Mt::new(seed);
    let mut number = || (generator.next_u32() as f32 / u32::MAX as f32 * 2.0 - 1.0) * bound;
    Array2::from_shape_simple_fn((rows, columns), &mut number)
}
