//! Inputs at the edges: very long sequences, NaN, infinities, saturated gates, denormals.

use crate::common::{Random, configs, gpu, rnn};
use ndarray::{Array3, s};
use wgrnn::{Activation, Cell, Device, Direction, Lengths, Rnn, RnnCall, RnnConfig, RnnWeights, Schedule};

fn both() -> [(&'static str, Device); 2] {
    [("gpu", gpu()), ("cpu", Device::cpu())]
}

/// A driver is known that ends loops without a word after 65,535 trips, and grids have at most 65,535 workgroups an axis.
#[test]
fn a_sequence_of_a_hundred_thousand_steps_is_right_to_its_end() {
    for (name, device) in both() {
        for cell in [Cell::Elman(Activation::Tanh), Cell::Lstm, Cell::Qrnn] {
            let config = RnnConfig::new(cell, 3, 4);
            let x = Random::new(3).array([100_000, 1, 3]);
            let report = rnn(&device, &config).check(x.view(), None, &RnnCall::default()).unwrap();
            assert_eq!(report.comparisons[0].count, 400_000);
            assert!(report.passed(), "{} on {name}\n{report}", cell.name());
        }
    }
}

#[test]
fn nan_stays_in_its_sequence_and_out_of_the_past() {
    let (steps, batch, nan_at, nan_in) = (6, 5, 3, 2);
    for (name, device) in both() {
        for config in configs(5, 12) {
            let rnn = rnn(&device, &config);
            let x = Random::new(4).array([steps, batch, 5]);
            let mut spoilt = x.clone();
            spoilt[[nan_at, nan_in, 4]] = f32::NAN;
            for schedule in [Schedule::Step, Schedule::Sequence] {
                let name = format!("{} {schedule:?} on {name}", config.cell().name());
                let call = RnnCall::default().schedule(schedule);
                let clean = rnn.forward_with(x.view(), None, &call).unwrap();
                let got = rnn.forward_with(spoilt.view(), None, &call).unwrap();
                for n in 0..batch {
                    let valid = if n == nan_in { nan_at } else { steps };
                    let part = s![..valid, n, ..];
                    assert_eq!(got.y.slice(part), clean.y.slice(part), "{name}: sequence {n}");
                    assert!(got.y.slice(s![valid.., n, ..]).iter().all(|y| y.is_nan()), "{name}: sequence {n}");
                    let h = got.state.h.slice(s![.., n, ..]);
                    assert_eq!(h.iter().any(|h| h.is_nan()), n == nan_in, "{name}: sequence {n}");
                }
            }
        }
    }
}

#[test]
fn nan_spreads_as_in_the_textbook() {
    for (name, device) in both() {
        for config in configs(5, 12) {
            let config = config.layers(2).direction(Direction::Bidirectional);
            let mut x = Random::new(5).array([5, 3, 5]);
            x[[2, 1, 0]] = f32::NAN;
            let call = RnnCall::default().lengths(Lengths::Fixed(vec![5, 4, 2]));
            let report = rnn(&device, &config).check(x.view(), None, &call).unwrap();
            assert!(report.passed(), "{} on {name}\n{report}", config.cell().name());
        }
    }
}

/// Numbers that overflow exp, and what is beyond numbers, among plain ones.
const LOUD: [f32; 6] = [1e4, -1e4, 1e30, -1e30, f32::INFINITY, f32::NEG_INFINITY];

fn of_loud(features: usize) -> Array3<f32> {
    let mut random = Random::new(6);
    // One value a sequence, between steps of plain input: saturation, and the way back from it.
    Array3::from_shape_fn([4, LOUD.len(), features], |(t, n, _)| if t % 2 == 0 { LOUD[n] } else { random.number() })
}

/// With one feature nothing can cancel: gates are 0 or 1, and no cell with an upper end gives anything that is not a number.
#[test]
fn saturated_gates_are_zero_or_one_not_nan() {
    for (name, device) in both() {
        for config in configs(1, 12) {
            let rnn = rnn(&device, &config);
            for schedule in [Schedule::Step, Schedule::Sequence] {
                let name = format!("{} {schedule:?} on {name}", config.cell().name());
                let call = RnnCall::default().schedule(schedule);
                let spec = config.cell().spec();
                // An infinite candidate is multiplied with a gate that is 0, or next to it; an exponential gate has no end.
                let finite = !spec.bounded && spec.gates.len() > 1 || config.cell() == Cell::Slstm;
                let x = of_loud(1).slice(s![.., ..if finite { 4 } else { 6 }, ..]).to_owned();
                let report = rnn.check(x.view(), None, &call).unwrap();
                assert!(report.passed(), "{name}\n{report}");
                if spec.bounded {
                    let y = rnn.forward_with(x.view(), None, &call).unwrap().y;
                    assert!(y.iter().all(|y| y.abs() <= 4.0), "{name}: {y}");
                }
            }
        }
    }
}

#[test]
fn saturating_sums_give_what_the_textbook_gives() {
    for (name, device) in both() {
        for config in configs(3, 12) {
            // Finite ones: with infinities of either sign, which sums are NaN is a matter of the weights' signs.
            let x = of_loud(3).slice(s![.., ..2, ..]).to_owned();
            let config = config.layers(2).direction(Direction::Bidirectional);
            let report = rnn(&device, &config).check(x.view(), None, &RnnCall::default()).unwrap();
            assert!(report.passed(), "{} on {name}\n{report}", config.cell().name());
        }
    }
}

/// Whether a device flushes them to 0 or not.
#[test]
fn denormals_count_as_next_to_nothing() {
    for (name, device) in both() {
        for config in configs(5, 12) {
            let rnn = rnn(&device, &config);
            let mut random = Random::new(8);
            let tiny = random.array([3, 2, 5]).mapv(|x| x * 1e-39);
            assert!(tiny.iter().all(|x| x.is_subnormal()));
            let mut state = random.state(&config, 2);
            state.h.mapv_inplace(|h| h * 1e-39);
            if let Some(c) = &mut state.c {
                c.mapv_inplace(|c| c * 1e-39);
            }
            let report = rnn.check(tiny.view(), Some(&state), &RnnCall::default()).unwrap();
            assert!(report.passed(), "{} on {name}\n{report}", config.cell().name());
            let [got, zero] = [tiny, Array3::zeros([3, 2, 5])].map(|x| rnn.forward(x.view()).unwrap().y);
            assert!(got.iter().zip(&zero).all(|(a, b)| (a - b).abs() < 1e-37), "{} on {name}", config.cell().name());
        }
    }
}

/// The function of one unit without recurrence: x from 0 to where tanh and σ are 1 in f32, and far beyond.
#[test]
fn activations_are_right_over_their_whole_range() {
    let x: Vec<f32> = (-400..=400).map(|i| (i as f32 / 40.0).powi(3) / 20.0).chain(LOUD).collect();
    let x = Array3::from_shape_vec([1, x.len(), 1], x).unwrap();
    for (name, device) in both() {
        let [alpha, beta] = [0.25.into(), 0.75.into()];
        for activation in [
            Activation::Tanh,
            Activation::Sigmoid,
            Activation::Relu,
            Activation::Affine { alpha, beta },
            Activation::LeakyRelu { alpha },
            Activation::ThresholdedRelu { alpha },
            Activation::ScaledTanh { alpha, beta },
            Activation::HardSigmoid { alpha, beta },
            Activation::Elu { alpha },
            Activation::Softsign,
            Activation::Softplus,
        ] {
            let config = RnnConfig::new(Cell::Elman(activation), 1, 1).bias(wgrnn::Bias::None);
            let weights = wgrnn::LayerWeights::new(ndarray::array![[1.0]], ndarray::array![[0.0]]);
            let rnn = Rnn::new(&device, &config, RnnWeights::new(vec![vec![weights]])).unwrap();
            let y = rnn.forward(x.view()).unwrap().y;
            for (&x, &y) in x.iter().zip(&y) {
                let exact = match activation {
                    Activation::Tanh => f64::from(x).tanh(),
                    Activation::Sigmoid => 1.0 / (1.0 + (-f64::from(x)).exp()),
                    Activation::Relu => f64::from(x).max(0.0),
                    Activation::Affine { .. } => 0.25 * f64::from(x) + 0.75,
                    Activation::LeakyRelu { .. } => f64::from(x) * if x < 0.0 { 0.25 } else { 1.0 },
                    Activation::ThresholdedRelu { .. } => f64::from(if x > 0.25 { x } else { 0.0 }),
                    Activation::ScaledTanh { .. } => 0.25 * (0.75 * f64::from(x)).tanh(),
                    Activation::HardSigmoid { .. } => (0.25 * f64::from(x) + 0.75).clamp(0.0, 1.0),
                    Activation::Elu { .. } => f64::from(x.max(0.0)) + 0.25 * f64::from(x.min(0.0)).exp_m1(),
                    Activation::Softsign if x.is_infinite() => f64::from(x.signum()),
                    Activation::Softsign => f64::from(x) / (1.0 + f64::from(x.abs())),
                    Activation::Softplus => f64::from(x.max(0.0)) + (-f64::from(x.abs())).exp().ln_1p(),
                    other => panic!("{other:?} has no formula here"),
                };
                // WGSL allows exp an error of 3 + 2|x| ulp; where that is most, at the clamp of 15, it is of a number
                // that 1 dwarfs. Near 1 a few ulp remain, each half an ε. tanh is as good relative to itself: the step
                // from one state to the next must not lose what is small.
                let scale = match activation {
                    Activation::Tanh => exact.abs(),
                    // These grow with x.
                    _ => exact.abs().max(1.0),
                };
                let error = if f64::from(y) == exact { 0.0 } else { (f64::from(y) - exact).abs() };
                let allowed = 6.0 * f64::from(f32::EPSILON) * scale;
                assert!(error <= allowed, "{activation:?}({x}) on {name} is {y}, not {exact}");
            }
        }
    }
}
