//! Whole models by a map of names.

use crate::common::{equal, expected, folder, output, read};
use std::collections::HashMap;
use wgrnn::dialects::pytorch::{Parts, StateDict};
use wgrnn::files::Arrays;
use wgrnn::ndarray::{Array, Array2, Array3, ArrayD, Axis, Ix1, Ix3, s};
use wgrnn::{Cell, Device, Error, PlanBuilder, Reset, Tensor};

const GRU: Cell = Cell::Gru(Reset::After);

fn parts() -> Parts {
    Parts::new()
        .embedding("embedding", "emb")
        .rnn("encoder", "lstm", Cell::Lstm)
        .arrays("norm", "norm")
        .arrays("convolution", "conv.")
        .arrays("batch norm", "bn")
        .rnn("decoder", "gru", GRU)
        .linear("middle", "mid")
        .linear("head", "fc")
}

fn tagger() -> Vec<u8> {
    read("pytorch_files/tagger.pt")
}

fn vector(model: &StateDict, part: &str, tensor: &str) -> Array<f32, Ix1> {
    model.array(part, tensor).unwrap().clone().into_dimensionality().unwrap()
}

fn dense(model: &StateDict, name: &str, x: &Array2<f32>) -> Array2<f32> {
    let device = Device::cpu();
    let linear = model.linear(&device, name).unwrap();
    let outputs = model.array(name, "weight").unwrap().len_of(Axis(0));
    let x = Tensor::from_array(&device, x.view()).unwrap();
    let y = Tensor::<f32>::zeros(&device, &[x.shape()[0], outputs]).unwrap();
    let mut plan = PlanBuilder::new(&device);
    let (input, into) = (plan.tensor(&x).unwrap(), plan.tensor(&y).unwrap());
    plan.linear_into(&linear, &input, &into).unwrap();
    plan.build().unwrap().run().unwrap();
    y.read().unwrap().into_dimensionality().unwrap()
}

/// The tagger's forward pass, [T, N] to [T, N, 2].
fn forward(model: &StateDict, symbols: &Array2<usize>) -> ArrayD<f32> {
    let table = model.array("embedding", "weight").unwrap();
    let embedding = model.embedding(&Device::cpu(), "embedding").unwrap();
    assert_eq!((embedding.symbols(), embedding.features()), (7, 3));
    let (steps, batch) = symbols.dim();
    let x = Array3::from_shape_fn((steps, batch, 3), |(t, n, i)| table[[symbols[[t, n]], i]]);
    let (config, weights) = model.rnn("encoder").unwrap();
    let mut x: Array3<f32> = output(config, weights.clone(), x.into_dyn()).into_dimensionality().unwrap();
    let (gain, bias) = (vector(model, "norm", "weight"), vector(model, "norm", "bias"));
    for mut row in x.rows_mut() {
        let mean = row.mean().unwrap();
        let variance = row.mapv(|x| (x - mean).powi(2)).mean().unwrap();
        row.mapv_inplace(|x| (x - mean) / (variance + 1e-5).sqrt());
        row *= &gain;
        row += &bias;
    }
    // Three steps wide, with a step of zeros on either side.
    let kernel: Array3<f32> = model.array("convolution", "weight").unwrap().clone().into_dimensionality().unwrap();
    let bias = vector(model, "convolution", "bias");
    let [gain, shift, mean, variance] =
        ["weight", "bias", "running_mean", "running_var"].map(|tensor| vector(model, "batch norm", tensor));
    let y = Array3::from_shape_fn((steps, batch, 5), |(t, n, o)| {
        let mut sum = bias[o];
        for k in 0..3 {
            if let Some(at) = (t + k).checked_sub(1).filter(|at| *at < steps) {
                sum += x.slice(s![at, n, ..]).dot(&kernel.slice(s![o, .., k]));
            }
        }
        (sum - mean[o]) / (variance[o] + 1e-5).sqrt() * gain[o] + shift[o]
    });
    let (config, weights) = model.rnn("decoder").unwrap();
    let y: Array3<f32> = output(config, weights.clone(), y.into_dyn()).into_dimensionality().unwrap();
    let rows = y.to_shape((steps * batch, 3)).unwrap().into_owned();
    let rows = dense(model, "head", &dense(model, "middle", &rows).mapv(f32::tanh));
    rows.to_shape((steps, batch, 2)).unwrap().into_owned().into_dyn()
}

