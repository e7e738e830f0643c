//! Training: losses, optimisers and rates beside PyTorch's, what must not be trained on, and checkpoints.

use crate::common::{Random, devices, gpu};
use crate::golden::numbers;
use ndarray::{Array1, Array2, Array3, ArrayD, ArrayView, Axis, Dimension, s};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::HashMap;
use wgrnn::check::Comparison;
use wgrnn::{
    Cell, Clip, Device, Error, GpuOptions, IGNORED, LearningRate, Lengths, Linear, Model, ModelConfig, Optimizer,
    Output, Reset, RnnCall, RnnConfig, Tape, Targets, Tensor, Trainer, TrainerOptions,
};

struct Fixture {
    bytes: Vec<u8>,
}

impl Fixture {
    fn read(name: &str) -> Self {
        Self { bytes: std::fs::read(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap() }
    }

    fn list<T: serde::de::DeserializeOwned>(&self, key: &str) -> T {
        let (_, metadata) = SafeTensors::read_metadata(&self.bytes).unwrap();
        serde_json::from_str(&metadata.metadata().as_ref().unwrap()[key]).unwrap()
    }

    fn array(&self, name: &str) -> ArrayD<f32> {
        numbers(&SafeTensors::deserialize(&self.bytes).unwrap(), name).unwrap_or_else(|| panic!("{name} is missing"))
    }

    fn words(&self, name: &str) -> Array1<u32> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(name).unwrap();
        assert_eq!(view.dtype(), Dtype::U32);
        view.data().chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect()
    }
}

fn near<D: Dimension>(name: &str, got: ArrayView<'_, f32, D>, expected: ArrayView<'_, f32, D>, tolerance: f64) {
    let largest = expected.iter().fold(1.0_f32, |largest, x| largest.max(x.abs()));
    let expected = expected.mapv(f64::from).into_dyn();
    let tolerance = tolerance * f64::from(largest);
    let comparison = Comparison::new(name, got.into_dyn(), expected.view(), tolerance).unwrap();
    assert!(comparison.passed(), "{comparison}");
}

#[derive(Deserialize)]
struct OptimizerCase {
    name: String,
    kind: String,
    momentum: Option<f32>,
    nesterov: Option<bool>,
    beta1: Option<f32>,
    beta2: Option<f32>,
    eps: Option<f32>,
    weight_decay: f32,
    clip_norm: Option<f32>,
    clip_value: Option<f32>,
}

impl OptimizerCase {
    fn optimizer(&self) -> Optimizer {
        let weight_decay = self.weight_decay;
        let adam = || ([self.beta1.unwrap(), self.beta2.unwrap()], self.eps.unwrap());
        match &*self.kind {
            "sgd" => {
                let (momentum, nesterov) = (self.momentum.unwrap_or(0.0), self.nesterov.unwrap_or(false));
                let optimizer = if nesterov { Optimizer::nesterov(momentum) } else { Optimizer::sgd(momentum) };
                optimizer.weight_decay(weight_decay)
            }
            "adam" => {
                let (betas, epsilon) = adam();
                Optimizer::adam(betas, epsilon).weight_decay(weight_decay)
            }
            "adamw" => {
                let (betas, epsilon) = adam();
                Optimizer::adam_w(betas, epsilon).weight_decay(weight_decay)
            }
            other => panic!("{}: unknown optimiser {other}", self.name),
        }
    }
}

/// A dense layer over the input 1 has its output's gradient as its weight's: the fixture's gradients go through a whole
/// training step.
#[test]
fn optimizers_take_pytorchs_steps() {
    let fixture = Fixture::read("pytorch_training.safetensors");
    let cases: Vec<OptimizerCase> = fixture.list("optimizers");
    assert_eq!(cases.len(), 32);
    for (device_name, device) in devices() {
        for case in &cases {
            let array = |name: &str| fixture.array(&format!("{}/{name}", case.name));
            let (start, gradients, rates, expected) =
                (array("start"), array("gradients"), array("lrs"), array("expected"));
            let weight = start.to_shape((start.len(), 1)).unwrap();
            let linear = Linear::trainable(&device, weight.view(), None).unwrap();
            let x = Tensor::from_array(&device, Array2::<f32>::ones((1, 1)).view()).unwrap();
            let gradient = Tensor::<f32>::zeros(&device, &[1, start.len()]).unwrap();
            let mut tape = Tape::training(&device).unwrap();
            let [x, given] = [&x, &gradient].map(|tensor| tape.input(tensor).unwrap());
            let y = tape.linear(&linear, &x).unwrap();
            tape.give_gradient(&y, &given).unwrap();
            let clip = match (case.clip_norm, case.clip_value) {
                (Some(most), _) => Clip::Norm(most),
                (_, Some(most)) => Clip::Value(most),
                _ => Clip::None,
            };
            // One trainer, whose rate is another one in each step.
            let rates: Vec<f64> = rates.iter().map(|&rate| f64::from(rate)).collect();
            let constant = rates.iter().all(|&rate| rate == rates[0]);
            let learning_rate = LearningRate::Constant(rates[0]);
            let options = TrainerOptions::new(case.optimizer()).learning_rate(learning_rate).clip(clip);
            let mut trainer = Trainer::new(tape, options).unwrap();
            for (step, (g, expected)) in gradients.axis_iter(Axis(0)).zip(expected.axis_iter(Axis(0))).enumerate() {
                if !constant {
                    trainer.set_learning_rate(LearningRate::Constant(rates[step])).unwrap();
                }
                gradient.write(g.insert_axis(Axis(0))).unwrap();
                trainer.step().unwrap();
                let (_, got) = linear.parameters().unwrap().read().unwrap().swap_remove(0);
                let got = got.to_shape(expected.shape()).unwrap();
                // Plain float32 is up to 3.1e-7 away; powers and roots on GPUs round a few times more.
                near(&format!("{} step {step} on {device_name}", case.name), got.view(), expected, 1e-6);
            }
        }
    }
}

