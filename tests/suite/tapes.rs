//! What a tape refuses to train, and its gradients where values are overwritten, wanted, given or frozen.

use crate::common::{Random, devices, gpu};
use ndarray::{Array2, ArrayD, array};
use std::collections::HashMap;
use wgrnn::plan::Value;
use wgrnn::{
    Activation, Cell, Device, Embedding, Error, LearningRate, Linear, Model, ModelConfig, Optimizer, Output,
    Parameters, Reserve, Reset, Rnn, RnnCall, RnnConfig, RnnWeights, Tape, Tensor, Trainer, TrainerOptions,
};

/// Gradients that change nothing.
fn options() -> TrainerOptions {
    TrainerOptions::new(Optimizer::sgd(0.0)).learning_rate(LearningRate::Constant(0.0))
}

fn matrix(seed: u32, rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_vec((rows, columns), Random::new(seed).array([1, rows, columns]).into_iter().collect()).unwrap()
}

fn linear(device: &Device, outputs: usize, inputs: usize) -> Linear {
    Linear::trainable(device, matrix(1, outputs, inputs).view(), None).unwrap()
}

/// y = w·x.
fn line(device: &Device, w: f32) -> Linear {
    Linear::trainable(device, array![[w]].view(), None).unwrap()
}

fn lstm(device: &Device, input: usize, hidden: usize) -> Rnn {
    let config = RnnConfig::new(Cell::Lstm, input, hidden);
    Rnn::trainable(device, &config, &RnnWeights::init(&config, 3).unwrap()).unwrap()
}

fn fixed_lstm(device: &Device, input: usize, hidden: usize) -> Rnn {
    let config = RnnConfig::new(Cell::Lstm, input, hidden);
    Rnn::new(device, &config, RnnWeights::init(&config, 4).unwrap()).unwrap()
}

fn zeros(device: &Device, shape: &[usize]) -> Tensor {
    Tensor::zeros(device, shape).unwrap()
}

fn numbers(device: &Device, shape: [usize; 3]) -> Tensor {
    Tensor::from_array(device, Random::new(7).array(shape).view()).unwrap()
}

/// [n, 1].
fn column(device: &Device, values: &[f32]) -> Tensor {
    Tensor::from_array(device, Array2::from_shape_vec((values.len(), 1), values.to_vec()).unwrap().view()).unwrap()
}

fn read(tensor: &Tensor) -> Vec<f32> {
    tensor.read().unwrap().into_iter().collect()
}

fn gradient(parameters: Option<&Parameters>) -> Vec<f32> {
    parameters.unwrap().gradients().unwrap().into_iter().flat_map(|(_, array)| array).collect()
}

/// Two steps that change no weight: nothing may be left over from the first one. Gives the loss.
fn step(tape: Tape) -> f32 {
    let mut trainer = Trainer::new(tape, options()).unwrap();
    trainer.step().unwrap();
    trainer.step().unwrap();
    trainer.progress().unwrap().last_loss
}

#[track_caller]
fn refused(tape: Tape, parts: &[&str]) {
    let error = Trainer::new(tape, options()).expect_err("must be refused");
    assert!(matches!(error, Error::Unsupported { .. } | Error::Value { .. }), "{error}");
    let error = error.to_string();
    assert!(parts.iter().all(|part| error.contains(part)), "{error}\nlacks one of {parts:?}");
}

