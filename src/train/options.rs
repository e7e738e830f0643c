//! How a model is trained, and how that goes.

use super::average::MovingAverage;
use super::groups::ParameterGroup;
use super::learning_rate::LearningRate;
use super::optimizer::{Clip, Optimizer};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;

/// How a model is trained.
///
/// ```
/// use wgrnn::{Clip, LearningRate, Optimizer, TrainerOptions};
/// let options = TrainerOptions::new(Optimizer::ADAM_W).learning_rate(LearningRate::Constant(3e-4)).clip(Clip::Norm(1.0));
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrainerOptions {
    /// The optimiser.
    pub optimizer: Optimizer,
    /// The learning rate of each step.
    pub learning_rate: LearningRate,
    /// How gradients that are too large are clipped.
    pub clip: Clip,
    /// The seed of dropout, on the tape and between layers, of recurrent dropout and of zoneout.
    pub seed: u32,
    /// Parameters with a learning rate and a weight decay of their own.
    pub groups: Vec<ParameterGroup>,
    /// Whether arrays with one axis, such as biases and gains, have weight decay.
    pub decay_vectors: bool,
    /// Steps in which the learning rate grows linearly to its first value.
    pub warm_up: u32,
    /// Moving averages of the weights, if they are kept.
    pub average: Option<MovingAverage>,
    /// How many steps in a row may be skipped because a number was not finite.
    pub skips: u32,
}

impl TrainerOptions {
    /// A learning rate of 0.001; no clipping, no groups, no warm-up, no averages, no step skipped; seed 0.
    pub const fn new(optimizer: Optimizer) -> Self {
        Self {
            optimizer,
            learning_rate: LearningRate::Constant(1e-3),
            clip: Clip::None,
            seed: 0,
            groups: Vec::new(),
            decay_vectors: true,
            warm_up: 0,
            average: None,
            skips: 0,
        }
    }

    /// Sets the optimiser.
    pub fn optimizer(self, optimizer: Optimizer) -> Self {
        Self { optimizer, ..self }
    }

    /// Sets the learning rate of each step.
    pub fn learning_rate(self, learning_rate: LearningRate) -> Self {
        Self { learning_rate, ..self }
    }

    /// Sets how gradients that are too large are clipped.
    pub fn clip(self, clip: Clip) -> Self {
        Self { clip, ..self }
    }

    /// Sets the seed of everything that training draws.
    pub fn seed(self, seed: u32) -> Self {
        Self { seed, ..self }
    }

    /// Adds a group of parameters with a learning rate and a weight decay of their own. An array may be in one group at most.
    pub fn group(mut self, group: ParameterGroup) -> Self {
        self.groups.push(group);
        self
    }

    /// Sets whether arrays with one axis have weight decay: biases, gains of layer normalisation, peepholes, and IndRNN's
    /// recurrent weights. PyTorch's optimisers decay all parameters, and so does this library, unless it is told `false`. A
    /// [`ParameterGroup`] that names arrays and has a weight decay says otherwise for these.
    pub fn decay_vectors(self, decay_vectors: bool) -> Self {
        Self { decay_vectors, ..self }
    }

    /// Sets in how many steps the learning rate grows linearly before the schedule begins. With w of them, step k < w has the rate
    /// s(0) · (k + 1) / w and a later one s(k − w), s being the schedule: PyTorch's `SequentialLR` of a `LinearLR` and another
    /// schedule.
    pub fn warm_up(self, steps: u32) -> Self {
        Self { warm_up: steps, ..self }
    }

    /// Sets whether a moving average of the weights is kept, and how fast it forgets.
    pub fn average(self, average: impl Into<Option<MovingAverage>>) -> Self {
        Self { average: average.into(), ..self }
    }

    /// Sets how many steps in a row may be skipped. A step whose loss, gradients or new weights are not finite changes
    /// nothing, and training goes on with the next one; [`Progress::skipped`] counts such steps. One more in a row ends training
    /// with [`Error::Diverged`]. The device decides, without the host. With 0, the default, the first such step ends it.
    ///
    /// A skipped step counts in [`Trainer::steps`](crate::Trainer::steps) and for the learning rate, but not for Adam's bias
    /// corrections.
    pub fn skip_nonfinite(self, in_a_row: u32) -> Self {
        Self { skips: in_a_row, ..self }
    }

    /// The learning rate of step k, counted from 0, with the warm-up.
    pub fn rate(&self, k: u32) -> f64 {
        match k.checked_sub(self.warm_up) {
            Some(k) => self.learning_rate.at(k),
            None => self.learning_rate.at(0) * f64::from(k + 1) / f64::from(self.warm_up),
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        self.optimizer.validate()?;
        self.clip.validate()?;
        self.learning_rate.validate()?;
        self.average.map_or(Ok(()), MovingAverage::validate)
    }

    /// The largest factor of the learning rate.
    pub(super) fn largest_factor(&self) -> f64 {
        self.groups.iter().map(|group| group.factor).fold(1.0, f64::max)
    }
}

/// How training goes, as [`Trainer::progress`](crate::Trainer::progress) reports it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// The number of steps so far, skipped ones among them.
    pub steps: u32,
    /// The loss of the last step, in nats for cross-entropies: the sum of the tape's losses, each times its weight, and of
    /// numbers given by [`Tape::give_loss`](crate::Tape::give_loss), and the mean over micro-batches. Gradients given by
    /// [`Tape::give_gradient`](crate::Tape::give_gradient) add nothing to it; it is 0 where there are only these. NaN or infinite if the step was skipped for that.
    pub last_loss: f32,
    /// The mean loss of the steps since the last report, in the same unit. Steps whose loss or gradients were not finite are
    /// left out.
    pub mean_loss: f32,
    /// The norm of all gradients together in the last step, before clipping.
    pub gradient_norm: f32,
    /// How many steps were skipped since training began: see [`TrainerOptions::skip_nonfinite`].
    pub skipped: u32,
}
