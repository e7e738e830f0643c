//! Layers side by side, each a step behind the one below: what it gives, and what it saves.

use crate::common::{Random, devices, dispatches, gpu, rnn};
use ndarray::{Axis, concatenate, s};
use wgrnn::kernels::Kernel;
use wgrnn::{
    Cell, Device, Direction, Lengths, Output, Precision, Reset, Rnn, RnnCall, RnnConfig, RnnWeights, Schedule,
    SessionOptions,
};

fn call() -> RnnCall {
    RnnCall::default().schedule(Schedule::Wavefront)
}

/// Every cell that can, read forwards and backwards, with a state and lengths that differ, shorter than the stack is high
/// too.
#[test]
fn a_wavefront_equals_the_textbook() {
    let cells = Cell::ALL.into_iter().filter(|cell| cell.phases(false).len() < 2);
    for (i, cell) in cells.enumerate() {
        for (name, device) in devices() {
            let direction = if i % 2 == 0 { Direction::Forward } else { Direction::Reverse };
            let config = RnnConfig::new(cell, 6, 21).layers(4).direction(direction);
            let rnn = rnn(&device, &config);
            let mut random = Random::new(3);
            for (steps, lengths) in [(7, vec![2, 7, 4]), (2, vec![2, 1, 2]), (1, vec![1, 1, 1])] {
                let (x, state) = (random.array([steps, 3, 6]), random.state(&config, 3));
                let output = if steps == 2 { Output::Last } else { Output::All };
                let call = call().lengths(Lengths::Fixed(lengths)).output(output);
                let report = rnn.check(x.view(), Some(&state), &call).unwrap();
                assert!(report.passed(), "{name}, {cell:?}, {steps} steps\n{report}");
            }
        }
    }
}

#[test]
fn a_wavefront_takes_a_dispatch_a_step_and_one_for_each_further_layer() {
    let config = RnnConfig::new(Cell::Lstm, 6, 20).layers(3);
    let session = |call: RnnCall| rnn(&gpu(), &config).session(SessionOptions::new(10, 2).call(call)).unwrap();
    let wavefront = session(call());
    assert_eq!(dispatches(wavefront.plan(), Kernel::Wave), 10 + 3 - 1);
    assert_eq!(dispatches(wavefront.plan(), Kernel::Gemm), 1);
    assert_eq!(dispatches(wavefront.plan(), Kernel::Step), 0);
    let step = session(call().schedule(Schedule::Step));
    assert_eq!(dispatches(step.plan(), Kernel::Step), 30);
    // The same products, whichever way they are cut.
    assert_eq!(wavefront.plan().flop(), step.plan().flop());
    assert!(wavefront.plan().workspace_bytes() < step.plan().workspace_bytes());
}

/// Layers that read what comes later, and cells of two products a step.
#[test]
fn what_cannot_go_side_by_side_goes_step_by_step() {
    let lstm = RnnConfig::new(Cell::Lstm, 6, 20);
    let configs = [
        lstm.clone(),
        lstm.clone().layers(2).direction(Direction::Bidirectional),
        lstm.layers(2).projection(8),
        RnnConfig::new(Cell::Gru(Reset::Before), 6, 20).layers(2),
    ];
    for config in configs {
        let rnn = rnn(&gpu(), &config);
        let plan = rnn.session(SessionOptions::new(4, 2).call(call())).unwrap();
        assert_eq!(dispatches(plan.plan(), Kernel::Wave), 0, "{config:?}");
        assert!(dispatches(plan.plan(), Kernel::Step) > 0, "{config:?}");
        assert!(rnn.check(Random::new(1).array([4, 2, 6]).view(), None, &call()).unwrap().passed());
    }
}

/// The input part is made for two steps at a time, while the layers above are still at earlier ones.
#[test]
fn chunks_of_the_input_part_do_not_stop_a_wavefront() {
    let config = RnnConfig::new(Cell::Gru(Reset::After), 6, 20).layers(3);
    let rnn = rnn(&gpu(), &config);
    let call = call().input_part_bytes(4 * 60 * 3 * 2).lengths(Lengths::Fixed(vec![7, 6, 3]));
    let x = Random::new(5).array([7, 3, 6]);
    let session = rnn.session(SessionOptions::new(7, 3).call(call.clone())).unwrap();
    assert_eq!(dispatches(session.plan(), Kernel::Gemm), 3);
    let report = rnn.check(x.view(), None, &call).unwrap();
    assert!(report.passed(), "{report}");
}

