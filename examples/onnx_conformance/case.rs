//! A directory of an ONNX backend test: a model, and sets of inputs and outputs.

use anyhow::{Context, Result, bail, ensure};
use ndarray::{ArrayD, Ix3};
use std::path::{Path, PathBuf};
use wgrnn::check::Comparison;
use wgrnn::onnx::{Inputs, Model, Node, Tensor, lengths};
use wgrnn::{Device, RnnConfig};

/// Expected values are float32 of another system, whose sums of K products are rounded in another order: each by some √K of
/// half an ε of its terms, and what comes from earlier steps adds to it. These many ε of the largest output, for each of
/// √(K·T).
const ROUNDINGS: f64 = 8.0;

/// Whole models are compared with a system that computes in another order, through several layers of sums, exponentials and roots:
/// these many ε of the largest output, for each of √terms of the largest sum, which are taken as 1024.
const WHOLE: f64 = 8.0;
const TERMS: f64 = 1024.0;

/// The directories, with archives among them unpacked into others below `to`.
pub fn unpacked(roots: &[PathBuf], to: &Path) -> Result<Vec<PathBuf>> {
    let unpack = |(i, root): (usize, &PathBuf)| {
        if root.extension().is_none_or(|extension| extension != "gz") {
            return Ok(root.clone());
        }
        let to = to.join(i.to_string());
        let file = std::fs::File::open(root).with_context(|| root.display().to_string())?;
        tar::Archive::new(flate2::read::GzDecoder::new(file))
            .unpack(&to)
            .with_context(|| root.display().to_string())?;
        Ok(to)
    };
    roots.iter().enumerate().map(unpack).collect()
}

/// Whether a model asks for what this library lacks, and says so.
pub fn is_refused(error: &anyhow::Error) -> bool {
    matches!(error.root_cause().downcast_ref(), Some(wgrnn::Error::Unsupported { .. }))
}

/// The directories with a `model.onnx` at or below these, in order.
pub fn find(roots: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for root in roots {
        let before = found.len();
        search(root, &mut found).with_context(|| root.display().to_string())?;
        ensure!(found.len() > before, "{}: no model.onnx at or below it", root.display());
    }
    found.sort();
    Ok(found)
}

fn search(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    if folder.join("model.onnx").is_file() {
        found.push(folder.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            search(&entry.path(), found)?;
        }
    }
    Ok(())
}

/// Runs all sets of a directory; gives a comparison for each output of each. A model of one recurrent node runs as a node and as a
/// whole model, any other one as a whole model.
pub fn run(device: &Device, folder: &Path) -> Result<Vec<Comparison>> {
    let model = Model::load(folder.join("model.onnx"))?;
    let operators = model.operators();
    let is_node = operators.values().sum::<usize>() == 1 && operators.keys().any(|name| RECURRENT.contains(&&**name));
    let mut comparisons = if is_node { run_model(device, &model, folder)? } else { Vec::new() };
    for set in sets(folder) {
        comparisons.extend(run_whole(device, &model, &set).with_context(|| set.display().to_string())?);
    }
    ensure!(!comparisons.is_empty(), "no test_data_set_0 with outputs");
    Ok(comparisons)
}

const RECURRENT: [&str; 3] = ["RNN", "GRU", "LSTM"];

fn sets(folder: &Path) -> impl Iterator<Item = PathBuf> {
    (0..).map(|set| folder.join(format!("test_data_set_{set}"))).take_while(|set| set.is_dir())
}

