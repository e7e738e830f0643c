//! A directory of an ONNX backend test: a model of one recurrent node, and sets of inputs and outputs.

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

/// Runs all sets of a directory; gives a comparison for each output of each.
pub fn run(device: &Device, folder: &Path) -> Result<Vec<Comparison>> {
    run_model(device, &Model::load(folder.join("model.onnx"))?, folder)
}

/// The same of a model with the directory's inputs and outputs.
pub fn run_model(device: &Device, model: &Model, folder: &Path) -> Result<Vec<Comparison>> {
    let mut nodes = model.nodes();
    let node = match nodes.len() {
        1 => nodes.remove(0)?,
        count => bail!("{count} recurrent nodes, expected one"),
    };
    let mut comparisons = Vec::new();
    for set in 0.. {
        let set = folder.join(format!("test_data_set_{set}"));
        if !set.is_dir() {
            break;
        }
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
