//! Seeded weights, as PyTorch makes them.

use super::{LayerWeights, NormWeights, RnnWeights, tensor_shapes};
use crate::error::Result;
use crate::layer::RnnConfig;
use ndarray::{Array1, Array2, s};
use rand_mt::Mt;

impl RnnWeights {
    /// Every element uniform over ±1/√H, as PyTorch initialises its recurrent layers, and from the same generator:
    /// `torch.manual_seed(seed); torch.nn.LSTM(...)` on the CPU gives these very numbers. Layer norms multiply with 1, and add 0 to
    /// an LSTM's c.
    ///
    /// # Errors
    /// [`Value`](crate::Error::Value) for a configuration that can't be.
    pub fn init(config: &RnnConfig, seed: u32) -> Result<Self> {
        config.validate()?;
        let mut generator = Mt::new(seed);
        let bound = (1.0 / (config.hidden as f64).sqrt()) as f32;
        // 24 bits of each draw, scaled in f32 by one fused operation, as PyTorch's compiler makes of it.
        let mut uniform = || ((generator.next_u32() & 0xff_ffff) as f32 / 16_777_216.0).mul_add(bound - -bound, -bound);
        let mut direction = |layer: usize| {
            let [w, r, b_w, b_r, w_hr, peepholes, n_w, n_r, n_c, n_b] =
                tensor_shapes(config, layer).map(|(_, shape)| shape);
            let filled = |shape: Option<Vec<usize>>, with: f32| shape.map(|shape| Array1::from_elem(shape[0], with));
            let matrix = |shape: Option<Vec<usize>>, uniform: &mut dyn FnMut() -> f32| {
                shape.map(|shape| Array2::from_shape_simple_fn((shape[0], shape[1]), uniform))
            };
            let vector = |shape: Option<Vec<usize>>, uniform: &mut dyn FnMut() -> f32| {
                shape.map(|shape| Array1::from_shape_simple_fn(shape[0], uniform))
            };
            LayerWeights {
                w: matrix(w, &mut uniform).unwrap_or_default(),
                r: matrix(r, &mut uniform).unwrap_or_default(),
                b_w: vector(b_w, &mut uniform),
                b_r: vector(b_r, &mut uniform),
                w_hr: matrix(w_hr, &mut uniform),
                peepholes: vector(peepholes, &mut uniform).map(|mut peepholes| {
                    peepholes.slice_mut(s![2 * config.hidden..3 * config.hidden]).fill(0.0);
                    peepholes
                }),
                norm: filled(n_w, 1.0).zip(filled(n_r, 1.0)).map(|(w, r)| NormWeights {
                    w,
                    r,
                    c: filled(n_c, 1.0),
                    b_c: filled(n_b, 0.0),
                }),
            }
        };
        let layers = 0..config.layers;
        let layers = layers.map(|layer| (0..config.tracks()).map(|_| direction(layer)).collect()).collect();
        Ok(Self::new(layers).heads(config.heads).of(config))
    }
}
