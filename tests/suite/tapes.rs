//! What a tape refuses to train. Its helpers serve `frozen`, `overwritten` and `wanted_gradients` too.

use crate::common::{Random, devices, gpu};
use ndarray::{Array2, array};
use wgrnn::plan::Value;
use wgrnn::{
    Activation, Cell, Device, Embedding, Error, LearningRate, Linear, Optimizer, Output, Parameters, Reserve, Rnn,
    RnnCall, RnnConfig, RnnWeights, Tape, Tensor, Trainer, TrainerOptions,
};

/// Gradients that change nothing.
pub fn options() -> TrainerOptions {
    TrainerOptions::new(Optimizer::sgd(0.0)).learning_rate(LearningRate::Constant(0.0))
}

pub fn matrix(seed: u32, rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_vec((rows, columns), Random::new(seed).array([1, rows, columns]).into_iter().collect()).unwrap()
}

pub fn linear(device: &Device, outputs: usize, inputs: usize) -> Linear {
    Linear::trainable(device, matrix(1, outputs, inputs).view(), None).unwrap()
}

/// y = w·x.
pub fn line(device: &Device, w: f32) -> Linear {
    Linear::trainable(device, array![[w]].view(), None).unwrap()
}

pub fn lstm(device: &Device, input: usize, hidden: usize) -> Rnn {
    let config = RnnConfig::new(Cell::Lstm, input, hidden);
    Rnn::trainable(device, &config, &RnnWeights::init(&config, 3).unwrap()).unwrap()
}

pub fn fixed_lstm(device: &Device, input: usize, hidden: usize) -> Rnn {
    let config = RnnConfig::new(Cell::Lstm, input, hidden);
    Rnn::new(device, &config, RnnWeights::init(&config, 4).unwrap()).unwrap()
}

pub fn zeros(device: &Device, shape: &[usize]) -> Tensor {
    Tensor::zeros(device, shape).unwrap()
}

pub fn numbers(device: &Device, shape: [usize; 3]) -> Tensor {
    Tensor::from_array(device, Random::new(7).array(shape).view()).unwrap()
}

/// [n, 1].
pub fn column(device: &Device, values: &[f32]) -> Tensor {
    Tensor::from_array(device, Array2::from_shape_vec((values.len(), 1), values.to_vec()).unwrap().view()).unwrap()
}

pub fn read(tensor: &Tensor) -> Vec<f32> {
    tensor.read().unwrap().into_iter().collect()
}

pub fn gradient(parameters: Option<&Parameters>) -> Vec<f32> {
    parameters.unwrap().gradients().unwrap().into_iter().flat_map(|(_, array)| array).collect()
}

/// Two steps that change no weight: nothing may be left over from the first one. Gives the loss.
pub fn step(tape: Tape) -> f32 {
    let mut trainer = Trainer::new(tape, options()).unwrap();
    trainer.step().unwrap();
    trainer.step().unwrap();
    trainer.progress().unwrap().last_loss
}

#[track_caller]
pub fn refused(tape: Tape, parts: &[&str]) {
    let error = Trainer::new(tape, options()).expect_err("must be refused");
    assert!(matches!(error, Error::Unsupported { .. } | Error::Value { .. }), "{error}");
    let error = error.to_string();
    assert!(parts.iter().all(|part| error.contains(part)), "{error}\nlacks one of {parts:?}");
}

#[track_caller]
pub fn near(name: &str, got: &[f32], expected: &[f32]) {
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * b.abs().max(1.0);
    assert!(got.len() == expected.len() && got.iter().zip(expected).all(close), "{name}: {got:?}, not {expected:?}");
}

type Middle<'a> = &'a dyn Fn(&mut Tape, &Value) -> Value;

/// Two dense layers with something between them, which takes [3, 2, 4] and gives `width` features.
#[track_caller]
fn between(device: &Device, name: &str, width: usize, middle: Middle<'_>) {
    let (first, second) = (linear(device, 4, 4), linear(device, 1, width));
    let (x, target) = (numbers(device, [3, 2, 4]), zeros(device, &[3, 2, 1]));
    let mut tape = Tape::training(device).unwrap();
    let [x, t] = [&x, &target].map(|tensor| tape.input(tensor).unwrap());
    let y = tape.linear(&first, &x).unwrap();
    let y = middle(&mut tape, &y);
    let y = tape.linear(&second, &y).unwrap();
    tape.mean_squared_error(&y, &t).unwrap();
    refused(tape, &[&format!("{name} (operation 2"), "'weight' [4, 4] of linear (operation 1", "Tape::freeze"]);
}

