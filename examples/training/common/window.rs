//! Windows of a long text, for truncated backpropagation through time.

use crate::data::char_lm::Streams;
use anyhow::{Context, Result};
use wgrnn::{DeviceState, Model, RnnCall, Tape, Targets, Tensor};

/// A window of streams that are read side by side, on the device, and the state that one window passes on to the next.
pub struct Window {
    x: Tensor<u32>,
    targets: Targets,
    /// What the window begins with.
    pub state: DeviceState,
}

impl Window {
    /// Of so many symbols of so many streams, for a language model.
    ///
    /// # Errors
    ///
    /// A model without scores; memory that there is not.
    pub fn new(model: &Model, shape: [usize; 2]) -> Result<Self> {
        let device = model.rnn().device();
        let classes = model.config().outputs.context("a language model has scores")?;
        let (x, targets) = (Tensor::zeros(device, &shape)?, Targets::new(device, &shape, classes)?);
        Ok(Self { x, targets, state: model.device_state(shape[1])? })
    }

    /// Puts the model and its loss on a tape: the state goes on, gradients do not.
    ///
    /// # Errors
    ///
    /// What the tape can't do.
    pub fn read(&self, tape: &mut Tape, model: &Model) -> Result<()> {
        let (x, targets) = (tape.input(&self.x)?, tape.input(self.targets.tensor())?);
        let scores = model.forward(tape, &x, &self.state, &RnnCall::default().carry(true))?;
        Ok(tape.cross_entropy(&scores, &targets)?)
    }

    /// Puts in a window; before the first one the state is 0.
    ///
    /// # Errors
    ///
    /// A device that is lost.
    pub fn write(&self, streams: &Streams, window: usize) -> Result<()> {
        if window == 0 {
            self.state.reset()?;
        }
        let [x, targets] = streams.window(window);
        self.x.write(x.view())?;
        Ok(self.targets.write(targets.view())?)
    }
}
