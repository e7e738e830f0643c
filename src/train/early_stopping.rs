//! When to stop, and which weights were the best.

use super::names::{numbers_note, numbers_of_note};
use super::trainer::Trainer;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::path::Path;

/// What a loss on held-out data means for training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is the best so far.
    Improved,
    /// It is no better; training goes on.
    #[non_exhaustive]
    Waiting {
        /// How many more such losses end it.
        left: u32,
    },
    /// It is the last of `patience` losses in a row that were no better.
    Stop,
}

/// Ends training when the loss on held-out data does not fall any more (Prechelt 1998), as Keras's `EarlyStopping` does. A loss is
/// better where it is less than best − `min_delta`; NaN never is.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::{EarlyStopping, Verdict};
/// let mut stopping = EarlyStopping::new(2)?.min_delta(0.01)?;
/// let mut epochs = 0;
/// for loss in [1.0, 0.8, 0.795, 0.81, 0.1] {
///     epochs += 1;
///     // ... train an epoch, evaluate, and save a checkpoint where it is Verdict::Improved: save_best does both
///     if stopping.update(loss) == Verdict::Stop {
///         break;
///     }
/// }
/// assert_eq!((epochs, stopping.best()), (4, 0.8));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStopping {
    patience: u32,
    min_delta: f64,
    best: f64,
    /// Losses in a row that were no better.
    bad: u32,
}

impl EarlyStopping {
    /// Stops at the last of `patience` losses in a row that are no better than the best.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where that is 0.
    pub fn new(patience: u32) -> Result<Self> {
        if patience == 0 {
            return Err(Error::value("patience of early stopping", "at least 1", patience));
        }
        Ok(Self { patience, min_delta: 0.0, best: f64::INFINITY, bad: 0 })
    }

    /// Sets by how much a loss has to be less than the best.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where that is negative or not finite.
    pub fn min_delta(self, min_delta: f64) -> Result<Self> {
        if min_delta >= 0.0 && min_delta.is_finite() {
            return Ok(Self { min_delta, ..self });
        }
        Err(Error::value("min_delta of early stopping", "finite and at least 0", min_delta))
    }

    fn is_better(&self, loss: f64) -> bool {
        loss < self.best - self.min_delta
    }

    /// Takes a loss.
    pub fn update(&mut self, loss: f64) -> Verdict {
        if self.is_better(loss) {
            (self.best, self.bad) = (loss, 0);
            return Verdict::Improved;
        }
        self.bad = self.bad.saturating_add(1);
        match self.patience.saturating_sub(self.bad) {
            0 => Verdict::Stop,
            left => Verdict::Waiting { left },
        }
    }

    /// Takes a loss, and writes a checkpoint by [`Trainer::save`] if it is the best: the file always holds the best weights. A write
    /// that fails leaves the last file as it was, and the best loss too, so that a later loss may still improve on it.
    ///
    /// # Errors
    /// As [`Trainer::save`].
    pub fn save_best(
        &mut self,
        loss: f64,
        trainer: &Trainer,
        path: impl AsRef<Path>,
        notes: &HashMap<String, String>,
    ) -> Result<Verdict> {
        if self.is_better(loss) {
            trainer.save(path, notes)?;
        }
        Ok(self.update(loss))
    }

    /// The best loss so far; infinite before the first one.
    pub const fn best(&self) -> f64 {
        self.best
    }

    /// What it remembers, as a note for a checkpoint.
    pub fn note(&self) -> String {
        numbers_note(&[self.best, self.bad.into()])
    }

    /// Goes on from a note of [`EarlyStopping::note`].
    ///
    /// # Errors
    /// [`Value`](Error::Value) for another text.
    pub fn restore(self, note: &str) -> Result<Self> {
        let [best, bad] = numbers_of_note("note of early stopping", note)?;
        Ok(Self { best, bad: bad as u32, ..self })
    }
}
