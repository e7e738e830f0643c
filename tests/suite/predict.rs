//! What models give for arrays of the host's.

use crate::common::{Random, gpu};
use ndarray::{Array2, array};
use wgrnn::{
    Cell, Device, Error, LearningRate, Model, ModelConfig, Optimizer, Output, RnnCall, RnnConfig, SessionOptions, Tape,
    Targets, Tensor, Trainer, TrainerOptions,
};

/// Symbols of a language.
const SYMBOLS: usize = 5;

fn language(device: &Device, batch_first: bool) -> Model {
    let rnn = RnnConfig::new(Cell::Lstm, 4, 6).batch_first(batch_first);
    Model::new(device, &ModelConfig::language(SYMBOLS, rnn), 3).unwrap()
}

#[test]
fn a_prediction_is_what_the_parts_of_the_model_give() {
    for device in [gpu(), Device::cpu()] {
        let model = Model::new(&device, &ModelConfig::features(RnnConfig::new(Cell::Lstm, 4, 6), 3), 3).unwrap();
        let x = Random::new(1).array([5, 2, 4]);
        let h = model.rnn().forward(x.view()).unwrap().y;
        let head = model.head().unwrap().parameters().unwrap().read().unwrap();
        let (w, b) = (head[0].1.clone().into_dimensionality().unwrap(), head[1].1.clone());
        let h: Array2<f32> = h.into_shape_with_order((10, 6)).unwrap();
        let w: Array2<f32> = w;
        let expected = (h.dot(&w.t()) + b).into_shape_with_order((5, 2, 3)).unwrap();
        // The second time by the program that is kept.
        for _ in 0..2 {
            let y = model.predict(x.view()).unwrap();
            assert_eq!(y.shape(), expected.shape());
            assert!(y.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{y} {expected}");
        }
    }
}

#[test]
fn tokens_of_either_layout_are_predicted_alike() {
    let device = gpu();
    let tokens = array![[0_u32, 4], [3, 1], [2, 2]];
    let y = language(&device, false).predict(tokens.view()).unwrap();
    assert_eq!(y.shape(), [3, 2, SYMBOLS]);
    let other = language(&device, true).predict(tokens.t()).unwrap();
    assert_eq!(other.permuted_axes(vec![1, 0, 2]), y);
}

#[test]
fn a_predictor_carries_its_state_where_the_call_says_so() {
    for device in [gpu(), Device::cpu()] {
        let model = language(&device, false);
        let tokens = array![[0_u32, 4], [3, 1]];
        let whole = model.predict(tokens.view()).unwrap();
        let call = RnnCall { carry: true, output: Output::Last, ..RnnCall::default() };
        let predictor = model.predictor(SessionOptions { steps: 1, batch: 2, call }).unwrap();
        for (step, expected) in whole.outer_iter().enumerate() {
            let y = predictor.predict(tokens.slice(ndarray::s![step..=step, ..])).unwrap();
            assert_eq!(y.view(), expected);
        }
        predictor.state().reset().unwrap();
        assert_eq!(
            predictor.predict(tokens.slice(ndarray::s![..1, ..])).unwrap().view(),
            whole.index_axis(ndarray::Axis(0), 0)
        );
    }
}

#[test]
fn predictions_follow_training_and_files() {
    let device = gpu();
    let model = language(&device, false);
    let tokens = array![[0_u32], [3]];
    let before = model.predict(tokens.view()).unwrap();
    let file = model.to_safetensors("").unwrap();

    let mut tape = Tape::training(&device).unwrap();
    let x = Tensor::from_array(&device, tokens.view()).unwrap();
    let targets = Targets::new(&device, &[2, 1], SYMBOLS).unwrap();
    targets.write(array![[1_u32], [2]].view()).unwrap();
    let (input, goal) = (tape.input(&x).unwrap(), tape.input(targets.tensor()).unwrap());
    let state = model.device_state(1).unwrap();
    let scores = model.forward(&mut tape, &input, &state, &RnnCall::default()).unwrap();
    tape.cross_entropy(&scores, &goal).unwrap();
    let options = TrainerOptions { learning_rate: LearningRate::Constant(0.1), ..TrainerOptions::new(Optimizer::ADAM) };
    Trainer::new(tape, options).unwrap().step().unwrap();

    assert_ne!(model.predict(tokens.view()).unwrap(), before);
    model.load_safetensors(&file, "").unwrap();
    assert_eq!(model.predict(tokens.view()).unwrap(), before);
}

#[test]
fn what_a_model_does_not_read_is_refused() {
    let model = language(&Device::cpu(), false);
    let refused = |error: Error, part: &str| assert!(error.to_string().contains(part), "{error}");
    refused(model.predict(array![[0_u32, 9]].view()).unwrap_err(), "token 1: expected less than 5, got 9");
    refused(model.predict(array![[0.5_f32]].view()).unwrap_err(), "expected tokens (u32), got features (f32)");
    refused(model.predict(array![0_u32].view()).unwrap_err(), "[T, N]");
    refused(model.predict(Array2::<u32>::zeros((0, 1)).view()).unwrap_err(), "none of them 0");
}
