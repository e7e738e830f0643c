//! Forward calls of a layer: from the host, by a session, by a stream.

use super::call::RnnCall;
use super::no_steps::{no_steps, without_steps};
use super::rnn::{Rnn, SESSIONS};
use super::rows::check_each_length;
use super::session::{Session, SessionOptions};
use super::state::{DeviceState, State};
use super::stream::Stream;
use crate::device::{block_on, elsewhere, locked, may_wait};
use crate::error::{Error, Result};
use crate::plan::{Difference, PlanBuilder};
use crate::readback::read_together_async;
use crate::tensor::Tensor;
use ndarray::{ArrayD, ArrayView3, ArrayViewD};

/// The result of a forward call.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::Array3;
/// use wgrnn::{Cell, Device, Rnn, RnnConfig, RnnWeights};
/// let config = RnnConfig::new(Cell::Lstm, 4, 8).layers(2);
/// let rnn = Rnn::new(&Device::auto(), &config, RnnWeights::init(&config, 0)?)?;
/// let output = rnn.forward(Array3::ones((5, 3, 4)).view())?; // [T, N, I]
/// assert_eq!(output.y.shape(), [5, 3, 8]);
/// assert_eq!(output.state.h.dim(), (2, 3, 8)); // [L·D, N, H]
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RnnOutput {
    /// The output y: [T, N, D·S·H] or [N, T, D·S·H], 0 beyond a sequence's length and where steps are masked; or [N, D·S·H] for
    /// [`Output::Last`](crate::Output::Last).
    pub y: ArrayD<f32>,
    /// The state after each sequence's last valid step; the initial one of a sequence without a step.
    pub state: State,
}

impl Rnn {
    /// Runs all sequences at full length from a state of zeros. `x` is [T, N, I], or [N, T, I] with
    /// [`batch_first`](crate::RnnConfig::batch_first).
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where `x` is not of that shape, [`Limit`](Error::Limit) where the adapter allows less
    /// memory than it needs, [`Gpu`](Error::Gpu) where the driver fails.
    pub fn forward(&self, x: ArrayView3<'_, f32>) -> Result<RnnOutput> {
        self.forward_with(x, None, &RnnCall::default())
    }

    /// Runs sequences with lengths, from an initial state, or with other settings of an [`RnnCall`]. Without a state,
    /// they start from zeros. The layer keeps its programs for the last few shapes and runs them again. Lengths are
    /// part of a shape, so a new list of lengths needs a new program. An input without a step (T = 0) gives an output
    /// without a step and the initial state.
    ///
    /// # Errors
    /// As [`Rnn::forward`], and for lengths or a state that do not fit; [`Value`](Error::Value) for a call that
    /// [carries](RnnCall::carry) a state where none is given.
    pub fn forward_with(&self, x: ArrayView3<'_, f32>, state: Option<&State>, call: &RnnCall) -> Result<RnnOutput> {
        block_on(self.forward_with_async(x, state, call))
    }

    /// The asynchronous form of [`Rnn::forward_with`].
    ///
    /// # Errors
    /// As [`Rnn::forward_with`].
    pub async fn forward_with_async(
        &self,
        x: ArrayView3<'_, f32>,
        state: Option<&State>,
        call: &RnnCall,
    ) -> Result<RnnOutput> {
        self.forward_any_async(x.into_dyn(), state, call).await
    }

    /// The same of packed sequences too.
    pub(super) async fn forward_any_async(
        &self,
        x: ArrayViewD<'_, f32>,
        state: Option<&State>,
        call: &RnnCall,
    ) -> Result<RnnOutput> {
        if may_wait() {
            return self.run(x, state, call).await;
        }
        let (rnn, x, state, call) = (self.clone(), x.to_owned(), state.cloned(), call.clone());
        elsewhere(move || async move { rnn.run(x.view(), state.as_ref(), &call).await }).await
    }

    async fn run(&self, x: ArrayViewD<'_, f32>, state: Option<&State>, call: &RnnCall) -> Result<RnnOutput> {
        let call = call.of_host(state.is_some())?;
        if let Some(batch) = no_steps(self.config(), x.shape(), &call.lengths)? {
            let (y, state) = without_steps(self.config(), x.shape(), batch, state, &call)?;
            return Ok(RnnOutput { y, state });
        }
        let options = SessionOptions::of_input(self.config(), x.shape(), call)?;
        // Taken out while it is used: another thread that calls with this shape meanwhile makes a session of its own.
        let kept = {
            let mut sessions = locked(self.sessions());
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
        let (y, state) = read_together_async(&(session.output(), session.state())).await?;
        let output = RnnOutput { y, state };
        let mut sessions = locked(self.sessions());
        if sessions.len() == SESSIONS {
            sessions.remove(0);
        }
        sessions.push(session);
        Ok(output)
    }

    /// The first command of such a call whose results differ from its twin's, on a GPU.
    pub(crate) async fn first_difference(
        &self,
        x: ArrayView3<'_, f32>,
        state: Option<&State>,
        call: &RnnCall,
    ) -> Result<Option<Difference>> {
        let call = call.of_host(state.is_some())?;
        let session = self.session(SessionOptions::of_input(self.config(), x.shape(), call)?)?;
        if let Some(state) = state {
            session.state().write(state)?;
        }
        session.input().write(x)?;
        session.first_difference_async().await
    }

    /// Makes a program for one shape. Its input, output and state stay on the device.
    ///
    /// # Errors
    /// As [`Rnn::forward_with`].
    pub fn session(&self, options: SessionOptions) -> Result<Session> {
        Session::new(self, options)
    }

    /// Makes a stream of `batch` sequences, in which each call continues where the last one ended.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a layer that reads backwards, or `batch` 0.
    pub fn stream(&self, batch: usize) -> Result<Stream> {
        Stream::new(self, batch)
    }
}

impl Session {
    pub(super) fn new(rnn: &Rnn, options: SessionOptions) -> Result<Self> {
        // Whether the shape and the lengths can be, before memory is asked for.
        options.output_shape(rnn.config())?;
        if let Some(lengths) = options.call.lengths.list() {
            check_each_length(options.steps, options.batch, &lengths)?;
        }
        let state = rnn.device_state(options.batch)?;
        Self::with_state(rnn, options, state)
    }

    /// With input and output of its own, from and to this state.
    pub(super) fn with_state(rnn: &Rnn, options: SessionOptions, state: DeviceState) -> Result<Self> {
        let output = Tensor::zeros(rnn.device(), &options.output_shape(rnn.config())?)?;
        let input = Tensor::zeros(rnn.device(), &options.input_shape(rnn.config())?)?;
        Self::with_tensors(rnn, options, input, output, state)
    }

    /// Makes a session that works on tensors and a state of the caller.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where they don't fit, [`OtherDevice`](Error::OtherDevice), and the errors of
    /// [`PlanBuilder::build`](crate::PlanBuilder::build).
    pub fn with_tensors(
        rnn: &Rnn,
        options: SessionOptions,
        input: Tensor,
        output: Tensor,
        state: DeviceState,
    ) -> Result<Self> {
        let mut plan = PlanBuilder::new(rnn.device());
        let shape = options.input_shape(rnn.config())?;
        if input.shape() != shape {
            return Err(Error::shape("input", shape, input.shape()));
        }
        let [x, y] = [plan.tensor(&input)?, plan.tensor(&output)?];
        plan.rnn_into(rnn, &x, &state, &options.call, &y)?;
        let program = plan.build()?;
        Ok(Self { options, input, output, state, program })
    }
}
