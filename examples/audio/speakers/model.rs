//! Resemblyzer's speaker encoder on a device: 1.6 seconds of speech as a mel spectrogram to 256 numbers that say whose voice it is.
//!
//! Three layers of LSTM; the last one's final h through a linear layer and relu, scaled to length 1.
//! Source: L. Wan et al., Generalized End-to-End Loss for Speaker Verification, 2018.

use anyhow::{Context, Result, bail, ensure};
use ndarray::{Array1, Array2, Array3, ArrayD, ArrayView2, s};
use safetensors::{Dtype, SafeTensors};
use std::path::Path;
use wgrnn::dialects::pytorch;
use wgrnn::{
    Activation, Cell, Device, DeviceState, Linear, Output, PlanBuilder, Program, Rnn, RnnCall, RnnConfig, RnnWeights,
    Tensor,
};

/// Samples a second.
pub const RATE: usize = 16_000;
/// Bands of a mel spectrogram.
pub const BANDS: usize = 40;
/// Frames that the network sees.
pub const WINDOW: usize = 160;
/// Numbers of an embedding.
pub const EMBEDDING: usize = 256;

/// The weights as the file has them.
pub struct Weights {
    pub lstm: RnnWeights,
    /// [EMBEDDING, EMBEDDING] and [EMBEDDING].
    pub linear: (Array2<f32>, Array1<f32>),
}

impl Weights {
    /// Reads what `scripts/make_speakers.py` wrote.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| {
            format!("{}: the weights are fetched by scripts/make_speakers.py --weights", path.display())
        })?;
        Self::from_bytes(&bytes).with_context(|| format!("{}: not this network's weights", path.display()))
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (found, lstm) = pytorch::from_safetensors(bytes, Cell::Lstm, "lstm.")?;
        ensure!(found == config(), "expected an LSTM of {:?}, got {found:?}", config());
        let file = SafeTensors::deserialize(bytes)?;
        let array = |name: &str| -> Result<ArrayD<f32>> {
            let tensor = file.tensor(name).with_context(|| name.to_owned())?;
            ensure!(tensor.dtype() == Dtype::F32, "{name} is not f32");
            let array = ArrayD::from_shape_vec(tensor.shape(), bytemuck::pod_collect_to_vec(tensor.data()))?;
            ensure!(array.iter().all(|weight: &f32| weight.is_finite()), "{name} is not finite");
            Ok(array)
        };
        let (weight, bias) = (array("linear.weight")?, array("linear.bias")?);
        if (weight.shape(), bias.shape()) != (&[EMBEDDING, EMBEDDING], &[EMBEDDING]) {
            bail!("expected a linear layer of {EMBEDDING} by {EMBEDDING}, got {:?}", weight.shape());
        }
        Ok(Self { lstm, linear: (weight.into_dimensionality()?, bias.into_dimensionality()?) })
    }
}

/// The LSTM's shape.
pub fn config() -> RnnConfig {
    RnnConfig::new(Cell::Lstm, BANDS, EMBEDDING).layers(3)
}

/// The network on a device.
pub struct Encoder {
    device: Device,
    lstm: Rnn,
    linear: Linear,
}

impl Encoder {
    pub fn new(device: &Device, weights: &Weights) -> Result<Self> {
        let (weight, bias) = &weights.linear;
        Ok(Self {
            device: device.clone(),
            lstm: Rnn::new(device, &config(), weights.lstm.clone())?,
            linear: Linear::new(device, weight.view(), Some(bias.view()))?,
        })
    }

    /// The embeddings, [windows, EMBEDDING], of windows of [WINDOW, BANDS] each; at most `most` of them side by side.
    pub fn embeddings(&self, windows: &[ArrayView2<'_, f32>], most: usize) -> Result<Array2<f32>> {
        let mut all = Array2::zeros((windows.len(), EMBEDDING));
        // Batches of one size, so that one plan does: the last one may have a few windows less, which stay zeros.
        let batches = windows.len().div_ceil(most.max(1));
        let size = windows.len().div_ceil(batches.max(1));
        if size == 0 {
            return Ok(all);
        }
        let batch = Batch::new(self, size)?;
        for (windows, mut found) in windows.chunks(size).zip(all.axis_chunks_iter_mut(ndarray::Axis(0), size)) {
            found.assign(&batch.run(windows)?.slice(s![..windows.len(), ..]));
        }
        for row in all.rows_mut() {
            normalise(row.into_slice().unwrap_or_default())?;
        }
        Ok(all)
    }
}

/// The plan for some windows side by side.
struct Batch {
    program: Program,
    /// [WINDOW, windows, BANDS]
    frames: Tensor<f32>,
    /// [windows, EMBEDDING], before they are scaled.
    embeddings: Tensor<f32>,
    _state: DeviceState,
}

impl Batch {
    fn new(encoder: &Encoder, windows: usize) -> Result<Self> {
        let frames = Tensor::zeros(&encoder.device, &[WINDOW, windows, BANDS])?;
        let embeddings = Tensor::zeros(&encoder.device, &[windows, EMBEDDING])?;
        let state = encoder.lstm.device_state(windows)?;
        let mut plan = PlanBuilder::new(&encoder.device);
        let x = plan.tensor(&frames)?;
        let call = RnnCall::default().output(Output::Last);
        let h = plan.rnn(&encoder.lstm, &x, &state, &call)?;
        let sums = plan.linear(&encoder.linear, &h)?;
        let found = plan.activate(&sums, Activation::Relu)?;
        let out = plan.tensor(&embeddings)?;
        plan.copy(&found, &out)?;
        Ok(Self { program: plan.build()?, frames, embeddings, _state: state })
    }

    fn run(&self, windows: &[ArrayView2<'_, f32>]) -> Result<Array2<f32>> {
        let mut x = Array3::zeros((WINDOW, self.frames.shape()[1], BANDS));
        for (n, window) in windows.iter().enumerate() {
            ensure!(window.dim() == (WINDOW, BANDS), "a window is {:?}", window.dim());
            x.slice_mut(s![.., n, ..]).assign(window);
        }
        self.frames.write(x.view())?;
        self.program.run()?;
        Ok(self.embeddings.read()?.into_dimensionality()?)
    }
}

/// Scales numbers to length 1.
pub fn normalise(numbers: &mut [f32]) -> Result<()> {
    let norm = numbers.iter().map(|&number| f64::from(number).powi(2)).sum::<f64>().sqrt();
    ensure!(norm.is_finite() && norm > 0.0, "an embedding of length {norm} has no direction");
    numbers.iter_mut().for_each(|number| *number = (f64::from(*number) / norm) as f32);
    Ok(())
}
