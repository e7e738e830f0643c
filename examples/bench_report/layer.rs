//! The layer of a shape, with weights and input given or made up.

use super::shapes::Shape;
use anyhow::Result;
use ndarray::{Array3, ArrayD};
use wgrnn::{Device, Rnn, RnnCall, RnnTraining, RnnWeights, Schedule, Session, SessionOptions};

/// Weights and input of a comparison.
pub struct Data {
    pub weights: RnnWeights,
    pub x: Array3<f32>,
}

impl Data {
    fn made_up(shape: &Shape) -> Result<Self> {
        let x = Array3::from_shape_fn((shape.steps, shape.batch, shape.input), |(t, n, i)| {
            ((t * 31 + n * 17 + i * 7) % 101) as f32 / 50.5 - 1.0
        });
        Ok(Self { weights: RnnWeights::init(&shape.config(), 0)?, x })
    }
}

/// Ready to run: input and output resident, the state zero at each run.
pub fn forward(device: &Device, shape: &Shape, schedule: Schedule, data: Option<&Data>) -> Result<Session> {
    let made_up = Data::made_up(shape)?;
    let data = data.unwrap_or(&made_up);
    let rnn = Rnn::new(device, &shape.config(), data.weights.clone())?;
    let call = RnnCall::default().schedule(schedule);
    let options = SessionOptions::new(shape.steps, shape.batch).call(call);
    let session = rnn.session(options)?;
    session.input().write(data.x.view())?;
    Ok(session)
}

/// A layer that can be trained, and its two programs.
pub struct Training {
    pub rnn: Rnn,
    pub training: RnnTraining,
}

/// Ready to run: the gradient of the output is all ones.
pub fn training(device: &Device, shape: &Shape, schedule: Schedule, data: Option<&Data>) -> Result<Training> {
    let made_up = Data::made_up(shape)?;
    let data = data.unwrap_or(&made_up);
    let rnn = Rnn::trainable(device, &shape.config(), &data.weights)?;
    let call = RnnCall::default().schedule(schedule);
    let options = SessionOptions::new(shape.steps, shape.batch).call(call);
    let training = rnn.training(options, false)?;
    training.input().write(data.x.view())?;
    let ones = ArrayD::ones(training.output_gradient().shape());
    training.output_gradient().write(ones.view())?;
    Ok(Training { rnn, training })
}
