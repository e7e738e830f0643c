//! Checkpoints: what they must not lose, what is refused as one, and that numbers which are not finite never come into them.

use crate::common::devices;
use ndarray::{Array2, ArrayD, array};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::{BTreeMap, HashMap};
use wgrnn::{
    Activation, Cell, Clip, Device, DeviceState, Error, LearningRate, Linear, Model, ModelConfig, Optimizer, Output,
    Reset, RnnCall, RnnConfig, RnnWeights, Tape, Tensor, Trainer, TrainerOptions,
};

const SGD: Optimizer = Optimizer::sgd(0.9);

fn options(optimizer: Optimizer, rate: f64) -> TrainerOptions {
    TrainerOptions::new(optimizer).learning_rate(LearningRate::Constant(rate))
}

/// A model of vectors with a carried state, and its trainer.
struct Training {
    model: Model,
    state: DeviceState,
    trainer: Trainer,
}

impl Training {
    fn new(device: &Device, config: &ModelConfig, options: TrainerOptions) -> Self {
        let model = Model::new(device, config, 3).unwrap();
        let state = model.device_state(2).unwrap();
        let shape = [4, 2, config.rnn.input_size()];
        let x = Tensor::from_array(device, ArrayD::from_elem(&shape[..], 0.5_f32).view()).unwrap();
        let mut tape = Tape::training(device).unwrap();
        let x = tape.input(&x).unwrap();
        let call = RnnCall::default().carry(true).output(Output::Last);
        let y = model.forward(&mut tape, &x, &state, &call).unwrap();
        let t = Tensor::from_array(device, ArrayD::from_elem(y.shape(), 1.0_f32).view()).unwrap();
        let t = tape.input(&t).unwrap();
        tape.mean_squared_error(&y, &t).unwrap();
        let mut trainer = Trainer::new(tape, options).unwrap();
        model.name(&mut trainer, "").unwrap();
        trainer.keep_state("carried", &state);
        Self { model, state, trainer }
    }

    fn steps(&mut self, count: usize) {
        for _ in 0..count {
            self.trainer.step().unwrap();
        }
    }

    fn bytes(&self) -> Vec<u8> {
        pollster(self.trainer.to_safetensors_async(&HashMap::new())).unwrap()
    }

    /// Weights, state, steps.
    fn facts(&self) -> (RnnWeights, wgrnn::State, u32) {
        let weights = (*self.model.rnn().weights().unwrap()).clone();
        (weights, self.state.read().unwrap(), self.trainer.steps())
    }
}

/// Futures of the CPU and of native GPUs.
fn pollster<F: std::future::Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

fn model(cell: Cell) -> ModelConfig {
    ModelConfig::features(RnnConfig::new(cell, 3, 4), 2)
}

/// A file in parts, to be changed.
#[derive(Clone)]
struct Parts {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    notes: HashMap<String, String>,
}

