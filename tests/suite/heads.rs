//! Layers of several heads: recurrences side by side that see the same input.

use crate::common::{Random, devices, rnn};
use crate::golden::{numbers, pass_with_gradients};
use ndarray::{Array1, Array2, Array3, Axis, concatenate, s};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use wgrnn::dialects::pytorch;
use wgrnn::{
    Cell, Device, Direction, LayerWeights, Lengths, Reset, Rnn, RnnCall, RnnConfig, RnnWeights, Schedule, State,
};

const HEADS: usize = 3;
const UNITS: usize = 5;

/// The cells that have a matrix R.
const CELLS: [Cell; 3] = [Cell::Lstm, Cell::Gru(Reset::Before), Cell::Slstm];

fn config(cell: Cell) -> RnnConfig {
    RnnConfig::new(cell, 4, UNITS).heads(HEADS).direction(Direction::Bidirectional)
}

/// One head of all units with the heads' gates in turn, and R with the heads' blocks along its diagonal.
fn joined(heads: &[LayerWeights], gates: usize) -> LayerWeights {
    let rows = |gate: usize| s![gate * UNITS..(gate + 1) * UNITS, ..];
    let both = || (0..gates).flat_map(|gate| heads.iter().map(move |head| (gate, head)));
    let w: Vec<_> = both().map(|(gate, head)| head.w.slice(rows(gate))).collect();
    let mut r = Array2::zeros((gates * HEADS * UNITS, HEADS * UNITS));
    for (i, (gate, head)) in both().enumerate() {
        let at = i % HEADS * UNITS;
        r.slice_mut(s![i * UNITS..(i + 1) * UNITS, at..at + UNITS]).assign(&head.r.slice(rows(gate)));
    }
    let bias = |of: fn(&LayerWeights) -> &Option<Array1<f32>>| {
        let parts = both().filter_map(|(gate, head)| {
            of(head).as_ref().map(|b| b.slice(s![gate * UNITS..(gate + 1) * UNITS]).to_owned())
        });
        let all: Array1<f32> = parts.flatten().collect();
        (!all.is_empty()).then_some(all)
    };
    let w = concatenate(Axis(0), &w).unwrap();
    LayerWeights::new(w, r).b_w(bias(|weights| &weights.b_w)).b_r(bias(|weights| &weights.b_r))
}

#[test]
fn heads_are_a_layer_whose_r_is_block_diagonal() {
    for (name, device) in devices() {
        for cell in CELLS {
            for schedule in [Schedule::Step, Schedule::Sequence] {
                let config = config(cell);
                let weights = RnnWeights::init(&config, 3).unwrap();
                let call = RnnCall::default().lengths(Lengths::Fixed(vec![6, 2])).schedule(schedule);
                let x = Random::new(1).array([6, 2, 4]);
                let run = |config: &RnnConfig, weights: RnnWeights| {
                    Rnn::new(&device, config, weights).unwrap().forward_with(x.view(), None, &call).unwrap()
                };
                let got = run(&config, weights.clone());
                assert_eq!(
                    (got.y.shape(), got.state.h.shape()),
                    (&[6, 2, 2 * HEADS * UNITS][..], &[2 * HEADS, 2, UNITS][..])
                );
                let one = RnnConfig::new(cell, 4, HEADS * UNITS).direction(Direction::Bidirectional);
                let directions = weights.layers()[0].chunks(HEADS).map(|heads| joined(heads, cell.gates())).collect();
                let expected = run(&one, RnnWeights::new(vec![directions])).y;
                let difference = (&got.y - &expected).mapv(f32::abs).into_iter().fold(0.0, f32::max);
                // Zeros are added in between.
                assert!(difference <= 4.0 * f32::EPSILON, "{cell:?} {schedule:?} on {name}: {difference}");
            }
        }
    }
}

#[test]
fn layers_of_heads_equal_the_textbook() {
    for (name, device) in devices() {
        for cell in CELLS {
            let config = config(cell).layers(2).batch_first(true);
            let mut random = Random::new(2);
            let (x, state) = (random.array([3, 6, 4]), random.state(&config, 3));
            for lengths in [Lengths::Full, Lengths::Fixed(vec![6, 1, 4])] {
                let call = RnnCall::default().lengths(lengths);
                let report = rnn(&device, &config).check(x.view(), Some(&state), &call).unwrap();
                assert!(report.passed(), "{cell:?} on {name}\n{report}");
            }
        }
    }
}

