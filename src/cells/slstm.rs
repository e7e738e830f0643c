//! The scalar LSTM of xLSTM, with an exponential input gate (Beck et al., "xLSTM: Extended Long Short-Term Memory", 2024):
//!
//! ĩ, f̃, z̃, õ = W·x + b + R·h + b_R, i = e^ĩ, f = σ(f̃), z = tanh(z̃), o = σ(õ), c' = f⊙c + i⊙z, n' = f⊙n + i, h' = o⊙c'/n'.
//!
//! So that e^ĩ does not overflow, c and n are kept over e^m with m' = max(log f + m, ĩ), and ĩ where n is 0, since nothing is
//! carried then: i = e^(ĩ − m') and f = e^(log f + m − m'), which h' does not see.
//!
//! Gates lie in the order i, f, z, o; slots 0 to 2 are c, n, m. With d, C, N and M the gradients of h', c', n' and m',
//! C' = C + d⊙o/n' and N' = N − d⊙o⊙c'/n'², those of the exponents are I = (C'⊙z + N')⊙i and F = (C'⊙c + N'⊙n)⊙f, and M − I − F goes to the
//! one of ĩ and log f + m that m' is: F becomes M − I, or I becomes M − F. The gradients of the gates' sums are I, F⊙σ(−f̃),
//! C'⊙i⊙(1 − z²) and d⊙(c'/n')⊙o⊙(1 − o), and C'⊙f, N'⊙f and F those of c, n and m.

use super::activation::Activation;
use super::derivative::{Derivative, Gradient};
use super::forward::{Gates, Unit};
use super::math::{MulAdd, exp, sigmoid, tanh};
use super::options::Equations;
use super::phase::Phase;
use super::spec::{Recurrence, Spec};

/// The cell.
pub(super) struct Slstm;

/// e^(x − m), which is 1 at most where something is carried; 1 where both are one infinity, NaN for NaN.
#[inline(always)]
fn scale<M: MulAdd>(x: f32, m: f32) -> f32 {
    let exponent = if x == m { 0.0 } else { x - m };
    if exponent.is_nan() { exponent } else { exp::<M>(exponent.clamp(-80.0, 80.0)) }
}

impl Gates<4, 3, 7> for Slstm {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 4>, slots: &mut [f32; 3], kept: &mut [f32; 7]) -> f32 {
        let Unit { x, r, .. } = unit;
        let [old_c, old_n, old_m] = *slots;
        let input = x[0] + r[0];
        let forget = x[1] + r[1];
        let z = tanh::<M>(x[2] + r[2]);
        let o = sigmoid::<M>(x[3] + r[3]);
        let carried = old_m - Activation::Softplus.of::<M>(-forget);
        let m = if old_n == 0.0 || input > carried { input } else { carried };
        let i = scale::<M>(input, m);
        let f = scale::<M>(carried, m);
        let c = f * old_c + i * z;
        let n = f * old_n + i;
        *kept = [i, f, z, o, old_c, old_n, sigmoid::<M>(-forget)];
        *slots = [c, n, m];
        o * c / n
    }
}

impl Derivative<4, 7, 3> for Slstm {
    #[inline(always)]
    fn backward<M: MulAdd>(k: &mut [f32; 7], _h: f32, d: f32, carry: &mut Gradient<3>, _: &Equations) -> [f32; 4] {
        let [i, f, z, o, old_c, old_n, slope] = *k;
        let n = f * old_n + i;
        let ratio = (f * old_c + i * z) / n;
        let d_c = carry.c[0] + d * o / n;
        let d_n = carry.c[1] - d * o * ratio / n;
        let d_input = (d_c * z + d_n) * i;
        let d_carried = (d_c * old_c + d_n * old_n) * f;
        // Where f is 1, m' is what was carried.
        let is_carried = old_n != 0.0 && f == 1.0;
        let (d_input, d_m) =
            if is_carried { (d_input, carry.c[2] - d_input) } else { (carry.c[2] - d_carried, d_carried) };
        let gates = [d_input, d_m * slope, d_c * i * (1.0 - z * z), d * ratio * o * (1.0 - o)];
        *k = [gates[0], gates[1], gates[2], gates[3], old_c, old_n, slope];
        *carry = Gradient { h: 0.0, c: [d_c * f, d_n * f, d_m] };
        gates
    }
}

pub(super) static SPEC: Spec = Spec {
    name: "slstm",
    gates: &["i", "f", "z", "o"],
    recurrence: Recurrence::Matrix {
        phases: &[Phase {
            uses_activations: true,
            ..Phase::new::<4, 3, 7, Slstm>("slstm", include_str!("../../shaders/cells/slstm.wgsl"))
                .trained::<4, 7, 3, Slstm>(&[(0, 4)])
        }],
        projected: &[],
    },
    ..Spec::PLAIN
};
