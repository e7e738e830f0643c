//! Whatever does not fit is an error whose text names the tensor, what was expected and what came: never a panic.

use crate::common::{Random, gpu, portable, rnn};
use ndarray::{Array1, Array2, Array3, array};
use wgrnn::{
    Bias, Cell, Device, Direction, Error, LayerWeights, Lengths, Linear, PlanBuilder, Reset, Rnn, RnnCall, RnnConfig,
    RnnWeights, Session, SessionOptions, State, Tensor,
};

/// An error whose text has all of these parts.
fn refused<T>(result: Result<T, Error>, parts: &[&str]) -> Error {
    let error = result.err().unwrap_or_else(|| panic!("accepted, not refused with {parts:?}"));
    let text = error.to_string();
    assert!(parts.iter().all(|part| text.contains(part)), "'{text}' lacks some of {parts:?}");
    error
}

fn both() -> [Device; 2] {
    [gpu(), Device::cpu()]
}

fn lstm() -> RnnConfig {
    RnnConfig::new(Cell::Lstm, 3, 5).direction(Direction::Bidirectional)
}

#[test]
fn configurations_that_can_not_be_are_refused() {
    let plain = || RnnConfig::new(Cell::Lstm, 3, 5);
    let cases = [
        (RnnConfig::new(Cell::Lstm, 0, 5), ["input size", "from 1", "got 0"]),
        (RnnConfig::new(Cell::Lstm, 3, 0), ["hidden size", "from 1", "got 0"]),
        (plain().layers(0), ["layers", "from 1", "got 0"]),
        (plain().projection(0), ["projection size", "from 1", "got 0"]),
        (plain().projection(5), ["projection size", "less than the hidden size 5", "got 5"]),
        (plain().projection(9), ["projection size", "less than the hidden size 5", "got 9"]),
        (RnnConfig::new(Cell::Gru(Reset::After), 3, 5).projection(2), ["projection", "lstm", "gru_reset_after"]),
        (RnnConfig::new(Cell::Lstm, 3, 1 << 25), ["hidden size", "from 1", "33554432"]),
        (RnnConfig::new(Cell::Lstm, usize::MAX, 5), ["input size", "from 1", "18446744073709551615"]),
    ];
    let weights = RnnWeights::init(&plain(), 0).unwrap();
    for (config, parts) in cases {
        refused(RnnWeights::init(&config, 0), &parts);
        refused(Rnn::new(&Device::cpu(), &config, weights.clone()), &parts);
        refused(RnnWeights::from_safetensors(&[], &config, ""), &parts);
    }
}

#[test]
fn weights_of_another_configuration_are_refused() {
    for device in both() {
        let config = lstm();
        let build = |change: fn(&mut Vec<Vec<LayerWeights>>)| {
            let mut layers = RnnWeights::init(&config, 0).unwrap().layers().to_vec();
            change(&mut layers);
            Rnn::new(&device, &config, RnnWeights::new(layers))
        };
        refused(build(|layers| layers.push(layers[0].clone())), &["weights", "1 layers", "got 2"]);
        refused(build(|layers| layers.clear()), &["weights", "1 layers", "got 0"]);
        refused(build(|layers| layers[0].truncate(1)), &["weights", "2 directions", "got 1"]);
        refused(
            build(|layers| layers[0][1].w = Array2::zeros((20, 4))),
            &["weight_ih_l0_reverse", "[20, 3]", "[20, 4]"],
        );
        refused(build(|layers| layers[0][0].r = Array2::zeros((5, 20))), &["weight_hh_l0", "[20, 5]", "[5, 20]"]);
        refused(build(|layers| layers[0][0].b_w = Some(Array1::zeros(5))), &["bias_ih_l0", "[20]", "[5]"]);
        refused(build(|layers| layers[0][0].b_r = None), &["bias_hh_l0", "missing"]);
        refused(build(|layers| layers[0][0].w_hr = Some(Array2::zeros((2, 5)))), &["weight_hr_l0", "none", "[2, 5]"]);
        refused(build(|layers| layers[0][1].w[[19, 2]] = f32::NAN), &["weight_ih_l0_reverse", "element 59", "NaN"]);
        refused(
            build(|layers| layers[0][0].r[[0, 1]] = f32::INFINITY),
            &["weight_hh_l0", "element 1", "inf", "finite"],
        );
    }
}