#[derive(Deserialize)]
struct LossCase {
    name: String,
    kind: String,
}

#[test]
fn losses_and_their_gradients_are_pytorchs() {
    let fixture = Fixture::read("pytorch_training.safetensors");
    let cases: Vec<LossCase> = fixture.list("losses");
    assert_eq!(cases.len(), 16);
    for (device_name, device) in devices() {
        for case in &cases {
            let array = |name: &str| fixture.array(&format!("{}/{name}", case.name));
            let input = Tensor::from_array(&device, array("input").view()).unwrap();
            let gradient = Tensor::<f32>::zeros(&device, input.shape()).unwrap();
            // Something must be trained: a layer beside it, by a gradient of its own.
            let aside = Linear::trainable(&device, Array2::zeros((1, 1)).view(), None).unwrap();
            let one = Tensor::<f32>::zeros(&device, &[1, 1]).unwrap();
            let mut tape = Tape::training(&device).unwrap();
            let one = tape.input(&one).unwrap();
            let y = tape.linear(&aside, &one).unwrap();
            tape.give_gradient(&y, &one).unwrap();
            let x = tape.input(&input).unwrap();
            tape.want_gradient(&x, &gradient).unwrap();
            if case.kind == "cross_entropy" {
                let targets = Targets::new(&device, &input.shape()[..1], input.shape()[1]).unwrap();
                targets.write(fixture.words(&format!("{}/target", case.name)).view()).unwrap();
                let targets = tape.input(targets.tensor()).unwrap();
                tape.cross_entropy(&x, &targets).unwrap();
            } else {
                let targets = Tensor::from_array(&device, array("target").view()).unwrap();
                let targets = tape.input(&targets).unwrap();
                match &*case.kind {
                    "mse" => tape.mean_squared_error(&x, &targets).unwrap(),
                    "bce_with_logits" => tape.binary_cross_entropy(&x, &targets).unwrap(),
                    other => panic!("unknown loss {other}"),
                }
            }
            let mut trainer = Trainer::new(tape, TrainerOptions::new(Optimizer::ADAM)).unwrap();
            trainer.step().unwrap();
            let name = format!("{} on {device_name}", case.name);
            let loss = Array1::from_elem(1, trainer.progress().unwrap().last_loss).into_dyn();
            // A few roundings of numbers near the loss; exp and log on GPUs are good to some ulp.
            near(&format!("{name}, loss"), loss.view(), array("loss").view(), 2e-6);
            near(&format!("{name}, gradient"), gradient.read().unwrap().view(), array("gradient").view(), 2e-6);
        }
    }
}

#[derive(Deserialize)]
struct ScheduleCase {
    name: String,
    kind: String,
    lr: f64,
    step_size: Option<u32>,
    gamma: Option<f64>,
    t_max: Option<u32>,
    eta_min: Option<f64>,
    warmup: Option<u32>,
}

#[test]
fn learning_rates_are_pytorchs() {
    let fixture = Fixture::read("pytorch_training.safetensors");
    let cases: Vec<ScheduleCase> = fixture.list("schedules");
    let file = SafeTensors::deserialize(&fixture.bytes).unwrap();
    let mut compared = 0;
    for case in &cases {
        let rate = case.lr;
        let learning_rate = match &*case.kind {
            "constant" => LearningRate::Constant(rate),
            "step" => LearningRate::Step { rate, factor: case.gamma.unwrap(), every: case.step_size.unwrap() },
            "exponential" => LearningRate::Exponential { rate, factor: case.gamma.unwrap() },
            // PyTorch's rises again after its end: that of the library stays.
            "cosine_hold" | "warmup_cosine" => LearningRate::Cosine {
                rate,
                least: case.eta_min.unwrap(),
                warm_up: case.warmup.unwrap_or(0),
                steps: case.t_max.unwrap(),
            },
            _ => continue,
        };
        compared += 1;
        let expected = file.tensor(&format!("{}/lrs", case.name)).unwrap();
        let expected = expected.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap()));
        for (k, expected) in expected.enumerate() {
            let got = learning_rate.at(k as u32);
            assert!((got - expected).abs() < 1e-12, "{} step {k}: {got}, not {expected}", case.name);
        }
    }
    assert_eq!(compared, 5);
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the library's letters")]
struct Sizes {
    N: usize,
    T: usize,
    steps: usize,
    features: usize,
    hidden: usize,
    symbols: usize,
    rate: f64,
    clip: f32,
}

/// A character model: tokens and targets of its next step, its trainer.
struct CharLm {
    model: Model,
    tokens: Tensor<u32>,
    targets: Targets,
    trainer: Trainer,
    state: wgrnn::DeviceState,
    data: Array2<u32>,
    steps: usize,
}

