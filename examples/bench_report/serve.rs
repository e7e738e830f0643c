//! Runs on request, for `benches/peers`: a JSON line in, a JSON line out.

use super::layer::{Data, Training, forward, training};
use super::shapes::Shape;
use anyhow::{Context, Result, bail};
use ndarray::{Array3, ArrayD, Ix3};
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
    Load { shape: Shape, dir: PathBuf },
    Forward { runs: usize },
    Training { runs: usize },
    Quit,
}

/// The layer that is loaded.
struct Loaded {
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
    match (request, loaded) {
        (Request::Load { shape, dir }, loaded) => {
            // Its memory goes before the next one's comes.
            *loaded = None;
            let file = dir.join("data.safetensors");
            let data =
                Data { weights: RnnWeights::load(&file, &shape.config(), "")?, x: input(&std::fs::read(&file)?)? };
            let session = forward(device, &shape, Schedule::Auto, Some(&data))?;
            session.run()?;
            save(
                &dir.join(format!("{}.safetensors", peer.replace(' ', "-"))),
                [("y".to_owned(), session.output().read()?)],
            )?;
            *loaded = Some(Loaded { shape, dir, data, session, training: None });
            Ok(json!({ "ok": true }))
        }
        (Request::Forward { runs }, Some(loaded)) => time(runs, || Ok(loaded.session.run()?), || Ok(device.wait()?)),
        (Request::Training { runs }, Some(loaded)) => {
            if loaded.training.is_none() {
                let made = training(device, &loaded.shape, Schedule::Auto, Some(&loaded.data))?;
                made.training.forward()?;
                made.training.backward()?;
                let mut gradients = made.rnn.parameters().context("a layer made to be trained")?.gradients()?;
                gradients.push(("x".to_owned(), made.training.input_gradient().read()?));
                save(&loaded.dir.join(format!("{}.gradients.safetensors", peer.replace(' ', "-"))), gradients)?;
                loaded.training = Some(made);
            }
            let Some(Training { training, .. }) = &loaded.training else { bail!("nothing to train") };
            let step = || {
                training.forward()?;
                Ok(training.backward()?)
            };
            time(runs, step, || Ok(device.wait()?))
        }
        (Request::Quit, _) => Ok(json!({ "ok": true })),
        (_, None) => bail!("nothing is loaded"),
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

fn input(file: &[u8]) -> Result<Array3<f32>> {
    let tensors = safetensors::SafeTensors::deserialize(file)?;
    let x = tensors.tensor("x")?;
    let numbers = x.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    Ok(ArrayD::from_shape_vec(x.shape(), numbers)?.into_dimensionality::<Ix3>()?)
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
