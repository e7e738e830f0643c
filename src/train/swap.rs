//! Averages in the weights' place.

use super::trainer::Trainer;
use crate::error::{Error, Result};

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
