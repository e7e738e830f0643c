//! Programs of a layer for a shape, and streams of them that share a state.

use super::emit::{RnnCall, output_shape, sequence_sizes};
use super::rnn::{Rnn, SESSIONS};
use crate::config::{Direction, RnnConfig};
use crate::device::{block_on, elsewhere, may_wait};
use crate::error::{Error, Result};
use crate::layer::DeviceState;
use crate::plan::{Plan, PlanBuilder, Profile, Program};
use crate::tensor::Tensor;
use ndarray::{ArrayD, ArrayView3};
use std::sync::Arc;

/// The shape of a session, and how its layer is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

    pub(super) fn of_input(config: &RnnConfig, x: &[usize], call: RnnCall) -> Result<Self> {
        let (steps, batch) = sequence_sizes(config, x)?;
        Ok(Self { steps, batch, call })
    }

    fn input_shape(&self, config: &RnnConfig) -> [usize; 3] {
        config.sequence_shape(self.steps, self.batch, config.input)
    }

    fn output_shape(&self, rnn: &Rnn) -> Result<Vec<usize>> {
        output_shape(rnn, &self.input_shape(rnn.config()), &self.call)
    }
}

/// A layer's program for one shape. Input, output and state stay on the device between runs.
pub struct Session {
    options: SessionOptions,
    input: Tensor,
    output: Tensor,
    state: DeviceState,
    program: Program,
}

impl Session {
    pub(super) fn new(rnn: &Rnn, options: SessionOptions) -> Result<Self> {
        // Whether the shape and the lengths can be, before memory is asked for.
        options.output_shape(rnn)?;
        if let Some(lengths) = options.call.lengths.list() {
            super::rows::check_lengths(options.steps, options.batch, Some(&lengths))?;
        }
        let state = rnn.device_state(options.batch)?;
        Self::with_state(rnn, options, state)
    }

    /// With input and output of its own, from and to this state.
    fn with_state(rnn: &Rnn, options: SessionOptions, state: DeviceState) -> Result<Self> {
        let output = Tensor::zeros(rnn.device(), &options.output_shape(rnn)?)?;
        let input = Tensor::zeros(rnn.device(), &options.input_shape(rnn.config()))?;
        Self::with_tensors(rnn, options, input, output, state)
    }

    /// Makes a session that works on tensors and a state of the caller.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where they don't fit, [`OtherDevice`](Error::OtherDevice), and what
    /// [`PlanBuilder::build`](crate::PlanBuilder::build) gives.
    pub fn with_tensors(
        rnn: &Rnn,
        options: SessionOptions,
        input: Tensor,
        output: Tensor,
        state: DeviceState,
    ) -> Result<Self> {
        let mut plan = PlanBuilder::new(rnn.device());
        let shape = options.input_shape(rnn.config());
        if input.shape() != shape {
            return Err(Error::shape("input", shape, input.shape()));
        }
        let [x, y] = [plan.tensor(&input)?, plan.tensor(&output)?];
        plan.rnn_into(rnn, &x, &state, &options.call, &y)?;
        let program = plan.build()?;
        Ok(Self { options, input, output, state, program })
    }

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
    /// [`Gpu`](Error::Gpu) where wgpu or the driver complain.
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

    /// Records one run into a command encoder of the caller.
    ///
    /// # Errors
    /// As [`Program::encode`].
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) -> Result<()> {
        self.program.encode(encoder)
    }
}

/// A stream of sequences whose state stays on the device from call to call. Each call may have any number of steps. The
/// outputs are those of one long call, equal bit by bit, because sums run in one order for any T. There are two
/// exceptions, which are equal within rounding: [`cooperative_matrices`](crate::GpuOptions::cooperative_matrices), and
/// cells without R on adapters that cut their steps into parts.
pub struct Stream<'a> {
    rnn: &'a Rnn,
    batch: usize,
    state: DeviceState,
    sessions: Vec<Arc<Session>>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(rnn: &'a Rnn, batch: usize) -> Result<Self> {
        if rnn.config().direction != Direction::Forward {
            let got = format!("{:?}", rnn.config().direction);
            return Err(Error::value("direction of a stream", "Forward: the end is not known yet", got));
        }
        Ok(Self { rnn, batch, state: rnn.device_state(batch)?, sessions: Vec::new() })
    }

    /// Runs the next steps: [T, N, I] or [N, T, I] gives [T, N, D·S·H] or [N, T, D·S·H] with D = 1.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where `x` does not fit the layer and the batch, [`Gpu`](Error::Gpu).
    pub fn push(&mut self, x: ArrayView3<'_, f32>) -> Result<ArrayD<f32>> {
        block_on(self.push_async(x))
    }

    /// The asynchronous form of [`Stream::push`]. A future that is dropped before its end may have moved the state on.
    ///
    /// # Errors
    /// As [`Stream::push`].
    pub async fn push_async(&mut self, x: ArrayView3<'_, f32>) -> Result<ArrayD<f32>> {
        let config = self.rnn.config();
        let call = RnnCall { carry: true, ..RnnCall::default() };
        let options = SessionOptions::of_input(config, x.shape(), call)?;
        let expected = config.sequence_shape(options.steps, self.batch, config.input);
        if x.shape() != expected {
            return Err(Error::shape("input", expected, x.shape()));
        }
        let place = self.sessions.iter().position(|session| *session.options() == options);
        let known = place.map(|place| Arc::clone(&self.sessions[place]));
        let is_known = known.is_some();
        let (session, y) = if may_wait() {
            push(self.rnn, options, &self.state, known, x).await?
        } else {
            let (rnn, state, x) = (self.rnn.clone(), self.state.clone(), x.to_owned());
            elsewhere(move || async move { push(&rnn, options, &state, known, x.view()).await }).await?
        };
        if !is_known {
            if self.sessions.len() == SESSIONS {
                self.sessions.remove(0);
            }
            self.sessions.push(session);
        }
        Ok(y)
    }

    /// The state on the device, which can be read, set, and reset between sequences.
    pub fn state(&self) -> &DeviceState {
        &self.state
    }
}

/// The next steps of a stream, by the session for their number, which is made where none is known.
async fn push(
    rnn: &Rnn,
    options: SessionOptions,
    state: &DeviceState,
    known: Option<Arc<Session>>,
    x: ArrayView3<'_, f32>,
) -> Result<(Arc<Session>, ArrayD<f32>)> {
    let session = match known {
        Some(session) => session,
        None => Arc::new(Session::with_state(rnn, options, state.clone())?),
    };
    session.input().write(x)?;
    session.run()?;
    let y = session.output().read_async().await?;
    Ok((session, y))
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("options", &self.options).finish_non_exhaustive()
    }
}
