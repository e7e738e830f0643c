//! Masks, resets and packed sequences beside what they are compared with, forward and in training.
//!
//! ```sh
//! cargo bench --bench maps
//! ```
//!
//! Runs of all calls alternate; the table has medians, and ratios to the call that each is compared with.

mod common;

use ndarray::{Array2, ArrayD, IxDyn};
use std::time::Instant;
use wgrnn::{
    Cell, Device, Lengths, Rnn, RnnCall, RnnConfig, RnnTraining, RnnWeights, SequenceMap, Session, SessionOptions,
};

const INPUT: usize = 64;
const HIDDEN: usize = 128;
const STEPS: usize = 64;
const BATCH: usize = 16;
const ROUNDS: usize = 25;

/// A call, and the place of the one that it is compared with.
struct Case {
    name: &'static str,
    options: SessionOptions,
    beside: usize,
}

enum Ready {
    Forward(Box<Session>),
    Training(Box<RnnTraining>),
}

impl Ready {
    fn run(&self) -> wgrnn::Result<()> {
        match self {
            Self::Forward(session) => session.run(),
            Self::Training(training) => {
                training.forward()?;
                training.backward()
            }
        }
    }
}

fn main() {
    println!("| device | pass | call | ms | beside | ratio |");
    println!("| --- | --- | --- | ---: | --- | ---: |");
    for (device_name, device) in common::devices() {
        for trains in [false, true] {
            let cases = cases();
            let ready: Vec<Ready> = cases.iter().map(|case| ready(&device, case, trains)).collect();
            let mut times = vec![Vec::new(); cases.len()];
            for round in 0..=ROUNDS {
                for (times, ready) in times.iter_mut().zip(&ready) {
                    let start = Instant::now();
                    ready.run().expect("the call runs");
                    device.wait().expect("the device is there");
                    // The first round compiles.
                    if round > 0 {
                        times.push(start.elapsed().as_secs_f64() * 1e3);
                    }
                }
            }
            let medians: Vec<f64> = times.into_iter().map(median).collect();
            let pass = if trains { "training" } else { "forward" };
            for (case, ms) in cases.iter().zip(&medians) {
                let (other, ratio) = (cases[case.beside].name, ms / medians[case.beside]);
                println!("| {device_name} | {pass} | {} | {ms:.3} | {other} | {ratio:.2} |", case.name);
            }
        }
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn cases() -> Vec<Case> {
    let grid = |lengths: Lengths| SessionOptions::new(STEPS, BATCH).call(RnnCall::default().lengths(lengths));
    let map = |map: SequenceMap| grid(Lengths::Map(map));
    let half = Lengths::Fixed(vec![STEPS / 2; BATCH]);
    // Every other step, later in half of the sequences.
    let mask = Array2::from_shape_fn((STEPS, BATCH), |(t, n)| (t + n) % 2 == 0);
    let holes = SequenceMap::mask(mask.view());
    // Episodes of 10 to 22 steps that end in other places in each sequence.
    let resets: Vec<Vec<usize>> =
        (0..BATCH).map(|n| (1..STEPS).filter(|t| (t + 5 * n) % (10 + n % 13) == 0).collect()).collect();
    // 4 to 64 steps, in no order.
    let lengths: Vec<usize> = (0..BATCH).map(|n| 4 * (1 + (7 * n) % BATCH)).collect();
    let mut packed = SessionOptions::packed(&SequenceMap::concatenated(&lengths)).expect("lengths that add up");
    packed.call = packed.call.carry(false);
    vec![
        Case { name: "all steps", options: grid(Lengths::Full), beside: 0 },
        Case { name: "first half of the steps", options: grid(half), beside: 0 },
        Case { name: "mask with holes, half of the steps", options: map(holes.clone()), beside: 1 },
        Case { name: "the same, outputs repeated", options: map(holes.repeat_output()), beside: 1 },
        Case { name: "resets", options: map(SequenceMap::resets_at(&resets)), beside: 0 },
        Case { name: "lengths 4 to 64, padded", options: grid(Lengths::Fixed(lengths)), beside: 0 },
        Case { name: "lengths 4 to 64, packed", options: packed, beside: 5 },
    ]
}

fn ready(device: &Device, case: &Case, trains: bool) -> Ready {
    let config = RnnConfig::new(Cell::Lstm, INPUT, HIDDEN);
    let weights = RnnWeights::init(&config, 0).expect("the configuration is right");
    let numbers = |shape: &[usize]| {
        let mut i = 0_usize;
        ArrayD::from_shape_simple_fn(IxDyn(shape), || {
            i += 31;
            (i % 101) as f32 / 50.5 - 1.0
        })
    };
    if trains {
        let rnn = Rnn::trainable(device, &config, &weights).expect("the weights fit");
        let training = rnn.training(case.options.clone(), false).expect("the shape fits");
        training.input().write(numbers(training.input().shape()).view()).expect("the input fits");
        let gradient = numbers(training.output_gradient().shape());
        training.output_gradient().write(gradient.view()).expect("the gradient fits");
        return Ready::Training(Box::new(training));
    }
    let rnn = Rnn::new(device, &config, weights).expect("the weights fit");
    let session = rnn.session(case.options.clone()).expect("the shape fits");
    session.input().write(numbers(session.input().shape()).view()).expect("the input fits");
    Ready::Forward(Box::new(session))
}
