//! A first layer: an LSTM over three sequences of different lengths, compared with the textbook equations on this machine's
//! device.
//!
//! `cargo run --release --example first_layer`

use ndarray::Array3;
use wgrnn::{Cell, Device, Lengths, Rnn, RnnCall, RnnConfig, RnnWeights};

fn main() -> wgrnn::Result<()> {
    let device = Device::auto(); // a GPU if there is one, else the CPU
    println!("{device:?}: {}", device.note().unwrap_or_default());

    let config = RnnConfig::new(Cell::Lstm, 16, 32); // 16 input features, 32 hidden units
    let rnn = Rnn::new(&device, &config, RnnWeights::init(&config, 0)?)?;

    let x = Array3::from_shape_fn((10, 3, 16), |(t, n, i)| ((t + 3 * n + 5 * i) as f32).sin()); // [steps, sequences, features]
    let call = RnnCall::default().lengths(Lengths::Fixed(vec![10, 4, 7]));
    let output = rnn.forward_with(x.view(), None, &call)?;

    println!("output {:?}, final state {:?}", output.y.shape(), output.state.h.shape());
    println!("{}", rnn.check(x.view(), None, &call)?);
    Ok(())
}
