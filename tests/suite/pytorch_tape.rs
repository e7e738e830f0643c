//! A model of the tape's operations learns as PyTorch's does: residual connection, layer norm, attention, CTC.

use crate::common::devices;
use crate::pytorch_training::{Fixture, near};
use ndarray::{Array1, ArrayD, Ix1, Ix2};
use serde::Deserialize;
use wgrnn::plan::Value;
use wgrnn::{
    Attention, Cell, CtcOptions, Device, DeviceState, LearningRate, Lengths, Linear, Optimizer, Parameters, Rnn,
    RnnCall, RnnConfig, RnnWeights, Tape, Tensor, Trainer, TrainerOptions,
};

#[derive(Deserialize)]
struct Sizes {
    rate: f64,
    epsilon: f32,
}

/// The layers of the model, its inputs, and where the weights of its attention are copied to.
struct Network {
    input: Linear,
    rnn: Rnn,
    state: DeviceState,
    norm: Parameters,
    head: Linear,
    x: Tensor,
    /// Lengths, last steps, labels, label lengths.
    indices: [Tensor<u32>; 4],
    lengths: Vec<usize>,
    attention: Tensor,
    epsilon: f32,
}

impl Network {
    fn new(device: &Device, fixture: &Fixture) -> Self {
        let linear = |name: &str| {
            let weight = fixture.array(&format!("{name}.weight")).into_dimensionality::<Ix2>().unwrap();
            let bias = fixture.array(&format!("{name}.bias")).into_dimensionality::<Ix1>().unwrap();
            Linear::trainable(device, weight.view(), Some(bias.view())).unwrap()
        };
        let (gain, bias) = (fixture.array("norm.gain"), fixture.array("norm.bias"));
        let config = RnnConfig::new(Cell::Lstm, gain.len(), gain.len());
        let weights = RnnWeights::from_safetensors_partial(&fixture.bytes, &config, "lstm.").unwrap().0;
        let rnn = Rnn::trainable(device, &config, &weights).unwrap();
        let norm = [("gain".to_owned(), gain.view()), ("bias".to_owned(), bias.view())];
        let (x, lengths) = (fixture.array("x"), fixture.words("lengths"));
        let (steps, batch) = (x.shape()[0], lengths.len());
        let counts = fixture.words("label_lengths");
        let labels = fixture.words("labels");
        let labels = labels.to_shape((batch, labels.len() / batch)).unwrap().to_owned().into_dyn();
        let (last, counts) = (lengths.mapv(|length| length - 1).into_dyn(), counts.into_dyn());
        let indices = [lengths.clone().into_dyn(), last, labels, counts];
        Self {
            input: linear("input"),
            state: rnn.device_state(batch).unwrap(),
            rnn,
            norm: Parameters::new(device, norm).unwrap(),
            head: linear("head"),
            x: Tensor::from_array(device, x.view()).unwrap(),
            indices: indices.map(|array| Tensor::from_array(device, array.view()).unwrap()),
            lengths: lengths.iter().map(|&length| length as usize).collect(),
            attention: Tensor::zeros(device, &[batch, steps]).unwrap(),
            epsilon: fixture.list::<Sizes>("sizes").epsilon,
        }
    }

    fn write(&self, tape: &mut Tape) -> wgrnn::Result<()> {
        let x = tape.input(&self.x)?;
        let [lengths, last, labels, counts] = [0, 1, 2, 3].map(|i| tape.input(&self.indices[i]).unwrap());
        let e = tape.linear(&self.input, &x)?;
        let call = RnnCall::default().lengths(Lengths::Fixed(self.lengths.clone()));
        let y = tape.rnn(&self.rnn, &e, &self.state, &call)?;
        let sum = tape.add(&e, &y)?;
        let (gain, bias) = (tape.parameter(&self.norm, "gain")?, tape.parameter(&self.norm, "bias")?);
        let n = tape.layer_norm(&sum, Some(&gain), Some(&bias), self.epsilon)?;
        let query = tape.take(&n, 0, &last.insert_axis(1)?)?;
        let memory = tape.memory(&Attention::Dot, &n, Some(&lengths))?;
        let (context, weights) = memory.attend(tape, &query)?;
        let attention = tape.input(&self.attention)?;
        tape.plan().copy(&weights, &attention)?;
        let zeros = tape.scale(&n, 0.0)?;
        let contexts: Value = tape.add(&zeros, &context)?;
        let both = tape.concat(&[&n, &contexts], 2)?;
        let logits = tape.linear(&self.head, &both)?;
        tape.ctc(&logits, &labels, &lengths, &counts, &CtcOptions::default())
    }
}

#[test]
fn thirty_steps_with_a_residual_a_layer_norm_attention_and_ctc_are_pytorchs() {
    let fixture = Fixture::read("pytorch_tape.safetensors");
    let expected = fixture.array("losses");
    for (name, device) in devices() {
        let network = Network::new(&device, &fixture);
        let mut tape = Tape::training(&device).unwrap();
        network.write(&mut tape).unwrap();
        let rate = LearningRate::Constant(fixture.list::<Sizes>("sizes").rate);
        let mut trainer = Trainer::new(tape, TrainerOptions::new(Optimizer::ADAM).learning_rate(rate)).unwrap();
        let step = |_| {
            trainer.step().unwrap();
            trainer.progress().unwrap().last_loss
        };
        let losses: ArrayD<f32> = (0..expected.len()).map(step).collect::<Array1<_>>().into_dyn();
        // Each step goes on from what the last one rounded.
        near(&format!("losses on {name}"), losses.view(), expected.view(), 2e-5);
        let attention = network.attention.read().unwrap();
        near(&format!("attention on {name}"), attention.view(), fixture.array("attention").view(), 1e-4);
    }
}
