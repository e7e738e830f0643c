//! How fast weights change, step by step.

use crate::error::{Error, Result};
use std::f64::consts::PI;

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
    /// rate · factor^⌊k / every⌋: PyTorch's `StepLR`.
    Step {
        /// The rate of the first step.
        rate: f64,
        /// What the rate is multiplied by each time.
        factor: f64,
        /// After how many steps that happens.
        every: u32,
    },
    /// rate · factorᵏ: PyTorch's `ExponentialLR`.
    Exponential {
        /// The rate of the first step.
        rate: f64,
        /// What the rate is multiplied by at each step.
        factor: f64,
    },
    /// PyTorch's `CosineAnnealingLR` after a `LinearLR`: rate · (k + 1) / `warm_up` in the first steps; then least + (rate − least) · (1 + cos(π·j / steps)) / 2, j counting
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
    /// rate · (1 − k / steps)^power, and 0 from k = `steps` on: PyTorch's `PolynomialLR`. With power 1 the rate falls linearly.
    Polynomial {
        /// The rate of the first step.
        rate: f64,
        /// The exponent.
        power: f64,
        /// Number of steps in which the rate falls.
        steps: u32,
    },
    /// The rate rises from rate / `div_factor` to `rate` until k = `pct_start` · `steps` − 1, and falls to
    /// rate / (`div_factor` · `final_div_factor`) until k = `steps` − 1, where it stays: PyTorch's `OneCycleLR` (Smith and
    /// Topin 2018). [`LearningRate::one_cycle`] has PyTorch's defaults.
    OneCycle {
        /// The largest rate, PyTorch's `max_lr`.
        rate: f64,
        /// Number of steps of the whole cycle.
        steps: u32,
        /// The part of the steps in which the rate rises, from 0 to 1.
        pct_start: f64,
        /// What the largest rate is divided by in the first step.
        div_factor: f64,
        /// What the first rate is divided by in the last step.
        final_div_factor: f64,
        /// Whether it rises and falls along straight lines; else as a cosine does.
        linear: bool,
    },
}

impl LearningRate {
    /// One cycle of `steps` steps up to `rate`, with PyTorch's defaults: it rises for 30 % of the steps, begins at rate / 25 and
    /// ends at rate / 250,000, as cosines do.
    pub const fn one_cycle(rate: f64, steps: u32) -> Self {
        Self::OneCycle { rate, steps, pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4, linear: false }
    }

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
                along(rate, least, part, false)
            }
            Self::Polynomial { rate, power, steps } => {
                rate * (1.0 - f64::from(k.min(steps)) / f64::from(steps.max(1))).powf(power)
            }
            Self::OneCycle { rate, steps, pct_start, div_factor, final_div_factor, linear } => {
                let (first, last) = (rate / div_factor, rate / div_factor / final_div_factor);
                // Where it is highest, and where it ends, as PyTorch has them.
                let (k, top, end) = (f64::from(k), pct_start * f64::from(steps) - 1.0, f64::from(steps) - 1.0);
                if k <= top && top > 0.0 {
                    along(first, rate, k / top, linear)
                } else if k >= end {
                    last
                } else {
                    along(rate, last, (k - top) / (end - top), linear)
                }
            }
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let (rates, factor) = match *self {
            Self::Constant(rate) => ([rate; 2], 1.0),
            Self::Step { rate, factor, .. } | Self::Exponential { rate, factor } => ([rate; 2], factor),
            Self::Cosine { rate, least, .. } => ([rate, least], 1.0),
            Self::Polynomial { rate, power, .. } => {
                if !(power >= 0.0 && power.is_finite()) {
                    return Err(Error::value("power of the learning rate", "finite and at least 0", power));
                }
                ([rate; 2], 1.0)
            }
            Self::OneCycle { rate, pct_start, div_factor, final_div_factor, .. } => {
                if !(0.0..=1.0).contains(&pct_start) {
                    return Err(Error::value("pct_start of the learning rate", "from 0 to 1", pct_start));
                }
                for (name, divisor) in [("div_factor", div_factor), ("final_div_factor", final_div_factor)] {
                    if !(divisor > 0.0 && divisor.is_finite()) {
                        let what = format!("{name} of the learning rate");
                        return Err(Error::value(what, "finite and more than 0", divisor));
                    }
                }
                ([rate, rate / div_factor / final_div_factor], 1.0)
            }
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

/// Between two rates, the part `part` of the way: along a line, or half a cosine.
fn along(from: f64, to: f64, part: f64, linear: bool) -> f64 {
    if linear { from + (to - from) * part } else { to + (from - to) * (1.0 + (PI * part).cos()) / 2.0 }
}

/// Lowers the learning rate when the loss does not fall any more, as PyTorch's `ReduceLROnPlateau` does: after more than
/// `patience` updates in a row whose loss is not below best · (1 − `threshold`), the rate is multiplied by `factor`. The host
/// feeds it, mostly with losses on data held out from training. A loss that is NaN is no better than any other.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::ReduceOnPlateau;
/// let mut plateau = ReduceOnPlateau::new(0.1)?.factor(0.5)?.patience(1);
/// assert_eq!(plateau.update(2.0), 0.1); // the best so far
/// assert_eq!(plateau.update(2.0), 0.1);
/// assert_eq!(plateau.update(2.0), 0.05); // the second that is no better
/// // trainer.set_learning_rate(LearningRate::Constant(plateau.rate()))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReduceOnPlateau {
    rate: f64,
    factor: f64,
    patience: u32,
    threshold: f64,
    cooldown: u32,
    least: f64,
    best: f64,
    /// Updates in a row that were no better.
    bad: u32,
    /// Updates left in which nothing is counted.
    cooling: u32,
}

