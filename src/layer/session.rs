//! Programs of a layer for a shape, and streams of them that share a state.

use super::emit::{RnnCall, output_shape, sequence_sizes};
use super::rnn::{Rnn, SESSIONS};
use super::rows::{BatchLengths, Lengths, check_each_length, check_lengths};
use super::state::DeviceState;
use crate::config::{Direction, RnnConfig};
use crate::device::{block_on, elsewhere, may_wait};
use crate::error::{Error, Result};
use crate::memory;
use crate::plan::{Plan, PlanBuilder, Profile, Program};
use crate::tensor::{Tensor, elements};
use ndarray::{ArrayD, ArrayView3, IxDyn};
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
            check_lengths(options.steps, options.batch, Some(&lengths))?;
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

/// A stream of sequences whose state stays on the device from call to call. Each call may have any number of steps. A stream
/// owns a handle of its layer, so that a server can keep it or send it to a thread.
///
/// The outputs are those of one long call, equal bit by bit, because sums run in one order for any T. There are two exceptions,
/// which are equal within rounding: [`cooperative_matrices`](crate::GpuOptions::cooperative_matrices), and cells without R on
/// adapters that cut their steps into parts.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::{Array3, s};
/// use wgrnn::{Cell, Device, Rnn, RnnConfig, RnnWeights};
/// let config = RnnConfig::new(Cell::Lstm, 4, 8);
/// let rnn = Rnn::new(&Device::auto(), &config, RnnWeights::init(&config, 0)?)?;
/// let mut stream = rnn.stream(2)?;
/// // A step of both sequences, then one of the first only: the second one pauses.
/// stream.push(Array3::ones((1, 2, 4)).view())?;
/// let y = stream.push_with(Array3::ones((1, 2, 4)).view(), &[1, 0])?;
/// assert!(y.slice(s![0, 1, ..]).iter().all(|&y| y == 0.0));
/// # Ok(())
/// # }
/// ```
pub struct Stream {
    rnn: Rnn,
    batch: usize,
    state: DeviceState,
    sessions: Vec<Arc<Session>>,
}

impl Stream {
    pub(super) fn new(rnn: &Rnn, batch: usize) -> Result<Self> {
        if rnn.config().direction != Direction::Forward {
            let got = format!("{:?}", rnn.config().direction);
            return Err(Error::value("direction of a stream", "Forward: the end is not known yet", got));
        }
        Ok(Self { rnn: rnn.clone(), batch, state: rnn.device_state(batch)?, sessions: Vec::new() })
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
        self.advance(x, None).await
    }

    /// The next steps of sequences of which each has a number of its own, from 0 to T: what `x` holds beyond it is not read,
    /// and the output is 0 there. A sequence of length 0 pauses: its state stays as it is, bit by bit. One program serves all
    /// lengths of one T.
    ///
    /// # Errors
    /// As [`Stream::push`]; [`Shape`](Error::Shape) and [`Value`](Error::Value) for lengths that do not fit `x`.
    pub fn push_with(&mut self, x: ArrayView3<'_, f32>, lengths: &[usize]) -> Result<ArrayD<f32>> {
        block_on(self.push_with_async(x, lengths))
    }

    /// The asynchronous form of [`Stream::push_with`]. A future that is dropped before its end may have moved the state on.
    ///
    /// # Errors
    /// As [`Stream::push_with`].
    pub async fn push_with_async(&mut self, x: ArrayView3<'_, f32>, lengths: &[usize]) -> Result<ArrayD<f32>> {
        self.advance(x, Some(lengths)).await
    }

    async fn advance(&mut self, x: ArrayView3<'_, f32>, lengths: Option<&[usize]>) -> Result<ArrayD<f32>> {
        let config = self.rnn.config();
        let (steps, _) = sequence_sizes(config, x.shape())?;
        let expected = config.sequence_shape(steps, self.batch, config.input);
        if x.shape() != expected {
            return Err(Error::shape("input", expected, x.shape()));
        }
        if let Some(lengths) = lengths {
            check_each_length(0..=steps, self.batch, lengths)?;
            if lengths.iter().all(|&length| length == 0) {
                return zeros(&config.sequence_shape(steps, self.batch, config.output_size()));
            }
        }
        let suits = |session: &Arc<Session>| {
            let options = session.options();
            options.steps == steps && matches!(options.call.lengths, Lengths::PerRun(_)) == lengths.is_some()
        };
        let known = self.sessions.iter().find(|session| suits(session)).cloned();
        let is_known = known.is_some();
        let push =
            Push { rnn: self.rnn.clone(), state: self.state.clone(), known, lengths: lengths.map(<[usize]>::to_vec) };
        let (session, y) = if may_wait() {
            push.run(x).await?
        } else {
            let x = x.to_owned();
            elsewhere(move || async move { push.run(x.view()).await }).await?
        };
        if !is_known {
            if self.sessions.len() == SESSIONS {
                self.sessions.remove(0);
            }
            self.sessions.push(session);
        }
        Ok(y)
    }

    /// The layer.
    pub fn rnn(&self) -> &Rnn {
        &self.rnn
    }

    /// The state on the device, which can be read, set, and reset between sequences.
    pub fn state(&self) -> &DeviceState {
        &self.state
    }
}

/// The next steps of a stream, by the session for their number, which is made where none is known.
struct Push {
    rnn: Rnn,
    state: DeviceState,
    known: Option<Arc<Session>>,
    lengths: Option<Vec<usize>>,
}

impl Push {
    async fn run(self, x: ArrayView3<'_, f32>) -> Result<(Arc<Session>, ArrayD<f32>)> {
        let session = match self.known {
            Some(session) => session,
            None => {
                let config = self.rnn.config();
                let (steps, batch) = sequence_sizes(config, x.shape())?;
                let mut options = SessionOptions::new(steps, batch);
                if self.lengths.is_some() {
                    let lengths = BatchLengths::with_pauses(self.rnn.device(), config, steps, batch)?;
                    options.call.lengths = Lengths::PerRun(lengths);
                }
                Arc::new(Session::with_state(&self.rnn, options, self.state)?)
            }
        };
        if let (Lengths::PerRun(known), Some(lengths)) = (&session.options().call.lengths, &self.lengths) {
            known.write(lengths)?;
        }
        session.input().write(x)?;
        session.run()?;
        let y = session.output().read_async().await?;
        Ok((session, y))
    }
}

/// An output of nothing but pauses.
fn zeros(shape: &[usize]) -> Result<ArrayD<f32>> {
    let numbers = memory::filled("output of a stream", elements(shape)?, 0.0)?;
    ArrayD::from_shape_vec(IxDyn(shape), numbers).map_err(|_| Error::shape("output of a stream", shape, "another"))
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("rnn", &self.rnn).field("batch", &self.batch).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("options", &self.options).finish_non_exhaustive()
    }
}
