//! Training as a loop with reports.

use super::options::Progress;
use super::trainer::Trainer;
use crate::error::{Error, Result};
use std::ops::ControlFlow;

impl Trainer {
    /// Trains until [`Trainer::steps`] is `steps`. `feed` gets the number of each step, from 0 on, and writes its batch. After
    /// every `every` steps and after the last one, `report` gets the trainer and its progress: it may draw a bar, evaluate, save
    /// a checkpoint, change the learning rate, or end training by `ControlFlow::Break`. Only reports wait for the device.
    ///
    /// Gives whether all steps were taken, or `report` ended it.
    ///
    /// ```
    /// # fn main() -> wgrnn::Result<()> {
    /// use ndarray::array;
    /// use std::ops::ControlFlow;
    /// use wgrnn::{Device, Linear, Optimizer, Tape, Tensor, Trainer, TrainerOptions};
    /// let device = Device::auto();
    /// let linear = Linear::trainable(&device, array![[0.]].view(), None)?;
    /// let [x, t] = [(); 2].map(|()| Tensor::<f32>::zeros(&device, &[1, 1]));
    /// let (x, t) = (x?, t?);
    /// let mut tape = Tape::training(&device)?;
    /// let (input, target) = (tape.input(&x)?, tape.input(&t)?);
    /// let y = tape.linear(&linear, &input)?;
    /// tape.mean_squared_error(&y, &target)?;
    /// let mut trainer = Trainer::new(tape, TrainerOptions::new(Optimizer::ADAM))?;
    /// let feed = |step: u32| -> wgrnn::Result<()> {
    ///     let number = (step % 5) as f32;
    ///     x.write(array![[number]].view())?;
    ///     t.write(array![[2.0 * number]].view())
    /// };
    /// let flow = trainer.train(100, 20, feed, |_, progress| {
    ///     println!("step {}: loss {}", progress.steps, progress.mean_loss);
    ///     Ok(if progress.mean_loss < 0.01 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    /// })?;
    /// assert!(flow.is_continue() && trainer.steps() == 100);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Value`](Error::Value) where `every` is 0; as [`Trainer::step`] and [`Trainer::progress`], and those of `feed` and `report`.
    pub fn train<E: From<Error>>(
        &mut self,
        steps: u32,
        every: u32,
        mut feed: impl FnMut(u32) -> Result<(), E>,
        mut report: impl FnMut(&mut Self, Progress) -> Result<ControlFlow<()>, E>,
    ) -> Result<ControlFlow<()>, E> {
        if every == 0 {
            return Err(Error::value("steps between two reports", "at least 1", every).into());
        }
        while self.steps() < steps {
            feed(self.steps())?;
            self.step()?;
            if self.steps().is_multiple_of(every) || self.steps() == steps {
                let progress = self.progress()?;
                if report(self, progress)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