#[test]
fn operations_without_a_backward_pass_between_layers_are_refused_by_name() {
    let device = gpu();
    between(&device, "activate", 4, &|tape, y| tape.plan().activate(y, Activation::Tanh).unwrap());
    between(&device, "concat", 8, &|tape, y| tape.plan().concat(&[y, y]).unwrap());
    between(&device, "magnitude", 2, &|tape, y| tape.plan().magnitude(y).unwrap());
    between(&device, "copy", 4, &|tape, y| {
        let copy = tape.input(&zeros(&device, &[3, 2, 4])).unwrap();
        tape.plan().copy(y, &copy).unwrap();
        copy
    });
    between(&device, "embedding", 4, &|tape, y| {
        let indices = tape.input(&Tensor::<u32>::zeros(&device, &[3, 2]).unwrap()).unwrap();
        tape.plan().embedding(&y.reshape(&[6, 4]).unwrap(), &indices).unwrap()
    });
    let fixed = Linear::new(&device, Array2::eye(4).view(), None).unwrap();
    between(&device, "linear", 4, &|tape, y| tape.plan().linear(&fixed, y).unwrap());
    between(&device, "linear", 4, &|tape, y| tape.plan().linear(&linear(&device, 4, 4), y).unwrap());
    let rnn = fixed_lstm(&device, 4, 5);
    between(&device, "rnn", 5, &|tape, y| {
        tape.plan().rnn(&rnn, y, &rnn.device_state(2).unwrap(), &RnnCall::default()).unwrap()
    });
    let rnn = lstm(&device, 4, 5);
    between(&device, "rnn", 5, &|tape, y| {
        let (call, state) = (RnnCall::default(), rnn.device_state(2).unwrap());
        let reserve = Reserve::new(&rnn, 3, 2, &call).unwrap();
        let out = tape.input(&zeros(&device, &[3, 2, 5])).unwrap();
        tape.plan().rnn_keeping(&rnn, y, &state, &call, &out, &reserve).unwrap();
        out
    });
}

#[test]
fn a_way_around_does_not_hide_an_operation_without_a_backward_pass() {
    let device = gpu();
    let layer = linear(&device, 4, 4);
    let x = numbers(&device, [3, 2, 4]);
    let build = |both: bool| {
        let mut tape = Tape::training(&device).unwrap();
        let x = tape.input(&x).unwrap();
        let y = tape.linear(&layer, &x).unwrap();
        let z = tape.plan().activate(&y, Activation::Tanh).unwrap();
        tape.mean_squared_error(&y, &x).unwrap();
        if both {
            tape.mean_squared_error(&z, &x).unwrap();
        }
        tape
    };
    refused(build(true), &["activate (operation 2", "'weight' [4, 4]"]);
    // Without a loss behind it it does no harm.
    assert!(step(build(false)) > 0.0);
    // The layer itself, once more without a backward pass.
    let mut tape = build(false);
    let value = tape.input(&x).unwrap();
    let y = tape.plan().linear(&layer, &value).unwrap();
    tape.mean_squared_error(&y, &value).unwrap();
    refused(tape, &["linear (operation 4", "'weight' [4, 4]"]);
    // A state is a way too.
    let (rnn, between) = (lstm(&device, 4, 4), fixed_lstm(&device, 4, 4));
    let state = rnn.device_state(2).unwrap();
    let call = RnnCall::default().carry(true);
    let mut tape = Tape::training(&device).unwrap();
    let x = tape.input(&x).unwrap();
    let y = tape.rnn(&rnn, &x, &state, &call).unwrap();
    tape.mean_squared_error(&y, &x).unwrap();
    tape.plan().rnn(&between, &x, &state, &call).unwrap();
    let y = tape.rnn(&rnn, &x, &state, &call).unwrap();
    tape.mean_squared_error(&y, &x).unwrap();
    refused(tape, &["rnn (operation 3", "'weight_ih_l0' [16, 4]", "of rnn (operation 1"]);
}

#[test]
fn what_the_host_alone_reads_may_be_computed_by_any_operation() {
    for (name, device) in devices() {
        let layer = linear(&device, 4, 3);
        let x = numbers(&device, [1, 2, 3]);
        let (copy, best) = (zeros(&device, &[1, 2, 4]), Tensor::<u32>::zeros(&device, &[2]).unwrap());
        let mut tape = Tape::training(&device).unwrap();
        let (x, copied, found) = (tape.input(&x).unwrap(), tape.input(&copy).unwrap(), tape.input(&best).unwrap());
        // Before the layer, on inputs.
        let x = tape.plan().activate(&x, Activation::Sigmoid).unwrap();
        let y = tape.linear(&layer, &x).unwrap();
        let tanh = tape.plan().activate(&y, Activation::Tanh).unwrap();
        tape.plan().copy(&tanh, &copied).unwrap();
        tape.plan().argmax(&y.at(0).unwrap(), &found).unwrap();
        let target = tape.plan().activate(&x.at(0).unwrap().at(0).unwrap(), Activation::Relu).unwrap();
        assert_eq!(target.shape(), [3]);
        // What the layer itself says is no target for it, but the argmax of it is.
        tape.cross_entropy(&y.at(0).unwrap(), &found).unwrap();
        assert!(step(tape) > 0.0, "{name}");
        assert!(copy.read().unwrap().iter().any(|&value| value != 0.0), "{name}");
        assert!(gradient(layer.parameters()).iter().any(|&value| value != 0.0), "{name}");
    }
}