impl Parts {
    fn of(bytes: &[u8]) -> Self {
        let file = SafeTensors::deserialize(bytes).unwrap();
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let numbers = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
            (name, (view.shape().to_vec(), numbers.collect()))
        });
        let notes = SafeTensors::read_metadata(bytes).unwrap().1.metadata().clone().unwrap_or_default();
        Self { tensors: tensors.collect(), notes }
    }

    fn bytes(&self) -> Vec<u8> {
        let data = |numbers: &[f32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
        let all: Vec<_> =
            self.tensors.iter().map(|(name, (shape, numbers))| (name, shape.clone(), data(numbers))).collect();
        let views =
            all.iter().map(|(name, shape, data)| (name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
        safetensors::serialize(views, Some(self.notes.clone())).unwrap()
    }
}

#[test]
fn a_damaged_or_crafted_checkpoint_is_refused_by_name_and_changes_nothing() {
    let device = Device::cpu();
    let config = model(Cell::Lstm);
    let mut saved = Training::new(&device, &config, options(Optimizer::ADAM, 0.01));
    saved.steps(3);
    let parts = Parts::of(&saved.bytes());
    let mut other = Training::new(&device, &config, options(Optimizer::ADAM, 0.01));
    other.steps(1);
    let before = other.facts();

    type Change = Box<dyn Fn(&mut Parts)>;
    let note = |key: &'static str, text: &'static str| -> Change {
        Box::new(move |parts| _ = parts.notes.insert(format!("wgrnn.{key}"), text.to_owned()))
    };
    let number = |name: &'static str, at: usize, number: f32| -> Change {
        Box::new(move |parts| parts.tensors.get_mut(name).unwrap().1[at] = number)
    };
    let without =
        |name: &'static str| -> Change { Box::new(move |parts| assert!(parts.tensors.remove(name).is_some())) };
    let more = |name: &'static str| -> Change {
        Box::new(move |parts| _ = parts.tensors.insert(name.to_owned(), (vec![1], vec![0.0])))
    };
    let crafted: Vec<(Change, &str)> = vec![
        (note("step", "4294967295"), "wgrnn.step"),
        (note("step", "4294967296"), "wgrnn.step"),
        (note("step", "-1"), "wgrnn.step"),
        (note("step", "1.5"), "wgrnn.step"),
        (note("step", ""), "wgrnn.step"),
        (note("seed", "4294967296"), "wgrnn.seed"),
        (note("seed", "NaN"), "wgrnn.seed"),
        (note("optimizer", "Adam"), "optimizer"),
        (note("config.rnn.", "{}"), "cell"),
        (note("config.rnn.", "nonsense"), "wgrnn.config.rnn."),
        (number("optimizer.rnn.square", 7, -1e-9), "optimizer.rnn.square"),
        (number("optimizer.head.square", 0, f32::MIN), "optimizer.head.square"),
        (number("optimizer.rnn.square", 7, f32::NAN), "optimizer.rnn.square"),
        (number("optimizer.rnn.mean", 0, f32::INFINITY), "optimizer.rnn.mean"),
        (number("rnn.weight_hh_l0", 5, f32::NAN), "rnn.weight_hh_l0"),
        (number("state.carried.c", 1, f32::NEG_INFINITY), "state.carried.c"),
        (number("progress", 0, f32::NAN), "progress"),
        (number("progress", 0, f32::INFINITY), "progress"),
        (number("progress", 1, f32::NAN), "progress"),
        (number("progress", 1, -1.0), "progress"),
        (number("progress", 1, 1.5), "progress"),
        (number("progress", 1, 4.0), "progress"),
        (number("progress", 1, 4294967296.0), "progress"),
        (number("progress", 1, 1e30), "progress"),
        (number("progress", 1, 0.0), "progress"),
        (without("optimizer.rnn.square"), "optimizer.rnn.square"),
        (without("state.carried.c"), "state.carried.c"),
        (without("head.bias"), "head.bias"),
        (without("progress"), "progress"),
        (more("state.other.h"), "state.other.h"),
        (more("optimizer.rnn.momentum"), "optimizer.rnn.momentum"),
        (more("rnn.weight_ih_l1"), "rnn.weight_ih_l1"),
        (more("decoder.weight"), "decoder.weight"),
        (Box::new(|parts| parts.tensors.get_mut("progress").unwrap().0 = vec![2, 1]), "progress"),
        (Box::new(|parts| parts.tensors.get_mut("state.carried.h").unwrap().0 = vec![2, 1, 4]), "state.carried.h"),
    ];
    for (change, part) in crafted {
        let mut parts = parts.clone();
        change(&mut parts);
        let error = other.trainer.load_safetensors(&parts.bytes()).unwrap_err().to_string();
        assert!(error.contains(part), "{part}: {error}");
        assert_eq!(other.facts(), before, "{part}");
    }
    // After all of this it trains on as if nothing had been.
    let mut fresh = Training::new(&device, &config, options(Optimizer::ADAM, 0.01));
    fresh.steps(2);
    other.steps(1);
    assert_eq!(other.facts(), fresh.facts());
    // And the file itself is a good one.
    other.trainer.load_safetensors(&parts.bytes()).unwrap();
    assert_eq!(other.facts(), saved.facts());
}

