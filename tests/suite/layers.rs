//! What layers promise: the textbook's numbers, what lengths mean, and the same bits from run to run.

use crate::common::{Random, common_schedules, configs, devices, gpu, rnn, schedules};
use ndarray::{Array3, ArrayD, s};
use wgrnn::check::Comparison;
use wgrnn::{Device, Direction, Lengths, Output, RnnCall, RnnConfig, RnnOutput, Schedule, SessionOptions, State};

/// Sequences of different lengths, none as long as the array, in no order.
const LENGTHS: [usize; 3] = [2, 5, 3];
const STEPS: usize = 6;

/// Rounding of a few steps of values below 1, in another order of summation.
const ULPS: f64 = 16.0 * f32::EPSILON as f64;

fn with_lengths(schedule: Schedule) -> RnnCall {
    RnnCall::default().lengths(Lengths::Fixed(LENGTHS.to_vec())).schedule(schedule)
}

/// Input and initial state of the tests below.
fn inputs(config: &RnnConfig) -> (Array3<f32>, State) {
    let mut random = Random::new(1);
    (random.array([STEPS, LENGTHS.len(), config.input_size()]), random.state(config, LENGTHS.len()))
}

fn bits(output: &RnnOutput) -> Vec<u32> {
    let state = output.state.h.iter().chain(output.state.c.iter().flatten());
    output.y.iter().chain(state).map(|value| value.to_bits()).collect()
}

fn close(name: &str, got: &ArrayD<f32>, expected: &ArrayD<f32>) {
    let comparison = Comparison::new(name, got.view(), expected.mapv(f64::from).view(), ULPS).unwrap();
    assert!(comparison.count > 0 && comparison.passed(), "{comparison}");
}

#[test]
fn every_cell_equals_the_textbook_on_every_device_and_schedule() {
    for (name, device) in devices() {
        for config in configs(5, 12) {
            let config = config.layers(2).direction(Direction::Bidirectional);
            let rnn = rnn(&device, &config);
            let (x, state) = inputs(&config);
            for schedule in schedules() {
                let report = rnn.check(x.view(), Some(&state), &with_lengths(schedule)).unwrap();
                assert!(report.passed(), "{name} {config:?} {schedule:?}\n{report}");
            }
        }
    }
}

/// Runs `test` for every cell, device and schedule, in one layer of this direction.
fn each(direction: Direction, test: impl Fn(&str, &RnnConfig, &Device, Schedule)) {
    for (name, device) in [("gpu", gpu()), ("cpu", Device::cpu())] {
        for config in configs(5, 12) {
            let config = config.direction(direction);
            for schedule in schedules() {
                test(&format!("{} {schedule:?} on {name}", config.cell().name()), &config, &device, schedule);
            }
        }
    }
}

#[test]
fn beyond_its_length_a_sequence_gives_zeros() {
    each(Direction::Bidirectional, |name, config, device, schedule| {
        let (x, _) = inputs(config);
        let options = SessionOptions::new(STEPS, LENGTHS.len()).call(with_lengths(schedule));
        let session = rnn(device, config).session(options).unwrap();
        session.input().write(x.view()).unwrap();
        // Whatever the memory held before.
        session.output().write(ArrayD::from_elem(session.output().shape(), f32::NAN).view()).unwrap();
        session.run().unwrap();
        let y = session.output().read().unwrap();
        for (n, length) in LENGTHS.into_iter().enumerate() {
            assert!(y.slice(s![length.., n, ..]).iter().all(|y| y.to_bits() == 0), "{name}, sequence {n}");
            let valid = y.slice(s![..length, n, ..]);
            assert!(valid.iter().all(|y| y.is_finite()) && valid.iter().any(|&y| y != 0.0), "{name}, sequence {n}");
        }
    });
}

#[test]
fn what_lies_beyond_a_length_is_never_read() {
    each(Direction::Bidirectional, |name, config, device, schedule| {
        let (mut x, state) = inputs(config);
        let rnn = rnn(device, config);
        let before = rnn.forward_with(x.view(), Some(&state), &with_lengths(schedule)).unwrap();
        for (n, length) in LENGTHS.into_iter().enumerate() {
            x.slice_mut(s![length.., n, ..]).fill(f32::NAN);
        }
        let after = rnn.forward_with(x.view(), Some(&state), &with_lengths(schedule)).unwrap();
        assert_eq!(bits(&before), bits(&after), "{name}");
    });
}