#[test]
fn inputs_of_another_shape_are_refused() {
    for device in both() {
        let time_major = rnn(&device, &lstm());
        let batch_first = rnn(&device, &lstm().batch_first(true));
        for shape in [[0, 2, 3], [4, 0, 3], [4, 2, 0], [4, 2, 4], [3, 4, 2]] {
            let x = Array3::zeros(shape);
            // Without a step there is nothing to compute, and nothing to check either.
            for (rnn, steps) in [(&time_major, shape[0]), (&batch_first, shape[1])] {
                match rnn.forward(x.view()) {
                    Ok(output) => assert!(steps == 0 && output.y.is_empty(), "{shape:?} was accepted"),
                    error => drop(refused(error, &["input", "3]", &format!("{shape:?}")])),
                }
            }
            refused(time_major.check(x.view(), None, &RnnCall::default()), &["input"]);
        }
    }
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    for device in both() {
        let rnn = rnn(&device, &lstm());
        let x = Array3::zeros((4, 3, 3));
        let call = |lengths: &[usize]| {
            let call = RnnCall::default().lengths(Lengths::Fixed(lengths.to_vec()));
            rnn.forward_with(x.view(), None, &call)
        };
        refused(call(&[4, 4, 5]), &["length of sequence 2", "from 0 to 4", "got 5"]);
        refused(call(&[usize::MAX, 4, 4]), &["length of sequence 0", "from 0 to 4"]);
        refused(call(&[4, 4]), &["lengths", "[3]", "[2]"]);
        refused(call(&[]), &["lengths", "[3]", "[0]"]);
        refused(call(&[4; 4]), &["lengths", "[3]", "[4]"]);
        assert!(call(&[4, 1, 4]).is_ok() && call(&[4, 0, 4]).is_ok());
    }
}

#[test]
fn states_that_do_not_fit_are_refused() {
    for device in both() {
        let lstm = rnn(&device, &lstm());
        let gru = rnn(&device, &RnnConfig::new(Cell::Gru(Reset::After), 3, 5));
        let x = Array3::zeros((4, 2, 3));
        let call = |rnn: &Rnn, h: [usize; 3], c: Option<[usize; 3]>| {
            let state = State { h: Array3::zeros(h), c: c.map(Array3::zeros) };
            rnn.forward_with(x.view(), Some(&state), &RnnCall::default())
        };
        let fits = [2, 2, 5];
        assert!(call(&lstm, fits, Some(fits)).is_ok());
        refused(call(&lstm, [1, 2, 5], Some(fits)), &["initial h", "[2, 2, 5]", "[1, 2, 5]"]);
        refused(call(&lstm, [2, 3, 5], Some(fits)), &["initial h", "[2, 2, 5]", "[2, 3, 5]"]);
        refused(call(&lstm, [2, 2, 4], Some(fits)), &["initial h", "[2, 2, 5]", "[2, 2, 4]"]);
        refused(call(&lstm, fits, Some([2, 2, 6])), &["initial c", "[2, 2, 5]", "[2, 2, 6]"]);
        refused(call(&lstm, fits, None), &["initial c", "[2, 2, 5]", "none"]);
        refused(
            call(&gru, [1, 2, 5], Some([1, 2, 5])),
            &["initial c", "none", "gru_reset_after has no c", "[1, 2, 5]"],
        );
        // Of a projection h is narrower than c.
        let config = RnnConfig::new(Cell::Lstm, 3, 5).projection(2);
        let projected = rnn(&device, &config);
        assert!(call(&projected, [1, 2, 2], Some([1, 2, 5])).is_ok());
        refused(call(&projected, [1, 2, 5], Some([1, 2, 5])), &["initial h", "[1, 2, 2]", "[1, 2, 5]"]);
        refused(call(&projected, [1, 2, 2], Some([1, 2, 2])), &["initial c", "[1, 2, 5]", "[1, 2, 2]"]);
        refused(lstm.device_state(0), &["batch", "at least 1", "got 0"]);
    }
}

#[test]
fn linear_layers_that_do_not_fit_are_refused() {
    for device in both() {
        let weight = |outputs, inputs| Array2::<f32>::zeros((outputs, inputs));
        refused(Linear::new(&device, weight(0, 3).view(), None), &["linear weight", "[0, 3]"]);
        refused(Linear::new(&device, weight(3, 0).view(), None), &["linear weight", "[3, 0]"]);
        let long = Array1::zeros(4);
        refused(Linear::new(&device, weight(3, 2).view(), Some(long.view())), &["linear bias", "[3]", "[4]"]);
        refused(Linear::new(&device, array![[1.0, f32::NAN]].view(), None), &["linear weight", "element 1", "NaN"]);
        let nan = array![f32::NEG_INFINITY];
        refused(Linear::new(&device, weight(1, 2).view(), Some(nan.view())), &["linear bias", "element 0", "-inf"]);

        let linear = Linear::new(&device, weight(3, 2).view(), None).unwrap();
        let mut plan = PlanBuilder::new(&device);
        let x = plan.tensor(&Tensor::<f32>::zeros(&device, &[4, 3]).unwrap()).unwrap();
        refused(plan.linear(&linear, &x), &["linear input", "[..., 2]", "[4, 3]"]);
    }
}

#[test]
fn no_bias_where_the_configuration_has_none() {
    let config = RnnConfig::new(Cell::Lstm, 3, 5).bias(Bias::None);
    let weights = RnnWeights::init(&RnnConfig::new(Cell::Lstm, 3, 5), 0).unwrap();
    refused(Rnn::new(&Device::cpu(), &config, weights), &["bias_ih_l0", "none", "[20]"]);
}

