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
    let path = format!("{}/fixtures/pytorch_golden.safetensors", env!("CARGO_MANIFEST_DIR"));
    let config = RnnConfig::new(Cell::Elman(Activation::Tanh), 3, 16).bias(Bias::None);
    let weights = RnnWeights::load(&path, &config, "case_00/").unwrap();
    let [LayerWeights { w, r, b_w: None, b_r: None, w_hr: None, peepholes: None, norm: None, .. }] =
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
    let weights = LayerWeights::new(array![[1.0]], array![[2.0]]).b_w(array![3.0]).b_r(array![4.0]);
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
    let lacking = weights.clone().b_r(None);
    refused!(file(lacking), config, Error::MissingWeight(_), "bias_hh_l0");
    let mut wide = weights.clone();
    wide.w = array![[1.0, 2.0]];
    refused!(file(wide), config, Error::Shape { .. }, "weight_ih_l0", "[1, 1]", "[1, 2]");
    let mut turned = weights.clone();
    turned.r = array![[1.0], [2.0]];
    refused!(file(turned), config, Error::Shape { .. }, "weight_hh_l0", "[1, 1]", "[2, 1]");
    refused!(file(weights.clone()), config.clone().bias(Bias::None), Error::Shape { .. }, "bias_ih_l0", "none");
    refused!(file(weights.clone()), config.clone().bias(Bias::One), Error::Shape { .. }, "bias_hh_l0", "none");
    let projected = weights.w_hr(array![[1.0]]);
    refused!(file(projected), config, Error::Shape { .. }, "weight_hr_l0", "none");
}

#[test]
fn weights_that_are_not_numbers_are_refused_by_name_and_place() {
    let (config, weights) = small();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let spoilt = weights.clone().b_r(array![value]);
        refused!(file(spoilt), config, Error::NotFinite { index: 0, .. }, "bias_hh_l0", "element 0", "finite");
    }
    let config = RnnConfig::new(Cell::Elman(Activation::Tanh), 2, 1);
    let mut spoilt = weights;
    spoilt.w = array![[1.0, f32::NAN]];
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

/// What a file has beside the layers that are asked for, in every place where it could be dropped.
#[test]
fn tensors_that_would_be_left_out_are_refused_by_name_and_left_out_where_a_part_is_asked_for() {
    let plain = RnnConfig::new(Cell::Lstm, 3, 5);
    let wholes = [
        (plain.clone().layers(2), "weight_ih_l1"),
        (plain.clone().direction(Direction::Bidirectional), "weight_hh_l0_reverse"),
        (plain.clone().layers(3).direction(Direction::Bidirectional), "bias_ih_l2_reverse"),
    ];
    for (whole, name) in wholes {
        // Layers above the first one read more where there are two directions: only the first layers are the same.
        let weights = RnnWeights::init(&whole, 1).unwrap();
        for prefix in ["", "encoder."] {
            let bytes = weights.to_safetensors(prefix).unwrap();
            let error = RnnWeights::from_safetensors(&bytes, &plain, prefix).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, Error::LeftOver { .. }) && text.contains(&format!("{prefix}{name}")), "{text}");
            let (part, left) = RnnWeights::from_safetensors_partial(&bytes, &plain, prefix).unwrap();
            assert_eq!(part.layers()[0][0], weights.layers()[0][0]);
            assert!(left.iter().any(|left| left == name), "{left:?}");
            assert_eq!(left.len(), weights.named().count() - 4, "{left:?}");
        }
        let named: Vec<_> = weights.named().map(|(name, array)| (name, array.to_owned())).collect();
        let error = RnnWeights::from_named(&plain, &named).unwrap_err();
        assert!(matches!(error, Error::LeftOver { .. }) && error.to_string().contains("bias_hh_l"), "{error}");
    }
}

