//! Stacks of recurrent layers: configuration, weights on a device, and the ways to call them.

mod config;
mod emit;
mod linear;
mod pack;
mod rows;
mod schedule;
mod session;
mod state;

pub use config::{Bias, Direction, RnnConfig};
pub use emit::{Output, RnnCall};
pub(crate) use emit::{emit, output_shape};
pub use linear::Linear;
pub(crate) use pack::{packed, row_lanes};
pub(crate) use rows::check_lengths;
pub use schedule::Schedule;
pub(crate) use schedule::{gemm_tile, own_tiles, step_tile, tiles};
pub use session::{Session, SessionOptions, Stream};
pub use state::{DeviceState, State};

use crate::cells::Width;
use crate::device::{Device, locked};
use crate::error::{Error, Result};
use crate::tensor::Storage;
use crate::weights::RnnWeights;
use ndarray::{ArrayD, ArrayView3};
use pack::{Matrix, pack};
use std::sync::{Arc, Mutex};

/// What a call gives: the output sequence, or its last valid step, and the final state.
#[derive(Clone, Debug, PartialEq)]
pub struct RnnOutput {
    /// y: [T, N, D·H] or [N, T, D·H], 0 beyond a sequence's length; or [N, D·H] for [`Output::Last`].
    pub y: ArrayD<f32>,
    /// The state after each sequence's last valid step.
    pub state: State,
}

/// A stack of recurrent layers on a device.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::Array3;
/// use wgrnn::{Cell, Device, Rnn, RnnConfig, RnnWeights};
/// let config = RnnConfig::new(Cell::Lstm, 4, 8);
/// let rnn = Rnn::new(&Device::auto(), &config, RnnWeights::init(&config, 0)?)?;
/// let output = rnn.forward(Array3::ones((5, 2, 4)).view())?;
/// assert_eq!(output.y.shape(), [5, 2, 8]);
/// # Ok(())
/// # }
/// ```
pub struct Rnn {
    config: RnnConfig,
    device: Device,
    weights: Arc<RnnWeights>,
    layers: Vec<DeviceLayer>,
    /// Sessions of the last calls' shapes, the latest at the end.
    sessions: Mutex<Vec<Session>>,
}

/// The packed weights of a layer, both directions together.
struct DeviceLayer {
    /// W with the first bias: [D, panels + 1, G·H].
    input: Storage,
    /// R with the second bias, a phase after the other: [D, panels + 1, gates · units] each.
    recurrent: Storage,
    recurrent_words: usize,
}

/// Shapes that a layer keeps programs for.
const SESSIONS: usize = 8;

