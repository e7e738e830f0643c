//! Losses on data held out from training.

use super::tape::Tape;
use crate::device::{block_on, elsewhere, may_wait};
use crate::error::{Error, Result};
use crate::kernels::{ALONE, Kernel, RunningMeanParams, Variant};
#[cfg(doc)]
use crate::plan::PlanBuilder;
use crate::plan::Program;
use crate::tensor::Tensor;
use ndarray::ArrayD;
use std::sync::Arc;

impl Tape {
    /// Builds the program of a tape for evaluation that has no loss to report: its values are read from tensors that its
    /// [`plan`](Tape::plan) copies them to.
    ///
    /// # Errors
    /// [`Unsupported`](Error::Unsupported) for a tape for training, and as [`PlanBuilder::build`](crate::PlanBuilder::build).
    pub fn build(self) -> Result<Program> {
        if self.training {
            let reason = "its backward pass follows from Trainer::new; Tape::evaluating starts one that can be built";
            return Err(Error::unsupported("the program of a tape for training", reason));
        }
        self.plan.build()
    }

    /// Makes a program of a tape for evaluation.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where the tape is for training, with dropout; as [`PlanBuilder::build`].
    pub fn evaluation(self) -> Result<Evaluation> {
        if self.training {
            return Err(Error::value("tape", "one made by Tape::evaluating", "one for training"));
        }
        Evaluation::new(self)
    }
}

/// A program that computes a model's loss on data held out from training.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::{Device, Linear, Tape, Tensor};
/// let device = Device::auto();
/// let linear = Linear::trainable(&device, array![[2.]].view(), None)?;
/// let x = Tensor::from_array(&device, array![[1.], [2.]].view())?;
/// let t = Tensor::from_array(&device, array![[2.], [3.]].view())?;
/// let mut tape = Tape::evaluating(&device)?;
/// let (input, targets) = (tape.input(&x)?, tape.input(&t)?);
/// let y = tape.linear(&linear, &input)?;
/// tape.mean_squared_error(&y, &targets)?;
/// assert_eq!(tape.evaluation()?.run()?, 0.5); // (0² + 1²) / 2
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Evaluation {
    loss: Tensor,
    program: Arc<Program>,
    /// Commands up to the loss; what follows adds it to the means.
    end: usize,
    /// For each loss the mean over batches, and how many targets it is of.
    means: Tensor,
}

impl Evaluation {
    fn new(mut tape: Tape) -> Result<Self> {
        let end = tape.plan.plan().commands().len();
        let means = Tensor::zeros(tape.device(), &[tape.counts.len().max(1), 2])?;
        if !tape.counts.is_empty() {
            let (losses, to) = (tape.all_losses(), tape.plan.tensor(&means)?.buffer);
            for (i, &valid) in tape.counts.iter().enumerate() {
                let variant = Variant::plain(Kernel::RunningMean, ALONE, tape.plan.device().panel());
                let params = RunningMeanParams { value_at: i, mean_at: 2 * i };
                tape.plan.draft.dispatch(variant, vec![losses, valid, to], &params.words());
            }
        }
        let mut ends = [end];
        let program = Arc::new(tape.plan.build_parts(&mut ends)?);
        Ok(Self { loss: tape.loss, program, end: ends[0], means })
    }

    /// Runs on what the inputs hold now, and gives the loss; 0 if the tape has none.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu) where wgpu or the driver complain.
    pub fn run(&self) -> Result<f32> {
        block_on(self.run_async())
    }

    /// The asynchronous form of [`Evaluation::run`].
    ///
    /// # Errors
    /// As [`Evaluation::run`].
    pub async fn run_async(&self) -> Result<f32> {
        self.start().await?;
        Ok(self.loss.read_async().await?.first().copied().unwrap_or(f32::NAN))
    }

    /// Runs on what the inputs hold now, a batch of many, and adds the loss to the mean that [`Evaluation::mean`] gives. Nothing
    /// comes back to the host.
    ///
    /// # Errors
    /// As [`Evaluation::run`].
    pub fn add(&self) -> Result<()> {
        block_on(self.add_async())
    }

    /// The asynchronous form of [`Evaluation::add`].
    ///
    /// # Errors
    /// As [`Evaluation::run`].
    pub async fn add_async(&self) -> Result<()> {
        self.start_part(self.program.plan().commands().len()).await
    }

    /// The mean loss of the batches added since the last call, each weighted by its number of valid targets: that of one batch
    /// with all of them. With several losses it is the sum of their means. A batch whose targets are all left out counts for
    /// nothing. NaN where there was no target at all; 0 if the tape has no loss.
    ///
    /// ```
    /// # fn main() -> wgrnn::Result<()> {
    /// # use ndarray::array;
    /// # use wgrnn::{Device, Linear, Tape, Tensor};
    /// # let device = Device::auto();
    /// # let linear = Linear::trainable(&device, array![[1.]].view(), None)?;
    /// # let x = Tensor::from_array(&device, array![[1.], [2.]].view())?;
    /// # let t = Tensor::from_array(&device, array![[0.], [0.]].view())?;
    /// # let mut tape = Tape::evaluating(&device)?;
    /// # let (input, targets) = (tape.input(&x)?, tape.input(&t)?);
    /// # let y = tape.linear(&linear, &input)?;
    /// # tape.mean_squared_error(&y, &targets)?;
    /// let evaluation = tape.evaluation()?;
    /// for batch in [array![[1.], [2.]], array![[3.], [4.]]] {
    ///     x.write(batch.view())?;
    ///     evaluation.add()?;
    /// }
    /// assert_eq!(evaluation.mean()?, 7.5); // (1 + 4 + 9 + 16) / 4, read back once
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Evaluation::run`].
    pub fn mean(&self) -> Result<f32> {
        block_on(self.mean_async())
    }

    /// The asynchronous form of [`Evaluation::mean`].
    ///
    /// # Errors
    /// As [`Evaluation::run`].
    pub async fn mean_async(&self) -> Result<f32> {
        let means = self.means.read_async().await?;
        self.means.write(ArrayD::zeros(means.shape()).view())?;
        if self.end == self.program.plan().commands().len() {
            return Ok(0.0);
        }
        let of = |mean: &[f32]| if mean[1] > 0.0 { mean[0] } else { f32::NAN };
        Ok(means.iter().copied().collect::<Vec<_>>().chunks_exact(2).map(of).sum())
    }

    /// Runs it without asking for the loss.
    pub(super) async fn start(&self) -> Result<()> {
        self.start_part(self.end).await
    }

    /// Runs its commands up to one of them.
    async fn start_part(&self, end: usize) -> Result<()> {
        if may_wait() {
            return self.program.run_part(0..end);
        }
        // The CPU device computes while it runs.
        let program = Arc::clone(&self.program);
        elsewhere(move || async move { program.run_part(0..end) }).await
    }

    /// The program, whose plan can be printed.
    pub fn program(&self) -> &Program {
        &self.program
    }
}
