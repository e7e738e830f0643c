//! Weights: PyTorch's initial numbers, its names in safetensors files, and damaged files.

use crate::common::configs;
use ndarray::array;
use wgrnn::{Activation, Bias, Cell, Direction, Error, LayerWeights, Reset, RnnConfig, RnnWeights};

/// A stack with every kind of tensor: `torch.nn.LSTM(3, 5, num_layers=2, bidirectional=True, proj_size=2)`.
fn stack() -> RnnConfig {
    RnnConfig::new(Cell::Lstm, 3, 5).layers(2).direction(Direction::Bidirectional).projection(2)
}

fn tensors(weights: &LayerWeights) -> Vec<Vec<f32>> {
    let LayerWeights { w, r, b_w, b_r, w_hr, .. } = weights;
    let matrices = [Some(w), Some(r)].into_iter().flatten().map(|w| w.iter().copied().collect());
    let biases = [b_w, b_r].into_iter().flatten().map(|b| b.to_vec());
    matrices.chain(biases).chain(w_hr.iter().map(|w| w.iter().copied().collect())).collect()
}

/// First element, last element and sum of a tensor: `p[0], p[-1], p.double().sum()`, the first two as bits.
fn facts(values: &[f32]) -> (u32, u32, f64) {
    let sum = values.iter().map(|&value| f64::from(value)).sum();
    (values[0].to_bits(), values[values.len() - 1].to_bits(), sum)
}

/// Equal to the last bit; sums of f32 in f64 may differ by their order only.
fn equal(weights: &RnnWeights, expected: &[(u32, u32, f64)]) {
    let tensors: Vec<_> = weights.layers().iter().flatten().flat_map(tensors).collect();
    assert_eq!(tensors.len(), expected.len());
    for (i, (tensor, &(first, last, sum))) in tensors.iter().zip(expected).enumerate() {
        let got = facts(tensor);
        assert_eq!((got.0, got.1), (first, last), "tensor {i}");
        assert!((got.2 - sum).abs() < 1e-13, "tensor {i}: {} and {sum}", got.2);
    }
}

#[test]
fn initial_weights_of_an_lstm_are_pytorchs() {
    // torch.manual_seed(0)
    // for p in torch.nn.LSTM(3, 5, num_layers=2, bidirectional=True, proj_size=2).parameters():
    //     f = p.detach().flatten(); print([hex(x) for x in f.view(torch.int32)[[0, -1]]], f.double().sum().item())
    let expected = [
        (0xbb5b_6d9b, 0xbe6c_9158, -1.954_736_444_866_284_7),
        (0x3e4f_3563, 0xbe83_d8ea, 0.918_947_136_029_601_1),
        (0x3ed7_6812, 0x3dd9_39f3, -0.433_384_058_997_035),
        (0x3e33_b614, 0x3e91_971e, -1.042_103_467_509_150_5),
        (0x3ed8_e4e6, 0xbeaf_7709, 0.222_739_123_273_640_87),
        (0xbed6_4902, 0x3d67_f3ae, -2.255_962_397_903_204),
        (0xbb5a_2c81, 0xbd9b_b79d, -0.244_394_998_473_584_65),
        (0xbe71_302b, 0x3df9_0637, -0.034_065_082_669_258_12),
        (0xbe58_ace5, 0xbca2_ec5f, -1.206_956_482_492_387_3),
        (0xbe8b_7474, 0xbe19_fc77, -0.356_029_110_029_339_8),
        (0xbe5c_f1d4, 0x3eb0_cbec, 2.938_524_806_872_010_2),
        (0x3ecb_999b, 0x3ed3_c2e7, 2.868_437_545_374_036),
        (0x3cc4_2626, 0xbecf_e0c1, -1.271_588_500_589_132_3),
        (0xbedc_1c4e, 0xbe03_b7b6, -0.027_696_268_633_008_003),
        (0xbee0_d2e5, 0xbe0d_48c0, -1.206_957_969_814_539),
        (0x3e49_04fb, 0x3ee0_b169, 0.567_259_741_015_732_3),
        (0xbed9_3dd3, 0x3eb1_c556, -0.127_445_552_498_102_2),
        (0xbd89_1826, 0xbd20_3aa7, -0.258_953_567_594_289_8),
        (0xbd30_120b, 0xbce6_4df5, 0.397_496_340_796_351_43),
        (0x3e8f_cc58, 0x3e46_79ab, -0.101_242_624_223_232_27),
    ];
    equal(&RnnWeights::init(&stack(), 0).unwrap(), &expected);
}