impl CharLm {
    fn new(device: &Device, config: &ModelConfig, data: Array2<u32>, steps: usize, options: TrainerOptions) -> Self {
        let model = Model::new(device, config, 1).unwrap();
        let batch = data.nrows();
        let tokens = Tensor::zeros(device, &[steps, batch]).unwrap();
        let targets = Targets::new(device, &[steps, batch], config.outputs.unwrap()).unwrap();
        let state = model.device_state(batch).unwrap();
        let mut tape = Tape::training(device).unwrap();
        let [x, t] = [&tokens, targets.tensor()].map(|tensor| tape.input(tensor).unwrap());
        let call = RnnCall::default().carry(true);
        let logits = model.forward(&mut tape, &x, &state, &call).unwrap();
        tape.cross_entropy(&logits, &t).unwrap();
        let mut trainer = Trainer::new(tape, options).unwrap();
        model.name(&mut trainer, "").unwrap();
        trainer.keep_state("state", &state);
        Self { model, tokens, targets, trainer, state, data, steps }
    }

    /// The losses of some steps, each reading on where the last one ended.
    fn losses(&mut self, steps: std::ops::Range<usize>) -> Vec<f32> {
        steps
            .map(|step| {
                let at = step * self.steps;
                let part = |from: usize| self.data.slice(s![.., from..from + self.steps]).reversed_axes().to_owned();
                self.tokens.write(part(at).view()).unwrap();
                self.targets.write(part(at + 1).view()).unwrap();
                self.trainer.step().unwrap();
                self.trainer.progress().unwrap().last_loss
            })
            .collect()
    }
}

/// Prints nothing, but holds the library to PyTorch's 200 losses and to the weights that they end with.
#[test]
fn the_first_losses_of_a_character_model_are_pytorchs() {
    let fixture = Fixture::read("char_lm_losses.safetensors");
    let sizes: Sizes = fixture.list("sizes");
    let file = SafeTensors::deserialize(&fixture.bytes).unwrap();
    let view = file.tensor("tokens").unwrap();
    let data = view.data().iter().map(|&token| u32::from(token)).collect();
    let data = Array2::from_shape_vec((sizes.N, sizes.T * sizes.steps + 1), data).unwrap();
    let rnn = RnnConfig::new(Cell::Lstm, sizes.features, sizes.hidden);
    let options = TrainerOptions::new(Optimizer::ADAM)
        .learning_rate(LearningRate::Constant(sizes.rate))
        .clip(Clip::Norm(sizes.clip));
    for (name, device) in devices() {
        let config = ModelConfig::language(sizes.symbols, rnn.clone());
        let mut char_lm = CharLm::new(&device, &config, data.clone(), sizes.T, options.clone());
        for (part, parameters) in char_lm.model.parameters() {
            let arrays = parameters.names().map(|(n, _)| (n.to_owned(), fixture.array(&format!("weights/{part}{n}"))));
            parameters.write(&arrays.collect::<Vec<_>>()).unwrap();
        }
        char_lm.trainer.refresh().unwrap();
        let losses = Array1::from_vec(char_lm.losses(0..sizes.steps)).into_dyn();
        // Each step rounds on what the last one left; Adam divides by gradients however small. PyTorch's own float32 is
        // up to 5e-7 (losses) and 1.4e-6 (weights) from its float64 after 200 steps.
        near(&format!("losses on {name}"), losses.view(), fixture.array("losses").view(), 2e-5);
        for (part, parameters) in char_lm.model.parameters() {
            for (tensor, got) in parameters.read().unwrap() {
                let expected = fixture.array(&format!("final/{part}{tensor}"));
                near(&format!("{part}{tensor} on {name}"), got.view(), expected.view(), 1e-3);
            }
        }
    }
}

fn text(batch: usize, length: usize, symbols: u32) -> Array2<u32> {
    let mut random = Random::new(9);
    // Every symbol is the one before and a little more: something to learn.
    let mut data = Array2::zeros((batch, length));
    for mut row in data.rows_mut() {
        let mut symbol = 0;
        for place in &mut row {
            symbol = (symbol + 1 + u32::from(random.number() > 0.8)) % symbols;
            *place = symbol;
        }
    }
    data
}

fn small(cell: Cell, dropout: f64) -> ModelConfig {
    let rnn = RnnConfig::new(cell, 6, 10).layers(2).with_dropout(dropout);
    ModelConfig::language(7, rnn).dropout(dropout)
}

fn options() -> TrainerOptions {
    TrainerOptions::new(Optimizer::ADAM).learning_rate(LearningRate::Constant(0.01)).seed(3)
}

#[test]
fn training_resumed_gives_the_same_losses_as_training_never_stopped() {
    let folder = tempfile::tempdir().unwrap();
    for (name, device) in devices() {
        let config = small(Cell::Lstm, 0.2);
        let new = || CharLm::new(&device, &config, text(3, 200, 7), 8, options());
        let mut whole = new();
        let expected = whole.losses(0..20);
        let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
        assert!(mean(&expected[15..]) < 0.99 * mean(&expected[..5]), "{name}: {expected:?}");

        let path = folder.path().join(format!("{name}.safetensors"));
        let mut first = new();
        first.losses(0..7);
        let notes = HashMap::from([("vocabulary".to_owned(), "abc".to_owned())]);
        first.trainer.save(&path, &notes).unwrap();
        let mut second = new();
        second.losses(3..5);
        assert_eq!(second.trainer.load(&path).unwrap(), notes, "{name}");
        assert_eq!(second.trainer.steps(), 7);
        assert_eq!(second.losses(7..20), expected[7..], "{name}");
        assert_eq!(second.state.read().unwrap(), whole.state.read().unwrap(), "{name}");
        // A checkpoint is a weights file too.
        let model = Model::new(&device, &config, 77).unwrap();
        model.load(&path, "").unwrap();
        let weights = model.rnn().weights().unwrap();
        second.trainer.load(&path).unwrap();
        assert_eq!(weights, second.model.rnn().weights().unwrap(), "{name}");
    }
}

