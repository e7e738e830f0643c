//! Half precision: equal to the reference with rounded weights, within the stated bound of single precision, half the
//! memory.

use crate::common::{Random, configs, devices, gpu, portable, rnn};
use ndarray::{Array1, ArrayD};
use wgrnn::{
    Cell, Device, Direction, Error, LayerWeights, Lengths, Output, Precision, Reset, Rnn, RnnCall, RnnConfig,
    RnnWeights, Schedule, SessionOptions,
};

/// The reference in f32 rounds the input part of the gates too, so that the tolerance has it.
#[test]
fn every_cell_equals_the_reference_with_rounded_weights() {
    for (name, device) in devices() {
        for (i, config) in configs(6, 21).into_iter().enumerate() {
            let config = config.layers(2).direction(Direction::Bidirectional).precision(Precision::Half);
            let mut random = Random::new(3);
            let (x, state) = (random.array([7, 3, 6]), random.state(&config, 3));
            let schedule = [Schedule::Step, Schedule::Sequence, Schedule::Grid][i % 3];
            let output = if i % 2 == 0 { Output::All } else { Output::Last };
            let call = RnnCall::default().lengths(Lengths::Fixed(vec![2, 7, 4])).schedule(schedule).output(output);
            let report = rnn(&device, &config).check(x.view(), Some(&state), &call).unwrap();
            assert!(report.passed(), "{name}, {config:?}, {schedule:?}\n{report}");
        }
    }
}

/// All schedules of one cell whose gates are an odd number, wide enough for several tiles, with a tail in each.
#[test]
fn every_schedule_equals_the_reference_with_rounded_weights() {
    for (device, schedules) in
        [(gpu(), &[Schedule::Step, Schedule::Sequence, Schedule::Grid][..]), (portable(), &[Schedule::Step])]
    {
        for cell in [Cell::Gru(Reset::After), Cell::Lstm] {
            let rnn = rnn(&device, &RnnConfig::new(cell, 33, 75).precision(Precision::Half));
            let x = Random::new(5).array([5, 19, 33]);
            for &schedule in schedules {
                let call = RnnCall::default().schedule(schedule);
                let report = rnn.check(x.view(), None, &call).unwrap();
                assert!(report.passed(), "{schedule:?}\n{report}");
            }
        }
    }
}

fn largest_difference(a: &ArrayD<f32>, b: &ArrayD<f32>) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
}

/// The CPU device rounds nothing but weights: there the reference must be met as closely as in single precision, which tells
/// rounded weights from others, W and R alike.
#[test]
fn on_the_cpu_nothing_but_weights_is_rounded() {
    for config in configs(6, 21) {
        let x = Random::new(8).array([9, 2, 6]);
        let weights = RnnWeights::init(&config, 7).unwrap();
        let y = |precision| {
            let config = config.clone().precision(precision);
            let expected = wgrnn::reference::forward::<f64>(&config, &weights, x.mapv(f64::from).view(), None, None);
            let rnn = Rnn::new(&Device::cpu(), &config, weights.clone()).unwrap();
            (rnn.forward(x.view()).unwrap().y, expected.unwrap().y.mapv(|y| y as f32).into_dyn())
        };
        let [(single, _), (half, expected)] = [Precision::Single, Precision::Half].map(y);
        assert!(largest_difference(&half, &expected) < 2e-6, "{config:?}");
        assert!(largest_difference(&single, &expected) > 2e-5, "{config:?}");
    }
}

/// One step from zeros: a gate's sum is Σ x·w + b, off by at most 2⁻¹¹·(2·Σ|x·w| + |b|), and tanh no steeper than 1.
#[test]
fn one_step_is_within_the_stated_bound() {
    for (name, device) in devices() {
        let config = RnnConfig::new(Cell::Elman(wgrnn::Activation::Tanh), 24, 16);
        let weights = RnnWeights::init(&config, 7).unwrap();
        let x = Random::new(1).array([1, 4, 24]);
        let forward =
            |config: &RnnConfig| Rnn::new(&device, config, weights.clone()).unwrap().forward(x.view()).unwrap().y;
        let [single, half] = [Precision::Single, Precision::Half].map(|p| forward(&config.clone().precision(p)));
        let LayerWeights { w, b_w: Some(b_w), b_r: Some(b_r), .. } = &weights.layers()[0][0] else { panic!() };
        let epsilon = 2_f64.powi(-11);
        for ((at, &single), &half) in single.indexed_iter().zip(&half) {
            let (n, unit) = (at[1], at[2]);
            let terms: f32 = (0..24).map(|i| (x[[0, n, i]] * w[[unit, i]]).abs()).sum();
            let bias = b_w[unit].abs() + b_r[unit].abs();
            // And the rounding of f32.
            let bound = epsilon * f64::from(2.0 * terms + bias) + 40.0 * f64::from(f32::EPSILON);
            let difference = f64::from((single - half).abs());
            assert!(difference <= bound, "{name}, sequence {n}, unit {unit}: {difference:e}, bound {bound:e}");
        }
        // It is no single precision by another name.
        assert!(largest_difference(&single, &half) > 1e-5, "{name}");
    }
}

