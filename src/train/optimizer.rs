//! How gradients change weights, and how fast.

use crate::error::{Error, Result};
use crate::kernels::{AdamParams, FLAT, Kernel, SgdParams, Variant};
use crate::layer::row_lanes;
use crate::plan::{BufferId, PlanBuilder};

/// An optimiser; g is the gradient after clipping, t counts steps from 1. Its functions make one:
///
/// ```
/// use wgrnn::{Optimizer, TrainerOptions};
/// let momentum = Optimizer::sgd(0.9).weight_decay(1e-4);
/// let adam_w = Optimizer::adam_w([0.9, 0.98], 1e-8).weight_decay(0.05);
/// assert_eq!(Optimizer::ADAM, Optimizer::adam([0.9, 0.999], 1e-8));
/// let options = TrainerOptions::new(adam_w);
/// # let _ = (momentum, options);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Optimizer {
    /// Gradient descent. g += decay·w; b = momentum·b + g, where b starts as 0; w −= rate·b. With Nesterov's momentum,
    /// w −= rate·(g + momentum·b).
    #[non_exhaustive]
    Sgd {
        /// How much of the direction of earlier steps is kept; 0 for plain gradient descent.
        momentum: f32,
        /// Whether to use Nesterov's momentum.
        nesterov: bool,
        /// Weight decay, added to the gradient.
        weight_decay: f32,
    },
    /// m = β₁·m + (1 − β₁)·g; v = β₂·v + (1 − β₂)·g²; w −= rate · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + ε)
    /// (Kingma and Ba 2015).
    #[non_exhaustive]
    Adam {
        /// The decay rates β₁ and β₂ of the moments.
        betas: [f32; 2],
        /// The ε added to the denominator.
        epsilon: f32,
        /// Weight decay, added to the gradient.
        weight_decay: f32,
    },
    /// Adam with decoupled weight decay: w −= rate·decay·w in place of the decay added to the gradient (Loshchilov and
    /// Hutter 2019).
    #[non_exhaustive]
    AdamW {
        /// The decay rates β₁ and β₂ of the moments.
        betas: [f32; 2],
        /// The ε added to the denominator.
        epsilon: f32,
        /// Weight decay, applied to the weights directly.
        weight_decay: f32,
    },
}

impl Optimizer {
    /// Adam with PyTorch's defaults: β 0.9 and 0.999, ε 10⁻⁸, no weight decay.
    pub const ADAM: Self = Self::adam([0.9, 0.999], 1e-8);

    /// AdamW with PyTorch's defaults: β 0.9 and 0.999, ε 10⁻⁸, weight decay 0.01.
    pub const ADAM_W: Self = Self::adam_w([0.9, 0.999], 1e-8);

    /// Gradient descent with this momentum, or with none where it is 0. No weight decay.
    pub const fn sgd(momentum: f32) -> Self {
        Self::Sgd { momentum, nesterov: false, weight_decay: 0.0 }
    }

    /// Gradient descent with Nesterov's momentum. No weight decay.
    pub const fn nesterov(momentum: f32) -> Self {
        Self::Sgd { momentum, nesterov: true, weight_decay: 0.0 }
    }

    /// Adam with these decay rates β₁ and β₂, and ε. No weight decay.
    pub const fn adam(betas: [f32; 2], epsilon: f32) -> Self {
        Self::Adam { betas, epsilon, weight_decay: 0.0 }
    }

    /// AdamW with these decay rates β₁ and β₂, and ε. Its weight decay is 0.01, PyTorch's default.
    pub const fn adam_w(betas: [f32; 2], epsilon: f32) -> Self {
        Self::AdamW { betas, epsilon, weight_decay: 0.01 }
    }

    /// Sets the weight decay, which every optimiser has.
    #[must_use]
    pub const fn weight_decay(self, weight_decay: f32) -> Self {
        match self {
            Self::Sgd { momentum, nesterov, .. } => Self::Sgd { momentum, nesterov, weight_decay },
            Self::Adam { betas, epsilon, .. } => Self::Adam { betas, epsilon, weight_decay },
            Self::AdamW { betas, epsilon, .. } => Self::AdamW { betas, epsilon, weight_decay },
        }
    }

