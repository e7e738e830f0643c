//! How gradients change weights, and how fast.

use crate::error::{Error, Result};
use crate::kernels::{AdamParams, FLAT, Kernel, RmsPropParams, SgdParams, Variant};
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
    /// PyTorch's RMSprop. g += decay·w; v = α·v + (1 − α)·g²; d = g / (√v + ε); b = momentum·b + d; w −= rate·b (Tieleman and
    /// Hinton 2012). Centered: m = α·m + (1 − α)·g, and √(v − m²) stands for √v (Graves 2013), where a difference that
    /// rounding makes negative counts as 0.
    #[non_exhaustive]
    RmsProp {
        /// The decay rate α of the mean square, and of the mean.
        alpha: f32,
        /// The ε added to the denominator.
        epsilon: f32,
        /// How much of the direction of earlier steps is kept; 0 for none.
        momentum: f32,
        /// Whether the square of the mean gradient is taken off the mean square.
        centered: bool,
        /// Weight decay, added to the gradient.
        weight_decay: f32,
    },
}

/// What stands before the update of some weights: where they begin and how many they are in their buffers, what the learning
/// rate is multiplied by, and their weight decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Segment {
    pub offset: usize,
    pub count: usize,
    pub factor: f32,
    pub decay: f32,
}

impl Optimizer {
    /// Adam with PyTorch's defaults: β 0.9 and 0.999, ε 10⁻⁸, no weight decay.
    pub const ADAM: Self = Self::adam([0.9, 0.999], 1e-8);

    /// AdamW with PyTorch's defaults: β 0.9 and 0.999, ε 10⁻⁸, weight decay 0.01.
    pub const ADAM_W: Self = Self::adam_w([0.9, 0.999], 1e-8);

    /// RMSprop with PyTorch's defaults: α 0.99, ε 10⁻⁸, no momentum, not centered, no weight decay.
    pub const RMS_PROP: Self = Self::rms_prop(0.99, 1e-8, 0.0);

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

    /// RMSprop with this α and ε, and with this momentum, or none where it is 0. No weight decay.
    pub const fn rms_prop(alpha: f32, epsilon: f32, momentum: f32) -> Self {
        Self::RmsProp { alpha, epsilon, momentum, centered: false, weight_decay: 0.0 }
    }

    /// Centered RMSprop with this α and ε, and with this momentum, or none where it is 0. No weight decay.
    pub const fn rms_prop_centered(alpha: f32, epsilon: f32, momentum: f32) -> Self {
        Self::RmsProp { alpha, epsilon, momentum, centered: true, weight_decay: 0.0 }
    }

    /// Sets the weight decay, which every optimiser has.
    #[must_use]
    pub const fn weight_decay(self, weight_decay: f32) -> Self {
        match self {
            Self::Sgd { momentum, nesterov, .. } => Self::Sgd { momentum, nesterov, weight_decay },
            Self::Adam { betas, epsilon, .. } => Self::Adam { betas, epsilon, weight_decay },
            Self::AdamW { betas, epsilon, .. } => Self::AdamW { betas, epsilon, weight_decay },
            Self::RmsProp { alpha, epsilon, momentum, centered, .. } => {
                Self::RmsProp { alpha, epsilon, momentum, centered, weight_decay }
            }
        }
    }

    /// Its weight decay.
    pub(crate) const fn decay(&self) -> f32 {
        match *self {
            Self::Sgd { weight_decay, .. }
            | Self::Adam { weight_decay, .. }
            | Self::AdamW { weight_decay, .. }
            | Self::RmsProp { weight_decay, .. } => weight_decay,
        }
    }

