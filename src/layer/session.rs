//! Programs of a layer for a shape.

use super::call::{RnnCall, call_sizes, output_shape};
use super::rows::Lengths;
use super::sequence_map::SequenceMap;
use super::state::DeviceState;
use crate::config::RnnConfig;
use crate::error::{Error, Result};
use crate::plan::{Difference, Plan, Profile, Program};
use crate::tensor::Tensor;

/// The shape of a session, and how its layer is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SessionOptions {
    /// T: time steps.
    pub steps: usize,
    /// N: sequences.
    pub batch: usize,
    /// How the layer is called.
    pub call: RnnCall,
}

impl SessionOptions {
    /// Full sequences, with the state carried from run to run.
    pub fn new(steps: usize, batch: usize) -> Self {
        Self { steps, batch, call: RnnCall { carry: true, ..RnnCall::default() } }
    }

    /// Sets how the layer is called.
    pub fn call(self, call: RnnCall) -> Self {
        Self { call, ..self }
    }

    /// Packed sequences, whose number and steps the map tells; the state is carried from run to run.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a map of masks or resets over [T, N], which has a shape of its own.
    pub fn packed(map: &SequenceMap) -> Result<Self> {
        if map.packed_rows()?.is_none() {
            let expected = "one of packed sequences; SessionOptions::new takes T and N of others";
            return Err(Error::value("index map of a session without T and N", expected, "one over [T, N]"));
        }
        let (steps, batch) = map.packed_sizes();
        Ok(Self::new(steps, batch).call(RnnCall { carry: true, ..RnnCall::default() }.map(map.clone())))
    }

    pub(super) fn of_input(config: &RnnConfig, x: &[usize], call: RnnCall) -> Result<Self> {
        let (steps, batch) = call_sizes(config, x, &call.lengths)?;
        Ok(Self { steps, batch, call })
    }

    /// [T, N, I] or [N, T, I], or [rows, I] of packed sequences.
    pub(super) fn input_shape(&self, config: &RnnConfig) -> Result<Vec<usize>> {
        if let Lengths::Map(map) = &self.call.lengths
            && let Some(rows) = map.packed_rows()?
        {
            let (expected, got) = (map.packed_sizes(), (self.steps, self.batch));
            if expected != got {
                return Err(Error::shape("T and N of packed sequences", expected, got));
            }
            return Ok(vec![rows, config.input]);
        }
        Ok(config.sequence_shape(self.steps, self.batch, config.input).to_vec())
    }

    pub(super) fn output_shape(&self, config: &RnnConfig) -> Result<Vec<usize>> {
        output_shape(config, &self.input_shape(config)?, &self.call)
    }
}

/// A layer's program for one shape. Input, output and state stay on the device between runs.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::Array3;
/// use wgrnn::{Cell, Device, Rnn, RnnConfig, RnnWeights, SessionOptions};
/// let config = RnnConfig::new(Cell::Lstm, 4, 8);
/// let rnn = Rnn::new(&Device::auto(), &config, RnnWeights::init(&config, 0)?)?;
/// let session = rnn.session(SessionOptions::new(5, 2))?; // 5 steps of 2 sequences
/// session.input().write(Array3::ones((5, 2, 4)).view())?;
/// session.run()?;
/// assert_eq!(session.output().read()?.shape(), [5, 2, 8]);
/// println!("{}", session.plan());
/// # Ok(())
/// # }
/// ```
pub struct Session {
    pub(super) options: SessionOptions,
    pub(super) input: Tensor,
    pub(super) output: Tensor,
    pub(super) state: DeviceState,
    pub(super) program: Program,
}

impl Session {
    /// The shape and the call.
    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// The input, to be written before a run.
    pub fn input(&self) -> &Tensor {
        &self.input
    }

    /// The output of the last run.
    pub fn output(&self) -> &Tensor {
        &self.output
    }

    /// The state. A run reads it if the call carries it, and leaves the final state there.
    pub fn state(&self) -> &DeviceState {
        &self.state
    }

    /// The plan: print it to see kernels, sizes, FLOP and bytes.
    pub fn plan(&self) -> &Plan {
        self.program.plan()
    }

    /// Runs once. On a GPU the work is submitted; reading a tensor waits for it.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu) where wgpu or the driver reports an error.
    pub fn run(&self) -> Result<()> {
        self.program.run()
    }

    /// Runs once and gives the time of each kernel.
    ///
    /// # Errors
    /// As [`Program::profile`].
    pub fn profile(&self) -> Result<Profile> {
        self.program.profile()
    }

    /// Runs once and compares each command with its CPU twin.
    ///
    /// # Errors
    /// As [`Program::first_difference`].
    pub fn first_difference(&self) -> Result<Option<Difference>> {
        self.program.first_difference()
    }

    /// The asynchronous form of [`Session::first_difference`].
    ///
    /// # Errors
    /// As [`Program::first_difference`].
    pub async fn first_difference_async(&self) -> Result<Option<Difference>> {
        self.program.first_difference_async().await
    }

    /// Records one run into a command encoder of the caller.
    ///
    /// # Errors
    /// As [`Program::encode`].
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) -> Result<()> {
        self.program.encode(encoder)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("options", &self.options).finish_non_exhaustive()
    }
}
