//! The optimiser of most lessons.

use wgrnn::{Clip, LearningRate, Optimizer, Result, Tape, Trainer, TrainerOptions};

/// A trainer that minimises a tape's losses by Adam (Kingma and Ba 2015) at a constant learning rate, with gradients whose norm is at
/// most 1.
///
/// # Errors
///
/// Those of [`Trainer::new`].
pub fn adam(tape: Tape, rate: f64, seed: u32) -> Result<Trainer> {
    let options = TrainerOptions::new(Optimizer::ADAM).learning_rate(LearningRate::Constant(rate));
    Trainer::new(tape, options.clip(Clip::Norm(1.0)).seed(seed))
}