#[test]
fn initial_weights_of_a_gru_are_pytorchs() {
    // The same for torch.nn.GRU(7, 6).
    let expected = [
        (0xbb48_4f41, 0xbe77_c760, -1.796_104_090_055_450_8),
        (0xbdd1_4c86, 0x3ebb_3874, -2.428_187_955_869_361_8),
        (0x3e7f_b95f, 0x3d5d_03b2, -0.308_406_044_321_600_35),
        (0x3eac_d85b, 0x3de3_53b8, 0.129_957_705_736_160_28),
    ];
    equal(&RnnWeights::init(&RnnConfig::new(Cell::Gru(Reset::After), 7, 6), 0).unwrap(), &expected);
}

#[test]
fn initial_weights_follow_their_seed() {
    let init = |seed| RnnWeights::init(&stack(), seed).unwrap();
    assert_eq!(init(1), init(1));
    assert_ne!(init(1), init(2));
}

#[test]
fn a_file_gives_back_what_was_saved() {
    for config in configs(3, 6) {
        for bias in [Bias::None, Bias::One, Bias::Two] {
            if bias == Bias::Two && !config.cell().has_recurrent_weights() {
                assert!(RnnWeights::init(&config.clone().bias(bias), 5).is_err());
                continue;
            }
            for direction in [Direction::Forward, Direction::Reverse, Direction::Bidirectional] {
                let config = config.clone().layers(2).bias(bias).direction(direction);
                let weights = RnnWeights::init(&config, 5).unwrap();
                for prefix in ["", "encoder.rnn."] {
                    let bytes = weights.to_safetensors(prefix).unwrap();
                    assert_eq!(RnnWeights::from_safetensors(&bytes, &config, prefix).unwrap(), weights);
                    assert!(RnnWeights::from_safetensors(&bytes, &config, "decoder.").is_err());
                }
            }
        }
    }
}

#[test]
fn saving_replaces_a_file_and_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    for seed in 0..2 {
        let weights = RnnWeights::init(&stack(), seed).unwrap();
        weights.save(&path, "a.").unwrap();
        assert_eq!(RnnWeights::load(&path, &stack(), "a.").unwrap(), weights);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_save_that_fails_names_the_file_and_leaves_the_old_one_whole() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old");
    std::fs::write(&old, "precious").unwrap();
    let taken = folder.path().join("folder");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("inside"), "precious").unwrap();
    let weights = RnnWeights::init(&stack(), 0).unwrap();
    // A folder that is a file, one that is not there, and a name that a folder has.
    for path in [old.join("inside"), folder.path().join("nowhere").join("file"), taken.clone()] {
        let error = weights.save(&path, "").unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{error}");
        assert!(error.to_string().starts_with(&*path.to_string_lossy()), "{error}");
    }
    for path in [old, taken.join("inside")] {
        assert_eq!(std::fs::read_to_string(path).unwrap(), "precious");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing half-written is left");
}

#[test]
fn a_file_that_is_not_there_is_an_error_that_names_it() {
    let error = RnnWeights::load("no/such/file.safetensors", &stack(), "").unwrap_err();
    assert!(matches!(error, Error::File { .. }) && error.to_string().contains("no/such/file.safetensors"), "{error}");
}

