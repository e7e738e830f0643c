//! The quasi-recurrent network with fo-pooling (Bradbury, Merity, Xiong and Socher 2016), of windows of one step:
//!
//! z = tanh(W·x + b), f, o = σ(W·x + b), c' = f⊙c + (1 − f)⊙z, h' = o⊙c'.
//!
//! Gates lie in the order z, f, o. With d the gradient of h' and D = that of c' + d⊙o, the gates' gradients are
//! D⊙(1 − f)⊙(1 − z²), D⊙(c − z)⊙f⊙(1 − f) and d⊙c'⊙o⊙(1 − o), and f⊙D goes to c.

use super::linear::Linear;
use super::math::{MulAdd, sigmoid, tanh};
use super::scan::Scan;
use super::spec::{Recurrence, Spec};

/// The cell.
pub(super) struct Qrnn;

impl Linear<3> for Qrnn {
    #[inline(always)]
    fn coefficients<M: MulAdd>(g: [f32; 3]) -> [f32; 2] {
        let f = sigmoid::<M>(g[1]);
        [f, (1.0 - f) * tanh::<M>(g[0])]
    }

    #[inline(always)]
    fn output<M: MulAdd>(g: [f32; 3], s: f32) -> f32 {
        sigmoid::<M>(g[2]) * s
    }

    #[inline(always)]
    fn slope<M: MulAdd>(g: [f32; 3], _: f32) -> f32 {
        sigmoid::<M>(g[2])
    }

    #[inline(always)]
    fn backward<M: MulAdd>(g: &mut [f32; 3], old: f32, d_y: f32, d_s: f32) -> f32 {
        let [z, f, o] = [tanh::<M>(g[0]), sigmoid::<M>(g[1]), sigmoid::<M>(g[2])];
        let c = f * old + (1.0 - f) * z;
        let d = d_s + d_y * o;
        *g = [d * (1.0 - f) * (1.0 - z * z), d * (old - z) * f * (1.0 - f), d_y * c * o * (1.0 - o)];
        d * f
    }
}

pub(super) static SPEC: Spec = Spec {
    name: "qrnn",
    gates: &["z", "f", "o"],
    recurrence: Recurrence::Scan(Scan::linear::<3, Qrnn>("qrnn", include_str!("../../shaders/cells/qrnn.wgsl"), true)),
    ..Spec::PLAIN
};
