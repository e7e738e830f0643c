//! Several layers in one plan, parts of tensors, and several threads on one layer.

use crate::common::{Random, common_schedules, configs, devices, gpu, rnn};
use ndarray::{Array4, ArrayD, Axis, s};
use std::sync::mpsc;
use std::time::Duration;
use wgrnn::{
    Activation, Cell, Device, Direction, Error, Lengths, PlanBuilder, Reset, Rnn, RnnCall, RnnConfig, Schedule,
    Session, SessionOptions, Tensor, wgpu,
};

/// Runs layers one after the other in one plan, each on its own input.
fn together(device: &Device, rnns: &[&Rnn], inputs: &[Tensor], call: &RnnCall) -> Vec<ArrayD<f32>> {
    let mut plan = PlanBuilder::new(device);
    let mut outputs = Vec::new();
    for (rnn, x) in rnns.iter().zip(inputs) {
        let [steps, batch, _] = x.shape() else { unreachable!("inputs have three axes") };
        let y = Tensor::<f32>::zeros(device, &[*steps, *batch, rnn.config().output_size()]).unwrap();
        let state = rnn.device_state(*batch).unwrap();
        let [x, out] = [plan.tensor(x).unwrap(), plan.tensor(&y).unwrap()];
        plan.rnn_into(rnn, &x, &state, call, &out).unwrap();
        outputs.push(y);
    }
    plan.build().unwrap().run().unwrap();
    outputs.into_iter().map(|y| y.read().unwrap()).collect()
}

#[test]
fn a_layer_does_not_see_what_another_one_left_in_shared_memory() {
    let cells = [Cell::Gru(Reset::After), Cell::Gru(Reset::Before), Cell::Elman(Activation::Relu), Cell::Lstm];
    for (name, device) in devices() {
        for cell in cells {
            // 7 and 5 units take the same number of whole vectors; the first layer's states are all NaN.
            let [first, second] = [7, 5].map(|hidden| rnn(&device, &RnnConfig::new(cell, 3, hidden)));
            let x = Random::new(3).array([4, 2, 3]);
            let inputs = [x.mapv(|_| f32::NAN), x.clone()].map(|x| Tensor::from_array(&device, x.view()).unwrap());
            for schedule in common_schedules() {
                let call = RnnCall::default().schedule(schedule);
                let outputs = together(&device, &[&first, &second], &inputs, &call);
                let alone = second.forward_with(x.view(), None, &call).unwrap();
                assert!(outputs[0].iter().all(|y| y.is_nan()), "{name} {cell:?}");
                assert_eq!(outputs[1], alone.y, "{name} {cell:?} {schedule:?}");
            }
        }
    }
}

#[test]
fn a_layer_writes_its_part_of_a_tensor_and_no_other() {
    for (name, device) in devices() {
        let config = RnnConfig::new(Cell::Lstm, 3, 5);
        let rnn = rnn(&device, &config);
        let x = Random::new(4).array([4, 2, 3]);
        let call = RnnCall::default().lengths(Lengths::Fixed(vec![2, 4]));
        let alone = rnn.forward_with(x.view(), None, &call).unwrap().y;
        for part in 0..3 {
            let all = Tensor::from_array(&device, Array4::from_elem((3, 4, 2, 5), 9.0_f32).view()).unwrap();
            let x = Tensor::from_array(&device, x.view()).unwrap();
            let mut plan = PlanBuilder::new(&device);
            let [x, out] = [plan.tensor(&x).unwrap(), plan.tensor(&all).unwrap().at(part).unwrap()];
            plan.rnn_into(&rnn, &x, &rnn.device_state(2).unwrap(), &call, &out).unwrap();
            plan.build().unwrap().run().unwrap();
            for (i, got) in all.read().unwrap().axis_iter(Axis(0)).enumerate() {
                if i == part {
                    assert_eq!(got, alone, "{name} part {part}");
                } else {
                    assert!(got.iter().all(|&y| y == 9.0), "{name}: writing part {part} changed part {i}");
                }
            }
        }
    }
}

#[test]
fn the_input_part_in_chunks_gives_the_same() {
    for (name, device) in devices() {
        for config in configs(5, 12) {
            let config = config.layers(2).direction(Direction::Bidirectional).batch_first(true);
            let rnn = rnn(&device, &config);
            let mut random = Random::new(5);
            let (x, state) = (random.array([3, 9, 5]), random.state(&config, 3));
            for schedule in common_schedules() {
                // One step at a time, and about three.
                for input_part_bytes in [1, 4 * 2 * 4 * 12 * 8] {
                    let lengths = Some(vec![4, 9, 7]);
                    let call = RnnCall::default()
                        .lengths(lengths.into())
                        .schedule(schedule)
                        .input_part_bytes(input_part_bytes);
                    let report = rnn.check(x.view(), Some(&state), &call).unwrap();
                    assert!(report.passed(), "{name} {config:?} {schedule:?} {input_part_bytes}\n{report}");
                }
            }
        }
    }
}

