//! A training loop of your own: an LSTM learns to output the input of three steps before.
//!
//! `cargo run --release --example own_training_loop`

use ndarray::{Array2, Array3};
use wgrnn::{
    Cell, Clip, Device, LearningRate, Linear, Optimizer, Rnn, RnnCall, RnnConfig, RnnWeights, Tape, Tensor, Trainer,
    TrainerOptions,
};

fn main() -> wgrnn::Result<()> {
    let device = Device::auto();
    let config = RnnConfig::new(Cell::Lstm, 1, 24);
    let rnn = Rnn::trainable(&device, &config, &RnnWeights::init(&config, 0)?)?;
    let head =
        Linear::trainable(&device, Array2::from_shape_fn((1, 24), |(_, i)| (i as f32).sin() / 5.0).view(), None)?;
    let (x, y) = (Tensor::zeros(&device, &[40, 16, 1])?, Tensor::zeros(&device, &[40, 16, 1])?); // [steps, sequences, 1]

    let mut tape = Tape::training(&device)?;
    let (input, target) = (tape.input(&x)?, tape.input(&y)?);
    let hidden = tape.rnn(&rnn, &input, &rnn.device_state(16)?, &RnnCall::default())?;
    let output = tape.linear(&head, &hidden)?;
    tape.mean_squared_error(&output, &target)?;
    let options =
        TrainerOptions::new(Optimizer::ADAM).learning_rate(LearningRate::Constant(0.01)).clip(Clip::Norm(1.0));
    let mut trainer = Trainer::new(tape, options)?;

    for step in 0..300 {
        let seen = Array3::from_shape_fn((40, 16, 1), |(t, n, _)| ((t * t + 7 * n + 13 * step) as f32).sin());
        x.write(seen.view())?;
        y.write(Array3::from_shape_fn((40, 16, 1), |(t, n, _)| if t < 3 { 0.0 } else { seen[[t - 3, n, 0]] }).view())?;
        trainer.step()?; // the loss stays on the device until `progress` reads it
        if step % 50 == 49 {
            println!("step {:3}: mean squared error {:.4}", step + 1, trainer.progress()?.last_loss);
        }
    }
    Ok(())
}
