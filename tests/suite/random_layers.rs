//! Layers of any configuration, drawn at random from a fixed seed, against the textbook.

use crate::common::{Random, gpu, rnn};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use wgrnn::{Bias, Cell, Device, Direction, Output, Reset, RnnCall, RnnConfig, Schedule};

/// A layer, and how it is called.
#[derive(Clone, Debug)]
pub struct Drawn {
    pub config: RnnConfig,
    pub steps: usize,
    pub batch: usize,
    pub call: RnnCall,
    pub state: bool,
    pub seed: u32,
}

fn has_norms(cell: Cell) -> bool {
    matches!(cell, Cell::Elman(_) | Cell::Lstm | Cell::Gru(Reset::After))
}

fn config(most: usize) -> impl Strategy<Value = RnnConfig> {
    let directions = prop::sample::select(vec![Direction::Forward, Direction::Reverse, Direction::Bidirectional]);
    let biases = prop::sample::select(vec![Bias::None, Bias::One, Bias::Two]);
    let cells = prop::sample::select(Cell::ALL.to_vec());
    // A projection, where there is one, has from 1 to H - 1 units.
    let projection = prop::option::of(0.0..1.0_f64);
    let heads = prop::sample::select(vec![1, 1, 2, 3]);
    let norms = prop::sample::select(vec![false, false, true]);
    (cells, 1..=most, 1..=most, 1..=3_usize, directions, biases, any::<bool>(), projection, heads, norms).prop_map(
        |(cell, input, hidden, layers, direction, bias, batch_first, projection, heads, normed)| {
            let bias = if bias == Bias::Two && !cell.has_recurrent_weights() { Bias::One } else { bias };
            let config = RnnConfig::new(cell, input, hidden)
                .layers(layers)
                .heads(heads)
                .direction(direction)
                .bias(bias)
                .batch_first(batch_first);
            match projection {
                // Of one unit nothing is left, of two a sign: numbers to divide by that are all rounding.
                _ if normed && has_norms(cell) && hidden > 3 => config.layer_norm(true),
                Some(part) if cell == Cell::Lstm && hidden > 1 => {
                    config.projection(1 + (part * (hidden - 1) as f64) as usize)
                }
                _ => config,
            }
        },
    )
}

/// Layers of up to `most` inputs and units.
pub fn drawn(most: usize) -> impl Strategy<Value = Drawn> {
    let outputs = prop::sample::select(vec![Output::All, Output::Last]);
    let schedules = Schedule::ALL.into_iter().filter(|&schedule| schedule != Schedule::Grid).collect::<Vec<_>>();
    let schedules = prop::sample::select(schedules);
    (config(most), 1..=9_usize, 1..=20_usize, outputs, schedules, any::<bool>(), any::<u32>()).prop_flat_map(
        |(config, steps, batch, output, schedule, state, seed)| {
            prop::option::of(prop::collection::vec(1..=steps, batch)).prop_map(move |lengths| Drawn {
                config: config.clone(),
                steps,
                batch,
                call: RnnCall::default().lengths(lengths.into()).output(output).schedule(schedule),
                state,
                seed,
            })
        },
    )
}

fn equals_the_textbook(device: &Device, cases: u32) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 64, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let result = runner.run(&drawn(130), |Drawn { config, steps, batch, call, state, seed }| {
        let mut random = Random::new(seed);
        let features = config.input_size();
        let x = random.array(if config.is_batch_first() { [batch, steps, features] } else { [steps, batch, features] });
        let state = state.then(|| random.state(&config, batch));
        let report = rnn(device, &config).check(x.view(), state.as_ref(), &call).unwrap();
        prop_assert!(report.passed(), "{report}");
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn any_layer_equals_the_textbook_on_the_gpu() {
    equals_the_textbook(&gpu(), 60);
}

#[test]
fn any_layer_equals_the_textbook_on_the_cpu() {
    equals_the_textbook(&Device::cpu(), 150);
}
