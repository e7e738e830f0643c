//! Sizes that can't be had are errors before anything of that size is asked for, and sizes beyond one limit of an adapter are
//! split where that can be.

use crate::common::{Random, gpu, portable, rnn};
use ndarray::Array3;
use wgrnn::cells::{Form, Options};
use wgrnn::kernels::{Dialect, Kernel, Tile, Variant, compose};
use wgrnn::{
    Activation, Cell, Coefficient, Device, Direction, Error, Model, ModelConfig, PlanBuilder, Reserve, Reset, Rnn,
    RnnCall, RnnConfig, RnnWeights, Schedule, SessionOptions, State, Tensor, check, reference,
};

fn both() -> [Device; 2] {
    [gpu(), Device::cpu()]
}

/// Configurations that no layer can have: each number far too large, or 0, and products that overflow.
fn impossible() -> Vec<RnnConfig> {
    let lstm = || RnnConfig::new(Cell::Lstm, 4, 8);
    let huge = [0, 1 << 40, usize::MAX / 2 + 1, usize::MAX];
    let each = huge.into_iter().flat_map(|size| {
        [
            RnnConfig::new(Cell::Lstm, size, 8),
            RnnConfig::new(Cell::Gru(Reset::After), 4, size),
            lstm().projection(size),
            lstm().layers(size),
            lstm().heads(size),
            lstm().heads(size).direction(Direction::Bidirectional),
        ]
    });
    let all = RnnConfig::new(Cell::Slstm, usize::MAX, usize::MAX).layers(usize::MAX).heads(usize::MAX);
    each.chain([all, lstm().with_dropout(f64::NAN), lstm().zoneout(2.0, 0.0), lstm().clip(-1.0)]).collect()
}

#[test]
fn a_configuration_that_can_not_be_is_an_error_of_whatever_takes_it() {
    for config in impossible() {
        // What it says of itself are numbers, however large.
        let _ = (config.output_size(), config.cell_state_size(), config.input_of(1), config.state_size());
        for device in both() {
            let name = format!("{config:?}");
            assert!(State::zeros(&config, 2).is_err(), "{name}");
            assert!(RnnWeights::init(&config, 0).is_err(), "{name}");
            assert!(RnnWeights::from_named(&config, &[]).is_err(), "{name}");
            assert!(RnnWeights::from_safetensors(&[], &config, "").is_err(), "{name}");
            let weights = RnnWeights::init(&RnnConfig::new(Cell::Lstm, 4, 8), 0).unwrap();
            assert!(Rnn::new(&device, &config, weights.clone()).is_err(), "{name}");
            assert!(Rnn::trainable(&device, &config, &weights).is_err(), "{name}");
            let x = Array3::<f32>::zeros((2, 1, 4));
            assert!(reference::forward(&config, &weights, x.view(), None, None).is_err(), "{name}");
            assert!(check::layer(&device, &config).is_err() && check::gradients(&device, &config).is_err(), "{name}");
            assert!(Model::new(&device, &ModelConfig::features(config.clone(), 3), 0).is_err(), "{name}");
            for schedule in [Schedule::Auto, Schedule::Step, Schedule::Grid] {
                let _ = schedule.resolve(&device, &config, usize::MAX, usize::MAX);
            }
        }
    }
}

#[test]
fn states_of_sizes_that_overflow_are_errors() {
    let config = RnnConfig::new(Cell::Lstm, 4, 8).layers(3).direction(Direction::Bidirectional);
    for batch in [0, 1 << 40, usize::MAX / 2 + 1, usize::MAX] {
        assert!(matches!(State::zeros(&config, batch), Err(Error::Value { .. })), "{batch}");
        for device in both() {
            let rnn = rnn(&device, &config);
            assert!(rnn.device_state(batch).is_err() && rnn.batch_lengths(3, batch).is_err(), "{batch}");
            for (steps, batch) in [(3, batch), (batch, 2), (batch, batch)] {
                assert!(rnn.session(SessionOptions::new(steps, batch)).is_err(), "{steps}, {batch}");
                assert!(Reserve::new(&rnn, steps, batch, &RnnCall::default()).is_err(), "{steps}, {batch}");
                let _ = Schedule::Auto.resolve(&device, &config, steps, batch);
            }
        }
    }
    assert_eq!(State::zeros(&config, 2).unwrap().h.shape(), [6, 2, 8]);
}