/// A sequence in a batch gives what it gives alone, cut to its length: outputs and final state. So the forward direction
/// ends at the last valid step, and the reverse direction starts there.
fn is_as_alone(direction: Direction) {
    each(direction, |name, config, device, schedule| {
        let (x, state) = inputs(config);
        let rnn = rnn(device, config);
        let batch = rnn.forward_with(x.view(), Some(&state), &with_lengths(schedule)).unwrap();
        for (n, length) in LENGTHS.into_iter().enumerate() {
            let one = |array: &Array3<f32>| array.slice(s![.., n..=n, ..]).to_owned();
            let state = State { h: one(&state.h), c: state.c.as_ref().map(one) };
            let x = x.slice(s![..length, n..=n, ..]);
            let alone = rnn.forward_with(x, Some(&state), &RnnCall::default().schedule(schedule)).unwrap();
            let y = batch.y.slice(s![..length, n..=n, ..]).to_owned().into_dyn();
            close(&format!("{name}: y of sequence {n}"), &y, &alone.y);
            close(&format!("{name}: h of sequence {n}"), &one(&batch.state.h).into_dyn(), &alone.state.h.into_dyn());
            assert_eq!(batch.state.c.is_some(), alone.state.c.is_some());
            if let (Some(c), Some(alone)) = (&batch.state.c, alone.state.c) {
                close(&format!("{name}: c of sequence {n}"), &one(c).into_dyn(), &alone.into_dyn());
            }
        }
    });
}

#[test]
fn the_final_state_is_that_of_the_last_valid_step() {
    is_as_alone(Direction::Forward);
}

#[test]
fn the_reverse_direction_starts_at_the_last_valid_step() {
    is_as_alone(Direction::Reverse);
}

#[test]
fn the_reverse_direction_is_the_forward_one_of_the_turned_sequence() {
    for (name, device) in [("gpu", gpu()), ("cpu", Device::cpu())] {
        for config in configs(5, 12) {
            let (x, state) = inputs(&config);
            let call = RnnCall::default();
            let forward = rnn(&device, &config).forward_with(x.view(), Some(&state), &call).unwrap();
            let turned = x.slice(s![..;-1, .., ..]);
            let config = config.direction(Direction::Reverse);
            let reverse = rnn(&device, &config).forward_with(turned, Some(&state), &call).unwrap();
            let y = reverse.y.slice(s![..;-1, .., ..]).to_owned().into_dyn();
            close(&format!("{} on {name}", config.cell().name()), &y, &forward.y);
            close(name, &reverse.state.h.into_dyn(), &forward.state.h.into_dyn());
        }
    }
}

#[test]
fn the_last_output_is_that_of_the_last_valid_step() {
    each(Direction::Forward, |name, config, device, schedule| {
        let (x, state) = inputs(config);
        let rnn = rnn(device, config);
        let all = rnn.forward_with(x.view(), Some(&state), &with_lengths(schedule)).unwrap();
        let call = with_lengths(schedule).output(Output::Last);
        let last = rnn.forward_with(x.view(), Some(&state), &call).unwrap();
        assert_eq!(last.y.shape(), [LENGTHS.len(), config.output_size()]);
        for (n, length) in LENGTHS.into_iter().enumerate() {
            assert_eq!(last.y.slice(s![n, ..]), all.y.slice(s![length - 1, n, ..]), "{name}, sequence {n}");
        }
        assert_eq!(last.state, all.state, "{name}");
    });
}

#[test]
fn results_are_the_same_bits_from_run_to_run() {
    each(Direction::Bidirectional, |name, config, device, schedule| {
        let (x, state) = inputs(config);
        let run = |rnn: &wgrnn::Rnn| bits(&rnn.forward_with(x.view(), Some(&state), &with_lengths(schedule)).unwrap());
        let (one, other) = (rnn(device, config), rnn(device, config));
        let first = run(&one);
        assert_eq!(first, run(&one), "{name}, replayed");
        assert_eq!(first, run(&other), "{name}, made again");
    });
}

#[test]
fn schedules_agree() {
    for (name, device) in [("gpu", gpu()), ("cpu", Device::cpu())] {
        for config in configs(5, 12) {
            let config = config.layers(2).direction(Direction::Bidirectional);
            let (x, state) = inputs(&config);
            let rnn = rnn(&device, &config);
            let run = |schedule| rnn.forward_with(x.view(), Some(&state), &with_lengths(schedule)).unwrap();
            let step = run(Schedule::Step);
            for other in [Schedule::Auto].into_iter().chain(common_schedules()).map(run) {
                let name = format!("{} on {name}", config.cell().name());
                close(&name, &other.y, &step.y);
                close(&name, &other.state.h.into_dyn(), &step.state.h.clone().into_dyn());
            }
        }
    }
}

#[test]
fn the_cost_follows_the_valid_steps() {
    for schedule in common_schedules() {
        for config in configs(5, 12) {
            let config = config.layers(2).direction(Direction::Bidirectional);
            let rnn = rnn(&gpu(), &config);
            let flop = |lengths: &[usize]| {
                let call = RnnCall::default().lengths(Lengths::Fixed(lengths.to_vec())).schedule(schedule);
                let session = rnn.session(SessionOptions::new(64, lengths.len()).call(call)).unwrap();
                session.plan().flop()
            };
            let name = config.cell().name();
            let step = flop(&[1, 1, 1, 1]) / 4;
            assert!(step > 0, "{name}");
            assert_eq!(flop(&[64, 1, 1, 1]), 67 * step, "{name}");
            assert_eq!(flop(&[5, 64, 7, 20]), 96 * step, "{name}");
        }
    }
}