impl Rnn {
    /// Copies weights to the device. They are kept on the host too, for [`check`](crate::check) and for saving.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a configuration that can't be, [`Shape`](Error::Shape),
    /// [`NotFinite`](Error::NotFinite) and [`MissingWeight`](Error::MissingWeight) for weights that don't fit it,
    /// [`Limit`](Error::Limit) where the adapter allows less memory than they need.
    pub fn new(device: &Device, config: &RnnConfig, weights: RnnWeights) -> Result<Self> {
        config.validate()?;
        weights.check(config)?;
        let layers = (0..config.layers).map(|layer| DeviceLayer::new(device, config, &weights, layer));
        Ok(Self {
            config: config.clone(),
            device: device.clone(),
            layers: layers.collect::<Result<_>>()?,
            weights: Arc::new(weights),
            sessions: Mutex::default(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &RnnConfig {
        &self.config
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The weights, as they are on the host.
    pub fn weights(&self) -> &RnnWeights {
        &self.weights
    }

    /// All sequences at full length, from a state of zeros: [T, N, I] or [N, T, I] as the configuration says.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where `x` is not of that shape, [`Limit`](Error::Limit) where the adapter allows less
    /// memory than it needs, [`Gpu`](Error::Gpu) where the driver fails.
    pub fn forward(&self, x: ArrayView3<'_, f32>) -> Result<RnnOutput> {
        self.forward_with(x, None, &RnnCall::default())
    }

    /// With lengths, from an initial state, for the last step only, or with a schedule of the caller's choice.
    /// Programs for the last few shapes are kept and replayed; lengths are part of a shape, so that a new list of them
    /// is a new program.
    ///
    /// # Errors
    /// As [`Rnn::forward`], and for lengths or a state that do not fit.
    pub fn forward_with(&self, x: ArrayView3<'_, f32>, state: Option<&State>, call: &RnnCall) -> Result<RnnOutput> {
        let call = RnnCall { carry: state.is_some(), ..call.clone() };
        let options = SessionOptions::of_input(&self.config, x.shape(), call)?;
        // Taken out while it is used: another thread that calls with this shape meanwhile makes a session of its own.
        let kept = {
            let mut sessions = locked(&self.sessions);
            let place = sessions.iter().position(|session| *session.options() == options);
            place.map(|place| sessions.remove(place))
        };
        let session = match kept {
            Some(session) => session,
            None => self.session(options)?,
        };
        if let Some(state) = state {
            session.state().write(state)?;
        }
        session.input().write(x)?;
        session.run()?;
        let output = RnnOutput { y: session.output().read()?, state: session.state().read()? };
        let mut sessions = locked(&self.sessions);
        if sessions.len() == SESSIONS {
            sessions.remove(0);
        }
        sessions.push(session);
        Ok(output)
    }

    /// A program for one shape, its input, output and state on the device.
    ///
    /// # Errors
    /// As [`Rnn::forward_with`].
    pub fn session(&self, options: SessionOptions) -> Result<Session> {
        Session::new(self, options)
    }

    /// A stream of `batch` sequences: each call goes on where the last one ended.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a layer that reads backwards, or `batch` 0.
    pub fn stream(&self, batch: usize) -> Result<Stream<'_>> {
        Stream::new(self, batch)
    }

    /// A state on the device, zeros at first.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for `batch` 0.
    pub fn device_state(&self, batch: usize) -> Result<DeviceState> {
        DeviceState::new(&self.device, &self.config, batch)
    }

    pub(crate) fn input_weights(&self, layer: usize) -> &Storage {
        &self.layers[layer].input
    }

    pub(crate) fn recurrent_weights(&self, layer: usize) -> &Storage {
        &self.layers[layer].recurrent
    }

    pub(crate) fn recurrent_words(&self, layer: usize) -> usize {
        self.layers[layer].recurrent_words
    }
}

impl DeviceLayer {
    fn new(device: &Device, config: &RnnConfig, weights: &RnnWeights, layer: usize) -> Result<Self> {
        let directions = &weights.layers()[layer];
        let input: Vec<_> = directions
            .iter()
            .map(|w| Matrix { name: "W".to_owned(), weight: w.w.view(), bias: w.b_w.as_ref().map(|b| b.view()) })
            .collect();
        let mut recurrent = Vec::new();
        let mut gate = 0;
        for phase in config.cell.phases(config.projection.is_some()) {
            for w in directions {
                let rows = gate * config.hidden..(gate + phase.gates) * config.hidden;
                let matrix = if phase.source == Width::Hidden {
                    let projection = w.w_hr.as_ref().ok_or_else(|| Error::MissingWeight("weight_hr".to_owned()))?;
                    Matrix { name: "projection".to_owned(), weight: projection.view(), bias: None }
                } else {
                    Matrix {
                        name: "R".to_owned(),
                        weight: w.r.slice(ndarray::s![rows.clone(), ..]),
                        bias: w.b_r.as_ref().map(|b| b.slice(ndarray::s![rows])),
                    }
                };
                recurrent.push(matrix);
            }
            gate += phase.gates;
        }
        let words = |matrix: &Matrix<'_>| packed(device, matrix.weight.ncols(), matrix.weight.nrows()).words();
        let recurrent_words = recurrent.iter().map(words).sum();
        Ok(Self {
            input: pack(device, &format!("W of layer {layer}"), &input)?,
            recurrent: pack(device, &format!("R of layer {layer}"), &recurrent)?,
            recurrent_words,
        })
    }
}

impl std::fmt::Debug for Rnn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rnn").field("config", &self.config).field("device", &self.device).finish_non_exhaustive()
    }
}
