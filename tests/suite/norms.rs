//! Layer norms within cells.

use crate::common::{Random, devices, gpu, rnn, weights};
use ndarray::{Array1, Array3, Axis, s};
use wgrnn::{
    Activation, Bias, Cell, Device, Direction, Lengths, Precision, Reset, Rnn, RnnCall, RnnConfig, RnnWeights,
    Schedule, SessionOptions,
};

const CELLS: [Cell; 5] = [
    Cell::Elman(Activation::Tanh),
    Cell::Elman(Activation::Relu),
    Cell::Elman(Activation::Sigmoid),
    Cell::Lstm,
    Cell::Gru(Reset::After),
];

fn config(cell: Cell, input: usize, hidden: usize) -> RnnConfig {
    RnnConfig::new(cell, input, hidden).layer_norm(true)
}

#[test]
fn normed_layers_equal_the_textbook_on_every_device() {
    for (name, device) in devices() {
        for cell in CELLS {
            for bias in [Bias::None, Bias::One, Bias::Two] {
                let config =
                    config(cell, 5, 12).layers(2).direction(Direction::Bidirectional).bias(bias).batch_first(true);
                let mut random = Random::new(1);
                let (x, state) = (random.array([3, 6, 5]), random.state(&config, 3));
                for lengths in [Lengths::Full, Lengths::Fixed(vec![2, 6, 3])] {
                    let call = RnnCall::default().lengths(lengths);
                    let report = rnn(&device, &config).check(x.view(), Some(&state), &call).unwrap();
                    assert!(report.passed(), "{name} {cell:?} {bias:?}\n{report}");
                }
            }
        }
    }
}

/// More units than a workgroup's lanes, in one half of the numbers' bits too.
#[test]
fn wide_normed_layers_equal_the_textbook() {
    for precision in [Precision::Single, Precision::Half] {
        for cell in [Cell::Lstm, Cell::Gru(Reset::After)] {
            let config = config(cell, 7, 301).precision(precision);
            let x = Random::new(1).array([3, 2, 7]);
            let report = rnn(&gpu(), &config).check(x.view(), None, &RnnCall::default()).unwrap();
            assert!(report.passed(), "{cell:?} {precision:?}\n{report}");
        }
    }
}

/// By the paper's formulas for one step of one sequence, written once more: all of the gates are normed together, W's and R's
/// products apart.
#[test]
fn a_normed_lstm_is_the_papers() {
    let config = config(Cell::Lstm, 3, 4);
    let weights = weights(&config, 5);
    let own = &weights.layers()[0][0];
    let norm = own.norm.as_ref().unwrap();
    let mut random = Random::new(2);
    let (x, state) = (random.array([1, 1, 3]), random.state(&config, 1));
    let ln = |a: &Array1<f64>, gain: &Array1<f32>, bias: &Array1<f32>| {
        let mean = a.mean().unwrap();
        let deviation = (a.mapv(|a| (a - mean).powi(2)).mean().unwrap() + 1e-5).sqrt();
        a.mapv(|a| (a - mean) / deviation) * gain.mapv(f64::from) + bias.mapv(f64::from)
    };
    let [wx, rh] = [(&own.w, x.slice(s![0, 0, ..])), (&own.r, state.h.slice(s![0, 0, ..]))]
        .map(|(matrix, vector)| matrix.mapv(f64::from).dot(&vector.mapv(f64::from)));
    let sums = ln(&wx, &norm.w, own.b_w.as_ref().unwrap()) + ln(&rh, &norm.r, own.b_r.as_ref().unwrap());
    let sigmoid = |a: f64| 1.0 / (1.0 + (-a).exp());
    let gate = |i: usize| sums.slice(s![4 * i..4 * (i + 1)]).to_owned();
    let old = state.c.as_ref().unwrap().slice(s![0, 0, ..]).mapv(f64::from);
    let c = gate(1).mapv(sigmoid) * old + gate(0).mapv(sigmoid) * gate(2).mapv(f64::tanh);
    let seen = ln(&c, norm.c.as_ref().unwrap(), norm.b_c.as_ref().unwrap());
    let h = gate(3).mapv(sigmoid) * seen.mapv(f64::tanh);
    for (name, device) in devices() {
        let rnn = Rnn::new(&device, &config, weights.clone()).unwrap();
        let got = rnn.forward_with(x.view(), Some(&state), &RnnCall::default()).unwrap();
        let pairs = [(&got.state.h, &h), (got.state.c.as_ref().unwrap(), &c)];
        for (got, expected) in pairs {
            for (&got, expected) in got.iter().zip(expected) {
                assert!((f64::from(got) - expected).abs() < 4e-6, "{name}: {got} is not {expected}");
            }
        }
    }
}

