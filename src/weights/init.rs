//! Seeded weights, as PyTorch makes them.

use super::arrays::{LayerWeights, NormWeights, RnnWeights, tensor_shapes};
use super::layout::weight_words;
use crate::config::RnnConfig;
use crate::error::Result;
use crate::memory;
use ndarray::{Array1, ArrayD, Ix1, Ix2, s};
use rand_mt::Mt;

impl RnnWeights {
    /// Initial weights as PyTorch makes them: uniform over ±1/√H, from the same generator, so that
    /// `torch.manual_seed(seed); torch.nn.LSTM(...)` on the CPU gives these very numbers. γ of layer norms is 1, and β
    /// of an LSTM's c is 0.
    ///
    /// # Errors
    /// [`Value`](crate::Error::Value) for a configuration that can't be, [`OutOfMemory`](crate::Error::OutOfMemory).
    pub fn init(config: &RnnConfig, seed: u32) -> Result<Self> {
        config.validate()?;
        let directions = (config.layers as u64).saturating_mul(config.tracks() as u64);
        let lists = directions.saturating_mul(size_of::<LayerWeights>() as u64);
        memory::check_room("weights", weight_words(config).saturating_mul(4).saturating_add(lists))?;
        let mut generator = Mt::new(seed);
        let bound = (1.0 / (config.hidden as f64).sqrt()) as f32;
        // 24 bits of each draw, scaled in f32 by one fused operation, as PyTorch's compiler makes of it.
        let mut uniform = || ((generator.next_u32() & 0xff_ffff) as f32 / 16_777_216.0).mul_add(bound - -bound, -bound);
        let layers = 0..config.layers;
        let layers = layers.map(|layer| (0..config.tracks()).map(|_| direction(config, layer, &mut uniform)).collect());
        Ok(Self::new(layers.collect::<Result<_>>()?).heads(config.heads).of(config))
    }
}

/// The weights of a direction, in the order in which PyTorch draws them.
fn direction(config: &RnnConfig, layer: usize, uniform: &mut impl FnMut() -> f32) -> Result<LayerWeights> {
    let [w, r, b_w, b_r, w_hr, peepholes, n_w, n_r, n_c, n_b] = tensor_shapes(config, layer).map(|(_, shape)| shape);
    let mut drawn = |shape: Option<Vec<usize>>| -> Result<Option<ArrayD<f32>>> {
        let Some(shape) = shape else { return Ok(None) };
        let count = shape.iter().product();
        let numbers = memory::collected("weights", count, std::iter::repeat_with(&mut *uniform).take(count))?;
        Ok(ArrayD::from_shape_vec(shape, numbers).ok())
    };
    let matrix = |array: Option<ArrayD<f32>>| array.and_then(|array| array.into_dimensionality::<Ix2>().ok());
    let vector = |array: Option<ArrayD<f32>>| array.and_then(|array| array.into_dimensionality::<Ix1>().ok());
    let filled = |shape: Option<Vec<usize>>, with: f32| shape.map(|shape| Array1::from_elem(shape[0], with));
    Ok(LayerWeights {
        w: matrix(drawn(w)?).unwrap_or_default(),
        r: matrix(drawn(r)?).unwrap_or_default(),
        b_w: vector(drawn(b_w)?),
        b_r: vector(drawn(b_r)?),
        w_hr: matrix(drawn(w_hr)?),
        peepholes: vector(drawn(peepholes)?).map(|mut peepholes| {
            peepholes.slice_mut(s![2 * config.hidden..3 * config.hidden]).fill(0.0);
            peepholes
        }),
        norm: filled(n_w, 1.0).zip(filled(n_r, 1.0)).map(|(w, r)| NormWeights {
            w,
            r,
            c: filled(n_c, 1.0),
            b_c: filled(n_b, 0.0),
        }),
    })
}
