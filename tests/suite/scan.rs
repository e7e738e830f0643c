//! Cells without R: their steps as a scan, whole and in parts.

use crate::common::{Random, gpu, rnn};
use ndarray::{Array1, Array2, Array3, array, s};
use wgrnn::kernels::Kernel;
use wgrnn::{
    Activation, Bias, Cell, Class, Device, Direction, GpuOptions, LayerWeights, Lengths, Rnn, RnnCall, RnnConfig,
    RnnWeights, SessionOptions,
};

const CELLS: [Cell; 4] = [Cell::MinGru, Cell::MinLstm, Cell::Sru, Cell::Qrnn];

/// As an adapter with many lanes, where few sequences are cut into parts.
fn discrete() -> Device {
    Device::gpu_with(&GpuOptions::default().class(Class::Discrete)).unwrap()
}

#[test]
fn there_are_no_other_cells_without_r() {
    let without: Vec<_> = Cell::ALL.into_iter().filter(|cell| !cell.has_recurrent_weights()).collect();
    let diagonal = [Activation::Relu, Activation::Tanh].map(Cell::IndRnn);
    assert_eq!(without, [&CELLS[..], &diagonal].concat());
}

/// More steps than a lane takes in a dispatch, sequences that end in each part, both directions.
#[test]
fn long_sequences_are_right_whole_and_in_parts() {
    for (name, device) in [("whole", gpu()), ("parts", discrete()), ("cpu", Device::cpu())] {
        for cell in CELLS.into_iter().chain([Cell::IndRnn(Activation::Tanh)]) {
            let rnn = rnn(&device, &RnnConfig::new(cell, 3, 5).direction(Direction::Bidirectional));
            let mut random = Random::new(1);
            let (x, state) = (random.array([2500, 4, 3]), random.state(rnn.config(), 4));
            let call = RnnCall::default().lengths(Lengths::Fixed(vec![1, 2500, 1203, 60]));
            let report = rnn.check(x.view(), Some(&state), &call).unwrap();
            assert!(report.passed(), "{cell:?}, {name}\n{report}");
        }
    }
}

#[test]
fn gradients_are_the_same_whole_and_in_parts() {
    for cell in CELLS {
        let config = RnnConfig::new(cell, 3, 5).layers(2).direction(Direction::Bidirectional);
        let weights = RnnWeights::init(&config, 7).unwrap();
        let rnn = Rnn::trainable(&discrete(), &config, &weights).unwrap();
        let x = Random::new(2).array([150, 3, 3]);
        for keep_every in [None, Some(40)] {
            let call = RnnCall::default().lengths(Lengths::Fixed(vec![150, 31, 140])).keep_every(keep_every);
            let report = rnn.check_gradients(x.view(), &call).unwrap();
            assert!(report.passed(), "{cell:?}, {keep_every:?}\n{report}");
        }
    }
}

/// Totals first, then the parts; one dispatch where lanes are enough without.
#[test]
fn steps_are_cut_only_where_lanes_are_few() {
    let scans = |device: &Device, steps: usize, batch: usize| {
        let rnn = rnn(device, &RnnConfig::new(Cell::Qrnn, 8, 64));
        let session = rnn.session(SessionOptions::new(steps, batch)).unwrap();
        let variants = session.plan().variants().iter();
        variants.filter(|variant| variant.kernel() == Kernel::Scan).map(ToString::to_string).collect::<Vec<_>>()
    };
    let few = scans(&discrete(), 400, 1);
    assert!(few.len() == 2 && few[0].contains("totals") && few[1].contains("parts"), "{few:?}");
    let software = Device::gpu_with(&GpuOptions::default().class(Class::Software)).unwrap();
    for variants in [scans(&discrete(), 40, 2048), scans(&discrete(), 2, 1), scans(&software, 400, 1)] {
        assert!(variants.len() == 1 && !variants[0].contains("parts"), "{variants:?}");
    }
}

