//! Trainings of 30 steps, schedules and plateaus against PyTorch.

use crate::common::devices;
use crate::pytorch_training::{Fixture, near};
use ndarray::{Array1, ArrayD, Axis, Ix1, Ix2, IxDyn};
use safetensors::SafeTensors;
use serde::Deserialize;
use wgrnn::{
    Device, LearningRate, Linear, MovingAverage, Optimizer, ParameterGroup, ReduceOnPlateau, Tape, Tensor, Trainer,
    TrainerOptions,
};

#[derive(Deserialize)]
struct Training {
    name: String,
    optimizer: String,
    alpha: Option<f32>,
    eps: Option<f32>,
    momentum: Option<f32>,
    centered: Option<bool>,
    weight_decay: f32,
    bias_factor: Option<f64>,
    bias_decay: Option<f32>,
    micro: usize,
}

impl Training {
    fn options(&self, linear: &Linear) -> TrainerOptions {
        let optimizer = match &*self.optimizer {
            "rmsprop" => {
                let make = if self.centered.unwrap() { Optimizer::rms_prop_centered } else { Optimizer::rms_prop };
                make(self.alpha.unwrap(), self.eps.unwrap(), self.momentum.unwrap())
            }
            "sgd" => Optimizer::sgd(self.momentum.unwrap()),
            "adam" => Optimizer::ADAM,
            "adamw" => Optimizer::ADAM_W,
            other => panic!("unknown optimiser {other}"),
        };
        let options = TrainerOptions::new(optimizer.weight_decay(self.weight_decay))
            .learning_rate(LearningRate::Constant(0.02))
            .average(MovingAverage::new(0.9));
        match (self.bias_factor, self.bias_decay) {
            (Some(factor), Some(decay)) => {
                let group = ParameterGroup::new(linear.parameters().unwrap()).arrays(["bias"]);
                options.group(group.rate_factor(factor).weight_decay(decay))
            }
            _ => options,
        }
    }
}

/// A dense layer with its inputs on a device.
struct Dense {
    linear: Linear,
    x: Tensor,
    target: Tensor,
}

impl Dense {
    fn new(device: &Device, fixture: &Fixture) -> Self {
        let weight = fixture.array("weight").into_dimensionality::<Ix2>().unwrap();
        let bias = fixture.array("bias").into_dimensionality::<Ix1>().unwrap();
        let linear = Linear::trainable(device, weight.view(), Some(bias.view())).unwrap();
        let [x, target] = ["x", "target"].map(|name| fixture.array(name).shape()[2..].to_vec());
        Self { linear, x: Tensor::zeros(device, &x).unwrap(), target: Tensor::zeros(device, &target).unwrap() }
    }

    fn trainer(&self, device: &Device, options: TrainerOptions) -> Trainer {
        let mut tape = Tape::training(device).unwrap();
        let [x, target] = [&self.x, &self.target].map(|tensor| tape.input(tensor).unwrap());
        let y = tape.linear(&self.linear, &x).unwrap();
        tape.mean_squared_error(&y, &target).unwrap();
        Trainer::new(tape, options).unwrap()
    }

    fn read(&self) -> Vec<(String, ArrayD<f32>)> {
        self.linear.parameters().unwrap().read().unwrap()
    }
}