    /// Names of what it keeps for each weight.
    pub(crate) const fn moments(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd { momentum: 0.0, .. } => &[],
            Self::Sgd { .. } => &["momentum"],
            Self::Adam { .. } | Self::AdamW { .. } => &["mean", "square"],
            Self::RmsProp { momentum: 0.0, centered: false, .. } => &["square"],
            Self::RmsProp { momentum: 0.0, centered: true, .. } => &["square", "mean"],
            Self::RmsProp { centered: false, .. } => &["square", "momentum"],
            Self::RmsProp { centered: true, .. } => &["square", "mean", "momentum"],
        }
    }

    /// Names of what its kernel binds between weights and status; where it keeps none of the name, any memory will do.
    pub(crate) const fn bindings(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd { .. } => &["momentum"],
            Self::Adam { .. } | Self::AdamW { .. } => &["mean", "square"],
            Self::RmsProp { .. } => &["square", "mean", "momentum"],
        }
    }

    /// β₁ and β₂, if it corrects what it keeps for how few steps it has been kept.
    const fn betas(&self) -> Option<[f32; 2]> {
        match self {
            Self::Adam { betas, .. } | Self::AdamW { betas, .. } => Some(*betas),
            Self::Sgd { .. } | Self::RmsProp { .. } => None,
        }
    }

    /// 1/(1 − β₁ᵗ) and 1/(1 − β₂ᵗ) in step t.
    pub(crate) fn corrections(&self, step: u32) -> [f32; 2] {
        let of = |beta: f32| (1.0 / (1.0 - f64::from(beta).powf(step.into()))) as f32;
        self.betas().map_or([1.0; 2], |betas| betas.map(of))
    }

    /// ln β₁ and ln β₂, for corrections on the device; 0 for none.
    pub(crate) fn log_betas(&self) -> [f32; 2] {
        self.betas().map_or([0.0; 2], |betas| betas.map(log_of_decay))
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
            Self::RmsProp { alpha, epsilon, momentum, weight_decay, .. } => {
                part("alpha", alpha)?;
                positive("epsilon", epsilon)?;
                part("momentum", momentum)?;
                positive("weight decay", weight_decay)
            }
        }
    }

    /// Whether a step may overflow though weights, moments and gradients are below 10¹² and the rate is at most 1,000: then
    /// every step is tried before it is taken. Else Adam's m/(1 − β₁ᵗ) is below 10²⁰, and rate · that / ε below 10³⁵.
    pub(crate) fn is_wary(&self) -> bool {
        match *self {
            Self::Sgd { weight_decay, .. } => weight_decay > 1.0,
            Self::Adam { epsilon, weight_decay, .. }
            | Self::AdamW { epsilon, weight_decay, .. }
            | Self::RmsProp { epsilon, weight_decay, .. } => epsilon < 1e-12 || weight_decay > 1.0,
        }
    }

    /// One step for some weights: gradients, hyper, control, weights, then what it keeps and the status. A trial changes none of
    /// them, but says in the status whether the step would make one that is not finite.
    pub(crate) fn emit_update(
        &self,
        plan: &mut PlanBuilder,
        bindings: Vec<BufferId>,
        segment: &Segment,
        clip: Clip,
        trial: bool,
    ) {
        let max_value = if let Clip::Value(most) = clip { most } else { 0.0 };
        let Segment { offset, count, factor, decay } = *segment;
        let row_lanes = row_lanes(count);
        let (kernel, params) = match *self {
            Self::Sgd { momentum, nesterov, .. } => {
                let params =
                    SgdParams { count, offset, factor, momentum, decay, nesterov, max_value, trial, row_lanes };
                (Kernel::Sgd, params.words())
            }
            Self::Adam { betas, epsilon, .. } | Self::AdamW { betas, epsilon, .. } => {
                let params = AdamParams {
                    count,
                    offset,
                    factor,
                    beta_1: betas[0],
                    beta_2: betas[1],
                    epsilon,
                    decay,
                    decoupled: matches!(self, Self::AdamW { .. }),
                    max_value,
                    trial,
                    row_lanes,
                };
                (Kernel::Adam, params.words())
            }
            Self::RmsProp { alpha, epsilon, momentum, centered, .. } => {
                let params = RmsPropParams {
                    count,
                    offset,
                    factor,
                    alpha,
                    epsilon,
                    momentum,
                    decay,
                    centered,
                    max_value,
                    trial,
                    row_lanes,
                };
                (Kernel::RmsProp, params.words())
            }
        };
        let variant = Variant::plain(kernel, FLAT, plan.device().panel());
        plan.draft.dispatch(variant, bindings, &params);
    }
}

/// The logarithm of a decay rate from 0 to less than 1, less than 0 and finite.
pub(crate) fn log_of_decay(decay: f32) -> f32 {
    f64::from(decay).ln().max(-1e4) as f32
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