#[test]
fn sequences_that_end_in_different_dispatches_are_right() {
    let config = RnnConfig::new(Cell::Gru(Reset::Before), 2, 40).direction(Direction::Bidirectional);
    let rnn = rnn(&gpu(), &config);
    let x = Random::new(6).array([1500, 3, 2]);
    let lengths = Some(vec![700, 1500, 1]);
    let call = RnnCall::default().lengths(lengths.into()).schedule(Schedule::Sequence);
    let session = rnn.session(SessionOptions::new(1500, 3).call(call.clone())).unwrap();
    assert!(session.plan().dispatches().count() > 2, "one dispatch took all steps");
    let report = rnn.check(x.view(), None, &call).unwrap();
    assert!(report.passed(), "{report}");
}

#[test]
fn an_encoder_gives_its_state_to_a_decoder_of_another_input() {
    for (name, device) in devices() {
        let [encoder, decoder] = [3, 6].map(|input| rnn(&device, &RnnConfig::new(Cell::Lstm, input, 5)));
        let mut random = Random::new(7);
        let (x, z) = (random.array([4, 2, 3]), random.array([2, 2, 6]));
        let state = encoder.device_state(2).unwrap();
        let [read, fed] = [&x, &z].map(|array| Tensor::from_array(&device, array.view()).unwrap());
        let y = Tensor::<f32>::zeros(&device, &[2, 2, 5]).unwrap();
        let mut plan = PlanBuilder::new(&device);
        let [read, fed, out] = [plan.tensor(&read), plan.tensor(&fed), plan.tensor(&y)].map(Result::unwrap);
        plan.rnn(&encoder, &read, &state, &RnnCall::default()).unwrap();
        let call = RnnCall::default().carry(true);
        plan.rnn_into(&decoder, &fed, &state, &call, &out).unwrap();
        plan.build().unwrap().run().unwrap();
        let encoded = encoder.forward(x.view()).unwrap().state;
        let decoded = decoder.forward_with(z.view(), Some(&encoded), &RnnCall::default()).unwrap();
        assert_eq!(y.read().unwrap(), decoded.y, "{name}");
        assert_eq!(state.read().unwrap(), decoded.state, "{name}");
    }
}

#[test]
fn a_call_that_is_refused_leaves_the_plan_as_it_was() {
    let device = gpu();
    // A state of 2,100 numbers, twice, is more than the workgroup memory that every adapter has.
    let config = RnnConfig::new(Cell::Elman(Activation::Tanh), 1, 2100);
    let rnn = rnn(&device, &config);
    let x = Tensor::<f32>::zeros(&device, &[2, 1, 1]).unwrap();
    let mut plan = PlanBuilder::new(&device);
    let x = plan.tensor(&x).unwrap();
    let call = RnnCall::default().schedule(Schedule::Sequence);
    let error = plan.rnn(&rnn, &x, &rnn.device_state(1).unwrap(), &call).expect_err("it does not fit");
    assert!(error.to_string().contains("workgroup memory"), "{error}");
    assert!(plan.plan().commands().is_empty());
}

#[test]
fn a_buffer_that_a_plan_must_clear_needs_the_usage() {
    let device = gpu();
    let rnn = rnn(&device, &RnnConfig::new(Cell::Lstm, 3, 5));
    let (wgpu_device, _) = device.wgpu().unwrap();
    let buffer = wgpu_device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4 * 4 * 2 * 5,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    });
    let output = Tensor::from_buffer(&device, buffer, &[4, 2, 5]).unwrap();
    let input = Tensor::zeros(&device, &[4, 2, 3]).unwrap();
    let call = RnnCall::default().lengths(Lengths::Fixed(vec![4, 1]));
    let options = SessionOptions::new(4, 2).call(call);
    let error = Session::with_tensors(&rnn, options, input, output, rnn.device_state(2).unwrap()).expect_err("refused");
    assert!(matches!(error, Error::Value { .. }) && error.to_string().contains("COPY_DST"), "{error}");
}

/// Runs in a thread of its own; fails where it hangs.
fn ends(work: impl FnOnce() + Send + 'static) {
    let (send, receive) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        work();
        send.send(()).unwrap();
    });
    receive.recv_timeout(Duration::from_secs(120)).expect("the work ends");
    thread.join().unwrap();
}

#[test]
fn one_layer_serves_many_threads_at_once() {
    for (name, device) in devices() {
        ends(move || {
            let config = RnnConfig::new(Cell::Lstm, 3, 40).direction(Direction::Bidirectional);
            let rnn = rnn(&device, &config);
            let x = Random::new(8).array([3, 300, 3]);
            let expected = rnn.forward(x.view()).unwrap();
            // Plain threads, whose work is shared out, beside the threads of a pool that does not know of it.
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| assert_eq!(rnn.forward(x.view()).unwrap(), expected, "{name}"));
                }
                use rayon::prelude::*;
                (0..12).into_par_iter().for_each(|_| {
                    let got = rnn.forward(x.view()).unwrap();
                    assert_eq!(got.y.slice(s![.., ..2, ..]), expected.y.slice(s![.., ..2, ..]), "{name}");
                });
            });
        });
    }
}
