//! A network at work: a program and what it computes.

use anyhow::Result;
use ndarray::ArrayD;
use wgrnn::plan::Value;
use wgrnn::{Evaluation, Tape, Tensor};

/// A tape for evaluation as a program, and the value that is read after each run.
pub struct Reading {
    evaluation: Evaluation,
    value: Tensor,
}

impl Reading {
    /// The program of a tape, which computes `value`.
    ///
    /// # Errors
    ///
    /// What the tape can't do.
    pub fn new(mut tape: Tape, value: &Value) -> Result<Self> {
        let copy = Tensor::zeros(tape.device(), value.shape())?;
        let out = tape.input(&copy)?;
        tape.plan().copy(value, &out)?;
        Ok(Self { evaluation: tape.evaluation()?, value: copy })
    }

    /// Runs the program on what its inputs hold now.
    ///
    /// # Errors
    ///
    /// A device that is lost.
    pub fn run(&self) -> Result<ArrayD<f32>> {
        self.evaluation.program().run()?;
        Ok(self.value.read()?)
    }

    /// The loss on what the inputs hold now; 0 if the tape has none.
    ///
    /// # Errors
    ///
    /// A device that is lost.
    pub fn loss(&self) -> Result<f64> {
        Ok(self.evaluation.run()?.into())
    }
}
