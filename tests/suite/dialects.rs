//! Weights of PyTorch, Keras and cuDNN: their own numbers, and each form there and back.

use crate::common::{Random, configs, gpu, portable, rnn};
use ndarray::{Array, Array1, ArrayD, Axis, Dimension, Ix1, Ix2, Ix3, array};
use safetensors::SafeTensors;
use serde::Deserialize;
use wgrnn::check::Comparison;
use wgrnn::dialects::System;
use wgrnn::dialects::cudnn::{self, BiasMode, InputMode};
use wgrnn::dialects::keras::{self, Merge, Reads};
use wgrnn::dialects::pytorch::{self, Module};
use wgrnn::{
    Activation, Bias, Cell, Device, Direction, Error, LayerWeights, Reset, Rnn, RnnConfig, RnnWeights, SessionOptions,
};

/// As in `golden`: roundings of sums and of exp, relative to the largest number.
const TOLERANCE: f64 = 16.0 * f32::EPSILON as f64;

#[derive(Debug, Deserialize)]
struct KerasCase {
    name: String,
    layer: String,
    reset_after: Option<bool>,
    reads: String,
    activation: String,
    recurrent: String,
    weights: usize,
    states: usize,
}

impl KerasCase {
    fn config(&self) -> RnnConfig {
        let [f, g] = [&self.recurrent, &self.activation].map(|name| keras::activation(name).unwrap());
        let new = |cell| RnnConfig::new(cell, 1, 1);
        match (&*self.layer, self.reset_after) {
            ("SimpleRNN", _) => new(Cell::Elman(g)),
            ("LSTM", _) => new(Cell::Lstm).activations(f, g, g),
            ("GRU", Some(true)) => new(Cell::Gru(Reset::After)).activations(f, g, Activation::Tanh),
            ("GRU", Some(false)) => new(Cell::Gru(Reset::Before)).activations(f, g, Activation::Tanh),
            other => panic!("{other:?}"),
        }
    }

    fn reads(&self) -> Reads {
        match &*self.reads {
            "forward" => Reads::Forward,
            "backward" => Reads::Backward,
            "concat" => Reads::Both(Merge::Concat),
            "sum" => Reads::Both(Merge::Sum),
            "mul" => Reads::Both(Merge::Mul),
            "ave" => Reads::Both(Merge::Ave),
            other => panic!("{other}"),
        }
    }
}

/// An array of a file.
fn read<D: Dimension>(file: &SafeTensors<'_>, name: &str) -> Array<f32, D> {
    let view = file.tensor(name).unwrap_or_else(|_| panic!("no {name}"));
    let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    ArrayD::from_shape_vec(view.shape(), values).unwrap().into_dimensionality().unwrap()
}

fn equal<D: Dimension>(name: &str, got: Array<f32, D>, expected: Array<f32, D>) {
    let largest = expected.iter().fold(1.0_f32, |largest, x| largest.max(x.abs()));
    let tolerance = TOLERANCE * f64::from(largest);
    let comparison =
        Comparison::new(name, got.into_dyn().view(), expected.mapv(f64::from).into_dyn().view(), tolerance).unwrap();
    assert!(comparison.count > 0 && comparison.passed(), "{comparison}");
}

#[test]
fn keras_layers_give_kerass_numbers() {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/keras_golden.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let cases: Vec<KerasCase> = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["cases"]).unwrap();
    assert_eq!(cases.len(), 40);
    for (i, case) in cases.iter().enumerate() {
        let of = |tensor: &str| format!("{}/{tensor}", case.name);
        let directions = if matches!(case.reads(), Reads::Both(_)) { 2 } else { 1 };
        let each = case.weights / directions;
        let weights: Vec<_> = (0..directions)
            .map(|d| keras::Weights {
                kernel: read::<Ix2>(&file, &of(&format!("weight{}", d * each))),
                recurrent_kernel: read::<Ix2>(&file, &of(&format!("weight{}", d * each + 1))),
                bias: (each == 3).then(|| read(&file, &of(&format!("weight{}", d * each + 2)))),
            })
            .collect();
        for cell_weights in &weights {
            let cell = case.config().cell();
            let (_, own) = cell_weights.to_own(cell).unwrap();
            assert_eq!(keras::Weights::of_own(cell, &own).unwrap(), *cell_weights, "{case:?}");
        }
        // Compiling is slow: a third of them on the adapter, all on the CPU.
        for device in [Some(Device::cpu()), (i % 3 == 0).then(gpu)].into_iter().flatten() {
            let layer = keras::Layer::new(&device, &case.config(), &weights, case.reads()).unwrap();
            let outputs = layer.run(read::<Ix3>(&file, &of("x")).view(), None, None).unwrap();
            let name = format!("{case:?} on {}", device.name());
            equal(&format!("{name}: sequences"), outputs.sequences, read(&file, &of("sequences")));
            equal(&format!("{name}: last"), outputs.last, read(&file, &of("last")));
            // Keras: forward h, forward c, backward h, backward c.
            let per_direction = case.states / directions;
            for d in 0..directions {
                let state = |i: usize| read::<Ix2>(&file, &of(&format!("state{}", d * per_direction + i)));
                equal(&format!("{name}: h"), outputs.state.h.index_axis(Axis(0), d).to_owned(), state(0));
                if let Some(c) = &outputs.state.c {
                    equal(&format!("{name}: c"), c.index_axis(Axis(0), d).to_owned(), state(1));
                }
            }
        }
    }
}