impl ReduceOnPlateau {
    /// Begins with a rate, and PyTorch's defaults: factor 0.1, patience 10, threshold 10⁻⁴, no cooldown, smallest rate 0.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a rate that is negative or not finite.
    pub fn new(rate: f64) -> Result<Self> {
        LearningRate::Constant(rate).validate()?;
        let (best, bad, cooling) = (f64::INFINITY, 0, 0);
        Ok(Self { rate, factor: 0.1, patience: 10, threshold: 1e-4, cooldown: 0, least: 0.0, best, bad, cooling })
    }

    /// Sets what the rate is multiplied by.
    ///
    /// # Errors
    /// [`Value`](Error::Value) unless it is from 0 to less than 1.
    pub fn factor(self, factor: f64) -> Result<Self> {
        if (0.0..1.0).contains(&factor) {
            return Ok(Self { factor, ..self });
        }
        Err(Error::value("factor of a plateau", "from 0 to less than 1", factor))
    }

    /// Sets how many updates without a better loss are let pass.
    pub const fn patience(self, patience: u32) -> Self {
        Self { patience, ..self }
    }

    /// Sets how much better a loss has to be than the best, relative to that.
    ///
    /// # Errors
    /// [`Value`](Error::Value) unless it is from 0 to less than 1.
    pub fn threshold(self, threshold: f64) -> Result<Self> {
        if (0.0..1.0).contains(&threshold) {
            return Ok(Self { threshold, ..self });
        }
        Err(Error::value("threshold of a plateau", "from 0 to less than 1", threshold))
    }

    /// Sets how many updates follow a lower rate before losses are compared again.
    pub const fn cooldown(self, cooldown: u32) -> Self {
        Self { cooldown, ..self }
    }

    /// Sets the smallest rate, PyTorch's `min_lr`.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a rate that is negative or not finite.
    pub fn least(self, least: f64) -> Result<Self> {
        LearningRate::Constant(least).validate()?;
        Ok(Self { least, ..self })
    }

    /// Takes a loss, and gives the rate of the steps that follow.
    pub fn update(&mut self, loss: f64) -> f64 {
        if loss < self.best * (1.0 - self.threshold) {
            (self.best, self.bad) = (loss, 0);
        } else {
            self.bad += 1;
        }
        if self.cooling > 0 {
            (self.cooling, self.bad) = (self.cooling - 1, 0);
        }
        if self.bad > self.patience {
            let rate = (self.rate * self.factor).max(self.least);
            // PyTorch's `eps`: a change so small is none.
            if self.rate - rate > 1e-8 {
                self.rate = rate;
            }
            (self.cooling, self.bad) = (self.cooldown, 0);
        }
        self.rate
    }

    /// The rate now.
    pub const fn rate(&self) -> f64 {
        self.rate
    }

    /// The best loss so far; infinite before the first one.
    pub const fn best(&self) -> f64 {
        self.best
    }

    /// What it remembers, as a note for a checkpoint.
    pub fn note(&self) -> String {
        super::names::numbers_note(&[self.rate, self.best, self.bad.into(), self.cooling.into()])
    }

    /// Goes on from a note of [`ReduceOnPlateau::note`].
    ///
    /// # Errors
    /// [`Value`](Error::Value) for another text.
    pub fn restore(self, note: &str) -> Result<Self> {
        let [rate, best, bad, cooling] = super::names::numbers_of_note("note of a plateau", note)?;
        LearningRate::Constant(rate).validate()?;
        Ok(Self { rate, best, bad: bad as u32, cooling: cooling as u32, ..self })
    }
}
