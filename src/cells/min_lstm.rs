//! minLSTM (Feng et al., "Were RNNs All We Needed?", 2024), in its linear form:
//!
//! f = σ(W_f·x + b_f), i = σ(W_i·x + b_i), h' = (f⊙h + i⊙(W_h·x + b_h)) / (f + i).
//!
//! Gates lie in the order f, i, candidate. a = f / (f + i) is computed as σ(softplus(−i's sum) − softplus(−f's sum)), as in the
//! paper, which stays right where f and i are both next to 0. With a, D the gradient of h' and A = D⊙(h − candidate) that of a, the
//! gates' gradients are A⊙i⊙f⊙(1 − f) / (f + i)², −A⊙f⊙i⊙(1 − i) / (f + i)² and D⊙(1 − a), and a⊙D goes to h.

use super::activation::Activation;
use super::linear::Linear;
use super::math::{MulAdd, sigmoid};
use super::scan::Scan;
use super::spec::{Recurrence, Spec};

/// The cell.
pub(super) struct MinLstm;

/// a = f / (f + i).
#[inline(always)]
fn share<M: MulAdd>(g: [f32; 3]) -> f32 {
    let softplus = |sum: f32| Activation::Softplus.of::<M>(sum);
    sigmoid::<M>(softplus(-g[1]) - softplus(-g[0]))
}

impl Linear<3> for MinLstm {
    #[inline(always)]
    fn coefficients<M: MulAdd>(g: [f32; 3]) -> [f32; 2] {
        let a = share::<M>(g);
        [a, (1.0 - a) * g[2]]
    }

    #[inline(always)]
    fn output<M: MulAdd>(_: [f32; 3], s: f32) -> f32 {
        s
    }

    #[inline(always)]
    fn slope<M: MulAdd>(_: [f32; 3], _: f32) -> f32 {
        1.0
    }

    #[inline(always)]
    fn backward<M: MulAdd>(g: &mut [f32; 3], old: f32, d_y: f32, d_s: f32) -> f32 {
        let [f, i] = [sigmoid::<M>(g[0]), sigmoid::<M>(g[1])];
        let a = share::<M>(*g);
        let d = d_s + d_y;
        // Of a, times f·i / (f + i)².
        let d_a = d * (old - g[2]) * a * (1.0 - a);
        *g = [d_a * (1.0 - f), -d_a * (1.0 - i), d * (1.0 - a)];
        d * a
    }
}

pub(super) static SPEC: Spec = Spec {
    name: "min_lstm",
    gates: &["f", "i", "candidate"],
    recurrence: Recurrence::Scan(Scan::linear::<3, MinLstm>(
        "min_lstm",
        include_str!("../../shaders/cells/min_lstm.wgsl"),
        false,
    )),
    bounded: false,
    ..Spec::PLAIN
};
