//! Gradients that are asked for, and gradients that are given to a tape.

use crate::common::{devices, gpu};
use crate::tapes::{column, gradient, line, linear, near, numbers, options, read, refused, step, zeros};
use ndarray::{Array2, array};
use wgrnn::{Activation, Cell, Error, Linear, Model, ModelConfig, Reset, RnnConfig, Tape, Tensor, Trainer};

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