/// As PyTorch writes it, without a note.
fn without_notes(tensors: &[(&str, Vec<usize>)]) -> Vec<u8> {
    let bytes = vec![0; 4 * tensors.iter().map(|(_, shape)| shape.iter().product()).max().unwrap_or(0)];
    let views = tensors.iter().map(|(name, shape)| {
        let data = &bytes[..4 * shape.iter().product::<usize>()];
        (*name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn every_kind_of_recurrent_tensor_is_seen_when_it_is_left_over_and_other_modules_are_not() {
    let config = RnnConfig::new(Cell::Lstm, 3, 2);
    let own =
        [("weight_ih_l0", vec![8, 3]), ("weight_hh_l0", vec![8, 2]), ("bias_ih_l0", vec![8]), ("bias_hh_l0", vec![8])];
    let with = |more: &'static str| without_notes(&[&own[..], &[(more, vec![8])]].concat());
    for more in [
        "weight_ih_l1",
        "weight_hh_l7",
        "bias_ih_l0_reverse",
        "weight_hr_l1",
        "peephole_l1",
        "norm_ih_l1",
        "norm_hh_l0_reverse",
        "norm_c_l1",
        "norm_bias_c_l1",
        "weight_ih_l0_head1",
        "bias_ih_l0_reverse_head2",
        "weight_ih",
    ] {
        let error = RnnWeights::from_safetensors(&with(more), &config, "").unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::LeftOver { .. }) && text.contains(more), "{text}");
        assert!(text.contains("1 layer with 1 direction") && text.contains("load_partial"), "{text}");
        let (_, left) = RnnWeights::from_safetensors_partial(&with(more), &config, "").unwrap();
        assert_eq!(left, [more]);
    }
    for more in ["head.weight", "decoder.weight_ih_l1", "weight", "weight_ih_layer", "weight_ih_l", "optimizer.mean"] {
        assert!(RnnWeights::from_safetensors(&with(more), &config, "").is_ok(), "{more}");
    }
    // What the configuration has not is refused within its own layers too, unless a part is asked for.
    let unbiased = config.bias(Bias::None);
    let bytes = without_notes(&own);
    assert!(matches!(RnnWeights::from_safetensors(&bytes, &unbiased, ""), Err(Error::Shape { .. })));
    let (_, left) = RnnWeights::from_safetensors_partial(&bytes, &unbiased, "").unwrap();
    assert_eq!(left, ["bias_hh_l0", "bias_ih_l0"]);
}

#[test]
fn an_error_of_missing_tensors_lists_them_what_the_file_has_and_the_prefixes_that_there_are() {
    let config = RnnConfig::new(Cell::Gru(Reset::After), 3, 5);
    let error = |bytes: &[u8], config: &RnnConfig, prefix: &str| {
        let error = RnnWeights::from_safetensors(bytes, config, prefix).unwrap_err();
        assert!(matches!(error, Error::MissingWeight(_)), "{error}");
        error.to_string()
    };
    let bytes = RnnWeights::init(&config, 0).unwrap().to_safetensors("encoder.rnn.").unwrap();
    // A wrong prefix, none, and one without its dot.
    for prefix in ["decoder.", "", "encoder.rnn"] {
        let text = error(&bytes, &config, prefix);
        assert!(text.contains("'encoder.rnn.'") && text.contains(&format!("{prefix}weight_ih_l0")), "{text}");
    }
    let text = wgrnn::dialects::pytorch::from_safetensors(&bytes, config.cell(), "x.").unwrap_err().to_string();
    assert!(text.contains("x.weight_ih_l0") && text.contains("'encoder.rnn.'"), "{text}");
    // Layers that are not there: all of them, and what is there.
    let text = error(&bytes, &config.clone().layers(2), "encoder.rnn.");
    for part in ["encoder.rnn.weight_ih_l1", "weight_hh_l1", "bias_hh_l1", "the file has encoder.rnn.bias_hh_l0"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = error(&without_notes(&[("conv.weight", vec![2])]), &config, "encoder.");
    assert!(text.contains("the file has conv.weight"), "{text}");
    let text = error(&without_notes(&[]), &config, "encoder.");
    assert!(text.contains("no tensors"), "{text}");
    // However many layers are asked for, a small file is answered at once.
    let text = error(&bytes, &config.layers(1 << 24), "encoder.rnn.");
    assert!(text.contains("weight_ih_l1") && text.len() < 2000, "{text}");
}

/// Pairs of layers whose tensors have the same names and shapes.
#[test]
fn a_file_of_another_cell_of_the_same_shapes_is_refused_with_the_difference() {
    use wgrnn::CellClip;
    let elman = |activation| RnnConfig::new(Cell::Elman(activation), 3, 5);
    let lstm = || RnnConfig::new(Cell::Lstm, 3, 5);
    let gru = |reset| RnnConfig::new(Cell::Gru(reset), 3, 5);
    let leaky = |alpha: f32| elman(Activation::LeakyRelu { alpha: alpha.into() });
    let clip = |low: f32| CellClip { low: low.into(), high: 1.0.into(), propagates_nan: true };
    use Activation::{Relu, Sigmoid, Softsign, Tanh};
    let ind = |activation| RnnConfig::new(Cell::IndRnn(activation), 3, 5);
    let pairs = [
        (elman(Tanh), elman(Relu), ["tanh", "relu"]),
        (leaky(0.1), leaky(0.2), ["0.1", "0.2"]),
        (ind(Tanh), ind(Relu), ["tanh", "relu"]),
        (gru(Reset::After), gru(Reset::Before), ["reset_after", "reset_before"]),
        (lstm(), lstm().clip(0.5), ["clip", "0.5"]),
        (lstm().clip(0.25), lstm().clip(0.5), ["0.25", "0.5"]),
        (lstm(), lstm().cell_clip(clip(-1.0)), ["cell clip", "none"]),
        (lstm().cell_clip(clip(-2.0)), lstm().cell_clip(clip(-1.0)), ["-2", "-1"]),
        (lstm(), lstm().coupled(true), ["coupled", "none"]),
        (lstm(), lstm().activations(Sigmoid, Softsign, Tanh), ["softsign", "sigmoid, tanh, tanh"]),
        (lstm(), lstm().zoneout(0.1, 0.2), ["zoneout", "0.2"]),
        (lstm(), lstm().direction(Direction::Reverse), ["forward", "reverse"]),
    ];
    for (one, other, parts) in pairs {
        for (saved, asked) in [(&one, &other), (&other, &one)] {
            for prefix in ["", "a."] {
                let bytes = RnnWeights::init(saved, 0).unwrap().to_safetensors(prefix).unwrap();
                assert!(RnnWeights::from_safetensors(&bytes, saved, prefix).is_ok());
                let both = [
                    RnnWeights::from_safetensors(&bytes, asked, prefix).map(|_| ()),
                    RnnWeights::from_safetensors_partial(&bytes, asked, prefix).map(|_| ()),
                ];
                for result in both {
                    let error = result.unwrap_err();
                    let text = error.to_string();
                    assert!(matches!(error, Error::Value { .. }), "{text}");
                    assert!(parts.iter().all(|part| text.contains(part)), "{parts:?}: {text}");
                }
            }
        }
    }
    // What changes nothing that the layers give may be another.
    let bytes = RnnWeights::init(&lstm(), 0).unwrap().to_safetensors("").unwrap();
    let same = lstm().with_dropout(0.5).recurrent_dropout(0.2).batch_first(true);
    assert!(RnnWeights::from_safetensors(&bytes, &same, "").is_ok());
    // Half of both directions is the forward one.
    let both = lstm().direction(Direction::Bidirectional);
    let bytes = RnnWeights::init(&both, 0).unwrap().to_safetensors("").unwrap();
    assert!(RnnWeights::from_safetensors_partial(&bytes, &lstm(), "").is_ok());
    assert!(RnnWeights::from_safetensors_partial(&bytes, &lstm().direction(Direction::Reverse), "").is_err());
}

/// The layer that weights are read from says it, however they came to it.
#[test]
fn weights_of_a_layer_are_saved_with_its_cell() {
    let relu = RnnConfig::new(Cell::Elman(Activation::Relu), 3, 5);
    let tanh = RnnConfig::new(Cell::Elman(Activation::Tanh), 3, 5);
    let own = RnnWeights::new(RnnWeights::init(&relu, 0).unwrap().layers().to_vec());
    // Of arrays alone nobody knows.
    assert!(RnnWeights::from_safetensors(&own.to_safetensors("").unwrap(), &tanh, "").is_ok());
    let device = wgrnn::Device::cpu();
    let fixed = wgrnn::Rnn::new(&device, &relu, own.clone()).unwrap();
    let trainable = wgrnn::Rnn::trainable(&device, &relu, &own).unwrap();
    for rnn in [fixed, trainable] {
        let bytes = rnn.weights().unwrap().to_safetensors("").unwrap();
        assert_eq!(RnnWeights::from_safetensors(&bytes, &relu, "").unwrap(), own);
        let error = RnnWeights::from_safetensors(&bytes, &tanh, "").unwrap_err().to_string();
        assert!(error.contains("relu, as the file says"), "{error}");
        // PyTorch's names carry it too.
        let weights = rnn.weights().unwrap();
        let module = wgrnn::dialects::pytorch::Module::Stack;
        let bytes = wgrnn::dialects::pytorch::to_safetensors(&weights, module, "").unwrap();
        assert!(wgrnn::dialects::pytorch::from_safetensors(&bytes, tanh.cell(), "").is_err());
        assert!(wgrnn::dialects::pytorch::from_safetensors(&bytes, relu.cell(), "").is_ok());
    }
}

#[test]
fn a_note_that_is_damaged_or_of_another_version_is_an_error() {
    let config = RnnConfig::new(Cell::Lstm, 3, 5);
    let weights = RnnWeights::init(&config, 0).unwrap();
    let named: Vec<_> = weights.named().map(|(name, array)| (name, array.to_owned())).collect();
    let with = |note: &str| {
        let bytes: Vec<Vec<u8>> =
            named.iter().map(|(_, array)| array.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
        let views = named.iter().zip(&bytes).map(|((name, array), bytes)| {
            let shape = array.shape().to_vec();
            (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, bytes).unwrap())
        });
        let notes = std::collections::HashMap::from([("wgrnn.config.".to_owned(), note.to_owned())]);
        let bytes = safetensors::serialize(views, Some(notes)).unwrap();
        RnnWeights::from_safetensors(&bytes, &config, "").map(|_| ()).map_err(|error| error.to_string())
    };
    let usual = r#""cell":"lstm","direction":"forward","activations":"sigmoid, tanh, tanh""#;
    assert_eq!(with(&format!("{{{usual}}}")), Ok(()));
    for damaged in ["", "{", "[]", "null", r#"{"cell":1}"#] {
        assert!(with(damaged).unwrap_err().contains("wgrnn.config."), "{damaged}");
    }
    let error = with(&format!("{{{usual},\"temperature\":\"2\"}}")).unwrap_err();
    assert!(error.contains("temperature") && error.contains("none"), "{error}");
}

#[test]
fn weights_that_could_not_be_loaded_do_not_replace_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let good = RnnWeights::init(&stack(), 0).unwrap();
    good.save(&path, "").unwrap();
    let spoilt = |change: &dyn Fn(&mut Vec<Vec<LayerWeights>>)| {
        let mut layers = good.layers().to_vec();
        change(&mut layers);
        RnnWeights::new(layers)
    };
    let all = [
        (spoilt(&|layers| layers[1][1].w[[3, 2]] = f32::NAN), "weight_ih_l1_reverse"),
        (spoilt(&|layers| layers[0][0].b_r.as_mut().unwrap()[1] = f32::INFINITY), "bias_hh_l0"),
        (spoilt(&|layers| layers[1][0].b_w = None), "bias_ih_l1"),
        (spoilt(&|layers| layers[0][1].r = ndarray::Array2::zeros((20, 3))), "weight_hh_l0_reverse"),
        (spoilt(&|layers| layers[1][0].w = ndarray::Array2::zeros((20, 3))), "weight_ih_l1"),
        (spoilt(&|layers| layers[0][0].b_w = Some(ndarray::Array1::zeros(5))), "bias_ih_l0"),
        (spoilt(&|layers| layers[1].truncate(1)), "layer 1"),
        (spoilt(&Vec::clear), "layer"),
        (spoilt(&|layers| layers.iter_mut().for_each(|layer| layer.push(layer[0].clone()))), "directions"),
        (good.clone().heads(3), "heads"),
        (good.clone().heads(0), "heads"),
    ];
    for (weights, part) in all {
        let error = weights.save(&path, "").unwrap_err().to_string();
        assert!(error.contains(part), "{part}: {error}");
        assert_eq!(RnnWeights::load(&path, &stack(), "").unwrap(), good);
    }
    // Three directions have no names.
    let three = spoilt(&|layers| layers.iter_mut().for_each(|layer| layer.push(layer[0].clone())));
    assert!(matches!(three.to_safetensors(""), Err(Error::Value { .. })));
}
