//! Numbers of either precision, and functions of them.

use crate::cells::{Activation, Coefficient};
use crate::config::Precision;
use half::f16;
use ndarray::{ArrayView1, LinalgScalar};
use num_traits::{Float, FromPrimitive};

/// The numbers that the reference computes with: `f32` or `f64`.
pub trait Real: Float + LinalgScalar + FromPrimitive + Send + Sync + std::fmt::Debug {
    /// A number of the input part of the gates as it comes out of memory in half precision.
    fn handed_on(self) -> Self;
}

/// Halves end at 65,504; NaN stays NaN.
fn limited<F: Float + FromPrimitive>(number: F) -> F {
    let most = F::from_f32(f16::MAX.to_f32()).unwrap_or_else(F::nan);
    if number > most {
        most
    } else if number < -most {
        -most
    } else {
        number
    }
}

impl Real for f32 {
    fn handed_on(self) -> Self {
        f16::from_f32(limited(self)).to_f32()
    }
}
impl Real for f64 {
    fn handed_on(self) -> Self {
        limited(self)
    }
}

/// A weight in the type of the computation: f32 fits into both.
pub(super) fn real<F: Real>(weight: f32) -> F {
    F::from_f32(weight).unwrap_or_else(F::nan)
}

/// A weight as it comes out of memory.
pub(super) fn stored<F: Real>(weight: f32, precision: Precision) -> F {
    real(if precision == Precision::Half { f16::from_f32(weight).to_f32() } else { weight })
}

/// The activation f of a number.
pub(super) fn value<F: Real>(f: Activation, a: F) -> F {
    let (zero, one) = (F::zero(), F::one());
    let number = |c: Coefficient| real::<F>(c.get());
    match f {
        Activation::Tanh => a.tanh(),
        Activation::Sigmoid => one / (one + (-a).exp()),
        // NaN stays NaN.
        Activation::Relu if a < zero => zero,
        Activation::Relu => a,
        Activation::Affine { alpha, beta } => number(alpha) * a + number(beta),
        Activation::LeakyRelu { alpha } if a < zero => number(alpha) * a,
        Activation::LeakyRelu { .. } => a,
        Activation::ThresholdedRelu { alpha } if a <= number(alpha) => zero,
        Activation::ThresholdedRelu { .. } => a,
        Activation::ScaledTanh { alpha, beta } => number(alpha) * (number(beta) * a).tanh(),
        Activation::HardSigmoid { alpha, beta } => within(number(alpha) * a + number(beta), zero, one),
        Activation::Elu { alpha } if a < zero => number(alpha) * (a.exp() - one),
        Activation::Elu { .. } => a,
        Activation::Softsign if a.is_infinite() => a.signum(),
        Activation::Softsign => a / (one + a.abs()),
        // log(1 + e^a) without overflow.
        Activation::Softplus if a > zero => a + (one + (-a).exp()).ln(),
        Activation::Softplus => (one + a.exp()).ln(),
    }
}

/// a, or the bound that it is beyond; NaN stays NaN.
pub(super) fn within<F: Real>(a: F, low: F, high: F) -> F {
    if a < low {
        low
    } else if a > high {
        high
    } else {
        a
    }
}

/// Deviations from the mean over their root mean square.
pub(super) fn layer_norm<F: Real>(a: ArrayView1<'_, F>) -> Vec<F> {
    let mean = a.mean().unwrap_or_else(F::nan);
    let variance = a.mapv(|a| (a - mean) * (a - mean)).mean().unwrap_or_else(F::nan);
    a.iter().map(|&a| (a - mean) / (variance + real(1e-5)).sqrt()).collect()
}