#[test]
fn dropout_is_the_same_for_a_seed_and_another_for_the_next_step() {
    for (name, device) in devices() {
        let x = Tensor::from_array(&device, Array2::<f32>::ones((100, 50)).view()).unwrap();
        let (y, dx) = (Tensor::<f32>::zeros(&device, &[100, 50]).unwrap(), Tensor::zeros(&device, &[100, 50]).unwrap());
        let aside = Linear::trainable(&device, Array2::zeros((1, 50)).view(), None).unwrap();
        let mut tape = Tape::training(&device).unwrap();
        let value = tape.input(&x).unwrap();
        tape.want_gradient(&value, &dx).unwrap();
        let dropped = tape.dropout(&value, 0.3).unwrap();
        // Its weights are 0, and so is its part of the gradient.
        let scores = tape.linear(&aside, &dropped).unwrap();
        let zeros = Tensor::<f32>::zeros(&device, &[100, 1]).unwrap();
        let zeros = tape.input(&zeros).unwrap();
        tape.mean_squared_error(&scores, &zeros).unwrap();
        let ones = tape.input(&x).unwrap();
        tape.give_gradient(&dropped, &ones).unwrap();
        let target = tape.input(&y).unwrap();
        let copy = Linear::new(&device, Array2::eye(50).view(), None).unwrap();
        tape.plan().linear_into(&copy, &dropped, &target).unwrap();
        let mut trainer = Trainer::new(tape, options()).unwrap();
        let mut masks = Vec::new();
        for _ in 0..2 {
            trainer.step().unwrap();
            let mask: ArrayD<f32> = y.read().unwrap();
            // Numbers are dropped or divided by 0.7, and the gradient as the numbers.
            assert_eq!(dx.read().unwrap(), mask, "{name}");
            assert!(mask.iter().all(|&y| y == 0.0 || y == (1.0 / 0.7) as f32), "{name}");
            let dropped = mask.iter().filter(|y| **y == 0.0).count();
            // 5000 · 0.3 = 1500, standard deviation 32: within five of them.
            assert!((1340..1660).contains(&dropped), "{name}: {dropped}");
            masks.push(mask);
        }
        assert_ne!(masks[0], masks[1], "{name}");
    }
}

#[test]
fn dropout_does_nothing_in_evaluation() {
    let device = gpu();
    let config = small(Cell::Gru(Reset::After), 0.5);
    let model = Model::new(&device, &config, 1).unwrap();
    let plain = config.clone().dropout(0.0).rnn(config.rnn.clone().with_dropout(0.0));
    let same = Model::new(&device, &plain, 1).unwrap();
    let loss = |model: &Model| {
        let tokens = Tensor::from_array(&device, text(8, 3, 7).view()).unwrap();
        let mut tape = Tape::evaluating(&device).unwrap();
        let x = tape.input(&tokens).unwrap();
        let logits = model.forward(&mut tape, &x, &model.device_state(3).unwrap(), &RnnCall::default()).unwrap();
        tape.cross_entropy(&logits, &x).unwrap();
        tape.evaluation().unwrap().run().unwrap()
    };
    assert_eq!(loss(&model), loss(&same));
}

/// One loss of a tape, and the gradient of its input, for a check by finite differences.
struct Graph<'a> {
    device: &'a Device,
    x: Array3<f32>,
    build: &'a dyn Fn(&mut Tape, &wgrnn::plan::Value, &[Model]),
    models: &'a [Model],
}

impl Graph<'_> {
    fn loss(&self, x: &Array3<f32>) -> f64 {
        let input = Tensor::from_array(self.device, x.view()).unwrap();
        let mut tape = Tape::evaluating(self.device).unwrap();
        let value = tape.input(&input).unwrap();
        (self.build)(&mut tape, &value, self.models);
        f64::from(tape.evaluation().unwrap().run().unwrap())
    }

    /// The slope along a random direction, by the gradient and by a finite step.
    fn slopes(&self) -> (f64, f64) {
        let input = Tensor::from_array(self.device, self.x.view()).unwrap();
        let gradient = Tensor::<f32>::zeros(self.device, input.shape()).unwrap();
        let mut tape = Tape::training(self.device).unwrap();
        let value = tape.input(&input).unwrap();
        tape.want_gradient(&value, &gradient).unwrap();
        (self.build)(&mut tape, &value, self.models);
        let options = TrainerOptions::new(Optimizer::ADAM).learning_rate(LearningRate::Constant(0.0));
        let mut trainer = Trainer::new(tape, options).unwrap();
        // Twice: nothing may be left over from the first time.
        for _ in 0..2 {
            trainer.step().unwrap();
        }
        trainer.progress().unwrap();
        let gradient = gradient.read().unwrap();
        // Along the gradient itself, so that the slope is large beside the rounding of the loss in f32.
        let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let step =
            gradient.mapv(|g| (f64::from(g) / norm * 0.02) as f32).into_dimensionality::<ndarray::Ix3>().unwrap();
        (norm * 0.04, self.loss(&(&self.x + &step)) - self.loss(&(&self.x - &step)))
    }

    fn check(&self, name: &str) {
        let (product, difference) = self.slopes();
        // Losses near 1 in f32: 2⁻²³ twice, and the third order of a step of 0.02.
        assert!((product - difference).abs() < 2e-3 * product + 1e-6, "{name}: {product} is not {difference}");
    }
}

