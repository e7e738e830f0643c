//! Silero VAD for 16 kHz on a device: a short-time Fourier transform, four convolutions, an LSTM and a head, in one plan.
//!
//! A chunk of 512 samples, with the 64 before it, gives the probability that somebody speaks in it. All but the LSTM see one
//! chunk only: four frames of the transform, over which the convolutions go with strides 1, 2, 2 and 1 to 4, 2, 1 and 1
//! steps. So short, a convolution is a matrix over all steps at once, and the products are few and large: of all chunks.

use anyhow::{Context, Result, ensure};
use ndarray::{Array1, Array2, Array3, Array4, ArrayD, ArrayView3, Ix1, Ix3, s};
use safetensors::SafeTensors;
use wgrnn::dialects::pytorch;
use wgrnn::{
    Activation, Cell, Device, DeviceState, Linear, PlanBuilder, Program, Rnn, RnnCall, RnnConfig, RnnWeights, Tensor,
};

/// Samples a second.
pub const RATE: usize = 16_000;
/// Samples of a chunk.
pub const CHUNK: usize = 512;
/// Samples before a chunk that are seen with it.
const CONTEXT: usize = 64;
/// Samples from one frame of the transform to the next.
const HOP: usize = 128;
/// Frames of a chunk.
const FRAMES: usize = 4;
/// Chunks of each file in one run of the plan: about 8 seconds.
const STEPS: usize = 256;
/// Files side by side.
const FILES: usize = 16;

/// Weight and bias of each convolution: [out, in, 3] and [out].
type Convolution = (Array3<f32>, Array1<f32>);

/// The weights as the file has them.
pub struct Weights {
    /// [2 · frequencies, 1, samples of a frame]: windowed cosines, then sines.
    pub stft: Array3<f32>,
    pub convolutions: [Convolution; 4],
    pub config: RnnConfig,
    pub lstm: RnnWeights,
    /// [1, hidden, 1] and [1].
    pub head: Convolution,
}

impl Weights {
    /// From a safetensors file's bytes.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes)?;
        let array = |name: &str| -> Result<ArrayD<f32>> {
            let tensor = file.tensor(name).with_context(|| name.to_owned())?;
            ensure!(tensor.dtype() == safetensors::Dtype::F32, "{name} is not f32");
            Ok(ArrayD::from_shape_vec(tensor.shape(), bytemuck::pod_collect_to_vec(tensor.data()))?)
        };
        let convolution = |name: &str| -> Result<Convolution> {
            let weight = array(&format!("{name}.weight"))?.into_dimensionality::<Ix3>()?;
            Ok((weight, array(&format!("{name}.bias"))?.into_dimensionality::<Ix1>()?))
        };
        let stft: Array3<f32> = array("stft_conv.weight")?.into_dimensionality()?;
        let taken = (FRAMES - 1) * HOP + stft.len_of(ndarray::Axis(2));
        ensure!(taken < 2 * (CONTEXT + CHUNK), "stft_conv.weight is too long: {:?}", stft.shape());
        let (config, lstm) = pytorch::from_safetensors(bytes, Cell::Lstm, "lstm_cell.")?;
        Ok(Self {
            stft,
            convolutions: [convolution("conv1")?, convolution("conv2")?, convolution("conv3")?, convolution("conv4")?],
            config,
            lstm,
            head: convolution("final_conv")?,
        })
    }
}

/// Strides of the convolutions.
pub const STRIDES: [usize; 4] = [1, 2, 2, 1];

/// The transform of a chunk as a matrix, [FRAMES · 2 · frequencies, CONTEXT + CHUNK]: samples beyond the end are those before
/// it, mirrored at the last one.
fn transform(stft: ArrayView3<'_, f32>) -> Array2<f32> {
    let (parts, samples) = (stft.len_of(ndarray::Axis(0)), CONTEXT + CHUNK);
    let mut matrix = Array2::zeros((FRAMES * parts, samples));
    for ((part, _, k), &weight) in stft.indexed_iter() {
        for frame in 0..FRAMES {
            let at = frame * HOP + k;
            let at = if at < samples { at } else { 2 * (samples - 1) - at };
            matrix[[frame * parts + part, at]] += weight;
        }
    }
    matrix
}

/// A convolution over `steps` steps with a step of zeros at either end, as a matrix: [steps out · out, steps · in].
fn over_all_steps((weight, bias): &Convolution, steps: usize, stride: usize) -> (Array2<f32>, Array1<f32>) {
    let (outputs, inputs, _) = weight.dim();
    let steps_out = (steps - 1) / stride + 1;
    let mut matrix = Array4::zeros((steps_out, outputs, steps, inputs));
    for ((o, i, tap), &weight) in weight.indexed_iter() {
        for step in 0..steps_out {
            if let Some(from) = (step * stride + tap).checked_sub(1).filter(|&from| from < steps) {
                matrix[[step, o, from, i]] = weight;
            }
        }
    }
    let biases = Array1::from_shape_fn(steps_out * outputs, |row| bias[row % outputs]);
    let matrix = matrix.into_shape_with_order((steps_out * outputs, steps * inputs));
    (matrix.unwrap_or_default(), biases)
}

