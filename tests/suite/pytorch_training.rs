//! Optimisers, losses and learning rates against PyTorch.

use crate::common::devices;
use crate::golden::numbers;
use ndarray::{Array1, Array2, ArrayD, ArrayView, Axis, Dimension};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use wgrnn::check::Comparison;
use wgrnn::{Clip, LearningRate, Linear, Optimizer, Tape, Targets, Tensor, Trainer, TrainerOptions};

pub struct Fixture {
    pub bytes: Vec<u8>,
}

impl Fixture {
    pub fn read(name: &str) -> Self {
        Self { bytes: std::fs::read(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap() }
    }

    pub fn list<T: serde::de::DeserializeOwned>(&self, key: &str) -> T {
        let (_, metadata) = SafeTensors::read_metadata(&self.bytes).unwrap();
        serde_json::from_str(&metadata.metadata().as_ref().unwrap()[key]).unwrap()
    }

    pub fn array(&self, name: &str) -> ArrayD<f32> {
        numbers(&SafeTensors::deserialize(&self.bytes).unwrap(), name).unwrap_or_else(|| panic!("{name} is missing"))
    }

    pub fn words(&self, name: &str) -> Array1<u32> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(name).unwrap();
        assert_eq!(view.dtype(), Dtype::U32);
        view.data().chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect()
    }
}

pub fn near<D: Dimension>(name: &str, got: ArrayView<'_, f32, D>, expected: ArrayView<'_, f32, D>, tolerance: f64) {
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
