//! How weights are averaged.

use crate::error::{Error, Result};

/// An exponential moving average of the weights, kept on the device: a = d·a + (1 − d)·w after each step that was taken, d being the
/// decay. After the first step it is the weights themselves, as in PyTorch's `AveragedModel` with `get_ema_multi_avg_fn`
/// (Polyak and Juditsky 1992). Models often do better on held-out data with averaged weights: see
/// [`Trainer::with_averages`](crate::Trainer::with_averages).
///
/// ```
/// use wgrnn::{MovingAverage, Optimizer, TrainerOptions};
/// let options = TrainerOptions::new(Optimizer::ADAM).average(MovingAverage::new(0.999));
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct MovingAverage {
    /// The decay d, from 0 to less than 1.
    pub decay: f32,
    /// Whether it is that of the steps so far alone, each weighted by dⁿ, n steps later: then d·(1 − dᵗ⁻¹) / (1 − dᵗ) stands for
    /// d in step t, as in Adam's bias correction (Kingma and Ba 2015), and the first weights do not count for more than they
    /// should.
    pub bias_corrected: bool,
}

impl MovingAverage {
    /// With this decay, not bias-corrected.
    pub const fn new(decay: f32) -> Self {
        Self { decay, bias_corrected: false }
    }

    /// Sets whether it is bias-corrected.
    pub const fn bias_corrected(self, bias_corrected: bool) -> Self {
        Self { bias_corrected, ..self }
    }

    pub(super) fn validate(self) -> Result<()> {
        if (0.0..1.0).contains(&self.decay) {
            return Ok(());
        }
        Err(Error::value("decay of the moving average", "from 0 to less than 1", self.decay))
    }

    /// What part the weights have in it, after the first step that was taken, and so on.
    pub(super) fn part(self, step: u32) -> f32 {
        let decay = f64::from(self.decay);
        let part = match (step, self.bias_corrected) {
            (0 | 1, _) => 1.0,
            (_, true) => (1.0 - decay) / (1.0 - decay.powf(step.into())),
            (_, false) => 1.0 - decay,
        };
        part as f32
    }
}