fn model(device: &Device, rnn: RnnConfig, outputs: Option<usize>) -> Model {
    let config = ModelConfig::features(rnn, 1).outputs(outputs);
    Model::new(device, &config, 11).unwrap()
}

#[test]
fn gradients_pass_from_decoder_to_encoder_through_the_state() {
    for (name, device) in devices() {
        let models = [
            model(&device, RnnConfig::new(Cell::Lstm, 3, 6), None),
            model(&device, RnnConfig::new(Cell::Lstm, 3, 6), Some(2)),
        ];
        let target = Tensor::from_array(&device, Random::new(4).array([5, 2, 2]).view()).unwrap();
        let state = models[0].device_state(2).unwrap();
        let build = graph(move |tape, x, models| {
            // The decoder reads zeros: all that it knows of x is the encoder's state.
            models[0].forward(tape, x, &state, &RnnCall::default()).unwrap();
            let zeros = Tensor::<f32>::zeros(tape.device(), &[5, 2, 3]).unwrap();
            let zeros = tape.input(&zeros).unwrap();
            let call = RnnCall::default().carry(true);
            let y = models[1].forward(tape, &zeros, &state, &call).unwrap();
            let target = tape.input(&target).unwrap();
            tape.mean_squared_error(&y, &target).unwrap();
        });
        Graph { device: &device, x: Random::new(5).array([4, 2, 3]), build: &build, models: &models }.check(name);
    }
}

/// A closure that is good for any lifetime of the models.
fn graph(
    build: impl Fn(&mut Tape, &wgrnn::plan::Value, &[Model]),
) -> impl Fn(&mut Tape, &wgrnn::plan::Value, &[Model]) {
    build
}

#[test]
fn gradients_flow_back_through_what_was_fed_back() {
    for (name, device) in devices() {
        let models = [model(&device, RnnConfig::new(Cell::Gru(Reset::After), 3, 7), Some(3))];
        let target = Tensor::from_array(&device, Random::new(4).array([4, 2, 3]).view()).unwrap();
        let state = models[0].device_state(2).unwrap();
        let build = graph(move |tape, x, models| {
            // From zeros each time: the state that the last run left is not to be carried.
            let zeros = Tensor::<f32>::zeros(tape.device(), &[1, 2, 3]).unwrap();
            let zeros = tape.input(&zeros).unwrap();
            models[0].forward(tape, &zeros, &state, &RnnCall::default()).unwrap();
            let first = x.at(0).unwrap();
            let y = models[0].feed_back(tape, &first, &state, 4).unwrap();
            let target = tape.input(&target).unwrap();
            tape.mean_squared_error(&y, &target).unwrap();
        });
        Graph { device: &device, x: Random::new(5).array([1, 2, 3]), build: &build, models: &models }.check(name);
    }
}

/// It gave memory that nothing had written.
#[test]
fn no_step_of_feeding_back_is_refused() {
    for (name, device) in devices() {
        let model = model(&device, RnnConfig::new(Cell::Gru(Reset::After), 3, 7), Some(3));
        let x = Tensor::<f32>::zeros(&device, &[2, 3]).unwrap();
        let mut tape = Tape::training(&device).unwrap();
        let x = tape.input(&x).unwrap();
        let error = model.feed_back(&mut tape, &x, &model.device_state(2).unwrap(), 0).unwrap_err().to_string();
        assert!(error.contains("at least 1") && error.contains("got 0"), "{name}: {error}");
    }
}

/// A call that begins with zeros owes nothing to whoever used its state before.
#[test]
fn no_gradient_passes_to_a_call_whose_state_was_not_carried_on() {
    for (name, device) in devices() {
        let model = model(&device, RnnConfig::new(Cell::Lstm, 3, 5), None);
        let x = Tensor::from_array(&device, Random::new(5).array([4, 2, 3]).view()).unwrap();
        let gradient = |carry: bool| {
            let gradient = Tensor::<f32>::zeros(&device, &[4, 2, 3]).unwrap();
            let state = model.device_state(2).unwrap();
            let mut tape = Tape::training(&device).unwrap();
            let value = tape.input(&x).unwrap();
            tape.want_gradient(&value, &gradient).unwrap();
            model.forward(&mut tape, &value, &state, &RnnCall::default()).unwrap();
            let zeros = Tensor::<f32>::zeros(&device, &[2, 2, 3]).unwrap();
            let zeros = tape.input(&zeros).unwrap();
            let call = RnnCall::default().carry(carry);
            let y = model.forward(&mut tape, &zeros, &state, &call).unwrap();
            let target = Tensor::from_array(&device, Random::new(6).array([2, 2, 5]).view()).unwrap();
            let target = tape.input(&target).unwrap();
            tape.mean_squared_error(&y, &target).unwrap();
            let mut trainer = Trainer::new(tape, options()).unwrap();
            trainer.step().unwrap();
            trainer.progress().unwrap();
            gradient.read().unwrap()
        };
        assert!(gradient(true).iter().all(|&g| g != 0.0), "{name}");
        assert!(gradient(false).iter().all(|&g| g == 0.0), "{name}");
    }
}