#[test]
fn the_last_step_that_there_can_be_is_an_error_and_no_overflow() {
    for (name, device) in devices() {
        let mut training = Training::new(&device, &model(Cell::Lstm), options(Optimizer::ADAM, 0.01));
        training.steps(1);
        let mut parts = Parts::of(&training.bytes());
        parts.notes.insert("wgrnn.step".to_owned(), (u32::MAX - 2).to_string());
        training.trainer.load_safetensors(&parts.bytes()).unwrap();
        training.steps(1);
        assert!(training.trainer.progress().is_ok(), "{name}");
        // It can still be saved and loaded, but not go on.
        let bytes = training.bytes();
        training.trainer.load_safetensors(&bytes).unwrap();
        let error = training.trainer.step().unwrap_err();
        assert!(matches!(error, Error::Value { .. }) && error.to_string().contains("4294967294"), "{error}");
        assert_eq!(training.trainer.steps(), u32::MAX - 1);
    }
}

#[test]
fn two_states_of_one_name_are_refused_by_name_and_the_same_one_twice_is_one() {
    let device = Device::cpu();
    let mut training = Training::new(&device, &model(Cell::Lstm), options(SGD, 0.01));
    training.steps(1);
    training.trainer.keep_state("carried", &training.state.clone());
    let good = training.bytes();
    training.trainer.load_safetensors(&good).unwrap();
    let other = training.model.device_state(2).unwrap();
    training.trainer.keep_state("carried", &other);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    std::fs::write(&path, &good).unwrap();
    for error in [
        training.trainer.save(&path, &HashMap::new()).unwrap_err(),
        training.trainer.load_safetensors(&good).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Value { .. }) && error.to_string().contains("carried"), "{error}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), good);
}

#[test]
fn names_that_mean_something_else_in_a_checkpoint_are_refused() {
    let device = Device::cpu();
    let mut training = Training::new(&device, &model(Cell::Lstm), options(SGD, 0.01));
    let parameters = training.model.rnn().parameters().unwrap().clone();
    for name in ["optimizer.", "state.", "optimizer.rnn.", "state.carried."] {
        let error = training.trainer.name(name, &parameters).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("optimizer."), "{error}");
    }
    assert!(training.trainer.name("head.", &parameters).is_err(), "another one's");
    training.trainer.name("states.", &parameters).unwrap();
    let note = |name: &str| HashMap::from([(name.to_owned(), "precious".to_owned())]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    training.trainer.save(&path, &note("wgrnnx")).unwrap();
    assert_eq!(Trainer::notes(&path).unwrap(), note("wgrnnx"));
    for name in ["wgrnn.", "wgrnn.step", "wgrnn.mine", "wgrnn.config.rnn."] {
        let error = training.trainer.save(&path, &note(name)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("note"), "{error}");
        assert_eq!(Trainer::notes(&path).unwrap(), note("wgrnnx"), "nothing was written");
    }
    // One in a file of an older version is not lost.
    let mut parts = Parts::of(&training.bytes());
    parts.notes.extend(note("wgrnn.mine"));
    assert_eq!(training.trainer.load_safetensors(&parts.bytes()).unwrap(), note("wgrnn.mine"));
}