#[track_caller]
fn near(name: &str, got: &[f32], expected: &[f32]) {
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

/// Embedding, two recurrent layers and a head; some of them frozen. The parameters' gradients and the trainer.
struct Stack {
    table: Embedding,
    rnns: [Rnn; 2],
    head: Linear,
    tokens: Tensor<u32>,
    target: Tensor,
}

impl Stack {
    fn new(device: &Device) -> Self {
        let gru = RnnConfig::new(Cell::Gru(Reset::After), 5, 4).layers(2);
        Self {
            table: Embedding::trainable(device, matrix(3, 6, 3).view()).unwrap(),
            rnns: [lstm(device, 3, 5), Rnn::trainable(device, &gru, &RnnWeights::init(&gru, 5).unwrap()).unwrap()],
            head: linear(device, 2, 4),
            tokens: Tensor::from_array(device, array![[0_u32, 5], [3, 1], [2, 2], [4, 0]].view()).unwrap(),
            target: numbers(device, [4, 2, 2]),
        }
    }

    fn blocks(&self) -> [&Parameters; 4] {
        let [a, b] = self.rnns.each_ref().map(|rnn| rnn.parameters().unwrap());
        [self.table.parameters(), a, b, self.head.parameters().unwrap()]
    }

    fn trainer(&self, device: &Device, frozen: &[usize], keep_every: Option<usize>) -> Trainer {
        let mut tape = Tape::training(device).unwrap();
        let (mut y, t) = (tape.input(&self.tokens).unwrap(), tape.input(&self.target).unwrap());
        frozen.iter().for_each(|&i| tape.freeze(self.blocks()[i]).unwrap());
        y = tape.embedding(&self.table, &y).unwrap();
        for rnn in &self.rnns {
            let call = RnnCall::default().keep_every(keep_every);
            y = tape.rnn(rnn, &y, &rnn.device_state(2).unwrap(), &call).unwrap();
        }
        y = tape.linear(&self.head, &y).unwrap();
        tape.mean_squared_error(&y, &t).unwrap();
        let learning_rate = LearningRate::Constant(0.05);
        Trainer::new(tape, TrainerOptions::new(Optimizer::ADAM).learning_rate(learning_rate)).unwrap()
    }

    fn values(&self) -> [Vec<(String, ArrayD<f32>)>; 4] {
        self.blocks().map(|block| block.read().unwrap())
    }
}

#[test]
fn frozen_layers_stay_as_they_are_and_pass_gradients_on() {
    for (name, device) in devices() {
        let whole = Stack::new(&device);
        whole.trainer(&device, &[], None).step().unwrap();
        let expected = whole.blocks().map(|block| gradient(Some(block)));
        for (frozen, keep_every) in
            [(&[3][..], None), (&[1, 2], None), (&[2], Some(2)), (&[0, 1], None), (&[0], Some(2)), (&[1, 2, 3], None)]
        {
            let name = format!("{frozen:?} frozen, {keep_every:?} on {name}");
            let stack = Stack::new(&device);
            let before = stack.values();
            let mut trainer = stack.trainer(&device, frozen, keep_every);
            trainer.step().unwrap();
            for (i, block) in stack.blocks().into_iter().enumerate().filter(|(i, _)| !frozen.contains(i)) {
                near(&format!("gradient of block {i}, {name}"), &gradient(Some(block)), &expected[i]);
            }
            trainer.step().unwrap();
            trainer.progress().unwrap();
            for (i, (before, after)) in before.iter().zip(&stack.values()).enumerate() {
                assert_eq!(before == after, frozen.contains(&i), "block {i}, {name}");
            }
        }
    }
}

#[test]
fn frozen_layers_cost_neither_moments_nor_a_backward_pass_that_nobody_needs() {
    let device = gpu();
    let stack = Stack::new(&device);
    let flop = |frozen: &[usize]| stack.trainer(&device, frozen, None).plan().flop();
    let [all, head, below] = [flop(&[]), flop(&[3]), flop(&[0, 1, 2])];
    assert!(below < head && head < all && 2 * below < all, "{below}, {head}, {all}");
    // What is named in the checkpoint: the frozen block's weights, and moments of the others alone.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let trainer = stack.trainer(&device, &[0, 1, 2], None);
    trainer.save(&path, &HashMap::new()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let names = file.names();
    assert!(["0.weight", "1.weight_ih_l0", "3.weight", "optimizer.3.mean"].iter().all(|name| names.contains(name)));
    assert!(!names.iter().any(|name| name.starts_with("optimizer.0") || name.starts_with("optimizer.1")), "{names:?}");
    // A training that goes on has the frozen weights of the checkpoint, and the same losses.
    let losses = |trainer: &mut Trainer| {
        let mut loss = |_| {
            trainer.step().unwrap();
            trainer.progress().unwrap().last_loss
        };
        [0; 3].map(&mut loss)
    };
    let mut first = stack.trainer(&device, &[0, 1, 2], None);
    losses(&mut first);
    first.save(&path, &HashMap::new()).unwrap();
    let expected = losses(&mut first);
    let other = Stack::new(&device);
    let mut spoilt = other.values();
    for (block, arrays) in other.blocks().into_iter().zip(&mut spoilt) {
        arrays.iter_mut().for_each(|(_, array)| array.fill(0.5));
        block.write(arrays).unwrap();
    }
    let mut second = other.trainer(&device, &[0, 1, 2], None);
    second.refresh().unwrap();
    losses(&mut second);
    second.load(&path).unwrap();
    assert_eq!(losses(&mut second), expected);
}

#[test]
fn of_two_layers_that_write_one_value_the_last_one_is_trained() {
    for (name, device) in devices() {
        let (first, last) = (line(&device, 2.0), line(&device, 3.0));
        let (x, t, out) = (column(&device, &[1.0, -2.0]), zeros(&device, &[2, 1]), zeros(&device, &[2, 1]));
        let build = |reads: bool, part: bool| {
            let mut tape = Tape::training(&device).unwrap();
            let [x, t, out] = [&x, &t, &out].map(|tensor| tape.input(tensor).unwrap());
            tape.linear_into(&first, &x, &out).unwrap();
            if reads {
                tape.mean_squared_error(&out, &t).unwrap();
            }
            let rows =
                |value: &Value| if part { value.reshape(&[2, 1, 1]).unwrap().at(1).unwrap() } else { value.clone() };
            tape.linear_into(&last, &rows(&x), &rows(&out)).unwrap();
            tape.mean_squared_error(&out, &t).unwrap();
            tape
        };
        let got = || [&first, &last].map(|layer| gradient(layer.parameters())[0]);
        refused(
            build(false, false),
            &["'weight' [1, 1] of linear (operation 1", "linear (operation 2 of the tape) writes over"],
        );
        // dL/dw = Σ 2·w·x²/2 over the rows that reach the loss: x² is 1 and 4.
        step(build(true, false));
        near(name, &got(), &[2.0 * 5.0, 3.0 * 5.0]);
        step(build(false, true));
        near(name, &got(), &[2.0 * 1.0, 3.0 * 4.0]);
        step(build(true, true));
        near(name, &got(), &[2.0 * 5.0 + 2.0 * 1.0, 3.0 * 4.0]);
    }
}

/// A layer's output, written over in part, by finite differences.
#[test]
fn gradients_end_where_a_layer_writes_over_outputs_of_other_layers() {
    for (name, device) in devices() {
        let (table, rnn) = (Embedding::trainable(&device, matrix(3, 6, 3).view()).unwrap(), lstm(&device, 3, 3));
        let over = [linear(&device, 3, 2), linear(&device, 3, 2)];
        let tokens = Tensor::from_array(&device, array![[0_u32, 5], [3, 1], [2, 2]].view()).unwrap();
        let (x, t, fixed) = (numbers(&device, [1, 2, 2]), numbers(&device, [3, 2, 3]), numbers(&device, [1, 2, 3]));
        let build = |training: bool| {
            let mut tape = if training { Tape::training(&device) } else { Tape::evaluating(&device) }.unwrap();
            let [x, t, fixed] = [&x, &t, &fixed].map(|tensor| tape.input(tensor).unwrap());
            let tokens = tape.input(&tokens).unwrap();
            let e = tape.embedding(&table, &tokens).unwrap();
            tape.linear_into(&over[0], &x.at(0).unwrap(), &e.at(1).unwrap()).unwrap();
            // Whoever reads it before has a part in what was there then.
            let y = tape.rnn(&rnn, &e, &rnn.device_state(2).unwrap(), &RnnCall::default()).unwrap();
            tape.mean_squared_error(&y, &t).unwrap();
            tape.linear_into(&over[1], &x.at(0).unwrap(), &y.at(2).unwrap()).unwrap();
            tape.plan().copy(&fixed.at(0).unwrap(), &y.at(0).unwrap()).unwrap();
            tape.mean_squared_error(&y, &t).unwrap();
            tape
        };
        step(build(true));
        let blocks = [
            table.parameters(),
            rnn.parameters().unwrap(),
            over[0].parameters().unwrap(),
            over[1].parameters().unwrap(),
        ];
        for (i, block) in blocks.into_iter().enumerate() {
            let (start, slope) = (block.read().unwrap(), block.gradients().unwrap());
            let norm = slope.iter().flat_map(|(_, g)| g).map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let loss = |step: f64| {
                let moved = start
                    .iter()
                    .zip(&slope)
                    .map(|((name, w), (_, g))| (name.clone(), w + &g.mapv(|g| (f64::from(g) / norm * step) as f32)));
                block.write(&moved.collect::<Vec<_>>()).unwrap();
                rnn.refresh().unwrap();
                over.iter().for_each(|layer| layer.refresh().unwrap());
                f64::from(build(false).evaluation().unwrap().run().unwrap())
            };
            let (product, difference) = (norm * 0.04, loss(0.02) - loss(-0.02));
            loss(0.0);
            assert!(norm > 0.01, "block {i} on {name}: {norm}");
            // Losses near 1 in f32, and the third order of a step of 0.02.
            assert!(
                (product - difference).abs() < 5e-3 * product + 1e-6,
                "block {i} on {name}: {product} is not {difference}"
            );
        }
    }
}

#[test]
fn inputs_that_are_overwritten_before_the_backward_pass_reads_them_are_refused() {
    let device = gpu();
    let (layer, other, rnn) = (linear(&device, 4, 4), linear(&device, 4, 4), lstm(&device, 4, 4));
    let table = Embedding::trainable(&device, matrix(3, 8, 4).view()).unwrap();
    let (x, y, z) = (numbers(&device, [3, 2, 4]), numbers(&device, [3, 2, 4]), zeros(&device, &[3, 2, 4]));
    let words = Tensor::<u32>::zeros(&device, &[6]).unwrap();
    let same = x.clone();
    let loss = |tape: &mut Tape, value: &Value| {
        let target = tape.input(&zeros(&device, value.shape())).unwrap();
        tape.mean_squared_error(value, &target).unwrap();
    };
    let new = || {
        let mut tape = Tape::training(&device).unwrap();
        let values = [&x, &y, &z].map(|tensor| tape.input(tensor).unwrap());
        (tape, values)
    };
    let parts = |what: &str, by: &str| [format!("the input of {what}"), format!("{by} of the tape) over it")];
    let check = |tape: Tape, what: &str, by: &str| {
        refused(tape, &parts(what, by).each_ref().map(String::as_str));
    };
    // A dense layer's, by another layer.
    let (mut tape, [x, y, _]) = new();
    let out = tape.linear(&layer, &x).unwrap();
    loss(&mut tape, &out);
    tape.linear_into(&other, &y, &x).unwrap();
    tape.freeze(other.parameters().unwrap()).unwrap();
    check(tape, "linear (operation 1", "linear (operation 3");
    // In part, by a copy, of a tensor bound twice.
    let (mut tape, [x, y, _]) = new();
    let out = tape.linear(&layer, &x).unwrap();
    let again = tape.input(&same).unwrap();
    tape.plan().copy(&y.at(0).unwrap(), &again.at(1).unwrap()).unwrap();
    loss(&mut tape, &out);
    check(tape, "linear (operation 1", "copy (operation 2");
    // A recurrent layer's, by a recurrent layer.
    let (mut tape, [x, y, _]) = new();
    let out = tape.rnn(&rnn, &x, &rnn.device_state(2).unwrap(), &RnnCall::default()).unwrap();
    let fixed = fixed_lstm(&device, 4, 4);
    tape.plan().rnn_into(&fixed, &y, &fixed.device_state(2).unwrap(), &RnnCall::default(), &x).unwrap();
    loss(&mut tape, &out);
    check(tape, "rnn (operation 1", "rnn (operation 2");
    // What an operation gave and another one read.
    let (mut tape, [x, y, z]) = new();
    tape.linear_into(&layer, &x, &z).unwrap();
    let out = tape.linear(&other, &z).unwrap();
    loss(&mut tape, &out);
    tape.plan().copy(&y, &z).unwrap();
    check(tape, "linear (operation 2", "copy (operation 4");
    // Indices, by an argmax.
    let (mut tape, [x, ..]) = new();
    let indices = tape.input(&words).unwrap();
    let out = tape.embedding(&table, &indices).unwrap();
    loss(&mut tape, &out);
    tape.plan().argmax(&x.reshape(&[6, 4]).unwrap(), &indices).unwrap();
    refused(tape, &["the indices of embedding (operation 1", "argmax (operation 3"]);
    // A gradient given.
    let (mut tape, [x, y, z]) = new();
    let out = tape.linear(&layer, &x).unwrap();
    tape.give_gradient(&out, &z).unwrap();
    tape.plan().copy(&y, &z).unwrap();
    refused(tape, &["the gradient of give_gradient (operation 2", "copy (operation 3"]);
}

#[test]
fn what_the_backward_pass_does_not_read_may_be_overwritten() {
    for (name, device) in devices() {
        let (rnn, head) = (lstm(&device, 4, 4), linear(&device, 4, 4));
        let (x, t) = (numbers(&device, [3, 2, 4]), zeros(&device, &[3, 2, 4]));
        let classes = Tensor::from_array(&device, array![0_u32, 1, 2, 3, 0, 1].view()).unwrap();
        let gradients = |overwrites: bool| {
            // The tensors that are written over are read first: each step has to begin with the same.
            t.write(Random::new(9).array([3, 2, 4]).view()).unwrap();
            classes.write(array![0_u32, 1, 2, 3, 0, 1].view()).unwrap();
            let mut tape = Tape::training(&device).unwrap();
            let [x, t] = [&x, &t].map(|tensor| tape.input(tensor).unwrap());
            let classes = tape.input(&classes).unwrap();
            let y = tape.rnn(&rnn, &x, &rnn.device_state(2).unwrap(), &RnnCall::default()).unwrap();
            tape.mean_squared_error(&y, &t).unwrap();
            let logits = tape.linear(&head, &x).unwrap();
            let rows = logits.reshape(&[6, 4]).unwrap();
            tape.cross_entropy(&rows, &classes).unwrap();
            if overwrites {
                tape.plan().argmax(&rows, &classes).unwrap();
                for value in [&y, &t, &logits] {
                    tape.plan().copy(&x, value).unwrap();
                }
            }
            let mut trainer = Trainer::new(tape, options()).unwrap();
            trainer.step().unwrap();
            trainer.progress().unwrap();
            [rnn.parameters(), head.parameters()].map(gradient)
        };
        assert_eq!(gradients(true), gradients(false), "{name}");
    }
}

#[test]
fn a_state_that_others_wrote_over_passes_no_gradient_back() {
    for (name, device) in devices() {
        let (rnn, fixed) = (lstm(&device, 3, 4), fixed_lstm(&device, 3, 4));
        let (x, t) = (numbers(&device, [2, 2, 3]), numbers(&device, [2, 2, 4]));
        let carried = RnnCall::default().carry(true);
        // A fixed layer begins anew: what the trained one left is lost. It may stand before the first call as well.
        let run = |before: bool| {
            let dx = zeros(&device, &[2, 2, 3]);
            let mut tape = Tape::training(&device).unwrap();
            let (state, other) = (rnn.device_state(2).unwrap(), rnn.device_state(2).unwrap());
            let [x, t] = [&x, &t].map(|tensor| tape.input(tensor).unwrap());
            let first = if before { &other } else { &state };
            let y = tape.rnn(&rnn, &x, first, &RnnCall::default()).unwrap();
            tape.mean_squared_error(&y, &t).unwrap();
            tape.want_gradient(&x, &dx).unwrap();
            tape.plan().rnn(&fixed, &x, &state, &RnnCall::default()).unwrap();
            let again = tape.input(&numbers(&device, [2, 2, 3])).unwrap();
            let y = tape.rnn(&rnn, &again, &state, &carried).unwrap();
            tape.mean_squared_error(&y, &t).unwrap();
            let wanted = Trainer::new(tape, options());
            (wanted, dx)
        };
        // The gradient of x would go through the fixed layer.
        for before in [false, true] {
            let error = run(before).0.expect_err("refused").to_string();
            assert!(error.contains("rnn (operation 3") && error.contains("gradient is wanted"), "{error}");
        }
        let run = |shared: bool| {
            let mut tape = Tape::training(&device).unwrap();
            let (state, other) = (rnn.device_state(2).unwrap(), rnn.device_state(2).unwrap());
            let [x, t] = [&x, &t].map(|tensor| tape.input(tensor).unwrap());
            let y = tape.rnn(&rnn, &x, if shared { &state } else { &other }, &RnnCall::default()).unwrap();
            tape.mean_squared_error(&y, &t).unwrap();
            tape.plan().rnn(&fixed, &x, &state, &RnnCall::default()).unwrap();
            let y = tape.rnn(&rnn, &x, &state, &carried).unwrap();
            tape.mean_squared_error(&y, &t).unwrap();
            step(tape);
            gradient(rnn.parameters())
        };
        assert_eq!(run(true), run(false), "{name}");
    }
}

#[test]
fn gradients_of_targets_are_refused() {
    let device = gpu();
    let (layer, teacher) = (linear(&device, 4, 4), linear(&device, 4, 4));
    let (x, t, g) = (numbers(&device, [1, 2, 4]), numbers(&device, [1, 2, 4]), zeros(&device, &[1, 2, 4]));
    let new = || {
        let mut tape = Tape::training(&device).unwrap();
        let [x, t] = [&x, &t].map(|tensor| tape.input(tensor).unwrap());
        let y = tape.linear(&layer, &x).unwrap();
        (tape, x, t, y)
    };
    for binary in [false, true] {
        let (mut tape, _, t, y) = new();
        tape.want_gradient(&t, &g).unwrap();
        let name = if binary { "binary_cross_entropy" } else { "mean_squared_error" };
        let loss = if binary { Tape::binary_cross_entropy } else { Tape::mean_squared_error };
        loss(&mut tape, &y, &t).unwrap();
        refused(tape, &[&format!("targets of {name} (operation 2"), "gradient is wanted"]);
    }
    // Output and targets exchanged.
    let (mut tape, _, t, y) = new();
    tape.mean_squared_error(&t, &y).unwrap();
    refused(tape, &["targets of mean_squared_error (operation 2", "'weight' [4, 4]", "exchange"]);
    // Targets that a trained layer makes, by way of the plan too; a frozen teacher may.
    for (frozen, plan) in [(false, false), (false, true), (true, false), (true, true)] {
        let (mut tape, x, _, y) = new();
        let t = if plan { tape.plan().linear(&teacher, &x).unwrap() } else { tape.linear(&teacher, &x).unwrap() };
        let t = tape.plan().activate(&t, Activation::Tanh).unwrap();
        tape.mean_squared_error(&y, &t).unwrap();
        if frozen {
            tape.freeze(teacher.parameters().unwrap()).unwrap();
            assert!(step(tape) > 0.0);
        } else {
            refused(tape, &["targets of mean_squared_error (operation 4", "of linear (operation 2", "Tape::freeze"]);
        }
    }
}

#[test]
fn wanted_gradients_are_those_of_the_value_asked_for() {
    for (name, device) in devices() {
        let x = Tensor::from_array(&device, Array2::<f32>::ones((20, 3)).view()).unwrap();
        let head = Linear::trainable(&device, array![[2., 3., 4.]].view(), None).unwrap();
        let g: [Tensor; 5] = [[20, 3], [20, 3], [20, 1], [5, 12], [20, 3]].map(|shape| zeros(&device, &shape));
        let row = zeros(&device, &[3]);
        let mut tape = Tape::training(&device).unwrap();
        let value = tape.input(&x).unwrap();
        let dropped = tape.dropout(&value, 0.5).unwrap();
        let same = tape.dropout(&dropped, 0.0).unwrap();
        let y = tape.linear(&head, &same).unwrap();
        let target = tape.input(&zeros(&device, &[20, 1])).unwrap();
        tape.mean_squared_error(&y, &target).unwrap();
        let nobody = tape.input(&numbers(&device, [1, 20, 3])).unwrap().at(0).unwrap();
        tape.want_gradient(&value, &g[0]).unwrap();
        tape.want_gradient(&dropped, &g[1]).unwrap();
        tape.want_gradient(&y, &g[2]).unwrap();
        // Part of it, and in another shape.
        tape.want_gradient(&dropped.at(7).unwrap(), &row).unwrap();
        tape.want_gradient(&value.reshape(&[5, 12]).unwrap(), &g[3]).unwrap();
        tape.want_gradient(&nobody, &g[4]).unwrap();
        g[4].write(Array2::<f32>::ones((20, 3)).view()).unwrap();
        let copy = zeros(&device, &[20, 3]);
        let copied = tape.input(&copy).unwrap();
        tape.plan().copy(&dropped, &copied).unwrap();
        step(tape);
        let [dx, dd, dy, again, none] = g.each_ref().map(read);
        let mask = read(&copy);
        assert!(mask.contains(&0.0) && mask.contains(&2.0), "{name}");
        for (n, mask) in mask.chunks_exact(3).enumerate() {
            let y: f32 = mask.iter().zip([2., 3., 4.]).map(|(d, w)| d * w).sum();
            near(name, &dy[n..=n], &[y / 10.0]);
            let expected = [2., 3., 4.].map(|w| w * y / 10.0);
            near(name, &dd[3 * n..][..3], &expected);
            let expected: Vec<f32> = expected.iter().zip(mask).map(|(g, m)| g * m).collect();
            near(name, &dx[3 * n..][..3], &expected);
        }
        assert_eq!((read(&row), &again, none), (dd[21..24].to_vec(), &dx, vec![0.0; 60]), "{name}");
    }
}

#[test]
fn gradients_fed_back_part_by_part_are_wanted_as_a_whole() {
    for (name, device) in devices() {
        let config = ModelConfig::features(RnnConfig::new(Cell::Gru(Reset::After), 2, 4), 2);
        let model = Model::new(&device, &config, 1).unwrap();
        let first = Tensor::from_array(&device, array![[0.5_f32, -0.5]].view()).unwrap();
        let (all, last) = (zeros(&device, &[3, 1, 2]), zeros(&device, &[1, 2]));
        let mut tape = Tape::training(&device).unwrap();
        let x = tape.input(&first).unwrap();
        let y = model.feed_back(&mut tape, &x, &model.device_state(1).unwrap(), 3).unwrap();
        let t = tape.input(&zeros(&device, &[3, 1, 2])).unwrap();
        tape.mean_squared_error(&y, &t).unwrap();
        tape.want_gradient(&y, &all).unwrap();
        tape.want_gradient(&y.at(2).unwrap(), &last).unwrap();
        let out = zeros(&device, &[3, 1, 2]);
        let copied = tape.input(&out).unwrap();
        tape.plan().copy(&y, &copied).unwrap();
        Trainer::new(tape, options()).unwrap().step().unwrap();
        let (all, out) = (read(&all), read(&out));
        // Nobody reads the last one but the loss, a mean of six squares.
        near(name, &all[4..], &[out[4] / 3.0, out[5] / 3.0]);
        assert_eq!(read(&last), all[4..], "{name}");
        // Others have more from the steps that read them.
        assert!((0..4).all(|i| (all[i] - out[i] / 3.0).abs() > 1e-6), "{name}: {all:?}, {out:?}");
    }
}

#[test]
fn wanted_and_given_gradients_that_would_be_wrong_are_refused() {
    let device = gpu();
    let layer = linear(&device, 4, 4);
    let (x, t, g) = (numbers(&device, [1, 2, 4]), zeros(&device, &[1, 2, 4]), zeros(&device, &[1, 2, 4]));
    let words = Tensor::<u32>::zeros(&device, &[1, 2, 4]).unwrap();
    let new = || {
        let mut tape = Tape::training(&device).unwrap();
        let [x, t] = [&x, &t].map(|tensor| tape.input(tensor).unwrap());
        let y = tape.linear(&layer, &x).unwrap();
        tape.mean_squared_error(&y, &t).unwrap();
        (tape, x, y)
    };
    // Into a tensor that has another use.
    for (tensor, by) in [(&x, "linear (operation 1"), (&t, "mean_squared_error (operation 2")] {
        let (mut tape, x, _) = new();
        tape.want_gradient(&x, tensor).unwrap();
        refused(tape, &["tensor for a gradient", "one of its own", by]);
    }
    let (mut tape, x_value, y) = new();
    tape.want_gradient(&x_value, &g).unwrap();
    let error = tape.want_gradient(&y, &g).unwrap_err().to_string();
    assert!(error.contains("another gradient"), "{error}");
    let given = tape.input(&g).unwrap();
    tape.give_gradient(&y, &given).unwrap();
    refused(tape, &["one of its own", "give_gradient (operation 3"]);
    // Of what is written later.
    let (mut tape, x_value, _) = new();
    let other = tape.input(&numbers(&device, [1, 2, 4])).unwrap();
    tape.want_gradient(&other, &g).unwrap();
    tape.plan().copy(&x_value, &other).unwrap();
    refused(tape, &["gradient wanted", "copy (operation 3"]);
    // Through an operation without a backward pass.
    let (mut tape, _, _) = new();
    let other = tape.input(&numbers(&device, [1, 2, 4])).unwrap();
    tape.want_gradient(&other, &g).unwrap();
    let z = tape.plan().activate(&other, Activation::Tanh).unwrap();
    let z = tape.linear(&layer, &z).unwrap();
    let target = tape.input(&t).unwrap();
    tape.mean_squared_error(&z, &target).unwrap();
    refused(tape, &["activate (operation 3", "gradient is wanted"]);
    // For a value that nothing is trained by.
    let (mut tape, x_value, _) = new();
    let given = tape.input(&t).unwrap();
    tape.give_gradient(&x_value, &given).unwrap();
    refused(tape, &["gradient given", "give_gradient (operation 3"]);
    // Indices.
    let (mut tape, x_value, y) = new();
    let words = tape.input(&words).unwrap();
    for error in [
        tape.want_gradient(&words, &g).unwrap_err(),
        tape.give_gradient(&words, &x_value).unwrap_err(),
        tape.give_gradient(&y, &words).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Value { .. }) && error.to_string().contains("indices"), "{error}");
    }
    // In evaluation there are none.
    let mut tape = Tape::evaluating(&device).unwrap();
    let x_value = tape.input(&x).unwrap();
    let y = tape.linear(&layer, &x_value).unwrap();
    for error in [tape.want_gradient(&y, &g).unwrap_err(), tape.give_gradient(&y, &x_value).unwrap_err()] {
        assert!(matches!(error, Error::Unsupported { .. }) && error.to_string().contains("evaluation"), "{error}");
    }
    // And an evaluation is none of training, whose dropout it would have.
    let error = new().0.evaluation().unwrap_err().to_string();
    assert!(error.contains("Tape::evaluating"), "{error}");
}