#[test]
fn trainings_of_thirty_steps_are_pytorchs_with_groups_micro_batches_and_averages() {
    let fixture = Fixture::read("pytorch_trainer.safetensors");
    let cases: Vec<Training> = fixture.list("trainings");
    assert_eq!(cases.len(), 10);
    let (x, target) = (fixture.array("x"), fixture.array("target"));
    for (device_name, device) in devices() {
        for case in &cases {
            let dense = Dense::new(&device, &fixture);
            let mut trainer = dense.trainer(&device, case.options(&dense.linear));
            let expected = |part: &str| fixture.array(&format!("{}/{part}", case.name));
            let losses = expected("losses");
            for step in 0..x.shape()[0] {
                for micro in 0..case.micro {
                    let part =
                        |array: &ArrayD<f32>| array.index_axis(Axis(0), step).index_axis(Axis(0), micro).to_owned();
                    dense.x.write(part(&x).view()).unwrap();
                    dense.target.write(part(&target).view()).unwrap();
                    if micro + 1 < case.micro { trainer.accumulate() } else { trainer.step() }.unwrap();
                }
                let name = format!("{} step {step} on {device_name}", case.name);
                let loss = Array1::from_elem(1, trainer.progress().unwrap().last_loss).into_dyn();
                let loss_expected = ArrayD::from_elem(IxDyn(&[1]), losses[step]);
                near(&format!("{name}, loss"), loss.view(), loss_expected.view(), 5e-6);
                let averages = trainer.with_averages(|| Ok::<_, wgrnn::Error>(dense.read())).unwrap();
                for (prefix, arrays) in [("", dense.read()), ("average_", averages)] {
                    for (array, got) in arrays {
                        let all = expected(&format!("{prefix}{array}"));
                        // Each step goes on from the rounded weights of the last one.
                        near(&format!("{name}, {prefix}{array}"), got.view(), all.index_axis(Axis(0), step), 1e-5);
                    }
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct Schedule {
    name: String,
    kind: String,
    lr: f64,
    power: Option<f64>,
    total: Option<u32>,
    pct_start: f64,
    div_factor: f64,
    final_div_factor: f64,
    linear: bool,
    warmup: u32,
    step_size: Option<u32>,
    gamma: Option<f64>,
    eta_min: Option<f64>,
}

fn doubles(fixture: &Fixture, name: &str) -> Vec<f64> {
    let file = SafeTensors::deserialize(&fixture.bytes).unwrap();
    let view = file.tensor(name).unwrap();
    view.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn polynomial_and_one_cycle_rates_and_every_schedule_after_a_warm_up_are_pytorchs() {
    let fixture = Fixture::read("pytorch_trainer.safetensors");
    let cases: Vec<Schedule> = fixture.list("schedules");
    assert_eq!(cases.len(), 7);
    for case in &cases {
        let rate = case.lr;
        let learning_rate = match &*case.kind {
            "polynomial" => LearningRate::Polynomial { rate, power: case.power.unwrap(), steps: case.total.unwrap() },
            "one_cycle" if !case.linear => LearningRate::one_cycle(rate, case.total.unwrap()),
            "one_cycle" => LearningRate::OneCycle {
                rate,
                steps: case.total.unwrap(),
                pct_start: case.pct_start,
                div_factor: case.div_factor,
                final_div_factor: case.final_div_factor,
                linear: case.linear,
            },
            "step" => LearningRate::Step { rate, factor: case.gamma.unwrap(), every: case.step_size.unwrap() },
            "exponential" => LearningRate::Exponential { rate, factor: case.gamma.unwrap() },
            "cosine" => {
                let (least, steps) = (case.eta_min.unwrap(), case.total.unwrap());
                LearningRate::Cosine { rate, least, warm_up: 0, steps }
            }
            other => panic!("unknown schedule {other}"),
        };
        let options = TrainerOptions::new(Optimizer::ADAM).learning_rate(learning_rate).warm_up(case.warmup);
        let expected = doubles(&fixture, &format!("{}/lrs", case.name));
        assert_eq!(expected.len(), 60);
        for (k, expected) in expected.into_iter().enumerate() {
            let got = options.rate(k as u32);
            assert!((got - expected).abs() < 1e-12, "{} step {k}: {got}, not {expected}", case.name);
        }
        // After its end a schedule stays where it is.
        if matches!(&*case.kind, "polynomial" | "one_cycle") {
            let end = options.rate(case.total.unwrap() - u32::from(case.kind == "one_cycle"));
            assert_eq!([options.rate(1000), options.rate(u32::MAX - 2)], [end; 2], "{}", case.name);
        }
    }
}

#[derive(Deserialize)]
struct Plateau {
    name: String,
    lr: f64,
    factor: f64,
    patience: u32,
    threshold: f64,
    cooldown: u32,
    min_lr: f64,
}

#[test]
fn rates_on_a_plateau_are_pytorchs_also_after_a_note_was_read() {
    let fixture = Fixture::read("pytorch_trainer.safetensors");
    let cases: Vec<Plateau> = fixture.list("plateaus");
    assert_eq!(cases.len(), 2);
    for case in &cases {
        let new = || {
            let plateau = ReduceOnPlateau::new(case.lr).unwrap().factor(case.factor).unwrap();
            let plateau = plateau.patience(case.patience).threshold(case.threshold).unwrap();
            plateau.cooldown(case.cooldown).least(case.min_lr).unwrap()
        };
        let [losses, rates] = ["losses", "lrs"].map(|part| doubles(&fixture, &format!("{}/{part}", case.name)));
        let mut plateau = new();
        for (i, (loss, rate)) in losses.into_iter().zip(rates).enumerate() {
            let got = plateau.update(loss);
            assert!((got - rate).abs() < 1e-15 && got == plateau.rate(), "{} {i}: {got}, not {rate}", case.name);
            let restored = new().restore(&plateau.note()).unwrap();
            assert_eq!(restored, plateau, "{}", case.name);
        }
    }
    let mut fresh = ReduceOnPlateau::new(0.1).unwrap();
    assert_eq!(ReduceOnPlateau::new(0.1).unwrap().restore(&fresh.note()).unwrap(), fresh, "an infinite best loss");
    assert_eq!((fresh.update(f64::NAN), fresh.best()), (0.1, f64::INFINITY));
}
