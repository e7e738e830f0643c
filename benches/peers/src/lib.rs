//! What the Rust peers share: the protocol they speak with `run.py`, and reading and writing safetensors.
//!
//! One JSON object a line: first the banner, then an answer to each request. `README.md` describes them.

use anyhow::{Context, Result, bail, ensure};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A line of `shapes.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Shape {
    pub cell: Cell,
    pub input: usize,
    pub hidden: usize,
    pub batch: usize,
    pub steps: usize,
    pub layers: usize,
    pub directions: usize,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    Lstm,
    Gru,
    Elman,
}

impl Shape {
    /// Input features of this layer of the stack.
    pub fn width(&self, layer: usize) -> usize {
        if layer == 0 { self.input } else { self.hidden * self.directions }
    }
}

/// What follows a tensor's name in PyTorch: `_l1_reverse` is the second layer's reverse direction.
pub fn suffix(layer: usize, direction: usize) -> String {
    format!("_l{layer}{}", if direction == 1 { "_reverse" } else { "" })
}

/// A row-major array on the host.
#[derive(Clone, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

impl Array {
    pub fn new(shape: &[usize], data: Vec<f32>) -> Result<Self> {
        ensure!(shape.iter().product::<usize>() == data.len(), "{} numbers for the shape {shape:?}", data.len());
        Ok(Self { shape: shape.to_vec(), data })
    }

    /// The first two axes exchanged: [T, N, ...] from [N, T, ...] and the other way round.
    pub fn swapped(&self) -> Self {
        let (rows, columns) = (self.shape[0], self.shape[1]);
        let item = self.data.len() / (rows * columns).max(1);
        let mut data = Vec::with_capacity(self.data.len());
        for column in 0..columns {
            for row in 0..rows {
                let start = (row * columns + column) * item;
                data.extend_from_slice(&self.data[start..start + item]);
            }
        }
        let mut shape = self.shape.clone();
        shape.swap(0, 1);
        Self { shape, data }
    }
}

pub type Arrays = BTreeMap<String, Array>;

/// The array of this name.
pub fn take<'a>(arrays: &'a Arrays, name: &str) -> Result<&'a Array> {
    arrays.get(name).with_context(|| format!("data.safetensors has no {name}"))
}

fn read(path: &Path) -> Result<Arrays> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let mut arrays = Arrays::new();
    for (name, view) in SafeTensors::deserialize(&bytes)?.tensors() {
        ensure!(view.dtype() == Dtype::F32, "{name} is not float32");
        let data = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        arrays.insert(name, Array::new(view.shape(), data)?);
    }
    Ok(arrays)
}

fn write(path: &Path, arrays: &Arrays) -> Result<()> {
    let bytes: Vec<(&String, &Array, Vec<u8>)> = arrays
        .iter()
        .map(|(name, array)| (name, array, array.data.iter().flat_map(|x| x.to_le_bytes()).collect()))
        .collect();
    let views: Result<Vec<_>> = bytes
        .iter()
        .map(|(name, array, bytes)| Ok((*name, TensorView::new(Dtype::F32, array.shape.clone(), bytes)?)))
        .collect();
    safetensors::serialize_to_file(views?, None, path)?;
    Ok(())
}

/// The layer cannot be expressed in this library: an answer, not a failure.
#[derive(Debug)]
pub struct Unsupported(pub String);

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unsupported {}

/// What a peer says of itself before anything is asked.
#[derive(Debug, Serialize)]
pub struct Banner {
    pub peer: String,
    pub version: String,
    pub adapter: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
}

pub trait Peer {
    /// Layers with these weights, their input on the device.
    fn load(&self, shape: &Shape, data: &Arrays) -> Result<Box<dyn Layer>>;
}

pub trait Layer {
    /// One forward pass, complete on the device when this returns. The output stays there until the next one.
    fn forward(&mut self) -> Result<()>;
    /// The output of the latest forward pass, [T, N, D·H].
    fn output(&self) -> Result<Array>;
    /// A forward and a backward pass from dL/dy = 1, complete when this returns. The gradients stay on the device.
    fn training(&mut self) -> Result<()>;
    /// The gradients of the latest training pass, by the names of PyTorch's weights, and `x`.
    fn gradients(&mut self) -> Result<Arrays>;
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Request {
    Load { shape: Shape, dir: PathBuf },
    Forward { runs: usize },
    Training { runs: usize },
    Quit,
}

struct Loaded {
    layer: Box<dyn Layer>,
    dir: PathBuf,
    warm: bool,
    warm_training: bool,
}

/// Answers requests until it is told to quit or its input ends.
pub fn serve(banner: &Banner, peer: &dyn Peer) -> Result<()> {
    let file = banner.peer.replace(' ', "-");
    let mut out = std::io::stdout();
    writeln!(out, "{}", serde_json::to_string(banner)?)?;
    out.flush()?;
    let mut loaded: Option<Loaded> = None;
    for line in std::io::stdin().lock().lines() {
        let request = match serde_json::from_str(&line?) {
            Ok(Request::Quit) => break,
            request => request,
        };
        // A library that panics on a shape has no time for it, but may have one for the next.
        let answer = catch_unwind(AssertUnwindSafe(|| answer(request?, peer, &file, &mut loaded)));
        let value = match answer {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => match error.downcast_ref::<Unsupported>() {
                Some(Unsupported(reason)) => json!({ "unsupported": reason }),
                None => json!({ "error": format!("{error:#}") }),
            },
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                json!({ "error": format!("panic: {}", text.lines().next().unwrap_or_default()) })
            }
        };
        writeln!(out, "{value}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(request: Request, peer: &dyn Peer, file: &str, loaded: &mut Option<Loaded>) -> Result<Value> {
    if let Request::Load { shape, dir } = request {
        *loaded = None; // its memory first
        let mut layer = peer.load(&shape, &read(&dir.join("data.safetensors"))?)?;
        layer.forward()?;
        write(&dir.join(format!("{file}.safetensors")), &Arrays::from([("y".to_owned(), layer.output()?)]))?;
        *loaded = Some(Loaded { layer, dir, warm: false, warm_training: false });
        return Ok(json!({ "ok": true }));
    }
    let Some(loaded) = loaded else { bail!("nothing is loaded") };
    let seconds = match request {
        Request::Forward { runs } => {
            if !loaded.warm {
                settle(&mut || loaded.layer.forward())?;
                loaded.warm = true;
            }
            timed(runs, &mut || loaded.layer.forward())?
        }
        Request::Training { runs } => {
            if !loaded.warm_training {
                loaded.layer.training()?;
                let path = loaded.dir.join(format!("{file}.gradients.safetensors"));
                write(&path, &loaded.layer.gradients()?)?;
                settle(&mut || loaded.layer.training())?;
                loaded.warm_training = true;
            }
            timed(runs, &mut || loaded.layer.training())?
        }
        Request::Load { .. } | Request::Quit => bail!("answered elsewhere"),
    };
    Ok(json!({ "seconds": seconds }))
}

fn seconds(run: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_secs_f64())
}

fn timed(runs: usize, run: &mut dyn FnMut() -> Result<()>) -> Result<Vec<f64>> {
    (0..runs).map(|_| seconds(run)).collect()
}

/// Warm-up: runs until three in a row were no faster than nine tenths of the best before them.
///
/// burn compiles, tunes and fuses in its first runs, each of which may time many variants of a kernel; after that a
/// run's time only wavers. One run is enough for candle, and three more do no harm. For slow layers ten seconds are
/// enough, or one run: the very first, which does most of that work, is not among them.
fn settle(run: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    let mut best = f64::INFINITY;
    let mut steady = 0;
    let mut runs = 0;
    while steady < 3 && runs < 50 && (runs < 1 || start.elapsed() < Duration::from_secs(10)) {
        let time = seconds(run)?;
        eprintln!("warm-up run {runs}: {:.3} ms", time * 1e3);
        steady = if time < 0.9 * best { 0 } else { steady + 1 };
        best = best.min(time);
        runs += 1;
    }
    Ok(())
}

/// The version of a package this was built with.
pub fn version(package: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{package}\"\n")));
    let version = entry.and_then(|entry| entry.split("version = \"").nth(1));
    version.and_then(|version| version.split('"').next()).unwrap_or("unknown")
}