/// What a layer adds up over many steps stays near what one step may cost.
#[test]
fn many_steps_stay_near_single_precision() {
    for cell in [Cell::Lstm, Cell::Gru(Reset::Before)] {
        let config = RnnConfig::new(cell, 16, 32);
        let x = Random::new(2).array([100, 2, 16]);
        let forward = |p: Precision| rnn(&gpu(), &config.clone().precision(p)).forward(x.view()).unwrap().y;
        let difference = largest_difference(&forward(Precision::Single), &forward(Precision::Half));
        assert!((1e-5..2e-3).contains(&difference), "{difference:e}");
    }
}

/// Biases are kept as sums of two halves: to 22 bits.
#[test]
fn biases_are_not_rounded() {
    for (name, device) in devices() {
        let config = RnnConfig::new(Cell::Elman(wgrnn::Activation::Relu), 4, 6).precision(Precision::Half);
        let mut weights = RnnWeights::init(&config, 7).unwrap().layers().to_vec();
        let biases = Array1::from_vec(vec![0.1, 1.000_1, 2.951_592_7, 1e-3, 1000.123, 0.333_333_3]);
        let LayerWeights { w, r, b_w, b_r, .. } = &mut weights[0][0];
        w.fill(0.0);
        r.fill(0.0);
        (*b_w, *b_r) = (Some(Array1::zeros(6)), Some(biases.clone()));
        let rnn = Rnn::new(&device, &config, RnnWeights::new(weights)).unwrap();
        let y = rnn.forward(ndarray::Array3::zeros((1, 1, 4)).view()).unwrap().y;
        for (y, bias) in y.iter().zip(&biases) {
            assert!((y - bias).abs() <= bias * 2_f32.powi(-21), "{name}: {y} for {bias}");
        }
    }
}

#[test]
fn weights_and_the_input_part_take_half_the_memory() {
    let bytes = |precision| {
        let rnn = rnn(&gpu(), &RnnConfig::new(Cell::Lstm, 64, 64).precision(precision));
        let session = rnn.session(SessionOptions::new(40, 8)).unwrap();
        let bytes = |part: &str| {
            let buffers = session.plan().buffers().iter().filter(|buffer| buffer.name.contains(part));
            buffers.map(|buffer| 4 * buffer.words).sum::<u64>()
        };
        ["W of layer 0", "R of layer 0", "input part of the gates"].map(bytes)
    };
    let [single, half] = [Precision::Single, Precision::Half].map(bytes);
    assert!(single.iter().zip(half).all(|(&single, half)| half > 0 && 2 * half == single), "{single:?} {half:?}");
}

#[test]
fn what_half_precision_cannot_hold_is_refused_by_name() {
    let config = RnnConfig::new(Cell::Lstm, 3, 4);
    let mut weights = RnnWeights::init(&config, 7).unwrap().layers().to_vec();
    weights[0][0].r[[2, 1]] = -70_000.0;
    let weights = RnnWeights::new(weights);
    assert!(Rnn::new(&Device::cpu(), &config, weights.clone()).is_ok());
    let error = Rnn::new(&Device::cpu(), &config.precision(Precision::Half), weights).unwrap_err();
    assert!(matches!(error, Error::Value { .. }), "{error}");
    assert!(error.to_string().contains("weight_hh_l0") && error.to_string().contains("-70000"), "{error}");
}

/// Sums beyond what a half holds are limited to its largest number; NaN is still seen.
#[test]
fn large_and_spoilt_inputs_pass_through() {
    let mut x = Random::new(4).array([3, 2, 4]);
    x.index_axis_mut(ndarray::Axis(1), 0).mapv_inplace(|x| x * 1e6);
    for cell in [Cell::Elman(wgrnn::Activation::Relu), Cell::Lstm] {
        let rnn = rnn(&gpu(), &RnnConfig::new(cell, 4, 8).precision(Precision::Half));
        let report = rnn.check(x.view(), None, &RnnCall::default()).unwrap();
        assert!(report.passed(), "{report}");
        assert!(cell == Cell::Lstm || rnn.forward(x.view()).unwrap().y.iter().any(|&y| y >= 65_504.0));
    }
    let rnn = rnn(&gpu(), &RnnConfig::new(Cell::Lstm, 4, 8).precision(Precision::Half));
    x[[1, 1, 2]] = f32::NAN;
    let y = rnn.forward(x.view()).unwrap().y;
    assert!(y.iter().enumerate().all(|(i, y)| y.is_nan() == (i / 8 % 2 == 1 && i / 16 >= 1)), "{y:?}");
}

#[test]
fn gradients_are_those_of_rounded_weights() {
    for cell in [Cell::Lstm, Cell::Gru(Reset::After)] {
        let config = RnnConfig::new(cell, 5, 22).layers(2).precision(Precision::Half);
        let rnn = Rnn::trainable(&gpu(), &config, &RnnWeights::init(&config, 7).unwrap()).unwrap();
        let x = Random::new(6).array([6, 3, 5]);
        for (schedule, keep_every) in [(Schedule::Step, None), (Schedule::Sequence, None), (Schedule::Step, Some(2))] {
            let call = RnnCall::default().schedule(schedule).keep_every(keep_every);
            let report = rnn.check_gradients(x.view(), &call).unwrap();
            assert!(report.passed(), "{schedule:?} {keep_every:?}\n{report}");
        }
    }
}