/// A whole model. Integers are known when its plan is built, but for symbols and lengths of sequences; where an operator needs more
/// than that, all inputs but the first are.
fn run_whole(device: &Device, model: &Model, set: &Path) -> Result<Vec<Comparison>> {
    let mut inputs = Vec::new();
    for (i, name) in model.inputs().enumerate() {
        let path = set.join(format!("input_{i}.pb"));
        // An input that the node leaves out.
        if path.is_file() {
            inputs.push((name, Tensor::load(path)?));
        }
    }
    let graph = |is_known: &dyn Fn(usize, &Tensor) -> bool| -> Result<_> {
        let mut shapes = Vec::new();
        let mut known = Vec::new();
        let mut written = Vec::new();
        for (i, (name, tensor)) in inputs.iter().enumerate() {
            if is_known(i, tensor) {
                known.push((*name, tensor));
            } else {
                shapes.push((*name, tensor.shape()));
                written.push((*name, tensor));
            }
        }
        let graph = model.graph(device, &shapes, &known)?;
        Ok(graph.run(&written)?)
    };
    let outputs = graph(&|_, _| false)
        .or_else(|_| graph(&|i, tensor| i > 0 && matches!(tensor, Tensor::Integers(_))))
        .or_else(|_| graph(&|i, _| i > 0))
        .or_else(|_| graph(&|_, tensor| matches!(tensor, Tensor::Integers(_))))?;
    let mut comparisons = Vec::new();
    for (place, (name, got)) in outputs.iter().enumerate() {
        let path = set.join(format!("output_{place}.pb"));
        if !path.is_file() {
            continue;
        }
        let as_numbers = |tensor: &Tensor| match tensor {
            Tensor::Integers(array) => array.mapv(|value| value as f32),
            Tensor::Numbers(array) => array.clone(),
            _ => ArrayD::default(vec![0]),
        };
        let (got, expected) = (as_numbers(got), as_numbers(&Tensor::load(path)?));
        let largest = expected.iter().fold(1.0_f32, |largest, value| largest.max(value.abs()));
        let tolerance = WHOLE * f64::from(f32::EPSILON) * TERMS.sqrt() * f64::from(largest.min(1e6));
        comparisons.push(Comparison::new(name, got.view(), expected.mapv(f64::from).view(), tolerance)?);
    }
    Ok(comparisons)
}

/// Runs the one recurrent node of a model on the directory's inputs.
pub fn run_model(device: &Device, model: &Model, folder: &Path) -> Result<Vec<Comparison>> {
    let mut nodes = model.nodes();
    let node = match nodes.len() {
        1 => nodes.remove(0)?,
        count => bail!("{count} recurrent nodes, expected one"),
    };
    let mut comparisons = Vec::new();
    for set in sets(folder) {
        comparisons.extend(run_set(device, model, &node, &set).with_context(|| set.display().to_string())?);
    }
    ensure!(!comparisons.is_empty(), "no test_data_set_0 with outputs");
    Ok(comparisons)
}

fn run_set(device: &Device, model: &Model, node: &Node, set: &Path) -> Result<Vec<Comparison>> {
    let load = |kind: &str, number: usize| Tensor::load(set.join(format!("{kind}_{number}.pb")));
    let given: Vec<(&str, Tensor)> =
        model.inputs().enumerate().map(|(i, name)| Ok((name, load("input", i)?))).collect::<Result<_>>()?;
    let refs: Vec<(&str, &Tensor)> = given.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let layer = node.layer(device, &refs)?;

    let input = |place: usize| {
        let name = node.inputs[place].as_deref()?;
        refs.iter().find(|(given, _)| *given == name).map(|(_, tensor)| *tensor)
    };
    let numbers = |place: usize| -> Result<Option<ndarray::ArrayView3<'_, f32>>> {
        match input(place) {
            None => Ok(None),
            Some(Tensor::Numbers(array)) => Ok(Some(array.view().into_dimensionality::<Ix3>()?)),
            Some(other) => bail!("numbers are expected, got {other:?}"),
        }
    };
    let x = numbers(0)?.context("no X")?;
    let inputs = Inputs::new(x).lengths(input(4).map(lengths).transpose()?).h(numbers(5)?).c(numbers(6)?);
    let outputs = layer.run(&inputs)?;

    let got = [Some(outputs.y.into_dyn()), Some(outputs.h.into_dyn()), outputs.c.map(|c| c.into_dyn())];
    let mut comparisons = Vec::new();
    for (place, name) in model.outputs().enumerate() {
        let output = node.outputs.iter().position(|output| output.as_deref() == Some(name));
        let Some(got) = output.and_then(|output| got[output].as_ref()) else { bail!("nothing computes {name}") };
        let Tensor::Numbers(expected) = load("output", place)? else { bail!("{name} is of integers") };
        comparisons.push(compare(layer.config(), name, got, &expected, x.len())?);
    }
    Ok(comparisons)
}

fn compare(
    config: &RnnConfig,
    name: &str,
    got: &ArrayD<f32>,
    expected: &ArrayD<f32>,
    elements: usize,
) -> Result<Comparison> {
    let terms = (config.input_size() + config.hidden_size()) as f64;
    let rows = (elements / config.input_size()) as f64;
    let largest = expected.iter().fold(1.0_f32, |largest, value| largest.max(value.abs()));
    let tolerance = ROUNDINGS * f64::from(f32::EPSILON) * (terms * rows).sqrt() * f64::from(largest);
    Ok(Comparison::new(name, got.view(), expected.mapv(f64::from).view(), tolerance)?)
}