/// log cosh, whose gradient is tanh: computed on the tape and given.
#[test]
fn a_gradient_computed_on_the_tape_may_be_given_to_several_values() {
    for (name, device) in devices() {
        let (a, b, c) = (line(&device, 2.0), line(&device, 3.0), line(&device, 0.5));
        let x = column(&device, &[1.0, -0.5]);
        let mut tape = Tape::training(&device).unwrap();
        let x = tape.input(&x).unwrap();
        let y = tape.linear(&a, &x).unwrap();
        let g = tape.plan().activate(&y, Activation::Tanh).unwrap();
        let z = tape.linear(&b, &x).unwrap();
        tape.give_gradient(&y, &g).unwrap();
        tape.give_gradient(&z, &g).unwrap();
        // Both have another reader, too, so that gradients add up.
        for value in [&y, &z] {
            let out = tape.linear(&c, value).unwrap();
            tape.give_gradient(&out, &x).unwrap();
        }
        step(tape);
        let [t, u] = [2.0_f32.tanh(), (-1.0_f32).tanh()];
        // x·(tanh + 0.5·x) for a and b; Σ x·(2·x + 3·x) for c.
        let expected = (t + 0.5) - 0.5 * (u - 0.25);
        let got = [&a, &b, &c].map(|layer| gradient(layer.parameters())[0]);
        near(name, &got, &[expected, expected, 5.0 * 1.25]);
    }
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
