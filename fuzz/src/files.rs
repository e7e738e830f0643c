//! Files of each format, whole, damaged, or never whole.

use super::damage::damaged;
use arbitrary::Unstructured;
use std::collections::HashMap;
use std::sync::LazyLock;
use wgrnn::files::Arrays;
use wgrnn::ndarray::{Array2, Array3, array};
use wgrnn::{
    Activation, Cell, Device, Direction, Linear, Optimizer, Reset, Rnn, RnnCall, RnnConfig, RnnWeights, Tape, Tensor,
    Trainer, TrainerOptions, dialects, onnx,
};

/// A small configuration.
pub fn config(draw: &mut Unstructured<'_>) -> RnnConfig {
    let cells = [
        Cell::Elman(Activation::Tanh),
        Cell::Elman(Activation::Relu),
        Cell::Lstm,
        Cell::Gru(Reset::After),
        Cell::Gru(Reset::Before),
        Cell::MinGru,
        Cell::IndRnn(Activation::Tanh),
    ];
    let cell = draw.choose(&cells).copied().unwrap_or(Cell::Lstm);
    let mut size = |most| draw.int_in_range(1..=most).unwrap_or(1);
    let config = RnnConfig::new(cell, size(4), size(5)).layers(size(2));
    let both = draw.ratio(1, 3).unwrap_or(false);
    config.direction(if both { Direction::Bidirectional } else { Direction::Forward })
}

/// Weights out of a file: what is accepted is whole, and written as it was read.
pub fn safetensors(bytes: &[u8]) -> bool {
    let mut draw = Unstructured::new(bytes);
    let config = config(&mut draw);
    let prefix = if draw.ratio(1, 4).unwrap_or(false) { "encoder." } else { "" };
    let never_whole = draw.ratio(1, 8).unwrap_or(false);
    let file = if never_whole {
        draw.take_rest().to_vec()
    } else {
        let weights = RnnWeights::init(&config, 1).expect("the configuration is sound");
        damaged(&mut draw, &weights.to_safetensors(prefix).expect("weights can be written"))
    };
    match RnnWeights::from_safetensors(&file, &config, prefix) {
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
        Ok(weights) => {
            let finite = weights.named().all(|(_, array)| array.iter().all(|x| x.is_finite()));
            assert!(finite, "weights that are not finite were accepted");
            let again = weights.to_safetensors(prefix).expect("what was read can be written");
            assert_eq!(RnnWeights::from_safetensors(&again, &config, prefix).expect("and read again"), weights);
            true
        }
    }
}

/// Models with recurrent nodes of all kinds.
static MODELS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    // Both of this folder and of `tests`, whose tests include this file.
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");
    let mut models = Vec::new();
    for folder in ["onnx", "onnx_random", "onnx_held"] {
        let Ok(folder) = std::fs::read_dir(format!("{fixtures}/{folder}")) else { continue };
        let model = |path: std::path::PathBuf| if path.is_dir() { path.join("model.onnx") } else { path };
        let mut files: Vec<_> = folder.flatten().map(|entry| model(entry.path())).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "onnx"));
        files.sort();
        models.extend(files.into_iter().filter_map(|file| std::fs::read(file).ok()));
    }
    assert!(!models.is_empty(), "there are no models to damage");
    models
});

/// A model, its nodes as layers, and what these compute.
pub fn onnx(bytes: &[u8]) -> bool {
    let mut draw = Unstructured::new(bytes);
    let never_whole = draw.ratio(1, 16).unwrap_or(false);
    let file = if never_whole {
        draw.take_rest().to_vec()
    } else {
        let place = draw.choose_index(MODELS.len()).unwrap_or(0);
        damaged(&mut draw, &MODELS[place])
    };
    let Ok(model) = onnx::Model::from_bytes(&file) else { return false };
    let mut ran = false;
    model.inputs().chain(model.outputs()).for_each(|name| drop(name.to_owned()));
    for node in model.nodes().into_iter().flatten() {
        drop(model.node(&node.name));
        let Ok(layer) = node.layer(&Device::cpu(), &[]) else { continue };
        let features = layer.config().input_size();
        for shape in [[3, 2, features], [3, 2, features + 1], [0, 2, features]] {
            let x = Array3::from_elem(shape, 0.5);
            if let Ok(outputs) = layer.run(&onnx::Inputs::new(x.view())) {
                assert_eq!(outputs.y.shape()[3], layer.config().hidden_size());
                ran = true;
            }
        }
    }
    ran
}

