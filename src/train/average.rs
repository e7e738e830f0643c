//! Moving averages of weights.

use super::layers::Layer;
use super::trainer::{Trained, Trainer};
use super::update::Shared;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{AverageParams, FLAT, Kernel, Variant};
use crate::layer::row_lanes;
use crate::plan::{PlanBuilder, Program};

/// An exponential moving average of the weights, kept on the device: a = d·a + (1 − d)·w after each step that was taken, d being the
/// decay. After the first step it is the weights themselves, as in PyTorch's `AveragedModel` with `get_ema_multi_avg_fn`
/// (Polyak and Juditsky 1992). Models often do better on held-out data with averaged weights: see
/// [`Trainer::with_averages`].
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

/// After the optimiser: takes the new weights into the averages.
pub(super) fn emit_averages(plan: &mut PlanBuilder, trained: &[&Trained], shared: &Shared) {
    for block in trained {
        let Some(average) = &block.average else { continue };
        let count = block.parameters.len();
        let weights = plan.parts("parameters", block.parameters.values(), count);
        let averages = plan.parts("averages", average, count);
        for (weights, average) in weights.all().iter().zip(averages.all()) {
            let variant = Variant::plain(Kernel::Average, FLAT, plan.device().panel());
            let params = AverageParams { count: weights.words, row_lanes: row_lanes(weights.words) };
            let bindings = vec![weights.buffer, shared.control, shared.status, average.buffer];
            plan.draft.dispatch(variant, bindings, &params.words());
        }
    }
}

/// Programs for averages that are evaluated.
pub(super) struct Averages {
    /// Makes the averages what the weights are.
    start: Program,
    /// Exchanges the two, and packs the weights anew.
    swap: Program,
    /// Whether the layers have the averages.
    pub are_in: bool,
}

impl Averages {
    /// None where no averages are kept.
    pub fn new(device: &Device, trained: &[Trained], layers: &[Layer]) -> Result<Option<Self>> {
        let (mut start, mut swap) = (PlanBuilder::new(device), PlanBuilder::new(device));
        let mut has_any = false;
        for block in trained {
            let Some(average) = &block.average else { continue };
            has_any = true;
            for (plan, exchanges) in [(&mut start, false), (&mut swap, true)] {
                let count = block.parameters.len();
                let weights = plan.parts("parameters", block.parameters.values(), count);
                let averages = plan.parts("averages", average, count);
                for (weights, average) in weights.all().iter().zip(averages.all()) {
                    let words = weights.words as u64;
                    if exchanges {
                        let aside = plan.workspace("weights set aside", weights.words);
                        plan.draft.copy(average.buffer, aside, words);
                        plan.draft.copy(weights.buffer, average.buffer, words);
                        plan.draft.copy(aside, weights.buffer, words);
                    } else {
                        plan.draft.copy(weights.buffer, average.buffer, words);
                    }
                }
            }
        }
        if !has_any {
            return Ok(None);
        }
        layers.iter().for_each(|layer| layer.emit_refresh(&mut swap));
        Ok(Some(Self { start: start.build()?, swap: swap.build()?, are_in: false }))
    }
}

impl Trainer {
    /// Exchanges the weights of all trained layers with their moving averages, on the device: every evaluation, model and session that
    /// shares these layers uses the averages until the next call exchanges them back. In between there is no training step;
    /// checkpoints hold weights and averages as they are meant.
    ///
    /// # Errors
    /// [`Value`](Error::Value) unless [`TrainerOptions::average`](crate::TrainerOptions::average) asked for averages,
    /// [`Gpu`](Error::Gpu).
    pub fn swap_averages(&mut self) -> Result<()> {
        let Some(averages) = &mut self.averages else {
            let expected = "options with TrainerOptions::average";
            return Err(Error::value("averages of the weights", expected, "none"));
        };
        if self.step == 0 && !averages.are_in {
            // There is nothing to average yet.
            averages.start.run()?;
        }
        averages.swap.run()?;
        averages.are_in = !averages.are_in;
        for block in self.trained.iter().filter(|block| !block.frozen) {
            block.parameters.change();
        }
        Ok(())
    }

    /// Runs `evaluate` while the layers have the moving averages of their weights, and exchanges them back, also after an error.
    ///
    /// ```
    /// # fn main() -> wgrnn::Result<()> {
    /// # use ndarray::array;
    /// # use wgrnn::{Device, Linear, MovingAverage, Optimizer, Tape, Tensor, Trainer, TrainerOptions};
    /// # let device = Device::cpu();
    /// # let linear = Linear::trainable(&device, array![[0.]].view(), None)?;
    /// # let one = Tensor::from_array(&device, array![[1.]].view())?;
    /// # let record = |mut tape: Tape| -> wgrnn::Result<Tape> {
    /// #     let (x, t) = (tape.input(&one)?, tape.input(&one)?);
    /// #     let y = tape.linear(&linear, &x)?;
    /// #     tape.mean_squared_error(&y, &t)?;
    /// #     Ok(tape)
    /// # };
    /// let options = TrainerOptions::new(Optimizer::ADAM).average(MovingAverage::new(0.99));
    /// let mut trainer = Trainer::new(record(Tape::training(&device)?)?, options)?;
    /// let evaluation = record(Tape::evaluating(&device)?)?.evaluation()?;
    /// (0..10).try_for_each(|_| trainer.step())?;
    /// let averaged = trainer.with_averages(|| evaluation.run())?;
    /// assert!(averaged > evaluation.run()?); // it lags behind
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Trainer::swap_averages`], and those of `evaluate`.
    pub fn with_averages<T, E: From<Error>>(&mut self, evaluate: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if self.averages.as_ref().is_some_and(|averages| averages.are_in) {
            return evaluate();
        }
        self.swap_averages()?;
        let result = evaluate();
        self.swap_averages()?;
        result
    }
}
