//! The simple recurrent unit (Lei, Zhang and Artzi, "Training RNNs as Fast as CNNs", 2017):
//!
//! f, r = σ(W·x + b), c' = f⊙c + (1 − f)⊙(W_x·x + b_x), h' = r⊙tanh(c') + (1 − r)⊙(W_k·x + b_k).
//!
//! Gates lie in the order candidate, f, r, highway. The highway k is x itself in the paper where sizes agree: W_k is the
//! identity then. With t = tanh(c'), d the gradient of h' and D = that of c' + d⊙r⊙(1 − t²), the gates' gradients are
//! D⊙(1 − f), D⊙(c − candidate)⊙f⊙(1 − f), d⊙(t − k)⊙r⊙(1 − r) and d⊙(1 − r), and f⊙D goes to c.

use super::linear::Linear;
use super::math::{MulAdd, sigmoid, tanh};
use super::scan::Scan;
use super::spec::{Recurrence, Spec};

/// The cell.
pub(super) struct Sru;

impl Linear<4> for Sru {
    #[inline(always)]
    fn coefficients<M: MulAdd>(g: [f32; 4]) -> [f32; 2] {
        let f = sigmoid::<M>(g[1]);
        [f, (1.0 - f) * g[0]]
    }

    #[inline(always)]
    fn output<M: MulAdd>(g: [f32; 4], s: f32) -> f32 {
        let r = sigmoid::<M>(g[2]);
        r * tanh::<M>(s) + (1.0 - r) * g[3]
    }

    #[inline(always)]
    fn slope<M: MulAdd>(g: [f32; 4], s: f32) -> f32 {
        let t = tanh::<M>(s);
        sigmoid::<M>(g[2]) * (1.0 - t * t)
    }

    #[inline(always)]
    fn backward<M: MulAdd>(g: &mut [f32; 4], old: f32, d_y: f32, d_s: f32) -> f32 {
        let [f, r] = [sigmoid::<M>(g[1]), sigmoid::<M>(g[2])];
        let t = tanh::<M>(f * old + (1.0 - f) * g[0]);
        let d = d_s + d_y * r * (1.0 - t * t);
        let d_r = d_y * (t - g[3]);
        *g = [d * (1.0 - f), d * (old - g[0]) * f * (1.0 - f), d_r * r * (1.0 - r), d_y * (1.0 - r)];
        d * f
    }
}

pub(super) static SPEC: Spec = Spec {
    name: "sru",
    gates: &["candidate", "f", "r", "highway"],
    recurrence: Recurrence::Scan(Scan::linear::<4, Sru>("sru", include_str!("../../shaders/cells/sru.wgsl"), true)),
    bounded: false,
    ..Spec::PLAIN
};
