//! The gated recurrent unit as first written, whose reset gate acts on the state (Cho et al. 2014; ONNX's default):
//!
//! ρ, z = σ(W·x + b + R·h + b_R), n = tanh(Wₙ·x + bₙ + Rₙ·(ρ⊙h) + b_Rn), h' = (1 − z)⊙n + z⊙h.
//!
//! The second product needs the first one's gates, so a step has two phases: ρ and z, which give ρ⊙h, then n and h'.
//! Slots 0 and 1 carry z and z⊙h from one to the other. Backwards the second phase comes first: with d the gradient of h',
//! those of the gates' sums are n: d⊙(1 − z)⊙(1 − n²), z: d⊙(h − n)⊙z⊙(1 − z); the product of n's with Rₙ is q, the
//! gradient of ρ⊙h, and gives ρ: q⊙h⊙ρ⊙(1 − ρ). z⊙d + ρ⊙q goes to h past the product.
//!
//! With options σ and tanh are other activations, of clipped sums.

use super::activation::{Activation, Coefficient};
use super::derivative::{Derivative, Gradient};
use super::forward::{Gates, Unit};
use super::math::MulAdd;
use super::options::{Equations, Options};
use super::phase::Phase;
use super::spec::{Recurrence, Spec};

/// First phase: ρ⊙h.
pub(super) struct ResetGates;
/// Second phase: h'.
pub(super) struct NewState;

impl Gates<2, 2, 2> for ResetGates {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 2>, slots: &mut [f32; 2], kept: &mut [f32; 2]) -> f32 {
        let Unit { x, r, h, .. } = unit;
        let reset = unit.f::<M>(x[0] + r[0]);
        let z = unit.f::<M>(x[1] + r[1]);
        *slots = [z, z * h];
        *kept = [reset, z];
        reset * h
    }
}

impl Derivative<2, 3> for ResetGates {
    #[inline(always)]
    fn backward<M: MulAdd>(k: &mut [f32; 3], h: f32, d: f32, carry: &mut Gradient, _: &Equations) -> [f32; 2] {
        let reset = k[0];
        k[0] = d * h * reset * (1.0 - reset);
        carry.h += d * reset;
        [k[0], k[1]]
    }
}

impl Gates<1, 2, 1> for NewState {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 1>, slots: &mut [f32; 2], kept: &mut [f32; 1]) -> f32 {
        let n = unit.g::<M>(unit.x[0] + unit.r[0]);
        kept[0] = n;
        (1.0 - slots[0]) * n + slots[1]
    }
}

impl Derivative<1, 3> for NewState {
    #[inline(always)]
    fn backward<M: MulAdd>(k: &mut [f32; 3], h: f32, d: f32, carry: &mut Gradient, _: &Equations) -> [f32; 1] {
        let [_, z, n] = *k;
        k[1] = d * (h - n) * z * (1.0 - z);
        k[2] = d * (1.0 - z) * (1.0 - n * n);
        carry.h = d * z;
        [k[2]]
    }
}

pub(super) static SPEC: Spec = Spec {
    name: "gru_reset_before",
    gates: &["r", "z", "n"],
    recurrence: Recurrence::Matrix {
        phases: &[
            Phase {
                hidden: true,
                hidden_backward: true,
                ..Phase::new::<2, 2, 2, ResetGates>(
                    "gru_reset_before_gates",
                    include_str!("../../shaders/cells/gru_reset_before_gates.wgsl"),
                )
                .trained::<2, 3, 0, ResetGates>(&[(0, 2)])
            },
            Phase {
                hidden_backward: true,
                ..Phase::new::<1, 2, 1, NewState>(
                    "gru_reset_before_state",
                    include_str!("../../shaders/cells/gru_reset_before_state.wgsl"),
                )
                .trained::<1, 3, 0, NewState>(&[(2, 1)])
            },
        ],
        projected: &[],
    },
    biases: 2,
    activations: 2,
    clip: true,
    forms: &[
        (
            false,
            Options::of(Equations {
                activations: [
                    Activation::ScaledTanh { alpha: Coefficient::new(0.3), beta: Coefficient::new(0.6) },
                    Activation::ThresholdedRelu { alpha: Coefficient::new(0.3) },
                    Activation::Tanh,
                ],
                ..Equations::USUAL
            }),
        ),
        (false, Options::of(Equations { clip: Some(Coefficient::new(0.5)), ..Equations::USUAL })),
    ],
    ..Spec::PLAIN
};
