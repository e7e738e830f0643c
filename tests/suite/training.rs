//! Training: a character model beside PyTorch's, dropout, what must not be trained on, and checkpoints.

use crate::common::{Random, devices, gpu};
use crate::pytorch_training::{Fixture, near};
use ndarray::{Array1, Array2, Array3, ArrayD, s};
use safetensors::SafeTensors;
use serde::Deserialize;
use std::collections::HashMap;
use wgrnn::{
    Cell, Clip, Device, Error, GpuOptions, IGNORED, LearningRate, Linear, Model, ModelConfig, Optimizer, Output, Reset,
    RnnCall, RnnConfig, Tape, Targets, Tensor, Trainer, TrainerOptions,
};

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

pub fn options() -> TrainerOptions {
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