/// More indices than one buffer holds: 4 GiB of them would have to be made first.
#[test]
fn lengths_of_more_rows_than_a_buffer_holds_are_a_limit_before_they_are_made() {
    let rnn = rnn(&portable(), &RnnConfig::new(Cell::Elman(Activation::Tanh), 1, 1));
    let start = std::time::Instant::now();
    let error = rnn.batch_lengths(1 << 15, 1 << 15).expect_err("4 GiB of indices");
    assert!(matches!(&error, Error::Limit { needed, .. } if *needed > 4 << 30), "{error}");
    assert!(error.to_string().contains("map of rows"), "{error}");
    assert!(start.elapsed().as_secs() < 1);
}

#[test]
fn weights_that_no_memory_holds_are_an_error_before_the_first_is_made() {
    // Each matrix could be, but not so many of them: 2²⁴ layers of 4 GiB.
    let config = RnnConfig::new(Cell::Lstm, 1 << 10, 1 << 14).layers(1 << 24);
    let error = RnnWeights::init(&config, 0).expect_err("2⁵⁸ bytes");
    assert!(matches!(&error, Error::OutOfMemory { bytes, .. } if *bytes > 1 << 57), "{error}");
    assert!(error.to_string().contains("weights"), "{error}");
    let model = ModelConfig::language(1 << 40, RnnConfig::new(Cell::Lstm, 4, 8));
    assert!(Model::new(&Device::cpu(), &model, 0).is_err());
}

#[test]
fn weights_of_other_than_one_or_two_directions_have_no_file() {
    let layer = |tracks: usize, heads: usize| {
        let one = RnnWeights::init(&RnnConfig::new(Cell::Lstm, 4, 8), 0).unwrap().layers()[0][0].clone();
        RnnWeights::new(vec![vec![one; tracks]]).heads(heads)
    };
    for (tracks, heads) in [(3, 1), (0, 1), (2, 0), (0, 0), (3, 2), (5, 2), (2, usize::MAX)] {
        let weights = layer(tracks, heads);
        let _ = weights.named().count();
        let error = weights.to_safetensors("").expect_err("two tensors of one name, or none");
        assert!(matches!(error, Error::Value { .. }), "{tracks} of {heads} heads: {error}");
        let config = RnnConfig::new(Cell::Lstm, 4, 8);
        assert!(Rnn::new(&Device::cpu(), &config, weights.clone()).is_err());
        assert!(Rnn::trainable(&Device::cpu(), &config, &weights).is_err());
    }
    for (tracks, heads) in [(1, 1), (2, 1), (3, 3), (6, 3)] {
        assert!(layer(tracks, heads).to_safetensors("").is_ok(), "{tracks} of {heads} heads");
    }
}

