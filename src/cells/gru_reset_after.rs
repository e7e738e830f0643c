//! The gated recurrent unit of PyTorch, cuDNN and Keras, whose reset gate acts on the product (Cho et al. 2014, reordered
//! so that all three gates' products are one):
//!
//! ρ, z = σ(W·x + b + R·h + b_R), n = tanh(Wₙ·x + bₙ + ρ⊙(Rₙ·h + b_Rn)), h' = (1 − z)⊙n + z⊙h.
//!
//! Gates lie in the order ρ, z, n. With u = Rₙ·h + b_Rn and d the gradient of h', the gradients of the gates' sums are
//! n: d⊙(1 − z)⊙(1 − n²), z: d⊙(h − n)⊙z⊙(1 − z), ρ: that of n ⊙u⊙ρ⊙(1 − ρ); that of u is that of n ⊙ρ, and z⊙d goes to h
//! past the product.
//!
//! With options σ and tanh are other activations, of clipped sums.

use super::activation::{Activation, Coefficient};
use super::derivative::{Derivative, Gradient};
use super::forward::{Gates, Unit};
use super::math::MulAdd;
use super::norm::Norm;
use super::options::{Equations, Options};
use super::phase::Phase;
use super::spec::{Recurrence, Spec};

/// The cell.
pub(super) struct GruResetAfter;

impl Gates<3, 0, 4> for GruResetAfter {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 3>, _slots: &mut [f32; 0], kept: &mut [f32; 4]) -> f32 {
        let Unit { x, r, h, .. } = unit;
        let reset = unit.f::<M>(x[0] + r[0]);
        let z = unit.f::<M>(x[1] + r[1]);
        let n = unit.g::<M>(x[2] + reset * r[2]);
        *kept = [reset, z, n, r[2]];
        (1.0 - z) * n + z * h
    }
}

impl Derivative<3, 4> for GruResetAfter {
    #[inline(always)]
    fn backward<M: MulAdd>(k: &mut [f32; 4], h: f32, d: f32, carry: &mut Gradient, _: &Equations) -> [f32; 3] {
        let [reset, z, n, u] = *k;
        let d_n = d * (1.0 - z) * (1.0 - n * n);
        let d_z = d * (h - n) * z * (1.0 - z);
        let d_reset = d_n * u * reset * (1.0 - reset);
        *k = [d_reset, d_z, d_n, d_n * reset];
        carry.h = d * z;
        [d_reset, d_z, d_n * reset]
    }
}

pub(super) static SPEC: Spec = Spec {
    name: "gru_reset_after",
    gates: &["r", "z", "n"],
    recurrence: Recurrence::Matrix {
        phases: &[Phase {
            hidden: true,
            hidden_backward: true,
            ..Phase::new::<3, 0, 4, GruResetAfter>(
                "gru_reset_after",
                include_str!("../../shaders/cells/gru_reset_after.wgsl"),
            )
            .trained::<3, 4, 0, GruResetAfter>(&[(0, 2), (3, 1)])
        }],
        projected: &[],
    },
    biases: 2,
    activations: 2,
    clip: true,
    norm: Some(Norm { groups: &[0, 0, 1], has_c: false }),
    noise: true,
    forms: &[
        (
            false,
            Options::of(Equations {
                activations: [Activation::Sigmoid, Activation::Elu { alpha: Coefficient::new(0.3) }, Activation::Tanh],
                clip: Some(Coefficient::new(0.5)),
                ..Equations::USUAL
            }),
        ),
        (false, Options::NORMED),
        (false, Options::zoneout(0.2, 0.0)),
        (false, Options::recurrent_dropout(0.4)),
    ],
    ..Spec::PLAIN
};