/// Cells whose tensors have the same shapes.
#[test]
fn a_checkpoint_or_a_model_of_another_cell_is_refused_with_the_difference() {
    let device = Device::cpu();
    let pairs = [
        (Cell::Elman(Activation::Tanh), Cell::Elman(Activation::Relu), ["tanh", "relu"]),
        (Cell::Gru(Reset::After), Cell::Gru(Reset::Before), ["after", "before"]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let [checkpoint, weights] = ["checkpoint", "weights"].map(|name| folder.path().join(name));
    for (one, other, parts) in pairs {
        let mut first = Training::new(&device, &model(one), options(SGD, 0.01));
        first.steps(1);
        first.trainer.save(&checkpoint, &HashMap::new()).unwrap();
        first.model.save(&weights, "").unwrap();
        let mut second = Training::new(&device, &model(other), options(SGD, 0.01));
        let before = second.facts();
        for error in [
            second.trainer.load(&checkpoint).unwrap_err(),
            second.model.load(&checkpoint, "").unwrap_err(),
            second.model.load(&weights, "").unwrap_err(),
            second.model.load_partial(&weights, "").unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(parts.iter().all(|part| text.contains(part)) && text.contains("rnn."), "{text}");
        }
        assert_eq!(second.facts(), before);
        // Layers read the model's file and the checkpoint after their prefix.
        for path in [&checkpoint, &weights] {
            assert!(RnnWeights::load(path, &model(one).rnn, "rnn.").is_ok());
            assert!(RnnWeights::load(path, &model(other).rnn, "rnn.").is_err());
            first.model.load(path, "").unwrap();
        }
    }
}

#[test]
fn a_model_takes_all_that_is_under_its_prefix_or_says_what_it_leaves_out() {
    let device = Device::cpu();
    let deep = ModelConfig::features(RnnConfig::new(Cell::Lstm, 3, 4).layers(2), 2);
    let [shallow, deep] = [&model(Cell::Lstm), &deep].map(|config| Model::new(&device, config, 1).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    deep.save(&path, "decoder.").unwrap();
    let error = shallow.load(&path, "decoder.").unwrap_err();
    assert!(
        matches!(error, Error::LeftOver { .. }) && error.to_string().contains("decoder.rnn.weight_ih_l1"),
        "{error}"
    );
    assert_ne!(shallow.rnn().weights().unwrap().layers()[0], deep.rnn().weights().unwrap().layers()[0][..0]);
    let left = shallow.load_partial(&path, "decoder.").unwrap();
    assert_eq!(left.len(), 4, "{left:?}");
    assert!(left.iter().all(|name| name.starts_with("decoder.rnn.") && name.ends_with("_l1")), "{left:?}");
    assert_eq!(shallow.rnn().weights().unwrap().layers()[0], deep.rnn().weights().unwrap().layers()[0]);
    // A prefix that is not there: those that are.
    for prefix in ["", "encoder."] {
        let error = shallow.load(&path, prefix).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::MissingWeight(_)) && text.contains("'decoder.'"), "{text}");
    }
    // What stands under another prefix is another model's.
    let mut parts = Parts::of(&std::fs::read(&path).unwrap());
    parts.tensors.insert("encoder.weight".to_owned(), (vec![1], vec![0.0]));
    deep.load_safetensors(&parts.bytes(), "decoder.").unwrap();
    parts.tensors.insert("decoder.attention".to_owned(), (vec![1], vec![0.0]));
    assert!(deep.load_safetensors(&parts.bytes(), "decoder.").unwrap_err().to_string().contains("decoder.attention"));
    // Without a prefix everything is the model's, unless it belongs to a checkpoint.
    let mut training = Training::new(&device, &model(Cell::Lstm), options(Optimizer::ADAM, 0.01));
    training.steps(1);
    let mut parts = Parts::of(&training.bytes());
    shallow.load_safetensors(&parts.bytes(), "").unwrap();
    parts.tensors.insert("other".to_owned(), (vec![1], vec![0.0]));
    assert!(shallow.load_safetensors(&parts.bytes(), "").unwrap_err().to_string().contains("other"));
    assert_eq!(shallow.load_safetensors_partial(&parts.bytes(), "").unwrap(), ["other"]);
    parts.tensors.remove("other");
    parts.notes.clear();
    let error = shallow.load_safetensors(&parts.bytes(), "").unwrap_err().to_string();
    assert!(error.contains("optimizer.rnn.mean") && error.contains("progress"), "{error}");
}

#[test]
fn arrays_of_other_names_are_not_written_in_silence() {
    let device = Device::cpu();
    let head = Linear::trainable(&device, Array2::zeros((1, 2)).view(), None).unwrap();
    let parameters = head.parameters().unwrap();
    let own = ("weight".to_owned(), ArrayD::ones(vec![1, 2]));
    let other = ("bias".to_owned(), ArrayD::ones(vec![1]));
    let error = parameters.write(&[own.clone(), other]).unwrap_err();
    assert!(matches!(error, Error::LeftOver { .. }) && error.to_string().contains("bias"), "{error}");
    assert!(matches!(parameters.write(&[own.clone(), own.clone()]), Err(Error::Value { .. })));
    assert_eq!(parameters.read().unwrap()[0].1, ArrayD::<f32>::zeros(vec![1, 2]));
    parameters.write(&[own]).unwrap();
}

/// y = w·x with w = 1, whose gradient is 2·(y − t)·x.
struct One {
    head: Linear,
    x: Tensor,
    trainer: Trainer,
}

impl One {
    fn new(device: &Device, options: TrainerOptions) -> Result<Self, Error> {
        let head = Linear::trainable(device, Array2::ones((1, 2)).view(), None)?;
        // The second weight sees nothing: its gradient is 0.
        let x = Tensor::from_array(device, array![[0.5_f32, 0.0]].view())?;
        let t = Tensor::from_array(device, array![[2.0_f32]].view())?;
        let mut tape = Tape::training(device)?;
        let [input, t] = [tape.input(&x)?, tape.input(&t)?];
        let y = tape.linear(&head, &input)?;
        tape.mean_squared_error(&y, &t)?;
        let trainer = Trainer::new(tape, options)?;
        // The layer outlives the tape.
        Ok(Self { head, x, trainer })
    }

    fn weights(&self) -> Vec<f32> {
        self.head.parameters().unwrap().read().unwrap()[0].1.iter().copied().collect()
    }

    /// The step that is said to have spoilt the weights; these are finite all along.
    fn diverges(&mut self, name: &str) -> (u32, Vec<f32>) {
        let mut before = self.weights();
        for _ in 0..20 {
            self.trainer.step().unwrap();
            let step = self.trainer.steps();
            let error = match self.trainer.progress() {
                Ok(_) => {
                    before = self.weights();
                    assert!(before.iter().all(|weight| weight.is_finite()), "{name}: {before:?}");
                    continue;
                }
                Err(error) => error,
            };
            let text = error.to_string();
            assert!(matches!(error, Error::Diverged { step: found, .. } if found == step), "{name}, {step}: {text}");
            assert!(text.contains("weights") && text.contains(&format!("step {step}")), "{name}: {text}");
            // Weights are those from before, now and after more steps.
            for _ in 0..2 {
                assert_eq!(self.weights(), before, "{name}");
                self.trainer.step().unwrap();
            }
            assert!(
                matches!(self.trainer.progress(), Err(Error::Diverged { step: found, .. }) if found == step),
                "{name}"
            );
            return (step, before);
        }
        panic!("{name}: 20 steps without an error, weights {:?}", self.weights());
    }
}

/// Optimisers and rates whose weights overflow though losses and gradients are finite, and the step in which they do.
fn overflowing() -> Vec<(&'static str, TrainerOptions, u32)> {
    let exponential = |rate: f64, factor: f64, optimizer| {
        TrainerOptions::new(optimizer).learning_rate(LearningRate::Exponential { rate, factor })
    };
    let plain = Optimizer::sgd(0.0);
    let epsilon = |epsilon| Optimizer::adam([0.9, 0.999], epsilon);
    let decoupled = |weight_decay| Optimizer::ADAM_W.weight_decay(weight_decay);
    vec![
        // The second weight's gradient is 0: 0 / 0.
        ("Adam without epsilon", options(epsilon(0.0), 0.1), 1),
        ("a rate that grows beyond 32-bit floats", exponential(0.1, 1e100, Optimizer::ADAM), 2),
        ("the same of SGD", exponential(0.1, 1e60, plain), 2),
        ("a rate that becomes 0 times infinity", exponential(0.0, 1e300, SGD), 3),
        ("a decay beyond 32-bit floats", options(decoupled(3e38), 3e38), 1),
        ("a rate near the end of 32-bit floats", options(plain, 3.4e38), 1),
        ("a gradient clipped too late", options(decoupled(1e38), 1e3).clip(Clip::Norm(0.1)), 1),
    ]
}

#[test]
fn weights_that_would_not_be_finite_are_never_taken_and_the_error_names_their_step() {
    for (device_name, device) in devices() {
        for (name, options, step) in overflowing() {
            let name = format!("{name} on {device_name}");
            let mut one = One::new(&device, options).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("checkpoint.safetensors");
            one.trainer.save(&path, &HashMap::new()).unwrap();
            let good = std::fs::read(&path).unwrap();
            let (found, _) = one.diverges(&name);
            assert_eq!(found, step, "{name}");
            assert!(matches!(one.trainer.save(&path, &HashMap::new()), Err(Error::Diverged { .. })), "{name}");
            assert_eq!(std::fs::read(&path).unwrap(), good, "{name}");
            // The old file brings it back.
            one.trainer.load(&path).unwrap();
            assert_eq!(one.weights(), [1.0, 1.0], "{name}");
            assert!(one.trainer.progress().is_ok(), "{name}");
        }
    }
}

/// Weights that are large are finite, until they overflow.
#[test]
fn weights_written_from_outside_are_tried_before_they_are_changed() {
    for (name, device) in devices() {
        let decay = Optimizer::ADAM_W.weight_decay(1.0);
        let mut one = One::new(&device, options(decay, 3.0)).unwrap();
        one.trainer.step().unwrap();
        one.trainer.progress().unwrap();
        // x is 0 there: nothing but decay changes it, by −2 times itself.
        let large = ("weight".to_owned(), array![[1.0, 2e38]].into_dyn());
        one.head.parameters().unwrap().write(&[large]).unwrap();
        one.trainer.refresh().unwrap();
        let (step, weights) = one.diverges(name);
        assert_eq!((step, weights), (2, vec![1.0, 2e38]), "{name}");
    }
}

/// Weights that grow step by step: each one is tried as soon as they are large.
#[test]
fn weights_that_grow_are_stopped_before_they_overflow() {
    for (name, device) in devices() {
        // w ← w − 1000·w = −999·w.
        let decay = Optimizer::ADAM_W.weight_decay(1.0);
        let mut one = One::new(&device, options(decay, 1000.0)).unwrap();
        one.x.write(array![[0.0_f32, 0.0]].view()).unwrap();
        let (step, weights) = one.diverges(name);
        // 999¹² is below 3.4·10³⁸, and 999¹³ above it.
        assert_eq!(step, 13, "{name}: {weights:?}");
        assert!(weights.iter().all(|weight| (9e35..1e36).contains(&weight.abs())), "{name}: {weights:?}");
    }
}

#[test]
fn rates_and_options_that_are_not_finite_as_floats_are_refused() {
    let device = Device::cpu();
    let rates = [
        LearningRate::Constant(1e300),
        LearningRate::Constant(f64::INFINITY),
        LearningRate::Constant(f64::NAN),
        LearningRate::Constant(-1e-300),
        LearningRate::Step { rate: 3.5e38, factor: 0.5, every: 1 },
        LearningRate::Exponential { rate: 1e39, factor: 0.5 },
        LearningRate::Cosine { rate: 1e39, least: 0.0, warm_up: 1, steps: 1 },
        LearningRate::Cosine { rate: 1.0, least: 1e39, warm_up: 1, steps: 1 },
    ];
    let mut good = One::new(&device, options(SGD, 0.1)).unwrap();
    for learning_rate in rates {
        let options = TrainerOptions::new(SGD).learning_rate(learning_rate);
        let errors = [
            One::new(&device, options).map(|_| ()).unwrap_err(),
            good.trainer.set_learning_rate(learning_rate).unwrap_err(),
        ];
        for text in errors.map(|error| error.to_string()) {
            assert!(text.contains("learning rate"), "{learning_rate:?}: {text}");
        }
    }
    for (value, betas) in
        [(f32::NAN, [0.9, 0.999]), (f32::INFINITY, [0.9, 0.999]), (0.0, [1.0, 0.9]), (0.0, [0.9, f32::NAN])]
    {
        let adam = Optimizer::adam(betas, value);
        let decaying = Optimizer::adam_w(betas, 1e-8).weight_decay(value);
        assert!(One::new(&device, options(adam, 0.1)).is_err() && One::new(&device, options(decaying, 0.1)).is_err());
    }
}

#[test]
fn a_state_that_is_not_finite_does_not_come_into_a_checkpoint() {
    for (name, device) in devices() {
        let mut training = Training::new(&device, &model(Cell::Lstm), options(SGD, 0.01));
        training.steps(1);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        training.trainer.save(&path, &HashMap::new()).unwrap();
        let good = std::fs::read(&path).unwrap();
        let mut state = training.state.read().unwrap();
        state.c.as_mut().unwrap()[[0, 1, 2]] = f32::NAN;
        training.state.write(&state).unwrap();
        let error = training.trainer.save(&path, &HashMap::new()).unwrap_err();
        assert!(matches!(error, Error::NotFinite { .. }) && error.to_string().contains("state.carried.c"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), good, "{name}");
    }
}