#[test]
fn tensors_that_can_not_be_are_refused() {
    for device in both() {
        for shape in [&[0][..], &[3, 0, 2], &[1 << 20, 1 << 20], &[usize::MAX, 2], &[usize::MAX, usize::MAX]] {
            refused(Tensor::<f32>::zeros(&device, shape), &["tensor shape", "from 1 to", &format!("{shape:?}")]);
        }
        let tensor = Tensor::<f32>::zeros(&device, &[2, 3]).unwrap();
        refused(tensor.write(array![[1.0_f32, 2.0]].view()), &["array written", "[2, 3]", "[1, 2]"]);
        refused(tensor.write(Random::new(0).array([3, 2, 1]).view()), &["array written", "[2, 3]", "[3, 2, 1]"]);
    }
}

#[test]
fn more_memory_than_a_binding_may_have_is_a_limit_by_name() {
    let device = portable();
    let allowed = device.report().unwrap().limits.binding_bytes;
    let words = allowed as usize / 4 + 1;
    let limit = ["max_storage_buffer_binding_size", &allowed.to_string()];
    let error = refused(Tensor::<f32>::zeros(&device, &[words]), &limit);
    assert!(matches!(error, Error::Limit { needed, .. } if needed == 4 * words as u64), "{error}");
    let rnn = rnn(&device, &RnnConfig::new(Cell::Lstm, 4, 4));
    // The input: T times N times 4 numbers.
    let error = refused(rnn.session(SessionOptions::new(words / 256, 256)), &limit);
    assert!(matches!(error, Error::Limit { .. }), "{error}");
    // The state alone.
    refused(rnn.device_state(words / 4 + 1), &limit);
    refused(rnn.stream(words), &limit);
}

/// As many features as nearly fill a window of a uniform buffer, which may begin where rows do not.
#[test]
fn rows_as_long_as_a_window_are_multiplied() {
    for features in [16_320, 16_324, 16_384, 16_388] {
        let rnn = crate::common::rnn(
            &crate::common::gpu(),
            &RnnConfig::new(Cell::Elman(wgrnn::Activation::Tanh), features, 5),
        );
        let x = crate::common::Random::new(1).array([1, 1, features]);
        let report = rnn.check(x.view(), None, &RnnCall::default()).unwrap();
        assert!(report.passed(), "{features}\n{report}");
    }
}

/// What such a session would need overflows, or could never be had.
#[test]
fn sizes_beyond_all_memory_are_errors() {
    for device in both() {
        let rnn = rnn(&device, &lstm());
        let huge = 1 << 60;
        assert!(rnn.session(SessionOptions::new(huge, 1)).is_err());
        assert!(rnn.device_state(huge).is_err());
        // Twice this, for two directions, is 2 beyond the largest number.
        assert!(rnn.device_state((1 << 63) + 1).is_err());
    }
}

#[test]
fn a_batch_beyond_all_memory_is_an_error() {
    for device in both() {
        assert!(rnn(&device, &lstm()).session(SessionOptions::new(1, 1 << 60)).is_err());
    }
}

#[test]
fn session_tensors_of_another_shape_are_refused() {
    for device in both() {
        let rnn = rnn(&device, &RnnConfig::new(Cell::Lstm, 3, 5));
        let session = |x: [usize; 3], y: [usize; 3], batch| {
            let [x, y] = [x, y].map(|shape| Tensor::zeros(&device, &shape).unwrap());
            Session::with_tensors(&rnn, SessionOptions::new(4, 2), x, y, rnn.device_state(batch).unwrap())
        };
        refused(session([4, 2, 4], [4, 2, 5], 2), &["input", "[4, 2, 3]", "[4, 2, 4]"]);
        refused(session([2, 4, 3], [4, 2, 5], 2), &["input", "[4, 2, 3]", "[2, 4, 3]"]);
        refused(session([4, 2, 3], [4, 2, 6], 2), &["output", "[4, 2, 5]", "[4, 2, 6]"]);
        refused(session([4, 2, 3], [4, 2, 5], 3), &["state", "[1, 2, 5]", "[1, 3, 5]"]);
    }
}

#[test]
fn a_host_call_that_carries_a_state_which_is_not_given_is_refused() {
    let device = Device::cpu();
    let config = lstm();
    let rnn = Rnn::trainable(&device, &config, &RnnWeights::init(&config, 0).unwrap()).unwrap();
    let x = Array3::ones((2, 1, config.input_size()));
    let dy = Array3::ones((2, 1, config.output_size())).into_dyn();
    let call = RnnCall::default().carry(true);
    refused(rnn.forward_with(x.view(), None, &call), &["carry", "false, or a state"]);
    refused(rnn.gradients(x.view(), None, &call, dy.view(), None), &["carry"]);
    let state = State::zeros(&config, 1).unwrap();
    let carried = rnn.forward_with(x.view(), Some(&state), &call).unwrap();
    assert_eq!(carried, rnn.forward(x.view()).unwrap());
}
