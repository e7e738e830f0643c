//! RNNoise's network on a device: 42 features of 10 ms of sound to a gain for each of 22 bands, and how likely they are speech.
//!
//! Three GRUs, each of which reads the features, or a dense layer over them, beside what those before it gave. What Keras
//! trained: gates z, r, h, the reset gate before the recurrent product, relu for the candidate.
//! Source: J.-M. Valin, A Hybrid DSP/Deep Learning Approach to Real-Time Full-Band Speech Enhancement, 2018.

use anyhow::{Context, Result, ensure};
use half::f16;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use wgrnn::dialects::keras;
use wgrnn::{
    Activation, Cell, Device, DeviceState, Linear, PlanBuilder, Program, Reset, Rnn, RnnCall, RnnConfig, RnnWeights,
    Tensor,
};

/// Features of a frame.
pub const FEATURES: usize = 42;
/// Bands of a spectrum, with a gain each.
pub const BANDS: usize = 22;

const WEIGHTS: &[u8] = include_bytes!("rnnoise.safetensors");

/// activation(x·kernel + bias), with kernel [inputs, units].
pub struct Dense {
    pub kernel: Array2<f32>,
    pub bias: Array1<f32>,
    pub activation: Activation,
}

/// A GRU as Keras has it: kernel [inputs, 3·units], recurrent kernel [units, 3·units], bias [3·units], gates z, r, h.
pub struct Gru {
    pub kernel: Array2<f32>,
    pub recurrent_kernel: Array2<f32>,
    pub bias: Array1<f32>,
    /// Of the candidate h; z and r have the logistic function.
    pub activation: Activation,
}

/// The weights as the file has them.
pub struct Weights {
    pub input_dense: Dense,
    pub vad_gru: Gru,
    pub noise_gru: Gru,
    pub denoise_gru: Gru,
    pub denoise_output: Dense,
    pub vad_output: Dense,
}

impl Weights {
    pub fn load() -> Result<Self> {
        let (file, (_, header)) = (SafeTensors::deserialize(WEIGHTS)?, SafeTensors::read_metadata(WEIGHTS)?);
        let metadata = header.metadata().clone().unwrap_or_default();
        Self::of(&file, &metadata)
    }

    fn of(file: &SafeTensors<'_>, metadata: &HashMap<String, String>) -> Result<Self> {
        let numbers = |name: String| -> Result<(Vec<usize>, Vec<f32>)> {
            let tensor = file.tensor(&name).with_context(|| name.clone())?;
            ensure!(tensor.dtype() == Dtype::F16, "{name} is not f16");
            let halves: Vec<f16> = bytemuck::pod_collect_to_vec(tensor.data());
            Ok((tensor.shape().to_vec(), halves.into_iter().map(f16::to_f32).collect()))
        };
        let matrix = |name: String| -> Result<Array2<f32>> {
            let (shape, numbers) = numbers(name.clone())?;
            ensure!(shape.len() == 2, "{name} is no matrix");
            Ok(Array2::from_shape_vec((shape[0], shape[1]), numbers)?)
        };
        let activation = |layer: &str| -> Result<Activation> {
            let key = format!("{layer}.activation");
            Ok(keras::activation(metadata.get(&key).with_context(|| format!("no {key}"))?)?)
        };
        let dense = |layer: &str| -> Result<Dense> {
            Ok(Dense {
                kernel: matrix(format!("{layer}.kernel"))?,
                bias: numbers(format!("{layer}.bias"))?.1.into(),
                activation: activation(layer)?,
            })
        };
        let gru = |layer: &str| -> Result<Gru> {
            Ok(Gru {
                kernel: matrix(format!("{layer}.kernel"))?,
                recurrent_kernel: matrix(format!("{layer}.recurrent_kernel"))?,
                bias: numbers(format!("{layer}.bias"))?.1.into(),
                activation: activation(layer)?,
            })
        };
        Ok(Self {
            input_dense: dense("input_dense")?,
            vad_gru: gru("vad_gru")?,
            noise_gru: gru("noise_gru")?,
            denoise_gru: gru("denoise_gru")?,
            denoise_output: dense("denoise_output")?,
            vad_output: dense("vad_output")?,
        })
    }
}

/// A dense layer on a device, and what follows it.
struct Layer {
    linear: Linear,
    activation: Activation,
}

impl Layer {
    fn new(device: &Device, Dense { kernel, bias, activation }: &Dense) -> Result<Self> {
        Ok(Self { linear: Linear::new(device, kernel.t(), Some(bias.view()))?, activation: *activation })
    }
}

