//! Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000):
//!
//! i, f, o = σ(W·x + b + R·h + b_R), g = tanh(W·x + b + R·h + b_R), c' = f⊙c + i⊙g, h' = o⊙tanh(c').
//!
//! Gates lie in the order i, f, g, o; slot 0 is c. With d and e the gradients of h' and c', and
//! e' = e + d⊙o⊙(1 − tanh²(c')), the gradients of the gates' sums are i: e'⊙g⊙i⊙(1 − i), f: e'⊙c⊙f⊙(1 − f),
//! g: e'⊙i⊙(1 − g²), o: d⊙tanh(c')⊙o⊙(1 − o), and e'⊙f is that of c.
//!
//! With options (Gers and Schmidhuber 2000; ONNX's `LSTM`; cuDNN's cell clip): i = f(clip(sumᵢ + Pᵢ⊙c)),
//! f = f(clip(sum_f + P_f⊙c)) or 1 − i, g = g(clip(sum_g)), c' = cell clip(f⊙c + i⊙g), o = f(clip(sumₒ + Pₒ⊙c')), h' = o⊙h(c').
//! The derivative knows the cell clip: where c' is clipped, nothing goes back to it or to the gates that made it.

use super::activation::{Activation, Coefficient};
use super::derivative::{Derivative, Gradient};
use super::forward::{Gates, Unit};
use super::math::{MulAdd, tanh};
use super::norm::Norm;
use super::options::{CellClip, Equations, Options};
use super::phase::Phase;
use super::projection;
use super::spec::{Recurrence, Spec};

/// The cell.
pub(super) struct Lstm;

impl Gates<4, 1, 5> for Lstm {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 4>, slots: &mut [f32; 1], kept: &mut [f32; 5]) -> f32 {
        let old = slots[0];
        let i = unit.f::<M>(unit.sum(0, old));
        let f = if unit.equations.coupled { 1.0 - i } else { unit.f::<M>(unit.sum(1, old)) };
        let g = unit.g::<M>(unit.x[2] + unit.r[2]);
        let c = unit.equations.clipped_cell(f * old + i * g);
        let o = unit.f::<M>(unit.sum(3, c));
        *kept = [i, f, g, o, old];
        slots[0] = c;
        let [.., h] = unit.equations.activations;
        o * h.of::<M>(c)
    }
}

impl Derivative<4, 5, 1> for Lstm {
    #[inline(always)]
    fn backward<M: MulAdd>(
        k: &mut [f32; 5],
        _h: f32,
        d: f32,
        carry: &mut Gradient<1>,
        equations: &Equations,
    ) -> [f32; 4] {
        let [i, f, g, o, c] = *k;
        let sum = f * c + i * g;
        let clipped = equations.clipped_cell(sum);
        let t = tanh::<M>(clipped);
        let d_c = carry.c[0] + d * o * (1.0 - t * t);
        let d_c = if equations.cell_clip.is_some() && sum != clipped { 0.0 } else { d_c };
        let gates = [d_c * g * i * (1.0 - i), d_c * c * f * (1.0 - f), d_c * i * (1.0 - g * g), d * t * o * (1.0 - o)];
        *k = [gates[0], gates[1], gates[2], gates[3], c];
        *carry = Gradient { h: 0.0, c: [d_c * f] };
        gates
    }
}

const PHASE: Phase = Phase::new::<4, 1, 5, Lstm>("lstm", include_str!("../../shaders/cells/lstm.wgsl"))
    .trained::<4, 5, 1, Lstm>(&[(0, 4)]);

const ALPHA: Coefficient = Coefficient::new(0.3);

pub(super) static SPEC: Spec = Spec {
    name: "lstm",
    gates: &["i", "f", "g", "o"],
    recurrence: Recurrence::Matrix {
        phases: &[PHASE],
        projected: &[Phase { carries_h: false, ..PHASE }, projection::PHASE],
    },
    biases: 2,
    activations: 3,
    clip: true,
    cell_clip: true,
    coupled: true,
    peepholes: true,
    norm: Some(Norm { groups: &[0; 4], has_c: true }),
    noise: true,
    forms: &[
        (
            false,
            Options::of(Equations {
                activations: [
                    Activation::HardSigmoid { alpha: ALPHA, beta: Coefficient::new(0.6) },
                    Activation::Softsign,
                    Activation::Softplus,
                ],
                clip: Some(Coefficient::new(0.75)),
                coupled: true,
                ..Equations::USUAL
            }),
        ),
        (true, Options::of(Equations { peepholes: true, ..Equations::USUAL })),
        (
            false,
            Options::of(Equations {
                cell_clip: Some(CellClip {
                    low: Coefficient::new(-0.25),
                    high: Coefficient::new(0.4),
                    propagates_nan: false,
                }),
                ..Equations::USUAL
            }),
        ),
        (false, Options::NORMED),
        (false, Options::zoneout(0.3, 0.1)),
        (false, Options::recurrent_dropout(0.4)),
    ],
    ..Spec::PLAIN
};
