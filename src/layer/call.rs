//! How a layer is called, and what shape its output has.

use super::rows::Lengths;
use super::schedule::Schedule;
use super::sequence_map::SequenceMap;
use super::shapes::{packed_sizes, sequence_sizes};
use crate::config::RnnConfig;
use crate::error::{Error, Result};

/// Which part of the output a call gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Output {
    /// Every step: [T, N, D·S·H], or [N, T, D·S·H]; 0 beyond a sequence's length. [rows, D·S·H] of packed sequences.
    #[default]
    All,
    /// The last layer's final h of each sequence, directions and heads side by side: [N, D·S·H]. The forward direction
    /// gives its h after the last valid step, the reverse direction after the first step. A sequence without a step gives
    /// its initial h.
    Last,
}

/// How a layer is called.
///
/// ```
/// use wgrnn::{Lengths, Output, RnnCall};
/// // The last output of each of three sequences of 7, 5 and 2 steps.
/// let call = RnnCall::default().lengths(Lengths::Fixed(vec![7, 5, 2])).output(Output::Last);
/// # let _ = call;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RnnCall {
    /// Valid steps of each sequence.
    pub lengths: Lengths,
    /// Whether a run starts from the contents of the [`DeviceState`](crate::DeviceState). Otherwise it starts from
    /// zeros. [`Rnn::forward_with`](crate::Rnn::forward_with) and [`Rnn::gradients`](crate::Rnn::gradients) start from the
    /// state that they are given, whatever this field says; without a state they start from zeros, and refuse `true`.
    pub carry: bool,
    /// Which part of the output is wanted.
    pub output: Output,
    /// How steps become dispatches.
    pub schedule: Schedule,
    /// Bytes of memory for the input part of the gates, x·Wᵀ + b. It is computed for as many steps at a time as fit
    /// into this memory, and for at least one.
    pub input_part_bytes: usize,
    /// For training. `None` keeps everything that the backward pass needs. `Some(k)` keeps only the state before every
    /// k-th step and computes the steps again, k at a time. With k near √T, the memory of a layer grows with √T instead
    /// of T, and the gradients are the same. The outputs that a layer passes to the next one are always kept for all
    /// steps. If a buffer of the adapter cannot hold what `None` needs, k is chosen as large as possible.
    pub keep_every: Option<usize>,
}

impl Default for RnnCall {
    /// Full sequences from zeros, the whole output, any schedule, at most 64 MiB for the input part, all kept.
    fn default() -> Self {
        Self {
            lengths: Lengths::Full,
            carry: false,
            output: Output::All,
            schedule: Schedule::Auto,
            input_part_bytes: 64 << 20,
            keep_every: None,
        }
    }
}

impl RnnCall {
    /// Sets the valid steps of each sequence.
    pub fn lengths(self, lengths: Lengths) -> Self {
        Self { lengths, ..self }
    }

    /// Sets which rows of the input the sequences are made of: masks, resets, packed sequences.
    pub fn map(self, map: SequenceMap) -> Self {
        self.lengths(Lengths::Map(map))
    }

    /// Sets whether a run starts from the contents of the [`DeviceState`](crate::DeviceState) instead of zeros.
    pub fn carry(self, carry: bool) -> Self {
        Self { carry, ..self }
    }

    /// Sets which part of the output is wanted.
    pub fn output(self, output: Output) -> Self {
        Self { output, ..self }
    }

    /// Sets how steps become dispatches.
    pub fn schedule(self, schedule: Schedule) -> Self {
        Self { schedule, ..self }
    }

    /// Sets the bytes of memory for the input part of the gates.
    pub fn input_part_bytes(self, bytes: usize) -> Self {
        Self { input_part_bytes: bytes, ..self }
    }

    /// For training: keeps only the state before every k-th step, and computes the steps again; `None` keeps everything.
    pub fn keep_every(self, k: impl Into<Option<usize>>) -> Self {
        Self { keep_every: k.into(), ..self }
    }

    /// This call of a layer whose initial state, if there is one, comes from the host.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where it carries a state that there isn't.
    pub(super) fn of_host(&self, has_state: bool) -> Result<Self> {
        if self.carry && !has_state {
            return Err(Error::value("carry of a call without an initial state", "false, or a state", "true"));
        }
        Ok(Self { carry: has_state, ..self.clone() })
    }
}

/// The output's shape for an input of this shape.
pub(crate) fn output_shape(config: &RnnConfig, x: &[usize], call: &RnnCall) -> Result<Vec<usize>> {
    let (_, batch) = call_sizes(config, x, &call.lengths)?;
    let rows = x.iter().take(x.len() - 1).copied();
    Ok(match call.output {
        Output::All => rows.chain([config.output_size()]).collect(),
        Output::Last => vec![batch, config.output_size()],
    })
}

/// Steps and sequences of a call for an input of this shape: [T, N, I] or [N, T, I], or [rows, I] of packed sequences.
pub(crate) fn call_sizes(config: &RnnConfig, x: &[usize], lengths: &Lengths) -> Result<(usize, usize)> {
    let Lengths::Map(map) = lengths else { return sequence_sizes(config, x) };
    let Some(rows) = map.packed_rows()? else { return sequence_sizes(config, x) };
    let expected = [rows, config.input];
    if x != expected {
        return Err(Error::shape("packed input", expected, x));
    }
    let (steps, batch) = map.packed_sizes();
    packed_sizes(config, rows, [steps, batch])?;
    Ok((steps, batch))
}
