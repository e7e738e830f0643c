//! The one-minute smoke test: a kernel of each family, a layer of each cell, gradients, training, and files. It needs the library
//! alone; the suite tests the rest.
//!
//! ```sh
//! cargo test --release -p wgrnn-tests --test smoke
//! ```

use ndarray::{Array3, array};
use std::sync::LazyLock;
use wgrnn::kernels::Kernel;
use wgrnn::{
    Cell, Device, Input, LearningRate, Model, ModelConfig, Optimizer, Rnn, RnnCall, RnnConfig, RnnWeights, Schedule,
    Tape, Targets, Tensor, Trainer, TrainerOptions, check,
};

static DEVICE: LazyLock<Device> =
    LazyLock::new(|| Device::gpu().unwrap_or_else(|error| panic!("these tests need an adapter: {error}")));

/// Products, what moves data, recurrences forward and backward, training: the first case and one of the last.
#[test]
fn a_kernel_of_each_family_equals_its_twin() {
    let products = [Kernel::Gemm, Kernel::Outer, Kernel::Pack];
    let moves = [Kernel::Gather, Kernel::ScatterAdd, Kernel::Argmax, Kernel::Reduce, Kernel::Apply];
    let forward = [Kernel::Step, Kernel::Sequence, Kernel::Wave, Kernel::Scan, Kernel::NormStep];
    let backward = [Kernel::StepBackward, Kernel::ScanBackward, Kernel::NormStepBackward];
    let training = [Kernel::CrossEntropy, Kernel::ElementLoss, Kernel::Masks, Kernel::Guard, Kernel::Adam];
    for kernel in [&products[..], &moves, &forward, &backward, &training].concat() {
        let cases = kernel.cases(&DEVICE);
        let runs = |case: &&check::Case| case.left_out(&DEVICE).is_none();
        let [first, last] = [cases.iter().find(runs), cases.iter().rev().find(runs)];
        for case in [first, last].into_iter().map(|case| case.unwrap_or_else(|| panic!("{kernel:?} has no case"))) {
            for comparison in check::compare_case(&DEVICE, case).unwrap() {
                assert!(comparison.passed(), "{comparison}");
            }
        }
    }
}

fn input() -> Array3<f32> {
    Array3::from_shape_fn((5, 3, 6), |(t, n, i)| ((t * 31 + n * 17 + i * 7) % 23) as f32 / 11.5 - 1.0)
}

#[test]
fn a_layer_of_each_cell_equals_the_textbook_step_by_step_and_as_a_whole() {
    for cell in Cell::ALL {
        let config = RnnConfig::new(cell, 6, 13);
        let rnn = Rnn::new(&DEVICE, &config, RnnWeights::init(&config, 1).unwrap()).unwrap();
        for schedule in [Schedule::Step, Schedule::Sequence] {
            let report = rnn.check(input().view(), None, &RnnCall::default().schedule(schedule)).unwrap();
            assert!(report.passed(), "{cell:?}, {schedule:?}\n{report}");
        }
    }
}

#[test]
fn gradients_of_an_lstm_equal_the_twins() {
    let config = RnnConfig::new(Cell::Lstm, 6, 13).layers(2);
    let rnn = Rnn::trainable(&DEVICE, &config, &RnnWeights::init(&config, 1).unwrap()).unwrap();
    let report = rnn.check_gradients(input().view(), &RnnCall::default()).unwrap();
    assert!(report.passed(), "{report}");
}

#[test]
fn training_lowers_a_loss_and_a_model_comes_back_from_its_file() {
    let device = &*DEVICE;
    let config = ModelConfig::language(5, RnnConfig::new(Cell::Lstm, 8, 16));
    assert!(matches!(config.input, Input::Tokens { symbols: 5, .. }));
    let model = Model::new(device, &config, 1).unwrap();
    // The next of five symbols.
    let tokens = array![[0_u32, 3], [1, 4], [2, 0], [3, 1]];
    let targets = Targets::new(device, &[4, 2], 5).unwrap();
    targets.write(tokens.mapv(|token| (token + 1) % 5).view()).unwrap();
    let x = Tensor::from_array(device, tokens.view()).unwrap();
    let mut tape = Tape::training(device).unwrap();
    let [x, t] = [&x, targets.tensor()].map(|tensor| tape.input(tensor).unwrap());
    let logits = model.forward(&mut tape, &x, &model.device_state(2).unwrap(), &RnnCall::default()).unwrap();
    tape.cross_entropy(&logits, &t).unwrap();
    let options = TrainerOptions::new(Optimizer::ADAM).learning_rate(LearningRate::Constant(0.03));
    let mut trainer = Trainer::new(tape, options).unwrap();
    trainer.step().unwrap();
    let first = trainer.progress().unwrap().last_loss;
    for _ in 0..30 {
        trainer.step().unwrap();
    }
    let last = trainer.progress().unwrap().last_loss;
    assert!(last < 0.5 * first, "from {first} to {last}");

    let bytes = model.to_safetensors("model.").unwrap();
    let copy = Model::new(device, &config, 2).unwrap();
    let scores = |model: &Model| model.predict(tokens.view()).unwrap();
    assert_ne!(scores(&copy), scores(&model));
    copy.load_safetensors(&bytes, "model.").unwrap();
    assert_eq!(scores(&copy), scores(&model));
}