#[test]
fn several_readers_of_one_value_add_their_gradients() {
    for (name, device) in devices() {
        let rnn = || RnnConfig::new(Cell::Gru(Reset::Before), 3, 5);
        let models = [model(&device, rnn(), Some(2)), model(&device, rnn(), Some(1))];
        let target = Tensor::from_array(&device, Random::new(4).array([4, 2, 2]).view()).unwrap();
        let binary =
            Tensor::from_array(&device, Random::new(6).array([1, 2, 1]).mapv(|x| 0.5 + 0.5 * x).view()).unwrap();
        let states = [models[0].device_state(2).unwrap(), models[1].device_state(2).unwrap()];
        let build = graph(move |tape, x, models| {
            let y = models[0].forward(tape, x, &states[0], &RnnCall::default()).unwrap();
            let call = RnnCall::default().output(Output::Last).lengths(Lengths::Fixed(vec![4, 2]));
            let z = models[1].forward(tape, x, &states[1], &call).unwrap();
            let [t, b] = [&target, &binary].map(|tensor| tape.input(tensor).unwrap());
            tape.mean_squared_error(&y, &t).unwrap();
            tape.binary_cross_entropy(&z, &b.reshape(&[2, 1]).unwrap()).unwrap();
        });
        Graph { device: &device, x: Random::new(5).array([4, 2, 3]), build: &build, models: &models }.check(name);
    }
}

#[test]
fn tied_weights_get_the_gradients_of_both_uses() {
    for (name, device) in devices() {
        let rnn = RnnConfig::new(Cell::Gru(Reset::After), 6, 6);
        let config = ModelConfig::language(7, rnn).tied(true);
        let mut char_lm = CharLm::new(&device, &config, text(4, 400, 7), 8, options());
        assert_eq!(char_lm.model.parameters().len(), 2, "{name}");
        let losses = char_lm.losses(0..40);
        assert!(losses[39] < 0.7 * losses[0], "{name}: {losses:?}");
    }
    let wrong = ModelConfig::language(7, RnnConfig::new(Cell::Lstm, 6, 5)).tied(true);
    assert!(matches!(Model::new(&Device::cpu(), &wrong, 0), Err(Error::Value { .. })));
}

#[test]
fn a_training_step_is_a_few_passes_and_allocates_nothing_new() {
    // A device of its own, on which no other test allocates.
    let device = Device::gpu_with(&GpuOptions::default()).unwrap();
    let mut char_lm = CharLm::new(&device, &small(Cell::Lstm, 0.0), text(3, 200, 7), 8, options());
    let plan = char_lm.trainer.plan();
    let kinds = plan.commands().iter().map(|command| matches!(command, wgrnn::plan::Command::Dispatch(_)));
    let passes = kinds.clone().zip(kinds.skip(1)).filter(|(a, b)| !a && *b).count();
    assert!(passes <= 6, "{passes} passes\n{plan}");
    assert!(plan.reserve_bytes() > 0 && plan.to_string().contains("kept for backward"), "{plan}");
    let (wgpu_device, _) = device.wgpu().unwrap();
    let mut allocated = |steps: usize| {
        char_lm.losses(0..steps);
        wgpu_device.generate_allocator_report().map(|report| report.total_allocated_bytes)
    };
    let (first, later) = (allocated(1), allocated(20));
    // What one step uploads, tokens, targets and a few words, may be under way at either look; that of 20 is 4 KiB.
    let (first, later) = (first.unwrap(), later.unwrap());
    assert!(later <= first + 256, "{first}, then {later}");
}

/// Steps that go on with what the last one left, however wrong it was.
fn exploding(clip: Clip) -> (Vec<f32>, Option<Error>, Vec<ArrayD<f32>>) {
    let device = gpu();
    // A relu that feeds itself more than it had: states and gradients grow twofold in each of 20 steps.
    let rnn = RnnConfig::new(Cell::Elman(wgrnn::Activation::Relu), 2, 3);
    let model = Model::new(&device, &ModelConfig::features(rnn, 1), 1).unwrap();
    let parameters = model.rnn().parameters().unwrap();
    let mut weights = parameters.read().unwrap();
    for (name, array) in &mut weights {
        match &**name {
            "weight_hh_l0" => array.assign(&(Array2::<f32>::eye(3) * 2.0)),
            _ => array.mapv_inplace(f32::abs),
        }
    }
    parameters.write(&weights).unwrap();
    model.rnn().refresh().unwrap();
    let x = Tensor::from_array(&device, Array3::<f32>::ones((20, 1, 2)).view()).unwrap();
    let target = Tensor::<f32>::zeros(&device, &[20, 1, 1]).unwrap();
    let mut tape = Tape::training(&device).unwrap();
    let [x, t] = [&x, &target].map(|tensor| tape.input(tensor).unwrap());
    let y = model.forward(&mut tape, &x, &model.device_state(1).unwrap(), &RnnCall::default()).unwrap();
    tape.mean_squared_error(&y, &t).unwrap();
    let optimizer = Optimizer::sgd(0.0);
    let options = TrainerOptions::new(optimizer).clip(clip).learning_rate(LearningRate::Constant(0.05));
    let mut trainer = Trainer::new(tape, options).unwrap();
    let mut norms = Vec::new();
    let mut error = None;
    for _ in 0..60 {
        trainer.step().unwrap();
        match trainer.progress() {
            Ok(progress) => norms.push(progress.gradient_norm),
            Err(fault) => error = error.or(Some(fault)),
        }
    }
    let weights = parameters.read().unwrap().into_iter().map(|(_, array)| array).collect();
    (norms, error, weights)
}