    /// Names of what it keeps for each weight.
    pub(crate) const fn moments(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd { momentum: 0.0, .. } => &[],
            Self::Sgd { .. } => &["momentum"],
            Self::Adam { .. } | Self::AdamW { .. } => &["mean", "square"],
        }
    }

    /// 1/(1 − β₁ᵗ) and 1/(1 − β₂ᵗ) in step t.
    pub(crate) fn corrections(&self, step: u32) -> [f32; 2] {
        match self {
            Self::Sgd { .. } => [1.0; 2],
            Self::Adam { betas, .. } | Self::AdamW { betas, .. } => {
                betas.map(|beta| (1.0 / (1.0 - f64::from(beta).powf(step.into()))) as f32)
            }
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let part = |what: &str, value: f32| {
            if (0.0..1.0).contains(&value) { Ok(()) } else { Err(Error::value(what, "from 0 to less than 1", value)) }
        };
        let positive = |what: &str, value: f32| {
            if value >= 0.0 && value.is_finite() { Ok(()) } else { Err(Error::value(what, "at least 0", value)) }
        };
        match *self {
            Self::Sgd { momentum, weight_decay, .. } => {
                part("momentum", momentum)?;
                positive("weight decay", weight_decay)
            }
            Self::Adam { betas, epsilon, weight_decay } | Self::AdamW { betas, epsilon, weight_decay } => {
                part("beta 1", betas[0])?;
                part("beta 2", betas[1])?;
                positive("epsilon", epsilon)?;
                positive("weight decay", weight_decay)
            }
        }
    }

    /// Whether a step may overflow though weights, moments and gradients are below 10¹² and the rate is at most 1,000: then
    /// every step is tried before it is taken. Else Adam's m/(1 − β₁ᵗ) is below 10²⁰, and rate · that / ε below 10³⁵.
    pub(crate) fn is_wary(&self) -> bool {
        match *self {
            Self::Sgd { weight_decay, .. } => weight_decay > 1.0,
            Self::Adam { epsilon, weight_decay, .. } | Self::AdamW { epsilon, weight_decay, .. } => {
                epsilon < 1e-12 || weight_decay > 1.0
            }
        }
    }

    /// One step for a block of `count` weights: gradients, hyper, control, weights, then its moments and the status. A trial
    /// changes none of them, but says in the status whether the step would make one that is not finite.
    pub(crate) fn emit_update(
        &self,
        plan: &mut PlanBuilder,
        bindings: Vec<BufferId>,
        count: usize,
        clip: Clip,
        trial: bool,
    ) {
        let max_value = if let Clip::Value(most) = clip { most } else { 0.0 };
        let row_lanes = row_lanes(count);
        let (kernel, params) = match *self {
            Self::Sgd { momentum, nesterov, weight_decay } => {
                let decay = weight_decay;
                (Kernel::Sgd, SgdParams { count, momentum, decay, nesterov, max_value, trial, row_lanes }.words())
            }
            Self::Adam { betas, epsilon, weight_decay } | Self::AdamW { betas, epsilon, weight_decay } => {
                let params = AdamParams {
                    count,
                    beta_1: betas[0],
                    beta_2: betas[1],
                    epsilon,
                    decay: weight_decay,
                    decoupled: matches!(self, Self::AdamW { .. }),
                    max_value,
                    trial,
                    row_lanes,
                };
                (Kernel::Adam, params.words())
            }
        };
        let variant = Variant::plain(kernel, FLAT, plan.device().panel());
        plan.draft.dispatch(variant, bindings, &params);
    }
}

/// What is done to gradients that are too large, before the optimiser sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Clip {
    /// Nothing is clipped.
    #[default]
    None,
    /// All gradients are scaled so that their norm, taken over all of them together, is at most this (Pascanu, Mikolov
    /// and Bengio 2013).
    Norm(f32),
    /// Each gradient is kept within ± this.
    Value(f32),
}

impl Clip {
    pub(crate) fn validate(self) -> Result<()> {
        match self {
            Self::Norm(most) | Self::Value(most) if !(most > 0.0 && most.is_finite()) => {
                Err(Error::value("gradient clip", "a number above 0", most))
            }
            _ => Ok(()),
        }
    }
}

/// The learning rate of each step. k counts steps from 0.
///
/// ```
/// use wgrnn::{LearningRate, Optimizer, TrainerOptions};
/// let cosine = LearningRate::Cosine { rate: 1e-3, least: 1e-5, warm_up: 100, steps: 10_000 };
/// assert_eq!(cosine.at(99), 1e-3); // the end of the warm-up
/// let options = TrainerOptions::new(Optimizer::ADAM).learning_rate(cosine);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum LearningRate {
    /// The same rate at every step.
    Constant(f64),
    /// rate · factor^⌊k / every⌋.
    Step {
        /// The rate of the first step.
        rate: f64,
        /// What the rate is multiplied by each time.
        factor: f64,
        /// After how many steps that happens.
        every: u32,
    },
    /// rate · factorᵏ.
    Exponential {
        /// The rate of the first step.
        rate: f64,
        /// What the rate is multiplied by at each step.
        factor: f64,
    },
    /// rate · (k + 1) / `warm_up` in the first steps; then least + (rate − least) · (1 + cos(π·j / steps)) / 2, j counting
    /// from there, and `least` from j = `steps` on (Loshchilov and Hutter 2017).
    Cosine {
        /// The largest rate.
        rate: f64,
        /// The smallest rate, which is that of all steps after the fall.
        least: f64,
        /// Number of steps in which the rate grows; may be 0.
        warm_up: u32,
        /// Number of steps in which the rate falls.
        steps: u32,
    },
}

impl LearningRate {
    /// The rate of step k.
    ///
    /// ```
    /// let rate = wgrnn::LearningRate::Step { rate: 0.1, factor: 0.5, every: 10 };
    /// assert_eq!((rate.at(9), rate.at(10)), (0.1, 0.05));
    /// ```
    pub fn at(&self, k: u32) -> f64 {
        match *self {
            Self::Constant(rate) => rate,
            Self::Step { rate, factor, every } => rate * factor.powf((k / every.max(1)).into()),
            Self::Exponential { rate, factor } => rate * factor.powf(k.into()),
            Self::Cosine { rate, warm_up, .. } if k < warm_up => rate * f64::from(k + 1) / f64::from(warm_up),
            Self::Cosine { rate, least, warm_up, steps } => {
                let part = f64::from((k - warm_up).min(steps)) / f64::from(steps.max(1));
                least + (rate - least) * (1.0 + (std::f64::consts::PI * part).cos()) / 2.0
            }
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let (rates, factor) = match *self {
            Self::Constant(rate) => ([rate; 2], 1.0),
            Self::Step { rate, factor, .. } | Self::Exponential { rate, factor } => ([rate; 2], factor),
            Self::Cosine { rate, least, .. } => ([rate, least], 1.0),
        };
        if let Some(rate) = rates.into_iter().find(|rate| !(*rate >= 0.0 && (*rate as f32).is_finite())) {
            return Err(Error::value("learning rate", "at least 0, and finite as a 32-bit float", rate));
        }
        if !(factor >= 0.0 && factor.is_finite()) {
            return Err(Error::value("factor of the learning rate", "finite and at least 0", factor));
        }
        Ok(())
    }
}