/// The network on a device.
pub struct Vad {
    device: Device,
    stft: Linear,
    convolutions: Vec<Linear>,
    lstm: Rnn,
    head: Linear,
    /// Frequencies of a frame.
    frequencies: usize,
}

impl Vad {
    pub fn new(device: &Device, weights: &Weights) -> Result<Self> {
        let mut steps = FRAMES;
        let mut convolutions = Vec::new();
        for (convolution, stride) in weights.convolutions.iter().zip(STRIDES) {
            let (matrix, bias) = over_all_steps(convolution, steps, stride);
            convolutions.push(Linear::new(device, matrix.view(), Some(bias.view()))?);
            steps = (steps - 1) / stride + 1;
        }
        ensure!(steps == 1, "a chunk comes out as {steps} steps");
        let (head, bias) = &weights.head;
        Ok(Self {
            device: device.clone(),
            stft: Linear::new(device, transform(weights.stft.view()).view(), None)?,
            convolutions,
            lstm: Rnn::new(device, &weights.config, weights.lstm.clone())?,
            head: Linear::new(device, head.slice(s![.., .., 0]), Some(bias.view()))?,
            frequencies: weights.stft.len_of(ndarray::Axis(0)) / 2,
        })
    }

    /// For each file the probability of speech in each of its chunks; samples are from −1 to 1, at 16 kHz.
    pub async fn probabilities(&self, files: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
        // Files of like length side by side: the shorter ones cost as much as the longest.
        let mut order: Vec<usize> = (0..files.len()).collect();
        order.sort_by_key(|&file| files[file].len());
        let mut all = vec![Vec::new(); files.len()];
        for batch in order.chunks(FILES) {
            let some: Vec<&[f32]> = batch.iter().map(|&file| &*files[file]).collect();
            for (&file, found) in batch.iter().zip(self.batch(&some).await?) {
                all[file] = found;
            }
        }
        Ok(all)
    }

    async fn batch(&self, files: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        let chunks: Vec<usize> = files.iter().map(|file| file.len().div_ceil(CHUNK)).collect();
        let longest = chunks.iter().copied().max().unwrap_or(0);
        let mut all: Vec<Vec<f32>> = vec![Vec::new(); files.len()];
        if longest == 0 {
            return Ok(all);
        }
        let block = Block::new(self, longest.min(STEPS), files.len())?;
        for first in (0..longest).step_by(STEPS) {
            let x = Array3::from_shape_fn(block.shape(), |(step, file, i)| {
                // The context of the first chunk, and what is beyond the end, are zeros.
                let at = ((first + step) * CHUNK + i).checked_sub(CONTEXT);
                at.and_then(|at| files[file].get(at)).copied().unwrap_or(0.0)
            });
            let found = block.run(&x).await?;
            for (file, all) in all.iter_mut().enumerate() {
                let some = chunks[file].saturating_sub(first).min(block.shape()[0]);
                all.extend(found.slice(s![..some, file, 0]));
            }
        }
        Ok(all)
    }
}

/// The plan for some chunks of some files; the LSTM goes on where the last run ended.
struct Block {
    program: Program,
    /// [chunks, files, CONTEXT + CHUNK]
    samples: Tensor<f32>,
    /// [chunks, files, 1]
    probabilities: Tensor<f32>,
    _state: DeviceState,
}

impl Block {
    fn new(vad: &Vad, steps: usize, files: usize) -> Result<Self> {
        let samples = Tensor::zeros(&vad.device, &[steps, files, CONTEXT + CHUNK])?;
        let probabilities = Tensor::zeros(&vad.device, &[steps, files, 1])?;
        let state = vad.lstm.device_state(files)?;
        let mut plan = PlanBuilder::new(&vad.device);
        let x = plan.tensor(&samples)?;
        let frames = plan.linear(&vad.stft, &x)?.reshape(&[steps * files * FRAMES, 2 * vad.frequencies])?;
        let mut x = plan.magnitude(&frames)?.reshape(&[steps * files, FRAMES * vad.frequencies])?;
        for convolution in &vad.convolutions {
            let sums = plan.linear(convolution, &x)?;
            x = plan.activate(&sums, Activation::Relu)?;
        }
        let x = x.reshape(&[steps, files, vad.lstm.config().input_size()])?;
        let h = plan.rnn(&vad.lstm, &x, &state, &RnnCall::default().carry(true))?;
        let h = plan.activate(&h, Activation::Relu)?;
        let sums = plan.linear(&vad.head, &h)?;
        let found = plan.activate(&sums, Activation::Sigmoid)?;
        let out = plan.tensor(&probabilities)?;
        plan.copy(&found, &out)?;
        Ok(Self { program: plan.build()?, samples, probabilities, _state: state })
    }

    fn shape(&self) -> [usize; 3] {
        let shape = self.samples.shape();
        [shape[0], shape[1], shape[2]]
    }

    async fn run(&self, x: &Array3<f32>) -> Result<Array3<f32>> {
        self.samples.write(x.view().into_dyn())?;
        self.program.run()?;
        Ok(self.probabilities.read_async().await?.into_dimensionality()?)
    }
}
