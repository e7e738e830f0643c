//! Cells in other forms than the usual one: activations, clips, coupled gates, peepholes.

use crate::common::{Random, devices, gpu, portable, rnn, schedules};
use ndarray::Array1;
use wgrnn::{
    Activation, Cell, CellClip, Device, Direction, Error, Lengths, Precision, Reset, Rnn, RnnCall, RnnConfig,
    RnnWeights, Schedule,
};

/// Bounds of c that a random layer reaches.
const CLIP: (f32, f32) = (-0.05, 0.1);

fn cell_clip(propagates_nan: bool) -> CellClip {
    CellClip { low: CLIP.0.into(), high: CLIP.1.into(), propagates_nan }
}

/// Every option by itself and with others.
fn configs(input: usize, hidden: usize) -> Vec<RnnConfig> {
    use Activation as A;
    let [alpha, beta] = [0.3.into(), 0.6.into()];
    let new = |cell| RnnConfig::new(cell, input, hidden);
    let lstm = || new(Cell::Lstm);
    vec![
        new(Cell::Elman(A::Softsign)),
        new(Cell::Elman(A::Tanh)).clip(0.1),
        new(Cell::Elman(A::LeakyRelu { alpha })).clip(0.1),
        lstm().activations(A::HardSigmoid { alpha, beta }, A::Elu { alpha }, A::Softplus),
        lstm().clip(0.1),
        lstm().cell_clip(cell_clip(true)),
        lstm().coupled(true),
        lstm().peepholes(true),
        lstm().peepholes(true).projection(hidden / 2).cell_clip(cell_clip(false)),
        lstm().activations(A::Softplus, A::Affine { alpha, beta }, A::Softsign).clip(0.2).coupled(true).peepholes(true),
        new(Cell::Gru(Reset::After)).activations(A::HardSigmoid { alpha, beta }, A::Softsign, A::Tanh).clip(0.2),
        new(Cell::Gru(Reset::Before)).activations(A::Sigmoid, A::Relu, A::Tanh),
        new(Cell::Gru(Reset::Before)).clip(0.1),
    ]
}

#[test]
fn every_form_equals_the_textbook_on_every_device_and_schedule() {
    for (name, device) in devices() {
        for (i, config) in configs(5, 12).into_iter().enumerate() {
            let config = config.layers(2).direction(Direction::Bidirectional);
            let mut random = Random::new(1);
            let (x, state) = (random.array([6, 3, 5]), random.state(&config, 3));
            // All schedules on the CPU; on GPUs, which compile for each, in turn: what a cell does and how it is scheduled are
            // apart in shaders.
            let all = schedules();
            let own = match name {
                "cpu" => &all[..],
                "gpu" => &all[i % all.len()..][..1],
                _ => &all[(i + 1) % all.len()..][..1],
            };
            for &schedule in own {
                let call = RnnCall::default().lengths(Lengths::Fixed(vec![2, 5, 3])).schedule(schedule);
                let report = rnn(&device, &config).check(x.view(), Some(&state), &call).unwrap();
                assert!(report.passed(), "{name} {config:?} {schedule:?}\n{report}");
            }
        }
    }
}

/// Layers side by side, of forms that can.
#[test]
fn wavefronts_and_halves_have_every_form() {
    for (i, config) in configs(5, 12).into_iter().enumerate() {
        for precision in [Precision::Single, Precision::Half] {
            // Each precision on one of the two.
            let device = if (i % 2 == 0) == (precision == Precision::Half) { gpu() } else { portable() };
            let config = config.clone().layers(3).precision(precision);
            let x = Random::new(2).array([6, 3, 5]);
            let call = RnnCall::default().schedule(Schedule::Wavefront);
            let report = rnn(&device, &config).check(x.view(), None, &call).unwrap();
            assert!(report.passed(), "{config:?}\n{report}");
        }
    }
}

/// An option that was left out would equal the textbook where it has no effect: each changes what comes out, by itself.
#[test]
fn every_option_matters() {
    use Activation as A;
    let x = Random::new(1).array([6, 3, 5]);
    let new = |cell| RnnConfig::new(cell, 5, 12);
    let lstm = || new(Cell::Lstm);
    let pairs = [
        (lstm(), lstm().clip(0.1)),
        (lstm(), lstm().cell_clip(cell_clip(true))),
        (lstm(), lstm().coupled(true)),
        (lstm(), lstm().activations(A::Tanh, A::Tanh, A::Tanh)),
        (lstm(), lstm().activations(A::Sigmoid, A::Relu, A::Tanh)),
        (lstm(), lstm().activations(A::Sigmoid, A::Tanh, A::Relu)),
        (lstm().projection(6), lstm().projection(6).peepholes(true)),
        (lstm().peepholes(true), lstm().peepholes(true).coupled(true)),
        (new(Cell::Gru(Reset::After)), new(Cell::Gru(Reset::After)).clip(0.1)),
        (new(Cell::Gru(Reset::Before)), new(Cell::Gru(Reset::Before)).activations(A::Sigmoid, A::Relu, A::Tanh)),
        (new(Cell::Elman(A::Tanh)), new(Cell::Elman(A::Tanh)).clip(0.1)),
        (new(Cell::Elman(A::Tanh)), new(Cell::Elman(A::Softsign))),
    ];
    for (without, with) in pairs {
        // One seed gives both the same weights but for peepholes, which come last.
        let [a, b] = [&without, &with].map(|config| rnn(&Device::cpu(), config).forward(x.view()).unwrap().y);
        assert!(a.shape() == b.shape() && a != b, "{with:?}");
    }
}