/// Whole models that are damaged, each with the inputs of its test.
static WHOLE: LazyLock<Vec<(Vec<u8>, Vec<onnx::Tensor>)>> = LazyLock::new(|| {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");
    let folder = tempfile::tempdir().expect("a folder for models");
    for name in ["onnx_models", "onnx_operators"] {
        let Ok(file) = std::fs::File::open(format!("{fixtures}/{name}.tar.gz")) else { continue };
        tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(folder.path()).expect("the archive is whole");
    }
    let folders = std::fs::read_dir(folder.path()).expect("the folder was made");
    let mut folders: Vec<_> = folders.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let model = |folder: std::path::PathBuf| {
        let inputs = (0..).map(|i| onnx::Tensor::load(folder.join(format!("test_data_set_0/input_{i}.pb"))));
        Some((std::fs::read(folder.join("model.onnx")).ok()?, inputs.map_while(Result::ok).collect()))
    };
    let models: Vec<_> = folders.into_iter().filter_map(model).collect();
    assert!(!models.is_empty(), "there are no models to damage");
    models
});

/// A whole model as a plan, and what it computes.
pub fn graph(bytes: &[u8]) -> bool {
    let mut draw = Unstructured::new(bytes);
    let place = draw.choose_index(WHOLE.len()).unwrap_or(0);
    let (file, inputs) = &WHOLE[place];
    let file = damaged(&mut draw, file);
    let Ok(model) = onnx::Model::from_bytes_with(&file, |_| Ok(vec![1; 4096])) else { return false };
    for name in model.tensor_names().unwrap_or_default().iter().take(20) {
        drop(model.tensor(name));
    }
    let named: Vec<_> = model.inputs().zip(inputs).collect();
    let first = draw.ratio(1, 2).unwrap_or(false);
    let is_known = |i: usize, tensor: &onnx::Tensor| i > 0 && (first || matches!(tensor, onnx::Tensor::Integers(_)));
    let [mut known, mut written] = [Vec::new(), Vec::new()];
    for (i, (name, tensor)) in named.into_iter().enumerate() {
        if is_known(i, tensor) { known.push((name, tensor)) } else { written.push((name, tensor)) }
    }
    let shapes: Vec<_> = written.iter().map(|(name, tensor)| (*name, tensor.shape())).collect();
    let Ok(graph) = model.graph(&Device::cpu(), &shapes, &known) else { return false };
    graph.run(&written).is_ok()
}

/// Files of PyTorch, NumPy and Keras in every form.
static WEIGHTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");
    let mut files = Vec::new();
    for folder in ["pytorch_files", "numpy_files", "keras_files"] {
        let Ok(folder) = std::fs::read_dir(format!("{fixtures}/{folder}")) else { continue };
        let mut paths: Vec<_> = folder.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        paths.sort();
        files.extend(paths.into_iter().filter_map(|path| std::fs::read(path).ok()));
    }
    assert!(!files.is_empty(), "there are no files to damage");
    files
});

