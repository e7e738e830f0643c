//! The optimiser of most lessons.

use wgrnn::{Clip, LearningRate, Optimizer, Result, Tape, Trainer, TrainerOptions};

/// A trainer that minimises a tape's losses by Adam (Kingma and Ba 2015) at a constant learning rate, with gradients whose norm is at
/// most 1.
///
/// # Errors
///
/// Those of [`Trainer::new`].
pub fn adam(tape: Tape, rate: f64, seed: u32) -> Result<Trainer> {
    adam_at(tape, LearningRate::Constant(rate), seed)
}

/// The same at a learning rate that falls along half a cosine over so many steps, to a 40th, after a few steps of warming up
/// (Loshchilov and Hutter 2017).
///
/// # Errors
///
/// Those of [`Trainer::new`].
pub fn falling_adam(tape: Tape, rate: f64, steps: u32, seed: u32) -> Result<Trainer> {
    adam_at(tape, LearningRate::Cosine { rate, least: rate / 40.0, warm_up: steps / 40, steps }, seed)
}

fn adam_at(tape: Tape, rate: LearningRate, seed: u32) -> Result<Trainer> {
    Trainer::new(tape, TrainerOptions::new(Optimizer::ADAM).learning_rate(rate).clip(Clip::Norm(1.0)).seed(seed))
}
