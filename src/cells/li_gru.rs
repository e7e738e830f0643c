//! The light gated recurrent unit (Ravanelli, Brakel, Omologo and Bengio, "Light Gated Recurrent Units for Speech
//! Recognition", 2018), without the batch norms that the paper has in its input products:
//!
//! z = σ(W_z·x + b_z + R_z·h), n = max(Wₙ·x + bₙ + Rₙ·h, 0), h' = z⊙h + (1 − z)⊙n.
//!
//! Gates lie in the order z, n. With d the gradient of h', those of the gates' sums are d⊙(h − n)⊙z⊙(1 − z), and d⊙(1 − z) where
//! n > 0; z⊙d goes to h past the product.

use super::derivative::{Derivative, Gradient};
use super::forward::{Gates, Unit};
use super::math::{MulAdd, relu, sigmoid};
use super::options::Equations;
use super::phase::Phase;
use super::spec::{Recurrence, Spec};

/// The cell.
struct LiGru;

impl Gates<2, 0, 2> for LiGru {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 2>, _slots: &mut [f32; 0], kept: &mut [f32; 2]) -> f32 {
        let Unit { x, r, h, .. } = unit;
        let z = sigmoid::<M>(x[0] + r[0]);
        let n = relu(x[1] + r[1]);
        *kept = [z, n];
        z * h + (1.0 - z) * n
    }
}

impl Derivative<2, 2> for LiGru {
    #[inline(always)]
    fn backward<M: MulAdd>(k: &mut [f32; 2], h: f32, d: f32, carry: &mut Gradient, _: &Equations) -> [f32; 2] {
        let [z, n] = *k;
        *k = [d * (h - n) * z * (1.0 - z), if n > 0.0 { d * (1.0 - z) } else { 0.0 }];
        carry.h = d * z;
        *k
    }
}

pub(super) static SPEC: Spec = Spec {
    name: "li_gru",
    gates: &["z", "n"],
    recurrence: Recurrence::Matrix {
        phases: &[Phase {
            hidden: true,
            hidden_backward: true,
            ..Phase::new::<2, 0, 2, LiGru>("li_gru", include_str!("../../shaders/cells/li_gru.wgsl"))
                .trained::<2, 2, 0, LiGru>(&[(0, 2)])
        }],
        projected: &[],
    },
    bounded: false,
    ..Spec::PLAIN
};
