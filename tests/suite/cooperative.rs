//! Units for small matrices, on adapters that have them: chosen where they should be, and equal to the reference. Where an adapter
//! has none this says so past the tests' output.

use crate::common::{Random, configs, rnn};
use std::io::Write;
use wgrnn::kernels::{Kernel, Variant};
use wgrnn::{
    Cell, Class, Device, Direction, GpuOptions, Lengths, Precision, Rnn, RnnCall, RnnConfig, RnnWeights, Schedule,
    SessionOptions,
};

/// A device that takes them.
fn device() -> Option<Device> {
    let options = GpuOptions::default().cooperative_matrices(true).class(Class::Discrete);
    let device = Device::gpu_with(&options).unwrap();
    if device.report().unwrap().features.cooperative_matrices.is_none() {
        std::io::stderr().write_all(b"\nNOT TESTED: cooperative matrices, which this adapter has not\n").unwrap();
        return None;
    }
    Some(device)
}

fn variants(device: &Device, config: &RnnConfig, batch: usize) -> Vec<Variant> {
    let call = RnnCall::default().schedule(Schedule::Step);
    let session = rnn(device, config).session(SessionOptions::new(4, batch).call(call)).unwrap();
    session.plan().variants().to_vec()
}

#[test]
fn they_multiply_layers_in_half_precision_with_enough_rows_and_no_others() {
    let Some(device) = device() else { return };
    let count = |device: &Device, precision, batch| {
        let config = RnnConfig::new(Cell::Lstm, 32, 40).precision(precision);
        let cooperative = |kernel| move |variant: &&Variant| variant.kernel() == kernel && variant.of.units().is_some();
        let all = variants(device, &config, batch);
        [Kernel::Gemm, Kernel::Step].map(|kernel| all.iter().filter(cooperative(kernel)).count())
    };
    assert_eq!(count(&device, Precision::Half, 17), [1, 1]);
    assert_eq!(count(&device, Precision::Half, 4), [1, 0]);
    assert_eq!(count(&device, Precision::Single, 17), [0, 0]);
    // Only where they were asked for, here or in the environment.
    if std::env::var_os("WGRNN_COOPERATIVE").is_none() {
        let plain = Device::gpu_with(&GpuOptions::default().class(Class::Discrete)).unwrap();
        assert_eq!(count(&plain, Precision::Half, 17), [0, 0]);
    }
}

#[test]
fn every_cell_equals_the_reference_with_rounded_weights() {
    let Some(device) = device() else { return };
    for config in configs(12, 40) {
        let config = config.layers(2).direction(Direction::Bidirectional).precision(Precision::Half);
        let mut random = Random::new(3);
        let (x, state) = (random.array([5, 21, 12]), random.state(&config, 21));
        let lengths = Lengths::Fixed((0..21).map(|n| 5 - n % 4).collect());
        let call = RnnCall::default().lengths(lengths).schedule(Schedule::Step);
        let report = rnn(&device, &config).check(x.view(), Some(&state), &call).unwrap();
        assert!(report.passed(), "{config:?}\n{report}");
    }
}

/// Rows are multiplied as sums of two halves: rounded to one, a sum of 48 terms would be off by 1e-4.
#[test]
fn states_and_inputs_are_not_rounded() {
    let Some(device) = device() else { return };
    let config = RnnConfig::new(Cell::Elman(wgrnn::Activation::Relu), 48, 48).precision(Precision::Half);
    let mut weights = RnnWeights::init(&config, 7).unwrap().layers().to_vec();
    // Halves already, so that nothing else is rounded; and the input part is 0 without its bias, which is a half too.
    weights[0][0].r.mapv_inplace(|r| (r * 256.0).round() / 256.0);
    weights[0][0].w.fill(0.0);
    weights[0][0].b_w = Some(ndarray::Array1::zeros(48));
    let weights = RnnWeights::new(weights);
    let state = Random::new(4).state(&config, 32);
    let x = ndarray::Array3::zeros((1, 32, 48));
    let forward = |device: &Device| {
        let rnn = Rnn::new(device, &config, weights.clone()).unwrap();
        let call = RnnCall::default().schedule(Schedule::Step);
        rnn.forward_with(x.view(), Some(&state), &call).unwrap().y
    };
    let (here, there) = (forward(&device), forward(&Device::cpu()));
    let difference = here.iter().zip(&there).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < 4e-6, "{difference:e}");
}

/// As in exact arithmetic: a sum is infinite with one infinite term.
#[test]
fn infinity_and_nan_stay_what_they_are() {
    let Some(device) = device() else { return };
    let config = RnnConfig::new(Cell::Elman(wgrnn::Activation::Relu), 16, 16).precision(Precision::Half);
    let rnn = rnn(&device, &config);
    let x = ndarray::Array3::zeros((1, 16, 16));
    let call = RnnCall::default().schedule(Schedule::Step);
    for special in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        let mut state = Random::new(4).state(&config, 16);
        state.h[[0, 3, 5]] = special;
        let y = rnn.forward_with(x.view(), Some(&state), &call).unwrap().y;
        let is_right = |y: f32| if special.is_nan() { y.is_nan() } else { y == f32::INFINITY || y == 0.0 };
        for (at, &y) in y.indexed_iter() {
            assert!(if at[1] == 3 { is_right(y) } else { y.is_finite() }, "{special}: {y} at {at:?}");
        }
        assert!(special.is_nan() || y.iter().any(|&y| y == f32::INFINITY), "{special}");
    }
}

#[test]
fn what_is_beyond_a_half_counts_as_the_largest_one() {
    let Some(device) = device() else { return };
    let rnn = rnn(&device, &RnnConfig::new(Cell::Elman(wgrnn::Activation::Relu), 16, 16).precision(Precision::Half));
    let call = RnnCall::default().schedule(Schedule::Step);
    let with = |value: f32| {
        let mut state = Random::new(4).state(rnn.config(), 16);
        state.h[[0, 3, 5]] = value;
        rnn.forward_with(ndarray::Array3::zeros((1, 16, 16)).view(), Some(&state), &call).unwrap().y
    };
    assert_eq!(with(1e5), with(65_504.0));
    assert_ne!(with(65_504.0), with(65_000.0));
}

/// Training is not of their business: gradients may be smaller than a half can be.
#[test]
fn gradients_are_not_multiplied_by_them() {
    let Some(device) = device() else { return };
    let config = RnnConfig::new(Cell::Lstm, 32, 40).layers(2).precision(Precision::Half);
    let rnn = Rnn::trainable(&device, &config, &RnnWeights::init(&config, 7).unwrap()).unwrap();
    let call = RnnCall::default().schedule(Schedule::Step);
    let training = rnn.training(SessionOptions::new(2, 32).call(call), false).unwrap();
    for plan in training.plans() {
        assert!(plan.variants().iter().all(|variant| variant.of.units().is_none()));
    }
}
