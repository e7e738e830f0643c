//! Thirty training steps of models with a residual, layer norm, attention and CTC, against PyTorch.

use crate::common::devices;
use crate::pytorch_training::{Fixture, near};
use ndarray::{Array1, ArrayD, Axis, Ix1, Ix2};
use serde::Deserialize;
use wgrnn::{
    Attention, Cell, CtcOptions, CtcTargets, Device, Direction, LearningRate, Lengths, Linear, Optimizer, Parameters,
    Reset, Result, Rnn, RnnCall, RnnConfig, RnnWeights, Tape, Tensor, Trainer, TrainerOptions,
};

const LABELS: usize = 3;

/// A model of `scripts/make_pytorch_recogniser.py`, which has its equations.
#[derive(Deserialize)]
struct Case {
    name: String,
    cell: String,
    attention: String,
    optimizer: String,
    rate: f64,
}

impl Case {
    fn weight(&self, fixture: &Fixture, name: &str) -> ArrayD<f32> {
        fixture.array(&format!("{}/first/{name}", self.name))
    }

    fn linear(&self, device: &Device, fixture: &Fixture, name: &str) -> Linear {
        let weight = self.weight(fixture, &format!("{name}.weight")).into_dimensionality::<Ix2>().unwrap();
        let bias_name = format!("{name}.bias");
        let has_bias = ["input", "output", "query"].contains(&name);
        let bias = has_bias.then(|| self.weight(fixture, &bias_name).into_dimensionality::<Ix1>().unwrap());
        Linear::trainable(device, weight.view(), bias.as_ref().map(|bias| bias.view())).unwrap()
    }

    fn rnn(&self, device: &Device, fixture: &Fixture, width: usize) -> Rnn {
        let cell = if self.cell == "gru" { Cell::Gru(Reset::After) } else { Cell::Lstm };
        let config = RnnConfig::new(cell, width, width / 2).direction(Direction::Bidirectional);
        let names = RnnWeights::init(&config, 0).unwrap();
        let named: Vec<_> = names.named().map(|(name, _)| self.weight(fixture, &format!("rnn.{name}"))).collect();
        let named: Vec<_> = names.named().map(|(name, _)| name).zip(named).collect();
        Rnn::trainable(device, &config, &RnnWeights::from_named(&config, &named).unwrap()).unwrap()
    }
}

struct Recogniser {
    input: Linear,
    rnn: Rnn,
    norm: Parameters,
    attention: Attention,
    output: Linear,
    /// By the names of PyTorch's modules.
    layers: Vec<(&'static str, Linear)>,
}

impl Recogniser {
    fn new(device: &Device, fixture: &Fixture, case: &Case) -> Self {
        let linear = |name| case.linear(device, fixture, name);
        let (input, output) = (linear("input"), linear("output"));
        let norm = ["weight", "bias"].map(|name| (name, case.weight(fixture, &format!("norm.{name}"))));
        let norm =
            Parameters::new(device, norm.iter().map(|(name, array)| ((*name).to_owned(), array.view()))).unwrap();
        let mut layers = vec![("input", input.clone()), ("output", output.clone())];
        let attention = match &*case.attention {
            "dot" => Attention::Dot,
            "general" => {
                layers.push(("general", linear("general")));
                Attention::General(layers[2].1.clone())
            }
            _ => {
                layers.extend(["query", "memory", "score"].map(|name| (name, linear(name))));
                let [query, memory, score] = [2, 3, 4].map(|k: usize| layers[k].1.clone());
                Attention::Additive { query, memory, score }
            }
        };
        let width = case.weight(fixture, "input.bias").len();
        Self { rnn: case.rnn(device, fixture, width), input, norm, attention, output, layers }
    }

    fn tape(&self, x: &Tensor, lengths: &Lengths, targets: &CtcTargets) -> Result<Tape> {
        let &[steps, batch, _] = x.shape() else { panic!("x is [T, N, features]") };
        let mut tape = Tape::training(x.device())?;
        let x = tape.input(x)?;
        let u = tape.linear(&self.input, &x)?;
        let call = RnnCall::default().lengths(lengths.clone());
        let y = tape.rnn(&self.rnn, &u, &self.rnn.device_state(batch)?, &call)?;
        let sum = tape.add(&u, &y)?;
        let (gain, bias) = (tape.parameter(&self.norm, "weight")?, tape.parameter(&self.norm, "bias")?);
        let m = tape.layer_norm(&sum, Some(&gain), Some(&bias), 1e-5)?;
        let [labels, input_lengths, counts] =
            [targets.labels(), targets.input_lengths(), targets.label_lengths()].map(|tensor| tape.input(tensor));
        let input_lengths = input_lengths?;
        let memory = tape.memory(&self.attention, &m, Some(&input_lengths))?;
        let contexts = (0..steps).map(|t| memory.attend(&mut tape, &m.at(t)?)?.0.insert_axis(0));
        let contexts = contexts.collect::<Result<Vec<_>>>()?;
        let contexts = tape.concat(&contexts.iter().collect::<Vec<_>>(), 0)?;
        let seen = tape.concat(&[&m, &contexts], 2)?;
        let logits = tape.linear(&self.output, &seen)?;
        tape.ctc(&logits, &labels?, &input_lengths, &counts?, &CtcOptions::default())?;
        Ok(tape)
    }