/// What xLSTM's stabiliser is for: e^200 is beyond f32.
#[test]
fn an_exponential_gate_does_not_overflow() {
    for (name, device) in devices() {
        let config = RnnConfig::new(Cell::Slstm, 1, 4);
        let mut layers = RnnWeights::init(&config, 3).unwrap().layers().to_vec();
        layers[0][0].w.slice_mut(s![..4, ..]).fill(200.0);
        let rnn = Rnn::new(&device, &config, RnnWeights::new(layers)).unwrap();
        let x = Array3::from_shape_fn((5, 1, 1), |(t, ..)| [1.0, -1.0, 0.5, 3.0, -3.0][t]);
        let report = rnn.check(x.view(), None, &RnnCall::default()).unwrap();
        assert!(report.passed(), "{name}\n{report}");
        let y = rnn.forward(x.view()).unwrap().y;
        assert!(y.iter().all(|y| y.abs() <= 1.0), "{y}");
    }
}

/// h is c/n: a scale that both have, with its logarithm in m, is no matter.
#[test]
fn the_scale_of_an_slstms_state_is_no_matter() {
    for (name, device) in devices() {
        let config = RnnConfig::new(Cell::Slstm, 3, 4);
        let mut random = Random::new(4);
        let (x, state) = (random.array([5, 2, 3]), random.state(&config, 2));
        let mut scaled = state.clone();
        let c = scaled.c.as_mut().unwrap();
        c.slice_mut(s![.., .., ..8]).mapv_inplace(|c| c * 0.25);
        c.slice_mut(s![.., .., 8..]).mapv_inplace(|m| m + 4.0_f32.ln());
        let rnn = rnn(&device, &config);
        let [a, b] =
            [&state, &scaled].map(|state| rnn.forward_with(x.view(), Some(state), &RnnCall::default()).unwrap().y);
        let difference = (&a - &b).mapv(f32::abs).into_iter().fold(0.0, f32::max);
        // Exponents of up to 2, rounded, in each of five steps.
        assert!(difference <= 16.0 * f32::EPSILON, "{name}: {difference}");
    }
}

/// One plan for all lengths, and gradients with steps computed again.
#[test]
fn heads_have_lengths_that_change_and_steps_computed_again() {
    for (name, device) in devices() {
        for cell in CELLS {
            let config = config(cell).layers(2);
            let rnn = Rnn::trainable(&device, &config, &RnnWeights::init(&config, 3).unwrap()).unwrap();
            let mut random = Random::new(4);
            let (x, dy) = (random.array([6, 3, 4]), random.array([6, 3, config.output_size()]).into_dyn());
            let per_run = rnn.batch_lengths(6, 3).unwrap();
            let gradients = |lengths, keep_every| {
                let call = RnnCall::default().lengths(lengths).keep_every(keep_every);
                rnn.gradients(x.view(), None, &call, dy.view(), None).unwrap()
            };
            let expected = gradients(Lengths::Fixed(vec![2, 6, 5]), None);
            per_run.write(&[2, 6, 5]).unwrap();
            for got in
                [gradients(Lengths::PerRun(per_run.clone()), None), gradients(Lengths::Fixed(vec![2, 6, 5]), Some(2))]
            {
                for ((tensor, a), (_, b)) in expected.weights.named().zip(got.weights.named()) {
                    let largest = a.iter().fold(1.0_f32, |largest, a| largest.max(a.abs()));
                    let difference = (&a - &b).mapv(f32::abs).into_iter().fold(0.0, f32::max);
                    // Sums over steps in another order.
                    assert!(difference <= 1e-5 * largest, "{tensor} of {cell:?} on {name}: {difference}");
                }
            }
        }
        // Lengths of another layer's heads are not its own.
        let lengths = rnn(&device, &config(Cell::Lstm)).batch_lengths(6, 3).unwrap();
        let other = rnn(&device, &config(Cell::Lstm).heads(2));
        let call = RnnCall::default().lengths(Lengths::PerRun(lengths));
        let error = other.forward_with(Array3::zeros((6, 3, 4)).view(), None, &call).unwrap_err().to_string();
        assert!(error.contains("heads"), "{error}");
    }
}

