//! Values that are written over on a tape: their gradients, and what is refused.

use crate::common::{Random, devices, gpu};
use crate::tapes::{
    column, fixed_lstm, gradient, line, linear, lstm, matrix, near, numbers, options, refused, step, zeros,
};
use ndarray::array;
use wgrnn::plan::Value;
use wgrnn::{Embedding, RnnCall, Tape, Tensor, Trainer};

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