/// What no template can make, and what would be text without end.
#[test]
fn shaders_of_impossible_variants_are_errors() {
    let dialect = Dialect { immediates: true, enable_subgroups: false };
    let tile = Tile { rows: 4, columns: 2, lanes: 64, spread: 0 };
    let cell = Some(Form::new(Cell::Lstm, false));
    for kernel in Kernel::ALL {
        let plain = Variant { cell, ..Variant::new(kernel, tile, 4) };
        let form = |options| Some(Form { options, ..Form::new(Cell::Lstm, false) });
        let not_finite = Options { clip: Some(Coefficient::new(f32::NAN)), ..Options::USUAL };
        let spoilt = [
            Variant { tile: Tile { rows: u32::MAX, ..tile }, ..plain.clone() },
            Variant { tile: Tile { rows: 0, columns: 0, lanes: 0, spread: u32::MAX }, ..plain.clone() },
            Variant { split: u32::MAX, ..plain.clone() },
            Variant { width: u32::MAX, resident: true, ..plain.clone() },
            Variant { resident: true, width: 64, ..plain.clone() },
            Variant { panel: 0, ..plain.clone() },
            Variant { cell: form(not_finite), ..plain.clone() },
        ];
        for variant in spoilt {
            assert!(compose(&variant, dialect).is_err(), "{variant}");
        }
        // Whether these can be is the kernel's matter: they come to text or to an error.
        for (phase, cell) in [(9, cell), (u32::MAX, cell), (0, None), (1, Some(Form::new(Cell::Sru, true)))] {
            let variant = Variant { phase, cell, ..plain.clone() };
            let _ = (compose(&variant, dialect), variant.to_string());
        }
    }
}

#[test]
fn a_dispatch_of_another_plan_has_no_parameters_here() {
    let rnn = rnn(&Device::cpu(), &RnnConfig::new(Cell::Lstm, 4, 8));
    let [long, short] = [9, 1].map(|steps| {
        let call = RnnCall { schedule: Schedule::Step, ..RnnCall::default() };
        rnn.session(SessionOptions { steps, batch: 1, call }).unwrap()
    });
    let last = long.plan().dispatches().last().unwrap();
    assert!(!long.plan().params(last).is_empty() && short.plan().params(last).is_empty());
}

#[test]
fn bounds_that_make_no_sense_do_not_panic() {
    for clip in [-1.0, f32::NAN, f32::INFINITY] {
        let options = Options { clip: Some(Coefficient::new(clip)), ..Options::USUAL };
        assert!(options.clipped(f32::NAN).is_nan());
        let _ = options.clipped(0.5);
    }
}

/// Each constant is part of its kernel's text.
#[test]
fn new_constants_do_not_add_up_to_kernels_without_end() {
    let device = Device::gpu().unwrap();
    let (_, most) = device.kept_kernels();
    let x = Random::new(3).array([1, 1, 2]);
    let layer = |i: usize| {
        let alpha = Coefficient::new(0.001 * i as f32);
        let config = RnnConfig::new(Cell::Elman(Activation::LeakyRelu { alpha }), 2, 2).clip(1.0 + i as f32);
        rnn(&device, &config)
    };
    let first = layer(0);
    first.forward(x.view()).unwrap();
    // More of them in one program than are kept: it holds its own.
    let input = Tensor::from_array(&device, x.view()).unwrap();
    let mut plan = PlanBuilder::new(&device);
    let mut value = plan.tensor(&input).unwrap();
    for i in 0..most + 8 {
        let beta = Coefficient::new(0.001 * i as f32);
        value = plan.activate(&value, Activation::Affine { alpha: Coefficient::new(1.0), beta }).unwrap();
    }
    let output = Tensor::<f32>::zeros(&device, &[1, 1, 2]).unwrap();
    let target = plan.tensor(&output).unwrap();
    plan.copy(&value, &target).unwrap();
    plan.build().unwrap().run().unwrap();
    assert_eq!(device.kept_kernels().0, most);
    let sum = (0..most + 8).map(|i| 0.001 * i as f32).sum::<f32>();
    let difference = (output.read().unwrap() - x.into_dyn()).mapv(|y| (y - sum).abs() / sum);
    assert!(difference.iter().all(|&difference| difference < 1e-5), "{difference}");
    // Layers whose kernels have gone, and new ones.
    let x = Random::new(4).array([2, 1, 2]);
    for rnn in [first, layer(1)] {
        assert!(rnn.check(x.view(), None, &RnnCall::default()).unwrap().passed());
        assert_eq!(device.kept_kernels().0, most);
    }
}