/// Arrays out of files of other frameworks: what is accepted has as many numbers as it says, and not many more than the file.
pub fn weights(bytes: &[u8]) -> bool {
    let mut draw = Unstructured::new(bytes);
    let never_whole = draw.ratio(1, 16).unwrap_or(false);
    let file = if never_whole {
        // As each format begins.
        let begins: [&[u8]; 4] = [
            b"PK\x03\x04",
            b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",
            b"\x93NUMPY",
            b"\x89HDF\r\n\x1a\n",
        ];
        let begin = draw.choose(&begins).copied().unwrap_or_default();
        [begin, draw.take_rest()].concat()
    } else {
        let place = draw.choose_index(WEIGHTS.len()).unwrap_or(0);
        damaged(&mut draw, &WEIGHTS[place])
    };
    let Ok(arrays) = Arrays::from_bytes(&file) else { return false };
    let mut count = 0;
    for name in arrays.names() {
        if let Ok(array) = arrays.get(name) {
            assert_eq!(Some(array.shape()), arrays.shape(name));
            count += array.len();
        }
    }
    assert!(count <= 16 * file.len() + (1 << 20), "{count} numbers of {} bytes", file.len());
    for cell in [Cell::Lstm, Cell::Gru(Reset::After)] {
        if let Ok((_, weights)) = dialects::pytorch::from_arrays(&arrays, cell, "") {
            assert!(weights.named().all(|(_, array)| array.iter().all(|x| x.is_finite())));
        }
    }
    true
}

/// A trainer of a small model, and its checkpoint after two steps.
fn trainer(adam: bool) -> (Trainer, Tensor) {
    let device = Device::cpu();
    let config = RnnConfig::new(Cell::Gru(Reset::After), 2, 3);
    let build = || -> wgrnn::Result<(Trainer, Tensor)> {
        let weights = RnnWeights::init(&config, 5)?;
        let rnn = Rnn::trainable(&device, &config, &weights)?;
        let head = Linear::trainable(&device, Array2::from_elem((1, 3), 0.5).view(), Some(array![0.1].view()))?;
        let x =
            Tensor::from_array(&device, Array3::from_shape_fn((4, 2, 2), |(t, n, i)| (t + n + i) as f32 / 5.0).view())?;
        let t = Tensor::from_array(&device, Array3::<f32>::ones((4, 2, 1)).view())?;
        let state = rnn.device_state(2)?;
        let mut tape = Tape::training(&device)?;
        let (input, targets) = (tape.input(&x)?, tape.input(&t)?);
        let y = tape.rnn(&rnn, &input, &state, &RnnCall::default().carry(true))?;
        let y = tape.linear(&head, &y)?;
        tape.mean_squared_error(&y, &targets)?;
        let momentum = Optimizer::sgd(0.9);
        let mut trainer = Trainer::new(tape, TrainerOptions::new(if adam { Optimizer::ADAM } else { momentum }))?;
        trainer.keep_state("carried", &state);
        trainer.step()?;
        trainer.step()?;
        Ok((trainer, x))
    };
    build().expect("the model is sound")
}

/// What a trainer would save: the file, and what it says whatever the order of its notes.
fn saved(trainer: &Trainer) -> (Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let path = folder.path().join("saved.safetensors");
    trainer.save(&path, &HashMap::new()).expect("a sound trainer can be saved");
    let file = std::fs::read(path).expect("what was saved can be read");
    let length = file.first_chunk().map_or(0, |length| u64::from_le_bytes(*length)) as usize;
    let mut content = file.clone();
    content[8..8 + length].sort_unstable();
    (file, content)
}

/// A checkpoint: what is refused leaves the trainer as it was, what is accepted can be gone on from and saved.
pub fn checkpoint(bytes: &[u8]) -> bool {
    let mut draw = Unstructured::new(bytes);
    let (mut trainer, _x) = trainer(draw.arbitrary().unwrap_or(true));
    let (before, content) = saved(&trainer);
    let never_whole = draw.ratio(1, 16).unwrap_or(false);
    let file = if never_whole { draw.take_rest().to_vec() } else { damaged(&mut draw, &before) };
    if trainer.load_safetensors(&file).is_err() {
        assert!(saved(&trainer).1 == content, "a checkpoint that was refused changed the trainer");
        return false;
    }
    saved(&trainer);
    // Wild weights may end in a loss that is not finite, which is an error of its own.
    if trainer.step().is_ok() && trainer.progress().is_ok() {
        saved(&trainer);
    }
    true
}