    /// All weights by PyTorch's names.
    fn weights(&self) -> Vec<(String, ArrayD<f32>)> {
        let of = |prefix: &str, parameters: &Parameters| {
            let arrays = parameters.read().unwrap();
            arrays.into_iter().map(|(name, array)| (format!("{prefix}.{name}"), array)).collect::<Vec<_>>()
        };
        let layers = self.layers.iter().flat_map(|(name, layer)| of(name, layer.parameters().unwrap()));
        let rest = [("rnn", self.rnn.parameters().unwrap()), ("norm", &self.norm)];
        layers.chain(rest.into_iter().flat_map(|(name, parameters)| of(name, parameters))).collect()
    }
}

/// The labels and lengths of each step.
struct Batches {
    labels: Vec<u32>,
    input_lengths: Vec<u32>,
    label_lengths: Vec<u32>,
    batch: usize,
}

impl Batches {
    fn new(fixture: &Fixture, batch: usize) -> Self {
        let words = |name| fixture.words(name).to_vec();
        let (labels, input_lengths) = (words("labels"), words("input_lengths"));
        Self { labels, input_lengths, label_lengths: words("label_lengths"), batch }
    }

    fn of(&self, step: usize) -> (Vec<&[u32]>, &[u32]) {
        let sequences = step * self.batch..(step + 1) * self.batch;
        let labels = |n: usize| &self.labels[n * LABELS..][..self.label_lengths[n] as usize];
        (sequences.clone().map(labels).collect(), &self.input_lengths[sequences])
    }
}

#[test]
fn thirty_steps_of_models_with_residual_norm_attention_and_ctc_are_pytorchs() {
    let fixture = Fixture::read("pytorch_recogniser.safetensors");
    let cases: Vec<Case> = fixture.list("models");
    assert_eq!(cases.len(), 3);
    let x = fixture.array("x");
    let classes = fixture.array(&format!("{}/first/output.bias", cases[0].name)).len();
    let &[count, steps, batch, features] = x.shape() else { panic!("x is [steps, T, N, features]") };
    let batches = Batches::new(&fixture, batch);
    for (device_name, device) in devices() {
        for case in &cases {
            let model = Recogniser::new(&device, &fixture, case);
            let input = Tensor::zeros(&device, &[steps, batch, features]).unwrap();
            let lengths = model.rnn.batch_lengths(steps, batch).unwrap();
            let targets = CtcTargets::new(&device, [steps, batch, classes], LABELS, &CtcOptions::default()).unwrap();
            let tape = model.tape(&input, &Lengths::PerRun(lengths.clone()), &targets).unwrap();
            let optimizer = if case.optimizer == "adam" { Optimizer::ADAM } else { Optimizer::sgd(0.9) };
            let options = TrainerOptions::new(optimizer).learning_rate(LearningRate::Constant(case.rate));
            let mut trainer = Trainer::new(tape, options).unwrap();
            let losses = (0..count).map(|step| {
                let (labels, input_lengths) = batches.of(step);
                input.write(x.index_axis(Axis(0), step)).unwrap();
                lengths.write(&input_lengths.iter().map(|&length| length as usize).collect::<Vec<_>>()).unwrap();
                targets.write(&labels, input_lengths).unwrap();
                trainer.step().unwrap();
                trainer.progress().unwrap().last_loss
            });
            let losses: Array1<f32> = losses.collect();
            let name = format!("{} on {device_name}", case.name);
            let expected = fixture.array(&format!("{}/losses", case.name));
            // Each step goes on from the rounded weights of the last one; Adam divides small gradients by their size.
            near(&format!("{name}, losses"), losses.view().into_dyn(), expected.view(), 2e-5);
            for (array, got) in model.weights() {
                let expected = fixture.array(&format!("{}/last/{array}", case.name));
                near(&format!("{name}, {array}"), got.view(), expected.view(), 5e-5);
            }
        }
    }
}
