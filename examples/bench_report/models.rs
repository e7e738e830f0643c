//! Whole ONNX models: a directory has the layout of ONNX's backend tests, `model.onnx` and `test_data_set_0/input_*.pb`.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::time::Instant;
use wgrnn::Device;
use wgrnn::onnx::{Graph, Model, Tensor};

/// A model on a device with its inputs.
pub struct WholeModel {
    graph: Graph,
    inputs: Vec<(String, Tensor)>,
    /// Seconds to read the file, and to make its plan.
    pub load_seconds: [f64; 2],
}

impl WholeModel {
    pub fn load(device: &Device, dir: &Path) -> Result<Self> {
        let start = Instant::now();
        let model = Model::load(dir.join("model.onnx"))?;
        let read = start.elapsed().as_secs_f64();
        let mut inputs = Vec::new();
        for (i, name) in model.inputs().enumerate() {
            let path = dir.join(format!("test_data_set_0/input_{i}.pb"));
            inputs.push((name.to_owned(), Tensor::load(path)?));
        }
        // A sampling rate decides what the model is.
        let (known, inputs): (Vec<_>, Vec<_>) = inputs.into_iter().partition(|(_, tensor)| tensor.shape().is_empty());
        let given: Vec<_> = known.iter().map(|(name, tensor)| (&**name, tensor)).collect();
        let shapes: Vec<_> = inputs.iter().map(|(name, tensor)| (&**name, tensor.shape())).collect();
        let start = Instant::now();
        let graph = model.graph(device, &shapes, &given)?;
        let plan = start.elapsed().as_secs_f64();
        let made = Self { graph, inputs, load_seconds: [read, plan] };
        made.run()?;
        Ok(made)
    }

    /// From arrays of the host to arrays of the host.
    pub fn run(&self) -> Result<()> {
        let inputs: Vec<_> = self.inputs.iter().map(|(name, tensor)| (&**name, tensor)).collect();
        self.graph.run(&inputs)?;
        Ok(())
    }
}

/// A line for each model below some directories.
pub fn report(devices: &[Device], roots: &[PathBuf], seconds: f64) -> Result<()> {
    println!("| model | device | read ms | plan ms | run ms |");
    println!("| --- | --- | ---: | ---: | ---: |");
    for root in roots {
        let mut found: Vec<_> = std::fs::read_dir(root)
            .with_context(|| root.display().to_string())?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        found.retain(|path| path.join("model.onnx").is_file());
        found.sort();
        for dir in found {
            let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for device in devices {
                let model = WholeModel::load(device, &dir)?;
                let mut times = Vec::new();
                let start = Instant::now();
                while times.len() < 3 || start.elapsed().as_secs_f64() < seconds {
                    let start = Instant::now();
                    model.run()?;
                    times.push(start.elapsed().as_secs_f64() * 1e3);
                }
                times.sort_by(f64::total_cmp);
                let [read, plan] = model.load_seconds.map(|seconds| seconds * 1e3);
                println!("| {name} | {} | {read:.2} | {plan:.2} | {:.3} |", device.name(), times[times.len() / 2]);
            }
        }
    }
    Ok(())
}