#[test]
fn exploding_gradients_end_training_with_their_step_and_clipping_keeps_it_going() {
    let (norms, error, weights) = exploding(Clip::None);
    let Some(Error::Diverged { step, .. }) = error else { panic!("{error:?}, {norms:?}") };
    assert_eq!(step as usize, norms.len() + 1);
    // The weights are those from before that step, finite.
    assert!(weights.iter().flatten().all(|weight| weight.is_finite()), "{weights:?}");

    let (norms, error, weights) = exploding(Clip::Norm(1.0));
    assert!(error.is_none(), "{error:?}");
    assert!(norms.len() == 60 && norms[0] > 1e10 && norms[59] < 0.25 * norms[0], "{norms:?}");
    assert!(weights.iter().flatten().all(|weight| weight.is_finite()));
}

#[test]
fn gradients_vanish_through_a_tanh_and_less_through_an_lstm() {
    let device = gpu();
    let steps = 60;
    let reach = |cell: Cell| {
        let config = RnnConfig::new(cell, 2, 16);
        let mut weights = wgrnn::RnnWeights::init(&config, 1).unwrap();
        if cell == Cell::Lstm {
            // A forget gate that is open at first: Gers, Schmidhuber and Cummins 2000.
            let mut named: Vec<_> = weights.named().map(|(name, array)| (name, array.to_owned())).collect();
            let bias = named.iter_mut().find(|(name, _)| name == "bias_ih_l0").unwrap();
            bias.1.slice_mut(s![16..32]).fill(3.0);
            weights = wgrnn::RnnWeights::from_named(&config, &named).unwrap();
        }
        let rnn = wgrnn::Rnn::trainable(&device, &config, &weights).unwrap();
        let x = Random::new(2).array([steps, 1, 2]);
        let call = RnnCall::default().output(Output::Last);
        let dy = Array2::<f32>::ones((1, 16)).into_dyn();
        let gradients = rnn.gradients(x.view(), None, &call, dy.view(), None).unwrap();
        let norm = |t: usize| gradients.x.slice(s![t, .., ..]).iter().map(|g| g * g).sum::<f32>().sqrt();
        // What of the last input's gradient is left at the first.
        norm(0) / norm(steps - 1)
    };
    let (tanh, lstm) = (reach(Cell::Elman(wgrnn::Activation::Tanh)), reach(Cell::Lstm));
    assert!(tanh < 1e-6, "{tanh}");
    assert!(lstm > 1e3 * tanh && lstm > 1e-3, "{lstm} beside {tanh}");
}

#[test]
fn a_loss_that_is_nan_is_reported_with_its_step_and_not_trained_on() {
    for (name, device) in devices() {
        let mut char_lm = CharLm::new(&device, &small(Cell::Lstm, 0.0), text(3, 200, 7), 8, options());
        char_lm.losses(0..3);
        let before = char_lm.model.rnn().weights().unwrap();
        // An index beyond the table gives NaN.
        char_lm.tokens.write(Array2::from_elem((8, 3), 7_u32).view()).unwrap();
        for _ in 0..3 {
            char_lm.trainer.step().unwrap();
        }
        let error = char_lm.trainer.progress().unwrap_err();
        assert!(
            matches!(error, Error::Diverged { step: 4, .. }) && error.to_string().contains("step 4"),
            "{name}: {error}"
        );
        assert_eq!(char_lm.model.rnn().weights().unwrap(), before, "{name}");
        let path = tempfile::tempdir().unwrap().path().join("checkpoint.safetensors");
        assert!(matches!(char_lm.trainer.save(&path, &HashMap::new()), Err(Error::Diverged { step: 4, .. })), "{name}");
    }
}

#[test]
fn targets_out_of_range_or_all_ignored_are_refused_by_place() {
    let targets = Targets::new(&gpu(), &[2, 2], 5).unwrap();
    let error = targets.write(ndarray::array![[0_u32, 4], [5, IGNORED]].view()).unwrap_err().to_string();
    assert!(error.contains("target 2") && error.contains("less than 5") && error.contains('5'), "{error}");
    let error = targets.write(Array2::from_elem((2, 2), IGNORED).view()).unwrap_err().to_string();
    assert!(error.contains("not ignored"), "{error}");
    assert!(matches!(targets.write(Array2::<u32>::zeros((2, 3)).view()), Err(Error::Shape { .. })));
    // Nothing of it was written.
    assert_eq!(targets.tensor().read().unwrap(), Array2::<u32>::zeros((2, 2)).into_dyn());
}