/// A GRU has no c, nor an activation of it: what is given for it changes nothing.
#[test]
fn a_grus_third_activation_is_left_alone() {
    let usual = RnnConfig::new(Cell::Gru(Reset::After), 5, 12);
    let other = usual.clone().activations(Activation::Sigmoid, Activation::Tanh, Activation::Relu);
    let x = Random::new(1).array([6, 3, 5]);
    let [a, b] = [&usual, &other].map(|config| rnn(&gpu(), config).forward(x.view()).unwrap().y);
    assert_eq!(a, b);
    assert!(Rnn::trainable(&Device::cpu(), &other, &RnnWeights::init(&other, 0).unwrap()).is_ok());
}

#[test]
fn a_clipped_cell_stays_within_its_bounds() {
    for (name, device) in devices() {
        let config = RnnConfig::new(Cell::Lstm, 5, 12).cell_clip(cell_clip(true));
        let c = rnn(&device, &config).forward(Random::new(1).array([9, 4, 5]).view()).unwrap().state.c.unwrap();
        let bounds = c.iter().fold((0.0_f32, 0.0_f32), |(low, high), &c| (low.min(c), high.max(c)));
        assert_eq!(bounds, CLIP, "{name}");
    }
}

/// cuDNN's choice: NaN goes on, or becomes a bound.
#[test]
fn nan_passes_a_cell_clip_only_where_it_may() {
    for (name, device) in devices() {
        for propagates in [true, false] {
            let config = RnnConfig::new(Cell::Lstm, 5, 12).cell_clip(cell_clip(propagates));
            let rnn = rnn(&device, &config);
            let mut x = Random::new(1).array([1, 2, 5]);
            x[[0, 1, 3]] = f32::NAN;
            let c = rnn.forward(x.view()).unwrap().state.c.unwrap();
            for unit in 0..12 {
                let (sound, spoilt) = (c[[0, 0, unit]], c[[0, 1, unit]]);
                assert!(sound.is_finite(), "{name}");
                assert!(if propagates { spoilt.is_nan() } else { spoilt == CLIP.0 }, "{name}: {spoilt}");
            }
        }
    }
}

#[test]
fn a_clip_is_known_by_its_name_where_a_cell_has_none() {
    let refused = |config: RnnConfig, parts: &[&str]| {
        let error = RnnWeights::init(&config, 0).unwrap_err();
        assert!(parts.iter().all(|part| error.to_string().contains(part)), "{error}");
    };
    let gru = || RnnConfig::new(Cell::Gru(Reset::After), 2, 3);
    let lstm = || RnnConfig::new(Cell::Lstm, 2, 3);
    refused(gru().cell_clip(cell_clip(true)), &["cell clip", "gru_reset_after"]);
    refused(gru().coupled(true), &["coupled", "lstm"]);
    refused(gru().peepholes(true), &["peepholes", "lstm"]);
    refused(gru().clip(0.0), &["clip", "positive"]);
    refused(gru().clip(f32::NAN), &["clip", "NaN"]);
    refused(
        lstm().cell_clip(CellClip { low: 1.0.into(), high: 0.5.into(), propagates_nan: true }),
        &["cell clip", "0.5"],
    );
    let steep = Activation::LeakyRelu { alpha: f32::INFINITY.into() };
    refused(lstm().activations(steep, Activation::Tanh, Activation::Tanh), &["leaky_relu", "inf"]);
    let elman = RnnConfig::new(Cell::Elman(Activation::Tanh), 2, 3);
    refused(elman.activations(Activation::Relu, Activation::Tanh, Activation::Tanh), &["activations", "elman_tanh"]);
}

#[test]
fn only_gates_have_peepholes() {
    let config = RnnConfig::new(Cell::Lstm, 2, 3).peepholes(true);
    let mut layers = RnnWeights::init(&config, 0).unwrap().layers().to_vec();
    layers[0][0].peepholes = Some(Array1::ones(12));
    let error = Rnn::new(&Device::cpu(), &config, RnnWeights::new(layers.clone())).unwrap_err().to_string();
    assert!(error.contains("peephole_l0") && error.contains("1 at 6"), "{error}");
    layers[0][0].peepholes = None;
    let error = Rnn::new(&Device::cpu(), &config, RnnWeights::new(layers)).unwrap_err();
    assert!(matches!(&error, Error::MissingWeight(name) if name == "peephole_l0"), "{error}");
}

/// No gradient is better than a wrong one.
#[test]
fn a_form_without_gradients_is_not_trained() {
    for config in configs(5, 12) {
        let trains = config == RnnConfig::new(Cell::Lstm, 5, 12).cell_clip(cell_clip(true));
        let weights = RnnWeights::init(&config, 7).unwrap();
        let result = Rnn::trainable(&Device::cpu(), &config, &weights);
        assert_eq!(result.is_ok(), trains, "{config:?}");
        if let Err(error) = result {
            assert!(error.to_string().contains("cell to train"), "{error}");
        }
    }
}