/// What a norm is for.
#[test]
fn the_scale_of_weights_is_no_matter() {
    for (name, device) in devices() {
        for cell in CELLS {
            let config = config(cell, 5, 12);
            let small = weights(&config, 3);
            let mut layers = small.layers().to_vec();
            // Powers of two are exact; ε is small beside the variance of both.
            layers[0][0].w *= 64.0;
            layers[0][0].r *= 64.0;
            let large = RnnWeights::new(layers.clone());
            layers[0][0].w *= 64.0;
            layers[0][0].r *= 64.0;
            let larger = RnnWeights::new(layers);
            let x = Random::new(4).array([6, 2, 5]);
            let [a, b] = [large, larger]
                .map(|weights| Rnn::new(&device, &config, weights).unwrap().forward(x.view()).unwrap().y);
            let largest = a.iter().fold(1.0_f32, |largest, y| largest.max(y.abs()));
            let difference = (&a - &b).mapv(f32::abs).into_iter().fold(0.0, f32::max);
            // 10⁻⁵ beside a variance of hundreds.
            assert!(difference <= 1e-5 * largest, "{cell:?} on {name}: {difference}");
        }
    }
}

#[test]
fn every_gain_and_bias_matters() {
    for (name, device) in devices() {
        for cell in [Cell::Lstm, Cell::Gru(Reset::After)] {
            let config = config(cell, 5, 12);
            let plain = weights(&config, 3);
            let x = Random::new(4).array([4, 2, 5]);
            let run = |weights: RnnWeights| Rnn::new(&device, &config, weights).unwrap().forward(x.view()).unwrap().y;
            let y = run(plain.clone());
            for (i, (changed, _)) in plain.named().enumerate().filter(|(_, (name, _))| !name.starts_with("weight")) {
                let moved = |(j, (name, array)): (usize, (String, ndarray::ArrayViewD<'_, f32>))| {
                    (name, if i == j { array.mapv(|number| number + 0.5) } else { array.to_owned() })
                };
                let named: Vec<_> = plain.named().enumerate().map(moved).collect();
                assert_ne!(run(RnnWeights::from_named(&config, &named).unwrap()), y, "{changed} on {name}");
            }
        }
    }
}

/// No sequence sees another one, and none a step that it has not.
#[test]
fn sequences_are_normed_by_themselves() {
    for (name, device) in devices() {
        for cell in CELLS {
            let config = config(cell, 5, 12);
            let rnn = rnn(&device, &config);
            let x = Random::new(4).array([6, 3, 5]);
            let call = RnnCall::default().lengths(Lengths::Fixed(vec![4, 6, 1]));
            let y = rnn.forward_with(x.view(), None, &call).unwrap().y;
            for (n, length) in [4, 6, 1].into_iter().enumerate() {
                let own = x.slice(s![..length, n..=n, ..]);
                let alone = rnn.forward(own).unwrap().y;
                let all = y.slice(s![..length, n..=n, ..]).into_dyn();
                let difference = (&alone - &all).mapv(f32::abs).into_iter().fold(0.0, f32::max);
                // Products of one row and of three are tiled otherwise.
                assert!(difference <= 1e-5, "{cell:?} on {name}: {difference}");
                assert!(y.slice(s![length.., n, ..]).iter().all(|&y| y == 0.0));
            }
        }
    }
}

#[test]
fn a_normed_stream_goes_on_where_it_ended() {
    for (name, device) in devices() {
        let config = config(Cell::Lstm, 5, 12).layers(2);
        let rnn = rnn(&device, &config);
        let x = Random::new(4).array([7, 2, 5]);
        let whole = rnn.forward(x.view()).unwrap().y;
        let mut stream = rnn.stream(2).unwrap();
        let mut at = 0;
        for steps in [3, 1, 3] {
            let part = stream.push(x.slice(s![at..at + steps, .., ..])).unwrap();
            let expected = whole.slice(s![at..at + steps, .., ..]);
            // Sums run in one order.
            assert_eq!(part, expected.into_dyn(), "{name}");
            at += steps;
        }
    }
}

/// Steps computed again, all schedules by name, and what training replaces: one way to compute them all.
#[test]
fn normed_gradients_are_the_same_in_every_way() {
    for (name, device) in devices() {
        for cell in [Cell::Lstm, Cell::Gru(Reset::After)] {
            let config = config(cell, 5, 12).layers(2).heads(2).direction(Direction::Bidirectional);
            let rnn = Rnn::trainable(&device, &config, &weights(&config, 3)).unwrap();
            let mut random = Random::new(4);
            let (x, dy) = (random.array([6, 3, 5]), random.array([6, 3, 48]).into_dyn());
            let per_run = rnn.batch_lengths(6, 3).unwrap();
            per_run.write(&[6, 2, 5]).unwrap();
            let fixed = || Lengths::Fixed(vec![6, 2, 5]);
            let gradients = |call: RnnCall| rnn.gradients(x.view(), None, &call, dy.view(), None).unwrap();
            let whole = gradients(RnnCall::default().lengths(fixed()));
            let plain = || RnnCall::default().lengths(fixed());
            let ways = [
                plain().schedule(Schedule::Step),
                plain().schedule(Schedule::Sequence),
                plain().schedule(Schedule::Wavefront),
                plain().keep_every(2),
                plain().keep_every(4).input_part_bytes(1),
                RnnCall::default().lengths(Lengths::PerRun(per_run)),
            ];
            for call in ways {
                let again = gradients(call.clone());
                for ((tensor, a), (_, b)) in whole.weights.named().zip(again.weights.named()) {
                    let largest = a.iter().fold(1.0_f32, |largest, a| largest.max(a.abs()));
                    let difference = (&a - &b).mapv(f32::abs).into_iter().fold(0.0, f32::max);
                    assert!(difference <= 1e-5 * largest, "{tensor} of {cell:?} {call:?} on {name}: {difference}");
                }
            }
        }
    }
}

/// Sequences that have ended take no part in products.
#[test]
fn normed_layers_cost_what_their_valid_steps_cost() {
    let config = config(Cell::Lstm, 8, 16);
    for device in [gpu(), Device::cpu()] {
        let rnn = rnn(&device, &config);
        let flop = |lengths: Vec<usize>| {
            let call = RnnCall::default().lengths(Lengths::Fixed(lengths));
            let session = rnn.session(SessionOptions::new(10, 3).call(call)).unwrap();
            session.plan().dispatches().map(|dispatch| dispatch.flop).sum::<u64>()
        };
        assert_eq!(flop(vec![10, 1, 1]) * 30, flop(vec![10, 10, 10]) * 12);
        assert_eq!(flop(vec![1, 10, 1]), flop(vec![10, 1, 1]));
    }
}

#[test]
fn a_normed_layer_trains() {
    for (name, device) in devices() {
        let config = config(Cell::Lstm, 3, 8);
        let rnn = Rnn::trainable(&device, &config, &RnnWeights::init(&config, 3).unwrap()).unwrap();
        let training = rnn.training(SessionOptions::new(5, 4), false).unwrap();
        let mut random = Random::new(4);
        training.input().write(random.array([5, 4, 3]).view()).unwrap();
        let target = random.array([5, 4, 8]).mapv(|y| 0.5 * y);
        let mut losses = Vec::new();
        for _ in 0..30 {
            training.forward().unwrap();
            let difference: Array3<f32> =
                training.output().read().unwrap().into_dimensionality::<ndarray::Ix3>().unwrap() - &target;
            losses.push(difference.mapv(|d| d * d).sum());
            training.output_gradient().write(difference.into_dyn().view()).unwrap();
            training.backward().unwrap();
            let parameters = rnn.parameters().unwrap();
            let moved: Vec<_> = parameters
                .read()
                .unwrap()
                .into_iter()
                .zip(parameters.gradients().unwrap())
                .map(|((name, value), (_, gradient))| (name, value - 0.01 * gradient))
                .collect();
            parameters.write(&moved).unwrap();
            rnn.refresh().unwrap();
        }
        assert!(losses[29] < 0.7 * losses[0], "{name}: {losses:?}");
    }
}

#[test]
fn norms_have_names_and_start_at_one() {
    let config = config(Cell::Lstm, 3, 4).direction(Direction::Reverse);
    let weights = RnnWeights::init(&config, 0).unwrap();
    let names: Vec<_> = weights.named().map(|(name, _)| name).collect();
    let expected = [
        "weight_ih_l0",
        "weight_hh_l0",
        "bias_ih_l0",
        "bias_hh_l0",
        "norm_ih_l0",
        "norm_hh_l0",
        "norm_c_l0",
        "norm_bias_c_l0",
    ];
    assert_eq!(names, expected);
    let norm = weights.layers()[0][0].norm.as_ref().unwrap();
    assert!(norm.w.iter().chain(&norm.r).chain(norm.c.as_ref().unwrap()).all(|&gain| gain == 1.0));
    assert_eq!(norm.b_c.as_ref().unwrap().len_of(Axis(0)), 4);
}

#[test]
fn what_can_not_be_normed_is_refused_by_name() {
    let refused = |config: RnnConfig, parts: &[&str]| {
        let error = RnnWeights::init(&config, 0).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    refused(config(Cell::Gru(Reset::Before), 3, 4), &["layer norm", "gru_reset_before"]);
    refused(config(Cell::Qrnn, 3, 4), &["layer norm", "qrnn"]);
    refused(config(Cell::Slstm, 3, 4), &["layer norm", "slstm"]);
    refused(config(Cell::Lstm, 3, 4).projection(2), &["layer norm", "projected"]);
    refused(config(Cell::Lstm, 3, 4).clip(1.0), &["layer norm", "clip"]);
    refused(config(Cell::Elman(Activation::Softsign), 3, 4), &["layer norm", "softsign"]);
    // Weights without norms, and norms that nobody asked for.
    let plain = RnnConfig::new(Cell::Lstm, 3, 4);
    let lacking = Rnn::new(&Device::cpu(), &config(Cell::Lstm, 3, 4), RnnWeights::init(&plain, 0).unwrap());
    assert!(lacking.unwrap_err().to_string().contains("norm_ih_l0"));
    let left_over = Rnn::new(&Device::cpu(), &plain, weights(&config(Cell::Lstm, 3, 4), 0)).unwrap_err().to_string();
    assert!(left_over.contains("norm_ih_l0"), "{left_over}");
}