#[test]
fn keras_outputs_end_where_a_sequence_does() {
    let config = RnnConfig::new(Cell::Lstm, 2, 3).bias(Bias::One).batch_first(true);
    let own = RnnWeights::init(&config, 1).unwrap();
    let weights = keras::Weights::of_own(Cell::Lstm, &own.layers()[0][0]).unwrap();
    let x = Random::new(2).array([1, 5, 2]);
    let layer = |reads| keras::Layer::new(&Device::cpu(), &config, std::slice::from_ref(&weights), reads).unwrap();
    let run = |reads, x: &ndarray::Array3<f32>, lengths| layer(reads).run(x.view(), lengths, None).unwrap();
    let padded = run(Reads::Backward, &x, Some(vec![3]));
    let short = run(Reads::Backward, &x.slice(ndarray::s![.., ..3, ..]).to_owned(), None);
    // Backward, what is beyond the length comes first.
    assert_eq!(padded.sequences.slice(ndarray::s![.., 2.., ..]), short.sequences);
    assert!(padded.sequences.slice(ndarray::s![.., ..2, ..]).iter().all(|&y| y == 0.0));
    assert_eq!(padded.last, short.last);
}

#[test]
fn arrays_that_are_not_a_keras_cells_are_refused() {
    let gru = Cell::Gru(Reset::After);
    let weights = |kernel: [usize; 2], recurrent: [usize; 2], bias: &[usize]| keras::Weights {
        kernel: ndarray::Array2::zeros(kernel),
        recurrent_kernel: ndarray::Array2::zeros(recurrent),
        bias: Some(ArrayD::zeros(bias)),
    };
    let refused = |weights: keras::Weights, cell, parts: &[&str]| {
        let error = weights.to_own(cell).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    refused(weights([4, 9], [3, 8], &[2, 9]), gru, &["recurrent_kernel", "[3, 8]"]);
    refused(weights([4, 8], [3, 9], &[2, 9]), gru, &["kernel", "[4, 8]"]);
    // The two forms of a GRU are told apart by their biases.
    refused(weights([4, 9], [3, 9], &[9]), gru, &["bias", "[2, 9]", "[9]"]);
    refused(weights([4, 9], [3, 9], &[2, 9]), Cell::Gru(Reset::Before), &["bias", "[9]", "[2, 9]"]);
    assert!(weights([4, 9], [3, 9], &[2, 9]).to_own(gru).is_ok());
    assert!(keras::activation("gelu").unwrap_err().to_string().contains("gelu"));
}

/// Weights whose elements all differ.
fn numbered(cell: Cell, inputs: usize, units: usize, [first, second]: [bool; 2]) -> LayerWeights {
    let rows = cell.gates() * units;
    let bias = |has: bool, start: f32| has.then(|| Array1::from_shape_fn(rows, |i| start + i as f32));
    let w = ndarray::Array2::from_shape_fn((rows, inputs), |(i, j)| (i * inputs + j) as f32 / 100.0);
    let r = ndarray::Array2::from_shape_fn((rows, units), |(i, j)| -((i * units + j) as f32) / 100.0);
    LayerWeights::new(w, r).b_w(bias(first, 100.0)).b_r(bias(second, 200.0))
}

#[test]
fn cudnns_matrices_come_back_the_same_in_every_bias_mode() {
    let modes = [
        (BiasMode::None, [false, false], Bias::None),
        (BiasMode::SingleInput, [true, false], Bias::One),
        (BiasMode::SingleRecurrent, [false, true], Bias::Two),
        (BiasMode::Double, [true, true], Bias::Two),
    ];
    let cells = [Cell::Elman(Activation::Tanh), Cell::Elman(Activation::Relu), Cell::Lstm, Cell::Gru(Reset::After)];
    for (cell, (mode, sides, expected)) in cells.into_iter().flat_map(|cell| modes.map(|mode| (cell, mode))) {
        let own = numbered(cell, 2, 3, sides);
        let theirs = cudnn::Weights::of_own(cell, &own, InputMode::Linear, mode).unwrap();
        assert_eq!(theirs.input.len(), cell.gates());
        // Matrix 1 of an LSTM is the forget gate's.
        assert_eq!(theirs.input[cell.gates() - 1], own.w.slice(ndarray::s![(cell.gates() - 1) * 3.., ..]));
        let (bias, back) = theirs.to_own(cell, InputMode::Linear, mode).unwrap();
        assert_eq!(bias, expected);
        assert_eq!((&back.w, &back.r, &back.b_r), (&own.w, &own.r, &own.b_r), "{cell:?} {mode:?}");
        // What has a bias beside R only has zeros beside W here.
        let zeros = (mode == BiasMode::SingleRecurrent).then(|| Array1::zeros(cell.gates() * 3));
        assert_eq!(back.b_w, own.b_w.clone().or(zeros), "{cell:?} {mode:?}");
        assert_eq!(cudnn::Weights::of_own(cell, &back, InputMode::Linear, mode).unwrap(), theirs);
    }
}

/// Every gate gets the input itself: what one gets by W = 1 for one unit.
#[test]
fn a_skipped_input_is_added_to_every_gate() {
    let cell = Cell::Gru(Reset::After);
    let own = numbered(cell, 2, 3, [true, true]);
    let theirs = cudnn::Weights::of_own(cell, &own, InputMode::Linear, BiasMode::Double).unwrap();
    let theirs = cudnn::Weights { input: Vec::new(), ..theirs };
    let (_, skipping) = theirs.to_own(cell, InputMode::Skip, BiasMode::Double).unwrap();
    let x = array![0.5, -1.0, 2.0];
    assert_eq!(skipping.w.dot(&x), array![0.5, -1.0, 2.0, 0.5, -1.0, 2.0, 0.5, -1.0, 2.0]);
    assert_eq!(cudnn::Weights::of_own(cell, &skipping, InputMode::Skip, BiasMode::Double).unwrap(), theirs);
    let error = cudnn::Weights::of_own(cell, &own, InputMode::Skip, BiasMode::Double).unwrap_err().to_string();
    assert!(error.contains("identity"), "{error}");
    // And it runs.
    let config = RnnConfig::new(cell, 3, 3);
    let rnn = Rnn::new(&gpu(), &config, RnnWeights::new(vec![vec![skipping]])).unwrap();
    assert!(rnn.check(Random::new(1).array([4, 2, 3]).view(), None, &Default::default()).unwrap().passed());
}

#[test]
fn cudnns_weights_that_a_mode_has_not_are_refused() {
    let own = numbered(Cell::Lstm, 2, 3, [true, true]);
    let theirs = cudnn::Weights::of_own(Cell::Lstm, &own, InputMode::Linear, BiasMode::Double).unwrap();
    let refused = |weights: cudnn::Weights, input, bias, part: &str| {
        let error = weights.to_own(Cell::Lstm, input, bias).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(theirs.clone(), InputMode::Skip, BiasMode::Double, "input matrices");
    refused(theirs.clone(), InputMode::Linear, BiasMode::SingleInput, "recurrent biases");
    refused(theirs.clone(), InputMode::Linear, BiasMode::None, "input biases");
    let mut uneven = theirs;
    uneven.recurrent[2] = ndarray::Array2::zeros((4, 3));
    refused(uneven, InputMode::Linear, BiasMode::Double, "[4, 3]");
    assert!(cudnn::Weights::of_own(Cell::Lstm, &own, InputMode::Linear, BiasMode::SingleInput).is_err());
    // cuDNN would reset after the product.
    let before = numbered(Cell::Gru(Reset::Before), 2, 3, [true, true]);
    let error = cudnn::Weights::of_own(Cell::Gru(Reset::Before), &before, InputMode::Linear, BiasMode::Double);
    assert!(error.unwrap_err().to_string().contains("gru_reset_before"));
    // Biases of another length.
    for cell in [Cell::Lstm, Cell::Gru(Reset::After)] {
        let uneven = numbered(cell, 2, 3, [true, true]).b_r(Array1::zeros(4));
        assert!(cudnn::Weights::of_own(cell, &uneven, InputMode::Linear, BiasMode::Double).is_err());
        assert!(keras::Weights::of_own(cell, &uneven).unwrap_err().to_string().contains("b_r"));
    }
}

/// A state dict says all of a configuration but its cell.
#[test]
fn a_state_dict_gives_the_configuration_that_made_it() {
    let mut all = Vec::new();
    for config in configs(4, 6) {
        all.extend([
            config.clone(),
            config.clone().layers(3).direction(Direction::Bidirectional),
            config.clone().bias(Bias::None).layers(2),
        ]);
    }
    for config in all {
        let weights = RnnWeights::init(&config, 3).unwrap();
        let bytes = pytorch::to_safetensors(&weights, Module::Stack, "encoder.").unwrap();
        assert_eq!(pytorch::from_safetensors(&bytes, config.cell(), "encoder.").unwrap(), (config, weights));
    }
}

/// `torch.nn.LSTMCell` and its like.
#[test]
fn cells_have_names_without_layers() {
    for cell in [Cell::Elman(Activation::Relu), Cell::Lstm, Cell::Gru(Reset::After)] {
        let config = RnnConfig::new(cell, 4, 6);
        let weights = RnnWeights::init(&config, 3).unwrap();
        let bytes = pytorch::to_safetensors(&weights, Module::Cell, "").unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut names = file.names().into_iter().map(str::to_owned).collect::<Vec<_>>();
        names.sort();
        assert_eq!(names, ["bias_hh", "bias_ih", "weight_hh", "weight_ih"]);
        assert_eq!(read::<Ix1>(&file, "bias_hh"), weights.layers()[0][0].b_r.clone().unwrap());
        assert_eq!(pytorch::from_safetensors(&bytes, cell, "").unwrap(), (config, weights));
    }
    let stack = RnnWeights::init(&RnnConfig::new(Cell::Lstm, 4, 6).layers(2), 3).unwrap();
    assert!(pytorch::to_safetensors(&stack, Module::Cell, "").is_err());
}

/// Models are often stored so: each number is one of f32 too.
#[test]
fn state_dicts_in_half_precision_are_read() {
    use half::{bf16, f16};
    let one = |dtype: safetensors::Dtype, number: Vec<u8>| {
        let data = number.repeat(16);
        let view = |shape: Vec<usize>| {
            let bytes = shape.iter().product::<usize>() * 2;
            safetensors::tensor::TensorView::new(dtype, shape, &data[..bytes]).unwrap()
        };
        let tensors = [("weight_ih", view(vec![4, 3])), ("weight_hh", view(vec![4, 1]))];
        let bytes = safetensors::serialize(tensors, None).unwrap();
        pytorch::from_safetensors(&bytes, Cell::Lstm, "").unwrap()
    };
    let number = 0.3_f32;
    for (dtype, bytes, expected) in [
        (safetensors::Dtype::F16, f16::from_f32(number).to_le_bytes(), f16::from_f32(number).to_f32()),
        (safetensors::Dtype::BF16, bf16::from_f32(number).to_le_bytes(), bf16::from_f32(number).to_f32()),
    ] {
        let (config, weights) = one(dtype, bytes.to_vec());
        assert_eq!(config, RnnConfig::new(Cell::Lstm, 3, 1).bias(Bias::None));
        assert!(weights.layers()[0][0].w.iter().all(|&w| w == expected));
    }
}

#[test]
fn a_state_dict_of_another_cell_is_refused() {
    let weights = RnnWeights::init(&RnnConfig::new(Cell::Gru(Reset::After), 4, 7), 3).unwrap();
    let bytes = pytorch::to_safetensors(&weights, Module::Stack, "a.").unwrap();
    let refused = |cell, prefix: &str, parts: &[&str]| {
        let error = pytorch::from_safetensors(&bytes, cell, prefix).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    refused(Cell::Lstm, "a.", &["a.weight_ih_l0", "lstm", "[21, 4]"]);
    refused(Cell::Elman(Activation::Tanh), "a.", &["a.weight_hh_l0", "[21, 7]"]);
    refused(Cell::Lstm, "b.", &["b.weight_ih_l0"]);
    // What would be left out silently.
    let with = |name: &str| {
        let tensors: Vec<_> = weights.named().map(|(name, array)| (name, array.to_owned())).collect();
        let more = tensors.iter().map(|(name, array)| (name.as_str(), array)).chain([(name, &tensors[0].1)]);
        let bytes: Vec<_> = more
            .map(|(name, array)| {
                (name, bytemuck::cast_slice(array.as_slice().unwrap()).to_vec(), array.shape().to_vec())
            })
            .collect();
        let views = bytes.iter().map(|(name, bytes, shape)| {
            (*name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
        });
        pytorch::from_safetensors(&safetensors::serialize(views, None).unwrap(), Cell::Gru(Reset::After), "")
    };
    assert!(with("head.weight").is_ok() && with("other").is_ok());
    for name in ["weight_ih_l2", "weight_hh_l1", "weight_ih_l1_reverse", "bias_hh_l0_reverse", "weight_hr_l1"] {
        let error = with(name).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
    assert!(pytorch::from_safetensors(b"none", Cell::Lstm, "").is_err());
    assert!(pytorch::load("no such file", Cell::Lstm, "").is_err());
}

/// What a system, a device or a build can't do is told as such, with the reason.
#[test]
fn what_a_system_lacks_is_unsupported_by_name() {
    let refused = |error: Error, what: &str, why: &str| {
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("{what} is not supported: ")) && text.contains(why), "{text}");
    };
    let own = numbered(Cell::Lstm, 2, 3, [true, true]).peepholes(Array1::ones(9));
    refused(keras::Weights::of_own(Cell::Lstm, &own).unwrap_err(), "peepholes", "Keras has none");
    let theirs = |own: &LayerWeights, input, bias| cudnn::Weights::of_own(Cell::Lstm, own, input, bias).unwrap_err();
    refused(theirs(&own, InputMode::Linear, BiasMode::Double), "peepholes", "cuDNN has none");
    let own = own.peepholes(None);
    refused(theirs(&own, InputMode::Skip, BiasMode::Double), "cuDNN's skipped input", "no identity");
    refused(theirs(&own, InputMode::Linear, BiasMode::None), "b_w in cuDNN's None", "not zero");
    let error = System::Cudnn.to_own(Cell::Gru(Reset::Before), own.w.view()).unwrap_err();
    refused(error, &format!("the cell {}", Cell::Gru(Reset::Before).name()), "Cudnn has no such cell");

    let config = RnnConfig::new(Cell::Lstm, 3, 4).layers(2);
    let weights = RnnWeights::init(&config, 0).unwrap();
    let error = pytorch::to_safetensors(&weights, Module::Cell, "").unwrap_err();
    refused(error, "a cell of 2 layers and directions", "Module::Stack");
    let session = rnn(&portable(), &RnnConfig::new(Cell::Lstm, 3, 4)).session(SessionOptions::new(2, 1)).unwrap();
    refused(session.profile().unwrap_err(), &format!("a profile on {}", portable().name()), "timestamp");
}

/// An array without elements may claim any number of rows: no size is reckoned with or allocated on its word.
#[test]
fn weights_without_elements_are_refused_whatever_sizes_they_claim() {
    let huge = 1 << 62;
    let cell = Cell::Gru(Reset::After);
    let own = |w: [usize; 2], r: [usize; 2]| LayerWeights::new(Array::zeros(w), Array::zeros(r));
    for [rows, columns] in [[huge, 0], [0, huge], [0, 0]] {
        let matrix = || Array::zeros([rows, columns]);
        let weights = keras::Weights { kernel: matrix(), recurrent_kernel: matrix(), bias: None };
        assert!(weights.to_own(cell).is_err(), "{rows}, {columns}");
        let gates = || vec![matrix(), matrix(), matrix()];
        let weights = cudnn::Weights {
            input: gates(),
            recurrent: gates(),
            projection: None,
            input_bias: Vec::new(),
            recurrent_bias: Vec::new(),
        };
        assert!(weights.to_own(cell, InputMode::Linear, BiasMode::None).is_err(), "{rows}, {columns}");
        let skipped = cudnn::Weights { input: Vec::new(), ..weights };
        assert!(skipped.to_own(cell, InputMode::Skip, BiasMode::None).is_err(), "{rows}, {columns}");
        for own in [own([rows, columns], [3, 1]), own([3, 1], [rows, columns])] {
            assert!(keras::Weights::of_own(cell, &own).is_err(), "{rows}, {columns}");
            for input in [InputMode::Linear, InputMode::Skip] {
                assert!(cudnn::Weights::of_own(cell, &own, input, BiasMode::Double).is_err(), "{rows}, {columns}");
            }
        }
    }
    // A skipped input is a matrix of all units for each gate, however small a projection makes R.
    let narrow = cudnn::Weights {
        input: Vec::new(),
        recurrent: vec![Array::zeros([1 << 23, 1]); 4],
        projection: None,
        input_bias: Vec::new(),
        recurrent_bias: Vec::new(),
    };
    let error = narrow.to_own(Cell::Lstm, InputMode::Skip, BiasMode::None).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { bytes: 1_125_899_906_842_624, .. }), "{error}");
}