#[test]
fn layers_without_a_gradient_are_refused_unless_they_are_frozen() {
    let device = gpu();
    let (first, head, aside) = (linear(&device, 4, 4), linear(&device, 2, 4), line(&device, 1.0));
    let table = Embedding::trainable(&device, matrix(3, 4, 5).view()).unwrap();
    let (x, one) = (numbers(&device, [1, 3, 4]), column(&device, &[1.0]));
    let build = |middle: &dyn Fn(&mut Tape, &Value)| {
        let mut tape = Tape::training(&device).unwrap();
        let x = tape.input(&x).unwrap();
        middle(&mut tape, &x);
        let y = tape.linear(&head, &x).unwrap();
        let target = tape.input(&zeros(&device, &[1, 3, 2])).unwrap();
        tape.mean_squared_error(&y, &target).unwrap();
        tape
    };
    // No loss at all depends on it.
    let mut tape = build(&|_, _| ());
    let value = tape.input(&one).unwrap();
    tape.linear(&aside, &value).unwrap();
    refused(tape, &["'weight' [1, 1] of linear (operation 3", "Tape::freeze", "no loss depends on"]);
    let mut tape = build(&|_, _| ());
    let value = tape.input(&one).unwrap();
    tape.linear(&aside, &value).unwrap();
    tape.freeze(aside.parameters().unwrap()).unwrap();
    assert!(step(tape) > 0.0);
    // Called by the plan only.
    let tape = build(&|tape, x| drop(tape.plan().linear(&first, x).unwrap()));
    refused(tape, &["'weight' [4, 4] of linear (operation 1", "Tape::plan"]);
    // An argmax has no gradient.
    let mut tape = Tape::training(&device).unwrap();
    let value = tape.input(&x).unwrap().at(0).unwrap();
    let y = tape.linear(&first, &value).unwrap();
    let best = tape.input(&Tensor::<u32>::zeros(&device, &[3]).unwrap()).unwrap();
    tape.plan().argmax(&y, &best).unwrap();
    let y = tape.embedding(&table, &best).unwrap();
    let target = tape.input(&zeros(&device, &[3, 5])).unwrap();
    tape.mean_squared_error(&y, &target).unwrap();
    refused(tape, &["'weight' [4, 4] of linear (operation 1", "argmax (operation 2"]);
    // Everything frozen: nothing to train.
    let mut tape = build(&|_, _| ());
    tape.freeze(head.parameters().unwrap()).unwrap();
    refused(tape, &["not frozen"]);
    // Gradients that the tape's backward pass would clear.
    let rnn = lstm(&device, 4, 4);
    let (call, state) = (RnnCall::default(), rnn.device_state(3).unwrap());
    let reserve = Reserve::new(&rnn, 1, 3, &call).unwrap();
    let mut tape = Tape::training(&device).unwrap();
    let x = tape.input(&x).unwrap();
    let y = tape.rnn(&rnn, &x, &state, &call).unwrap();
    tape.mean_squared_error(&y, &x).unwrap();
    let out = tape.input(&zeros(&device, &[1, 3, 4])).unwrap();
    tape.plan().rnn_keeping(&rnn, &x, &state, &call, &out, &reserve).unwrap();
    tape.plan().rnn_backward(&rnn, &x, &call, &reserve, Some(&x), &state, None).unwrap();
    refused(tape, &["rnn_backward (operation 4", "clears"]);
}

#[test]
fn the_seventeenth_loss_is_refused_in_training_and_in_evaluation() {
    let device = gpu();
    let layer = linear(&device, 4, 4);
    let x = numbers(&device, [1, 2, 4]);
    for training in [true, false] {
        let mut tape = if training { Tape::training(&device) } else { Tape::evaluating(&device) }.unwrap();
        let x = tape.input(&x).unwrap();
        let y = tape.linear(&layer, &x).unwrap();
        for _ in 0..16 {
            tape.mean_squared_error(&y, &x).unwrap();
        }
        let error = tape.mean_squared_error(&y, &x).unwrap_err().to_string();
        assert!(error.contains("at most 16") && error.contains("17"), "{error}");
        let loss = if training { step(tape) } else { tape.evaluation().unwrap().run().unwrap() };
        assert!(loss > 0.0);
    }
    // None at all is an evaluation of 0.
    assert_eq!(Tape::evaluating(&device).unwrap().evaluation().unwrap().run().unwrap(), 0.0);
}

/// The last output of a recurrent layer, whose gradient comes by way of the state.
#[test]
fn a_layer_that_gives_its_last_output_alone_is_trained() {
    let device = gpu();
    let rnn = lstm(&device, 4, 4);
    let x = numbers(&device, [3, 2, 4]);
    let mut tape = Tape::training(&device).unwrap();
    let x = tape.input(&x).unwrap();
    let call = RnnCall::default().output(Output::Last).keep_every(2);
    let y = tape.rnn(&rnn, &x, &rnn.device_state(2).unwrap(), &call).unwrap();
    tape.mean_squared_error(&y, &x.at(0).unwrap()).unwrap();
    assert!(step(tape) > 0.0);
    assert!(gradient(rnn.parameters()).iter().any(|&g| g != 0.0));
}
