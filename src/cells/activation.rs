//! The functions that cells apply to sums, as ONNX defines them.

use super::math::{MulAdd, exp, relu, sigmoid, tanh};
use crate::error::{Error, Result};

/// A constant of an activation function. Two are equal if their bits are equal, so that configurations can be compared
/// and hashed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Coefficient(u32);

impl Coefficient {
    /// Takes a number. It has to be finite by the time a layer is made with it.
    pub const fn new(value: f32) -> Self {
        Self(value.to_bits())
    }

    /// The number as it was given.
    pub const fn get(self) -> f32 {
        f32::from_bits(self.0)
    }
}

impl From<f32> for Coefficient {
    fn from(value: f32) -> Self {
        Self::new(value)
    }
}

impl std::fmt::Debug for Coefficient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

/// A function of a gate's sum a, under the name that ONNX gives it. Elman cells can be trained with
/// [`Tanh`](Self::Tanh), [`Relu`](Self::Relu) and [`Sigmoid`](Self::Sigmoid); with the others they run forward only.
///
/// ```
/// use wgrnn::{Activation, Cell, RnnConfig};
/// // An LSTM whose gates are max(0, min(1, 0.2·a + 0.5)), as older Keras has them.
/// let gates = Activation::HardSigmoid { alpha: 0.2.into(), beta: 0.5.into() };
/// let config = RnnConfig::new(Cell::Lstm, 16, 32).activations(gates, Activation::Tanh, Activation::Tanh);
/// # let _ = config;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activation {
    /// tanh(a).
    Tanh,
    /// max(a, 0).
    Relu,
    /// σ(a) = 1 / (1 + e⁻ᵃ), the logistic function.
    Sigmoid,
    /// α·a + β.
    Affine {
        /// The constant α.
        alpha: Coefficient,
        /// The constant β.
        beta: Coefficient,
    },
    /// a if a ≥ 0, else α·a.
    LeakyRelu {
        /// The constant α.
        alpha: Coefficient,
    },
    /// a if a > α, else 0.
    ThresholdedRelu {
        /// The constant α.
        alpha: Coefficient,
    },
    /// α·tanh(β·a).
    ScaledTanh {
        /// The constant α.
        alpha: Coefficient,
        /// The constant β.
        beta: Coefficient,
    },
    /// min(max(α·a + β, 0), 1).
    HardSigmoid {
        /// The constant α.
        alpha: Coefficient,
        /// The constant β.
        beta: Coefficient,
    },
    /// a if a ≥ 0, else α·(eᵃ − 1).
    Elu {
        /// The constant α.
        alpha: Coefficient,
    },
    /// a / (1 + |a|).
    Softsign,
    /// log(1 + eᵃ).
    Softplus,
}

impl Activation {
    /// The identity: a itself.
    pub const LINEAR: Self = Self::Affine { alpha: Coefficient::new(1.0), beta: Coefficient::new(0.0) };

    /// The function of this name in shaders, and its constants.
    pub(crate) const fn parts(self) -> (&'static str, [Option<Coefficient>; 2]) {
        match self {
            Self::Tanh => ("tanh_", [None, None]),
            Self::Relu => ("relu", [None, None]),
            Self::Sigmoid => ("sigmoid", [None, None]),
            Self::Affine { alpha, beta } => ("affine", [Some(alpha), Some(beta)]),
            Self::LeakyRelu { alpha } => ("leaky_relu", [Some(alpha), None]),
            Self::ThresholdedRelu { alpha } => ("thresholded_relu", [Some(alpha), None]),
            Self::ScaledTanh { alpha, beta } => ("scaled_tanh", [Some(alpha), Some(beta)]),
            Self::HardSigmoid { alpha, beta } => ("hard_sigmoid", [Some(alpha), Some(beta)]),
            Self::Elu { alpha } => ("elu", [Some(alpha), None]),
            Self::Softsign => ("softsign", [None, None]),
            Self::Softplus => ("softplus", [None, None]),
        }
    }

    /// Its value as `shaders/activations.wgsl` computes it.
    #[inline(always)]
    pub(crate) fn of<M: MulAdd>(self, a: f32) -> f32 {
        match self {
            Self::Tanh => tanh::<M>(a),
            Self::Relu => relu(a),
            Self::Sigmoid => sigmoid::<M>(a),
            Self::Affine { alpha, beta } => alpha.get() * a + beta.get(),
            Self::LeakyRelu { alpha } => {
                if a >= 0.0 {
                    a
                } else {
                    alpha.get() * a
                }
            }
            // NaN is not below the threshold.
            Self::ThresholdedRelu { alpha } => {
                if a <= alpha.get() {
                    0.0
                } else {
                    a
                }
            }
            Self::ScaledTanh { alpha, beta } => alpha.get() * tanh::<M>(beta.get() * a),
            Self::HardSigmoid { alpha, beta } => (alpha.get() * a + beta.get()).clamp(0.0, 1.0),
            Self::Elu { alpha } => {
                if a >= 0.0 {
                    a
                } else {
                    alpha.get() * (exp::<M>(a.max(-80.0)) - 1.0) + if a.is_nan() { a } else { 0.0 }
                }
            }
            // Infinities divided would be NaN.
            Self::Softsign => {
                let a = a.clamp(-1e30, 1e30);
                a / (1.0 + a.abs())
            }
            Self::Softplus => {
                let a_abs = a.abs();
                let value = a.max(0.0) + (1.0 + exp::<M>(-a_abs.min(80.0))).ln();
                if a.is_nan() { a } else { value }
            }
        }
    }

    /// Refuses constants that are not finite.
    pub(crate) fn check(self) -> Result<()> {
        let (name, constants) = self.parts();
        match constants.into_iter().flatten().find(|constant| !constant.get().is_finite()) {
            Some(constant) => Err(Error::value(format!("constant of {name}"), "a finite number", constant.get())),
            None => Ok(()),
        }
    }
}

impl std::fmt::Display for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, constants) = self.parts();
        let constants: Vec<_> = constants.into_iter().flatten().map(|constant| constant.get().to_string()).collect();
        write!(f, "{}", name.trim_end_matches('_'))?;
        if constants.is_empty() { Ok(()) } else { write!(f, "({})", constants.join(", ")) }
    }
}
