//! Streams: sequences that come piece by piece.

use super::rnn::{Rnn, SESSIONS};
use super::rows::{BatchLengths, Lengths, check_each_length};
use super::session::{Session, SessionOptions};
use super::shapes::sequence_sizes;
use super::state::DeviceState;
use crate::config::Direction;
use crate::device::{block_on, elsewhere, may_wait};
use crate::error::{Error, Result};
use crate::memory;
use crate::tensor::elements;
use ndarray::{ArrayD, ArrayView3, IxDyn};
use std::sync::Arc;

/// A stream of sequences whose state stays on the device from call to call. Each call may have any number of steps. A stream
/// owns a handle of its layer, so that a server can keep it or send it to a thread.
///
/// The outputs equal those of one long call bit by bit, because sums run in one order for any T. In two cases they are
/// equal only within rounding: [`cooperative_matrices`](crate::GpuOptions::cooperative_matrices), and cells without R
/// on adapters that cut their steps into parts.
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

    /// Runs the next steps, where each sequence has its own number of steps, from 0 to T. Beyond this length, `x` is
    /// not read and the output is 0. A sequence of length 0 pauses: its state stays as it is, bit by bit. One program
    /// serves all lengths of one T.
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
            check_each_length(steps, self.batch, lengths)?;
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
                    let lengths = BatchLengths::new(self.rnn.device(), config, steps, batch)?;
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
