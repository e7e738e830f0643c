//! The minimal gated unit (Zhou, Wu, Zhang and Zhou, "Minimal Gated Unit for Recurrent Neural Networks", 2016):
//!
//! f = σ(W_f·x + b_f + R_f·h), n = tanh(Wₙ·x + bₙ + Rₙ·(f⊙h)), h' = (1 − f)⊙h + f⊙n.
//!
//! The second product needs f, so a step has two phases: f, which gives f⊙h, then n and h'. Slots 0 and 1 carry f and (1 − f)⊙h
//! from one to the other. Backwards the second phase comes first: with d the gradient of h', that of n's sum is
//! d⊙f⊙(1 − n²); its product with Rₙ is q, the gradient of f⊙h, and that of f's sum is (d⊙(n − h) + q⊙h)⊙f⊙(1 − f).
//! (1 − f)⊙d + f⊙q goes to h past the products.

use super::derivative::{Derivative, Gradient};
use super::forward::{Gates, Unit};
use super::math::{MulAdd, sigmoid, tanh};
use super::options::Equations;
use super::phase::Phase;
use super::spec::{Recurrence, Spec};

/// First phase: f⊙h.
struct Gate;
/// Second phase: h'.
struct State;

impl Gates<1, 2, 1> for Gate {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 1>, slots: &mut [f32; 2], kept: &mut [f32; 1]) -> f32 {
        let Unit { x, r, h, .. } = unit;
        let f = sigmoid::<M>(x[0] + r[0]);
        *slots = [f, (1.0 - f) * h];
        kept[0] = f;
        f * h
    }
}

impl Derivative<1, 3> for Gate {
    #[inline(always)]
    fn backward<M: MulAdd>(k: &mut [f32; 3], h: f32, d: f32, carry: &mut Gradient, _: &Equations) -> [f32; 1] {
        let f = k[0];
        k[0] = (k[2] + d * h) * f * (1.0 - f);
        carry.h += d * f;
        [k[0]]
    }
}

impl Gates<1, 2, 2> for State {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 1>, slots: &mut [f32; 2], kept: &mut [f32; 2]) -> f32 {
        let Unit { x, r, .. } = unit;
        let n = tanh::<M>(x[0] + r[0]);
        *kept = [n, 0.0];
        slots[1] + slots[0] * n
    }
}

impl Derivative<1, 3> for State {
    #[inline(always)]
    fn backward<M: MulAdd>(k: &mut [f32; 3], h: f32, d: f32, carry: &mut Gradient, _: &Equations) -> [f32; 1] {
        let [f, n, _] = *k;
        k[1] = d * f * (1.0 - n * n);
        k[2] = d * (n - h);
        carry.h = d * (1.0 - f);
        [k[1]]
    }
}

pub(super) static SPEC: Spec = Spec {
    name: "mgu",
    gates: &["f", "n"],
    recurrence: Recurrence::Matrix {
        phases: &[
            Phase {
                hidden: true,
                hidden_backward: true,
                ..Phase::new::<1, 2, 1, Gate>("mgu_gate", include_str!("../../shaders/cells/mgu_gate.wgsl"))
                    .trained::<1, 3, 0, Gate>(&[(0, 1)])
            },
            Phase {
                hidden_backward: true,
                ..Phase::new::<1, 2, 2, State>("mgu_state", include_str!("../../shaders/cells/mgu_state.wgsl"))
                    .trained::<1, 3, 0, State>(&[(1, 1)])
            },
        ],
        projected: &[],
    },
    ..Spec::PLAIN
};
