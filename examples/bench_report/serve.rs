//! Runs on request, for `benches/peers`: a JSON line in, a JSON line out.

use super::blocks::{Arrays, Programs};
use super::layer::{Data, Training, forward, training};
use super::models::WholeModel;
use super::shapes::{Block, Shape};
use anyhow::{Context, Result, bail};
use ndarray::{ArrayD, Ix3};
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;
use wgrnn::{Device, RnnWeights, Schedule, Session};

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Request {
    Load {
        shape: Shape,
        dir: PathBuf,
    },
    /// A whole ONNX model with the inputs that lie beside it.
    Model {
        dir: PathBuf,
    },
    Forward {
        runs: usize,
    },
    Training {
        runs: usize,
    },
    Quit,
}

/// What is loaded.
enum Loaded {
    Layer(Box<Layer>),
    Block(Box<Programs>, PathBuf),
    Model(Box<WholeModel>),
}

struct Layer {
    shape: Shape,
    dir: PathBuf,
    data: Data,
    session: Session,
    training: Option<Training>,
}

pub fn serve(device: &Device, out: &mut impl Write) -> Result<()> {
    let peer = format!("wgrnn {}", if device.is_cpu() { "cpu" } else { "gpu" });
    let driver = device.report().map(|report| &report.driver);
    let banner =
        json!({ "peer": peer, "version": env!("CARGO_PKG_VERSION"), "adapter": device.name(), "driver": driver });
    say(out, &banner)?;
    let mut loaded = None;
    for line in std::io::stdin().lock().lines() {
        let request = serde_json::from_str(&line?).context("a request")?;
        if matches!(request, Request::Quit) {
            break;
        }
        let answer = answer(device, &peer, &mut loaded, request);
        say(out, &answer.unwrap_or_else(|error| json!({ "error": format!("{error:#}") })))?;
    }
    Ok(())
}

fn say(out: &mut impl Write, answer: &Value) -> Result<()> {
    writeln!(out, "{answer}")?;
    Ok(out.flush()?)
}

fn answer(device: &Device, peer: &str, loaded: &mut Option<Loaded>, request: Request) -> Result<Value> {
    let file = |dir: &Path, ending: &str| dir.join(format!("{}{ending}.safetensors", peer.replace(' ', "-")));
    let wait = || Ok(device.wait()?);
    match (request, loaded) {
        (Request::Load { shape, dir }, loaded) => {
            // Its memory goes before the next one's comes.
            *loaded = None;
            let (made, y) = load(device, shape, &dir)?;
            save(&file(&dir, ""), [("y".to_owned(), y)])?;
            *loaded = Some(made);
            Ok(json!({ "ok": true }))
        }
        (Request::Model { dir }, loaded) => {
            *loaded = None;
            let model = WholeModel::load(device, &dir)?;
            let seconds = model.load_seconds;
            *loaded = Some(Loaded::Model(Box::new(model)));
            Ok(json!({ "ok": true, "read": seconds[0], "plan": seconds[1] }))
        }
        (Request::Forward { runs }, Some(Loaded::Model(model))) => time(runs, || model.run(), wait),
        (Request::Training { .. }, Some(Loaded::Model(_))) => bail!("whole models are not trained"),
        (Request::Forward { runs }, Some(Loaded::Layer(layer))) => time(runs, || Ok(layer.session.run()?), wait),
        (Request::Forward { runs }, Some(Loaded::Block(block, _))) => {
            time(runs, || block.evaluation.run().map(|_| ()).map_err(Into::into), wait)
        }
        (Request::Training { runs }, Some(Loaded::Layer(layer))) => {
            if layer.training.is_none() {
                let (made, gradients) = layer.train(device)?;
                save(&file(&layer.dir, ".gradients"), gradients)?;
                layer.training = Some(made);
            }
            let Some(Training { training, .. }) = &layer.training else { bail!("nothing to train") };
            let step = || {
                training.forward()?;
                Ok(training.backward()?)
            };
            time(runs, step, wait)
        }
        (Request::Training { runs }, Some(Loaded::Block(block, dir))) => {
            let file = file(dir, ".gradients");
            if !file.exists() {
                save(&file, block.gradients()?)?;
            }
            time(runs, || Ok(block.trainer.step()?), wait)
        }
        (Request::Quit, _) => Ok(json!({ "ok": true })),
        (_, None) => bail!("nothing is loaded"),
    }
}

/// A layer or a block with the arrays of a folder, and its output.
fn load(device: &Device, shape: Shape, dir: &Path) -> Result<(Loaded, ArrayD<f32>)> {
    let file = dir.join("data.safetensors");
    let arrays = arrays(&std::fs::read(&file)?)?;
    if let Some(block) = shape.block() {
        return load_block(device, &shape, block, &arrays, dir);
    }
    let x = arrays.get("x").context("no input among the arrays")?.clone().into_dimensionality::<Ix3>()?;
    let data = Data { weights: RnnWeights::load(&file, &shape.config(), "")?, x };
    let session = forward(device, &shape, Schedule::Auto, Some(&data))?;
    session.run()?;
    let y = session.output().read()?;
    Ok((Loaded::Layer(Box::new(Layer { shape, dir: dir.to_owned(), data, session, training: None })), y))
}

fn load_block(
    device: &Device,
    shape: &Shape,
    block: Block,
    arrays: &Arrays,
    dir: &Path,
) -> Result<(Loaded, ArrayD<f32>)> {
    let programs = Programs::new(device, shape, block, Some(arrays))?;
    let y = programs.output()?;
    Ok((Loaded::Block(Box::new(programs), dir.to_owned()), y))
}

/// Arrays with their names, to be written to a file.
type Named = Vec<(String, ArrayD<f32>)>;

impl Layer {
    /// The layer as one to be trained, and its gradients after one run.
    fn train(&self, device: &Device) -> Result<(Training, Named)> {
        let made = training(device, &self.shape, Schedule::Auto, Some(&self.data))?;
        made.training.forward()?;
        made.training.backward()?;
        let mut gradients = made.rnn.parameters().context("a layer made to be trained")?.gradients()?;
        gradients.push(("x".to_owned(), made.training.input_gradient().read()?));
        Ok((made, gradients))
    }
}

/// Seconds of each run, after one that does not count.
fn time(runs: usize, mut call: impl FnMut() -> Result<()>, mut wait: impl FnMut() -> Result<()>) -> Result<Value> {
    let mut seconds = Vec::with_capacity(runs + 1);
    for _ in 0..=runs {
        let start = Instant::now();
        call()?;
        wait()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(json!({ "seconds": seconds[1..] }))
}

fn arrays(file: &[u8]) -> Result<Arrays> {
    let tensors = safetensors::SafeTensors::deserialize(file)?;
    let array = |(name, tensor): (String, TensorView<'_>)| {
        let numbers = tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok((name, ArrayD::from_shape_vec(tensor.shape(), numbers)?))
    };
    tensors.tensors().into_iter().map(array).collect()
}

fn save(path: &Path, arrays: impl IntoIterator<Item = (String, ArrayD<f32>)>) -> Result<()> {
    let arrays: Vec<(String, Vec<usize>, Vec<u8>)> = arrays
        .into_iter()
        .map(|(name, array)| (name, array.shape().to_vec(), array.iter().flat_map(|x| x.to_le_bytes()).collect()))
        .collect();
    let views = arrays
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<HashMap<_, _>>>()?;
    Ok(safetensors::serialize_to_file(views, None, path)?)
}