#[test]
fn a_checkpoint_of_another_model_is_refused_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let device = gpu();
    let new = |config: &ModelConfig, options| CharLm::new(&device, config, text(3, 200, 7), 8, options);
    let mut lstm = new(&small(Cell::Lstm, 0.0), options());
    lstm.losses(0..2);
    lstm.trainer.save(&path, &HashMap::new()).unwrap();

    let sgd = Optimizer::sgd(0.9);
    let wider = ModelConfig::language(7, RnnConfig::new(Cell::Lstm, 6, 11).layers(2));
    let others = [
        (new(&small(Cell::Gru(Reset::After), 0.0), options()), "weight_ih_l0"),
        (new(&wider, options()), "weight_ih_l0"),
        (new(&small(Cell::Lstm, 0.0), options().optimizer(sgd)), "optimizer"),
    ];
    for (mut other, part) in others {
        other.losses(0..1);
        let before = (other.model.rnn().weights().unwrap(), other.state.read().unwrap());
        let error = other.trainer.load(&path).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        assert_eq!((other.model.rnn().weights().unwrap(), other.state.read().unwrap()), before);
        assert_eq!(other.trainer.steps(), 1);
    }
    // Neither a weights file, nor a damaged one, nor none.
    lstm.model.save(&path, "").unwrap();
    let error = lstm.trainer.load(&path).unwrap_err().to_string();
    assert!(error.contains("no checkpoint") && error.contains("step"), "{error}");
    std::fs::write(&path, b"not a checkpoint").unwrap();
    assert!(matches!(lstm.trainer.load(&path), Err(Error::Safetensors(_))));
    assert!(matches!(lstm.trainer.load(folder.path().join("none")), Err(Error::File { .. })));
}

/// In a process that may write files of four kilobytes at most, which is what a full disk comes to.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_checkpoint() {
    const CHECKPOINT: &str = "WGRNN_TEST_CHECKPOINT";
    let mut char_lm = CharLm::new(&Device::cpu(), &small(Cell::Lstm, 0.0), text(3, 200, 7), 8, options());
    if let Some(path) = std::env::var_os(CHECKPOINT) {
        char_lm.losses(0..2);
        let error = char_lm.trainer.save(path, &HashMap::new()).unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{error}");
        println!("refused: {error}");
        // Training goes on.
        char_lm.losses(2..4);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    char_lm.trainer.save(&path, &HashMap::new()).unwrap();
    let old = std::fs::read(&path).unwrap();
    assert!(old.len() > 4096);
    let output = std::process::Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "training::a_full_disk_leaves_the_old_checkpoint", "--nocapture"])
        .env(CHECKPOINT, &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("refused: "), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), old);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something was left beside it");
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let char_lm = CharLm::new(&gpu(), &small(Cell::Lstm, 0.0), text(3, 200, 7), 8, options());
    char_lm.trainer.save(&path, &HashMap::new()).unwrap();
    let old = std::fs::read(&path).unwrap();
    let beyond = folder.path().join("no such folder").join("checkpoint.safetensors");
    assert!(matches!(char_lm.trainer.save(&beyond, &HashMap::new()), Err(Error::File { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), old);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something was left beside it");
}

#[test]
fn tapes_and_options_that_cannot_be_trained_are_refused() {
    let device = gpu();
    let refused = |tape: Tape, options: TrainerOptions, part: &str| {
        let error = Trainer::new(tape, options).expect_err("refused").to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(Tape::training(&device).unwrap(), options(), "a loss");
    refused(Tape::evaluating(&device).unwrap(), options(), "evaluation");
    for (learning_rate, part) in
        [(LearningRate::Constant(f64::NAN), "learning rate"), (LearningRate::Constant(-1.0), "learning rate")]
    {
        refused(Tape::training(&device).unwrap(), options().learning_rate(learning_rate), part);
    }
    refused(Tape::training(&device).unwrap(), options().clip(Clip::Norm(0.0)), "clip");
    let adam = Optimizer::adam([0.9, 1.0], 1e-8);
    refused(Tape::training(&device).unwrap(), options().optimizer(adam), "beta 2");
    // Layers whose weights are fixed.
    let rnn = crate::common::rnn(&device, &RnnConfig::new(Cell::Lstm, 3, 4));
    let x = Tensor::<f32>::zeros(&device, &[2, 1, 3]).unwrap();
    let mut tape = Tape::training(&device).unwrap();
    let x = tape.input(&x).unwrap();
    let error = tape.rnn(&rnn, &x, &rnn.device_state(1).unwrap(), &RnnCall::default()).unwrap_err().to_string();
    assert!(error.contains("trainable"), "{error}");
    // Shapes that do not fit each other.
    let [a, b] = [[2, 3], [3, 2]].map(|shape| Tensor::<f32>::zeros(&device, &shape).unwrap());
    let [a, b] = [&a, &b].map(|tensor| tape.input(tensor).unwrap());
    assert!(matches!(tape.mean_squared_error(&a, &b), Err(Error::Shape { .. })));
    assert!(matches!(tape.give_gradient(&a, &b), Err(Error::Shape { .. })));
    assert!(matches!(tape.dropout(&a, 1.0), Err(Error::Value { .. })));
    let indices = Tensor::<u32>::zeros(&device, &[3]).unwrap();
    let indices = tape.input(&indices).unwrap();
    assert!(matches!(tape.cross_entropy(&a, &indices), Err(Error::Shape { .. })));
}
