//! The gated recurrent unit of PyTorch, cuDNN and Keras, whose reset gate acts on the product (Cho et al. 2014, reordered
//! so that all three gates' products are one):
//!
//! ρ, z = σ(W·x + b + R·h + b_R), n = tanh(Wₙ·x + bₙ + ρ⊙(Rₙ·h + b_Rn)), h' = (1 − z)⊙n + z⊙h.
//!
//! Gates lie in the order ρ, z, n. With u = Rₙ·h + b_Rn and d the gradient of h', the gradients of the gates' sums are
//! n: d⊙(1 − z)⊙(1 − n²), z: d⊙(h − n)⊙z⊙(1 − z), ρ: that of n ⊙u⊙ρ⊙(1 − ρ); that of u is that of n ⊙ρ, and z⊙d goes to h
//! past the product.

use super::derivative::{Derivative, Gradient};
use super::forward::{Gates, Unit};
use super::math::{MulAdd, sigmoid, tanh};
use super::options::Options;

/// The cell.
pub(super) struct GruResetAfter;

impl Gates<3, 0, 4> for GruResetAfter {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 3>, _slots: &mut [f32; 0], kept: &mut [f32; 4]) -> f32 {
        let Unit { x, r, h, .. } = unit;
        let reset = sigmoid::<M>(x[0] + r[0]);
        let z = sigmoid::<M>(x[1] + r[1]);
        let n = tanh::<M>(x[2] + reset * r[2]);
        *kept = [reset, z, n, r[2]];
        (1.0 - z) * n + z * h
    }
}

impl Derivative<3, 4> for GruResetAfter {
    #[inline(always)]
    fn backward<M: MulAdd>(k: &mut [f32; 4], h: f32, d: f32, carry: &mut Gradient, _: &Options) -> [f32; 3] {
        let [reset, z, n, u] = *k;
        let d_n = d * (1.0 - z) * (1.0 - n * n);
        let d_z = d * (h - n) * z * (1.0 - z);
        let d_reset = d_n * u * reset * (1.0 - reset);
        *k = [d_reset, d_z, d_n, d_n * reset];
        carry.h = d * z;
        [d_reset, d_z, d_n * reset]
    }
}