/// The papers' equations by hand: one unit, gates from biases alone.
#[test]
fn three_steps_of_one_unit_are_as_the_papers_have_them() {
    let sigmoid = |a: f32| 1.0 / (1.0 + (-a).exp());
    let (p, q, r, k) = (0.5_f32, -0.25_f32, 1.5_f32, 2.0_f32);
    // Biases, and h' and the new state of a state.
    type Step = Box<dyn Fn(f32) -> (f32, f32)>;
    let cases: [(Cell, Vec<f32>, Step); 4] = [
        (
            Cell::MinGru,
            vec![p, q],
            Box::new(move |h| {
                let h = (1.0 - sigmoid(p)) * h + sigmoid(p) * q;
                (h, h)
            }),
        ),
        (
            Cell::MinLstm,
            vec![p, q, r],
            Box::new(move |h| {
                let h = (sigmoid(p) * h + sigmoid(q) * r) / (sigmoid(p) + sigmoid(q));
                (h, h)
            }),
        ),
        (
            Cell::Sru,
            vec![p, q, r, k],
            Box::new(move |c| {
                let c = sigmoid(q) * c + (1.0 - sigmoid(q)) * p;
                (sigmoid(r) * c.tanh() + (1.0 - sigmoid(r)) * k, c)
            }),
        ),
        (
            Cell::Qrnn,
            vec![p, q, r],
            Box::new(move |c| {
                let c = sigmoid(q) * c + (1.0 - sigmoid(q)) * p.tanh();
                (sigmoid(r) * c, c)
            }),
        ),
    ];
    for (cell, biases, step) in cases {
        let config = RnnConfig::new(cell, 1, 1);
        let weights = LayerWeights::new(Array2::zeros((biases.len(), 1)), Array2::zeros((0, 0)));
        let weights = weights.b_w(Array1::from(biases));
        for device in [gpu(), Device::cpu()] {
            let rnn = Rnn::new(&device, &config, RnnWeights::new(vec![vec![weights.clone()]])).unwrap();
            let output = rnn.forward(Array3::zeros([3, 1, 1]).view()).unwrap();
            let mut state = 0.0;
            for &y in &output.y {
                let (h, new) = step(state);
                state = new;
                assert!((y - h).abs() < 1e-6, "{cell:?}: {y} is not {h}");
            }
            let last = output.state.c.unwrap_or(output.state.h)[[0, 0, 0]];
            assert!((last - state).abs() < 1e-6, "{cell:?}: {last} is not {state}");
        }
    }
}

/// Units of an IndRNN see only themselves: each is an Elman cell of one unit, forward and backward.
#[test]
fn an_ind_rnn_is_as_many_elman_cells() {
    for activation in [Activation::Relu, Activation::Tanh] {
        let config = RnnConfig::new(Cell::IndRnn(activation), 3, 4);
        let weights = RnnWeights::init(&config, 7).unwrap();
        let own = &weights.layers()[0][0];
        assert_eq!(own.r.shape(), [4, 1]);
        let x = Random::new(1).array([6, 2, 3]);
        for device in [gpu(), Device::cpu()] {
            let y = Rnn::new(&device, &config, weights.clone()).unwrap().forward(x.view()).unwrap().y;
            let of_ones = |config: &RnnConfig, weights: &RnnWeights| {
                let rnn = Rnn::trainable(&device, config, weights).unwrap();
                let dy = Array3::ones([6, 2, config.hidden_size()]).into_dyn();
                let gradients = rnn.gradients(x.view(), None, &RnnCall::default(), dy.view(), None).unwrap();
                gradients.weights.layers()[0][0].clone()
            };
            let gradient = of_ones(&config, &weights);
            for unit in 0..4 {
                let [w, r] = [&own.w, &own.r].map(|matrix| matrix.slice(s![unit..unit + 1, ..]).to_owned());
                let b_w = own.b_w.as_ref().map(|b| b.slice(s![unit..unit + 1]).to_owned());
                let alone = LayerWeights::new(w, r).b_w(b_w);
                let config = RnnConfig::new(Cell::Elman(activation), 3, 1).bias(Bias::One);
                let alone = RnnWeights::new(vec![vec![alone]]);
                let of_unit = of_ones(&config, &alone);
                let got = [gradient.r[[unit, 0]], gradient.w[[unit, 2]], gradient.b_w.as_ref().unwrap()[unit]];
                let expected = [of_unit.r[[0, 0]], of_unit.w[[0, 2]], of_unit.b_w.as_ref().unwrap()[0]];
                for (got, expected) in got.iter().zip(expected) {
                    assert!((got - expected).abs() < 1e-5, "{activation:?}: {got} is not {expected}");
                }
                let rnn = Rnn::new(&device, &config, alone).unwrap();
                let expected = rnn.forward(x.view()).unwrap().y;
                for (got, expected) in y.slice(s![.., .., unit]).iter().zip(&expected) {
                    assert!((got - expected).abs() < 1e-6, "{activation:?}: {got} is not {expected}");
                }
            }
        }
    }
    let error = RnnWeights::init(&RnnConfig::new(Cell::IndRnn(Activation::Softsign), 3, 4), 0).unwrap_err();
    assert!(error.to_string().contains("softsign"), "{error}");
}

/// What an LSTM keeps apart by name, these do not have.
#[test]
fn what_needs_r_is_refused_by_name() {
    let refused = |config: RnnConfig, part: &str| {
        let error = RnnWeights::init(&config, 0).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("min_gru"), "{error}");
    };
    let config = || RnnConfig::new(Cell::MinGru, 2, 4);
    refused(config().bias(Bias::Two), "no R");
    refused(config().projection(2), "projection");
    refused(config().clip(1.0), "clip");
    let mut with_r = RnnWeights::init(&config(), 0).unwrap().layers()[0][0].clone();
    with_r.r = array![[1.0]];
    let error = Rnn::new(&Device::cpu(), &config(), RnnWeights::new(vec![vec![with_r]])).unwrap_err().to_string();
    assert!(error.contains("weight_hh_l0"), "{error}");
}
