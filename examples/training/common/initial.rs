//! First weights.

use anyhow::Result;
use ndarray::ArrayD;
use rand_mt::Mt;
use wgrnn::{Device, Parameters};

/// Trainable arrays of these names and shapes. Those of more than one axis are drawn evenly from ±√(6 / inputs), which keeps the
/// variance where relu follows (He et al. 2015); an output has as many inputs as all axes but the first have elements. The others are 0.
///
/// # Errors
///
/// Those of the device.
pub fn initial(device: &Device, arrays: &[(&str, Vec<usize>)], seed: u32) -> Result<Parameters> {
    let mut random = Mt::new(seed);
    let draw = |(name, shape): &(&str, Vec<usize>)| {
        let inputs = shape.iter().skip(1).product::<usize>() as f32;
        let bound = if shape.len() > 1 { (6.0 / inputs).sqrt() } else { 0.0 };
        let mut number = || (random.next_u32() as f32 / 2_147_483_648.0 - 1.0) * bound;
        ((*name).to_owned(), ArrayD::from_shape_simple_fn(shape.as_slice(), &mut number))
    };
    let arrays: Vec<_> = arrays.iter().map(draw).collect();
    Ok(Parameters::new(device, arrays.iter().map(|(name, array)| (name.clone(), array.view())))?)
}