fn gru(device: &Device, Gru { kernel, recurrent_kernel, bias, activation }: &Gru) -> Result<Rnn> {
    let cell = Cell::Gru(Reset::Before);
    let (inputs, units) = (kernel.nrows(), recurrent_kernel.nrows());
    let bias = Some(bias.clone().into_dyn());
    let keras = keras::Weights { kernel: kernel.clone(), recurrent_kernel: recurrent_kernel.clone(), bias };
    let (bias, weights) = keras.to_own(cell)?;
    // The last one is an LSTM's.
    let config =
        RnnConfig::new(cell, inputs, units).bias(bias).activations(Activation::Sigmoid, *activation, Activation::Tanh);
    Ok(Rnn::new(device, &config, RnnWeights::new(vec![vec![weights]]))?)
}

/// The network on a device.
pub struct Network {
    device: Device,
    input: Layer,
    /// Of speech, noise and gains, each of which reads those before it.
    grus: [Rnn; 3],
    gains: Layer,
    speech: Layer,
}

impl Network {
    pub fn new(device: &Device, weights: &Weights) -> Result<Self> {
        Ok(Self {
            device: device.clone(),
            input: Layer::new(device, &weights.input_dense)?,
            grus: [
                gru(device, &weights.vad_gru)?,
                gru(device, &weights.noise_gru)?,
                gru(device, &weights.denoise_gru)?,
            ],
            gains: Layer::new(device, &weights.denoise_output)?,
            speech: Layer::new(device, &weights.vad_output)?,
        })
    }

    /// A stream of frames, which come in blocks of `frames` for the most part.
    pub fn stream(&self, frames: usize) -> Result<Stream<'_>> {
        let [speech, noise, denoise] = &self.grus;
        let states = [speech.device_state(1)?, noise.device_state(1)?, denoise.device_state(1)?];
        let usual = Block::new(self, &states, frames)?;
        Ok(Stream { network: self, states, usual, other: None })
    }
}

/// What the network gives for some frames.
pub struct Answer {
    /// [T, BANDS], from 0 to 1.
    pub gains: Array2<f32>,
    /// [T]: probabilities.
    pub speech: Array1<f32>,
}

/// One sound's frames after one another: the states stay on the device from block to block.
pub struct Stream<'a> {
    network: &'a Network,
    states: [DeviceState; 3],
    usual: Block,
    /// For another number of frames, as the last block of a file may have.
    other: Option<Block>,
}

impl Stream<'_> {
    /// The next frames' features, [T, FEATURES].
    pub fn push(&mut self, features: ArrayView2<'_, f32>) -> Result<Answer> {
        let frames = features.nrows();
        let block = match &mut self.other {
            _ if self.usual.frames() == frames => &self.usual,
            Some(block) if block.frames() == frames => block,
            other => other.insert(Block::new(self.network, &self.states, frames)?),
        };
        block.run(features)
    }
}

/// The program for some frames.
struct Block {
    program: Program,
    /// [T, 1, FEATURES]
    features: Tensor<f32>,
    /// [T, 1, BANDS + 1]: gains, then speech, so that one read brings both.
    answer: Tensor<f32>,
}

impl Block {
    fn new(network: &Network, states: &[DeviceState; 3], frames: usize) -> Result<Self> {
        let features = Tensor::zeros(&network.device, &[frames, 1, FEATURES])?;
        let answer = Tensor::zeros(&network.device, &[frames, 1, BANDS + 1])?;
        let call = RnnCall::default().carry(true);
        let mut plan = PlanBuilder::new(&network.device);
        let [speech_gru, noise_gru, denoise_gru] = &network.grus;
        let [speech_state, noise_state, denoise_state] = states;
        let x = plan.tensor(&features)?;
        let out = plan.tensor(&answer)?;

        let dense = plan.linear(&network.input.linear, &x)?;
        let dense = plan.activate(&dense, network.input.activation)?;
        let speech = plan.rnn(speech_gru, &dense, speech_state, &call)?;
        let seen = plan.concat(&[&dense, &speech, &x])?;
        let noise = plan.rnn(noise_gru, &seen, noise_state, &call)?;
        let seen = plan.concat(&[&speech, &noise, &x])?;
        let denoise = plan.rnn(denoise_gru, &seen, denoise_state, &call)?;

        let gains = plan.linear(&network.gains.linear, &denoise)?;
        let gains = plan.activate(&gains, network.gains.activation)?;
        let speech = plan.linear(&network.speech.linear, &speech)?;
        let speech = plan.activate(&speech, network.speech.activation)?;
        let both = plan.concat(&[&gains, &speech])?;
        plan.copy(&both, &out)?;
        Ok(Self { program: plan.build()?, features, answer })
    }

    fn frames(&self) -> usize {
        self.features.shape()[0]
    }

    fn run(&self, features: ArrayView2<'_, f32>) -> Result<Answer> {
        self.features.write(features.insert_axis(Axis(1)))?;
        self.program.run()?;
        let answer = self.answer.read()?.into_shape_with_order((self.frames(), BANDS + 1))?;
        Ok(Answer { gains: answer.slice(s![.., ..BANDS]).to_owned(), speech: answer.column(BANDS).to_owned() })
    }
}