#[test]
fn a_whole_model_gives_pytorchs_outputs() {
    let (arrays, _) = expected("pytorch_files/expected.safetensors");
    let bytes = read("pytorch_files/expected.safetensors");
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let symbols = file.tensor("tagger/symbols").unwrap();
    let words = symbols.data().chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap()) as usize);
    let symbols = Array2::from_shape_vec((6, 3), words.collect()).unwrap();
    let y = arrays.get("tagger/output").unwrap();
    for name in ["tagger.pt", "tagger_nested.pt"] {
        let model = parts().load(folder("pytorch_files").join(name)).unwrap();
        assert!(model.left_over().is_empty());
        equal(name, forward(&model, &symbols).view(), y.view());
    }
    // From arrays, without a file.
    let named: HashMap<String, ArrayD<f32>> = {
        let file = Arrays::load(folder("pytorch_files/tagger.pt")).unwrap();
        let floats = file.names().filter(|name| file.kind(name).unwrap() == "F32");
        floats.map(|name| (name.to_owned(), file.get(name).unwrap())).collect()
    };
    let model = parts().from_arrays(&Arrays::from_named(named).unwrap()).unwrap();
    equal("arrays", forward(&model, &symbols).view(), y.view());
}

#[test]
fn what_is_missing_left_over_or_of_another_shape_is_listed_at_once() {
    let bytes = tagger();
    let wrong = Parts::new()
        .embedding("embedding", "embed")
        .rnn_of("encoder", "lstm", &wgrnn::RnnConfig::new(Cell::Lstm, 3, 5))
        .rnn("decoder", "gru", Cell::Lstm)
        .linear("head", "fc")
        .linear("middle", "conv")
        .shape("head", "weight", &[3, 4])
        .shape("head", "bias", &[3]);
    let error = wrong.from_bytes(&bytes).unwrap_err();
    let Error::StateDict { missing, shapes, left_over, .. } = &error else { panic!("{error}") };
    assert_eq!(missing, &["embed.weight", "fc.bias"]);
    let parts = ["lstm.weight_ih_l0 (expected [20, 3], got [16, 3])", "fc.weight (expected [3, 4], got [2, 4])"];
    assert!(parts.iter().all(|part| shapes.iter().any(|shape| shape == part)), "{shapes:?}");
    assert!(shapes.iter().any(|shape| shape.starts_with("gru.weight_ih_l0 (expected [4 · H, ·]")), "{shapes:?}");
    assert!(shapes.iter().any(|shape| shape.starts_with("conv.weight (expected [·, ·], got [5, 8, 3]")), "{shapes:?}");
    for name in ["emb.weight", "lstm.weight_hh_l0_reverse", "norm.bias", "bn.num_batches_tracked", "mid.bias"] {
        assert!(left_over.iter().any(|left| left == name), "{name}: {left_over:?}");
    }
    let text = error.to_string();
    assert!(["missing: embed.weight", "of other shapes", "left over"].iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn tensors_of_no_part_are_an_error_unless_the_map_is_partial() {
    let bytes = tagger();
    let head = Parts::new().linear("head", "fc");
    let error = head.from_bytes(&bytes).unwrap_err();
    assert!(
        matches!(&error, Error::StateDict { missing, shapes, .. } if missing.is_empty() && shapes.is_empty()),
        "{error}"
    );
    let model = head.partial(true).from_bytes(&bytes).unwrap();
    assert_eq!(model.left_over().len(), 28);
    assert!(!model.left_over().iter().any(|name| name == "fc.weight"));
    // An optimiser's tensors lie beside the state dict: they belong to no model.
    let beside = read("pytorch_files/model_state_dict.pt");
    let model = Parts::new().rnn("rnn", "", Cell::Lstm).from_bytes(&beside).unwrap();
    assert_eq!(model.rnn("rnn").unwrap().0.hidden_size(), 4);
    // They can be read all the same.
    let arrays = Arrays::from_bytes(&beside).unwrap();
    assert_eq!(arrays.root(), "model_state_dict.");
    let moment = arrays.get("optimizer_state_dict.state.0.exp_avg").unwrap();
    assert_eq!(moment.shape(), [16, 3]);
    assert!(moment.iter().any(|x| *x != 0.0));
}

#[test]
fn a_model_is_written_with_the_files_names_and_read_again() {
    let (arrays, _) = expected("pytorch_files/expected.safetensors");
    let mut model = parts().from_bytes(&tagger()).unwrap();
    let written = model.to_safetensors().unwrap();
    let file = safetensors::SafeTensors::deserialize(&written).unwrap();
    // Every tensor of the state dict, of its type: what `load_state_dict` asks for.
    let names: Vec<&str> = arrays.names().filter_map(|name| name.strip_prefix("tagger/")).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| !["symbols", "output"].contains(name)).collect();
    assert_eq!(file.len(), names.len());
    let fixture = read("pytorch_files/expected.safetensors");
    let fixture = safetensors::SafeTensors::deserialize(&fixture).unwrap();
    for name in names {
        let (own, theirs) = (file.tensor(name).unwrap(), fixture.tensor(&format!("tagger/{name}")).unwrap());
        assert_eq!((own.dtype(), own.shape(), own.data()), (theirs.dtype(), theirs.shape(), theirs.data()), "{name}");
    }
    // Other numbers in their place.
    let trained = Array2::from_elem((2, 4), 0.5).into_dyn();
    model.set("head", &[("weight".to_owned(), trained.clone())]).unwrap();
    let (config, weights) = model.rnn("decoder").unwrap();
    let other = wgrnn::RnnWeights::init(config, 5).unwrap();
    assert_ne!(&other, weights);
    model.set_rnn("decoder", &other).unwrap();
    let again = parts().from_bytes(&model.to_safetensors().unwrap()).unwrap();
    assert_eq!(again.array("head", "weight").unwrap(), &trained);
    assert_eq!(again.rnn("decoder").unwrap().1, &other);
    assert_eq!(again.array("middle", "bias").unwrap(), model.array("middle", "bias").unwrap());
    // A file that DataParallel's prefix is in keeps it.
    let nested = parts().from_bytes(&read("pytorch_files/tagger_nested.pt")).unwrap();
    let nested = nested.to_safetensors().unwrap();
    let nested = safetensors::SafeTensors::deserialize(&nested).unwrap();
    assert!(nested.names().iter().all(|name| name.starts_with("module.")) && nested.len() == 29);
    if let Ok(path) = std::env::var("WGRNN_WRITE_TAGGER") {
        std::fs::write(path, written).unwrap();
    }
}

#[test]
fn weights_that_do_not_fit_a_part_are_refused() {
    let mut model = parts().from_bytes(&tagger()).unwrap();
    let array = |shape: &[usize]| ArrayD::<f32>::zeros(shape);
    assert!(matches!(model.set("none", &[]), Err(Error::Value { .. })));
    assert!(matches!(model.set("head", &[("bias".to_owned(), array(&[2]))]), Err(Error::Value { .. })));
    assert!(matches!(model.set("head", &[("weight".to_owned(), array(&[4, 2]))]), Err(Error::Shape { .. })));
    assert!(matches!(model.set("encoder", &[]), Err(Error::MissingWeight(_))));
    assert!(matches!(model.set_rnn("head", &model.rnn("encoder").unwrap().1.clone()), Err(Error::Value { .. })));
    assert!(matches!(model.linear(&Device::cpu(), "embedding"), Err(Error::Value { .. })));
    assert!(matches!(model.embedding(&Device::cpu(), "encoder"), Err(Error::Value { .. })));
    assert!(matches!(model.rnn("head"), Err(Error::Value { .. })));
    assert!(matches!(model.arrays("decoder"), Err(Error::Value { .. })));
    assert!(matches!(model.array("head", "bias"), Err(Error::MissingWeight(_))));
    let twice = Parts::new().linear("a", "fc").linear("a", "mid").partial(true);
    assert!(matches!(twice.from_bytes(&tagger()), Err(Error::Value { .. })));
    let none = Parts::new().linear("a", "fc").shape("b", "weight", &[1]).partial(true);
    assert!(matches!(none.from_bytes(&tagger()), Err(Error::Value { .. })));
}

#[test]
fn parts_that_share_a_tensor_have_to_keep_it_the_same() {
    let tied = Parts::new().embedding("in", "emb").linear("out", "emb").partial(true);
    let mut model = tied.from_bytes(&tagger()).unwrap();
    let one = model.to_safetensors().unwrap();
    assert_eq!(safetensors::SafeTensors::deserialize(&one).unwrap().names(), ["emb.weight"]);
    model.set("out", &[("weight".to_owned(), ArrayD::zeros([7, 3].as_slice()))]).unwrap();
    assert!(matches!(model.to_safetensors(), Err(Error::Value { .. })));
}

#[test]
fn vectors_of_three_axes_are_read_as_they_are() {
    let model = parts().from_bytes(&tagger()).unwrap();
    let kernel = model.array("convolution", "weight").unwrap().clone().into_dimensionality::<Ix3>().unwrap();
    assert_eq!(kernel.dim(), (5, 8, 3));
    let names: Vec<&str> = model.arrays("batch norm").unwrap().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["bias", "running_mean", "running_var", "weight"]);
}