#[test]
fn pytorchs_names_are_read_after_their_prefix() {
    let path = format!("{}/tests/fixtures/pytorch_golden.safetensors", env!("CARGO_MANIFEST_DIR"));
    let config = RnnConfig::new(Cell::Elman(Activation::Tanh), 3, 16).bias(Bias::None);
    let weights = RnnWeights::load(&path, &config, "case_00/").unwrap();
    let [LayerWeights { w, r, b_w: None, b_r: None, w_hr: None, peepholes: None, norm: None }] =
        &weights.layers()[0][..]
    else {
        panic!("{weights:?}")
    };
    assert_eq!((w.dim(), r.dim()), ((16, 3), (16, 16)));
    assert!(w.iter().chain(r).all(|&value| value != 0.0));
    // Another case's tensors have other shapes, and without the prefix there are none.
    assert!(matches!(RnnWeights::load(&path, &config, "case_01/"), Err(Error::Shape { .. })));
    assert!(matches!(RnnWeights::load(&path, &config, ""), Err(Error::MissingWeight(_))));
}

/// One unit of one feature: W, R and two biases, a number each.
fn small() -> (RnnConfig, LayerWeights) {
    let weights = LayerWeights {
        w: array![[1.0]],
        r: array![[2.0]],
        b_w: Some(array![3.0]),
        b_r: Some(array![4.0]),
        w_hr: None,
        peepholes: None,
        norm: None,
    };
    (RnnConfig::new(Cell::Elman(Activation::Tanh), 1, 1), weights)
}

fn file(weights: LayerWeights) -> Vec<u8> {
    RnnWeights::new(vec![vec![weights]]).to_safetensors("").unwrap()
}

/// An error of this kind, whose text has these parts.
macro_rules! refused {
    ($bytes:expr, $config:expr, $pattern:pat, $($part:expr),*) => {{
        let error = RnnWeights::from_safetensors(&$bytes, &$config, "").unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, $pattern), "{text}");
        $(assert!(text.contains($part), "{text}");)*
    }};
}

#[test]
fn tensors_that_do_not_fit_are_refused_by_name() {
    let (config, weights) = small();
    refused!(file(weights.clone()), config.clone().layers(2), Error::MissingWeight(_), "weight_ih_l1");
    refused!(
        file(weights.clone()),
        config.clone().direction(Direction::Bidirectional),
        Error::MissingWeight(_),
        "weight_ih_l0_reverse"
    );
    let lacking = LayerWeights { b_r: None, ..weights.clone() };
    refused!(file(lacking), config, Error::MissingWeight(_), "bias_hh_l0");
    let wide = LayerWeights { w: array![[1.0, 2.0]], ..weights.clone() };
    refused!(file(wide), config, Error::Shape { .. }, "weight_ih_l0", "[1, 1]", "[1, 2]");
    let turned = LayerWeights { r: array![[1.0], [2.0]], ..weights.clone() };
    refused!(file(turned), config, Error::Shape { .. }, "weight_hh_l0", "[1, 1]", "[2, 1]");
    refused!(file(weights.clone()), config.clone().bias(Bias::None), Error::Shape { .. }, "bias_ih_l0", "none");
    refused!(file(weights.clone()), config.clone().bias(Bias::One), Error::Shape { .. }, "bias_hh_l0", "none");
    let projected = LayerWeights { w_hr: Some(array![[1.0]]), ..weights };
    refused!(file(projected), config, Error::Shape { .. }, "weight_hr_l0", "none");
}

#[test]
fn weights_that_are_not_numbers_are_refused_by_name_and_place() {
    let (config, weights) = small();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let spoilt = LayerWeights { b_r: Some(array![value]), ..weights.clone() };
        refused!(file(spoilt), config, Error::NotFinite { index: 0, .. }, "bias_hh_l0", "element 0", "finite");
    }
    let config = RnnConfig::new(Cell::Elman(Activation::Tanh), 2, 1);
    let spoilt = LayerWeights { w: array![[1.0, f32::NAN]], ..weights };
    refused!(file(spoilt), config, Error::NotFinite { index: 1, .. }, "weight_ih_l0", "element 1 is NaN");
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let (config, weights) = small();
    let bytes = file(weights);
    assert!(RnnWeights::from_safetensors(&bytes, &config, "").is_ok());
    for length in 0..bytes.len() {
        let error = RnnWeights::from_safetensors(&bytes[..length], &config, "").unwrap_err();
        assert!(matches!(error, Error::Safetensors(_)), "{length} bytes: {error}");
    }
    refused!([&bytes[..], &[0]].concat(), config, Error::Safetensors(_), "safetensors");
}