#[test]
fn pytorch_has_no_heads_or_norms() {
    for config in [config(Cell::Lstm), RnnConfig::new(Cell::Lstm, 3, 4).layer_norm(true)] {
        let weights = RnnWeights::init(&config, 0).unwrap();
        let error = pytorch::to_safetensors(&weights, pytorch::Module::Stack, "").unwrap_err().to_string();
        assert!(error.contains("_head0") || error.contains("norm_ih_l0"), "{error}");
    }
    // Nor does it read a head beside what it has.
    let plain = RnnConfig::new(Cell::Lstm, 3, 4);
    let mut named: Vec<_> = RnnWeights::init(&plain, 0).unwrap().named().map(|(n, a)| (n, a.to_owned())).collect();
    named.push(("weight_ih_l0_head1".to_owned(), named[0].1.clone()));
    let views = named.iter().map(|(name, array)| {
        let bytes: Vec<u8> = array.iter().flat_map(|number| number.to_le_bytes()).collect();
        (name.clone(), array.shape().to_vec(), bytes)
    });
    let views: Vec<_> = views.collect();
    let tensors =
        views.iter().map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    let bytes = safetensors::serialize(tensors, None).unwrap();
    let error = pytorch::from_safetensors(&bytes, Cell::Lstm, "").unwrap_err().to_string();
    assert!(error.contains("weight_ih_l0_head1"), "{error}");
}

#[test]
fn a_head_is_known_by_its_name() {
    let config = config(Cell::Slstm).layers(2);
    let weights = RnnWeights::init(&config, 3).unwrap();
    let names: Vec<_> = weights.named().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 2 * 2 * HEADS * 3);
    for name in ["weight_ih_l0_head0", "weight_hh_l0_reverse_head2", "bias_ih_l1_reverse_head1"] {
        assert!(names.iter().any(|other| other == name), "{name} is not among {names:?}");
    }
    let named: Vec<_> = weights.named().map(|(name, array)| (name, array.to_owned())).collect();
    assert_eq!(RnnWeights::from_named(&config, &named).unwrap(), weights);
}

#[test]
fn heads_that_are_not_the_layers_are_refused() {
    let config = config(Cell::Slstm);
    let layers = RnnWeights::init(&config, 3).unwrap().layers().to_vec();
    let error = Rnn::new(&Device::cpu(), &config, RnnWeights::new(layers)).unwrap_err().to_string();
    assert!(error.contains("3 heads"), "{error}");
    let error = RnnWeights::init(&config.clone().heads(0), 3).unwrap_err().to_string();
    assert!(error.contains("heads"), "{error}");
    let state = State::zeros(&RnnConfig::new(Cell::Slstm, 4, UNITS), 2).unwrap();
    let rnn = rnn(&Device::cpu(), &config);
    let error = rnn.forward_with(Array3::zeros((1, 2, 4)).view(), Some(&state), &RnnCall::default()).unwrap_err();
    assert!(error.to_string().contains("[6, 2, 5]"), "{error}");
}

/// The xlstm package's recurrence and autograd in float64 (`scripts/make_xlstm_golden.py`): outputs, final states, and gradients of
/// all that went in.
#[test]
fn slstms_are_the_xlstm_packages() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/xlstm_golden.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut cases: Vec<_> = file.names().into_iter().filter_map(|name| name.strip_suffix("/x")).collect();
    cases.retain(|case| !case.ends_with("/grad"));
    assert_eq!(cases.len(), 4);
    for (device_name, device) in devices() {
        for case in &cases {
            let array = |name: &str| numbers(&file, &format!("{case}/{name}"));
            let (x, h0) = (array("x").unwrap(), array("h0").unwrap());
            let config = RnnConfig::new(Cell::Slstm, x.shape()[2], h0.shape()[2]).heads(h0.shape()[0]);
            pass_with_gradients(&bytes, case, &config, device_name, &device);
        }
    }
}