/// The same on the CPU, where rows are looked up by numbers that must not become negative: with the options that a call has by
/// itself, and with chunks of two steps.
#[test]
fn chunks_of_the_input_part_do_not_stop_a_wavefront_on_the_cpu() {
    let rnn = rnn(&Device::cpu(), &RnnConfig::new(Cell::Lstm, 4, 8).layers(2));
    for (steps, batch, input_part_bytes) in [(7, 3, 4 * 32 * 3 * 2), (2200, 256, call().input_part_bytes)] {
        let x = Random::new(6).array([steps, batch, 4]);
        let call = call().input_part_bytes(input_part_bytes);
        let session = rnn.session(SessionOptions::new(steps, batch).call(call.clone())).unwrap();
        assert!(dispatches(session.plan(), Kernel::Gemm) > 1);
        let expected = rnn.forward_with(x.view(), None, &call.clone().schedule(Schedule::Step)).unwrap();
        let got = rnn.forward_with(x.view(), None, &call).unwrap();
        let difference = (&got.y - &expected.y).iter().fold(0.0_f32, |most, d| most.max(d.abs()));
        assert!(difference < 1e-5, "{difference}");
    }
}

#[test]
fn lengths_that_change_from_run_to_run_pass_through_a_wavefront() {
    let config = RnnConfig::new(Cell::Lstm, 6, 20).layers(3);
    let rnn = rnn(&gpu(), &config);
    let x = Random::new(7).array([6, 3, 6]);
    let lengths = rnn.batch_lengths(6, 3).unwrap();
    let call = call().lengths(Lengths::PerRun(lengths.clone()));
    for list in [[6, 2, 4], [1, 5, 5], [1, 1, 1]] {
        lengths.write(&list).unwrap();
        let report = rnn.check(x.view(), None, &call).unwrap();
        assert!(report.passed(), "{list:?}\n{report}");
    }
}

/// The state that one run leaves is what the next begins with, odd layers and even ones.
#[test]
fn parts_of_a_sequence_give_what_the_whole_gives() {
    for steps in [2, 3] {
        let config = RnnConfig::new(Cell::Lstm, 6, 20).layers(3);
        let rnn = rnn(&gpu(), &config);
        let x = Random::new(9).array([2 * steps, 2, 6]);
        let whole = rnn.forward_with(x.view(), None, &call()).unwrap();
        let first = rnn.forward_with(x.slice(s![..steps, .., ..]), None, &call()).unwrap();
        let second = rnn.forward_with(x.slice(s![steps.., .., ..]), Some(&first.state), &call()).unwrap();
        assert_eq!(concatenate(Axis(0), &[first.y.view(), second.y.view()]).unwrap(), whole.y);
        assert_eq!(second.state, whole.state);
    }
}

#[test]
fn a_wavefront_in_half_precision_equals_the_reference() {
    for cell in [Cell::Lstm, Cell::Gru(Reset::After)] {
        let config = RnnConfig::new(cell, 7, 33).layers(3).precision(Precision::Half);
        let report = rnn(&gpu(), &config).check(Random::new(2).array([5, 19, 7]).view(), None, &call()).unwrap();
        assert!(report.passed(), "{report}");
    }
}

/// What training changes reaches the weights that layers share.
#[test]
fn trained_weights_reach_a_wavefront() {
    let config = RnnConfig::new(Cell::Lstm, 5, 12).layers(3);
    let rnn = Rnn::trainable(&gpu(), &config, &RnnWeights::init(&config, 1).unwrap()).unwrap();
    let x = Random::new(4).array([4, 2, 5]);
    let before = rnn.forward_with(x.view(), None, &call()).unwrap();
    let others = RnnWeights::init(&config, 2).unwrap();
    let named: Vec<_> = others.named().map(|(name, array)| (name, array.to_owned())).collect();
    rnn.parameters().unwrap().write(&named).unwrap();
    rnn.refresh().unwrap();
    assert_ne!(rnn.forward_with(x.view(), None, &call()).unwrap().y, before.y);
    assert!(rnn.check(x.view(), None, &call()).unwrap().passed());
    assert!(rnn.check_gradients(x.view(), &call()).unwrap().passed());
}
