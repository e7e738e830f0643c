//! Host calls on batches without padding: lists of arrays, and packed sequences.

use super::call::{Output, RnnCall};
use super::packed_sequence::{PackedSequence, concatenate, split};
use super::rnn::Rnn;
use super::rows::Lengths;
use super::sequence_map::SequenceMap;
use super::state::State;
use crate::device::block_on;
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayD, ArrayView2};

/// The result of [`Rnn::forward_ragged`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RaggedOutput {
    /// The outputs: [T_n, D·S·H] of each sequence.
    pub y: Vec<Array2<f32>>,
    /// The final state of all sequences.
    pub state: State,
}

/// The result of [`Rnn::forward_packed`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PackedOutput {
    /// The outputs, packed as the input: [Σ lengths, D·S·H].
    pub y: PackedSequence,
    /// The final state of all sequences, in the order in which they were packed.
    pub state: State,
}

impl Rnn {
    /// Runs sequences of different lengths, each an array [T_n, I] of its own, from `state`, [L·D·S, N, ·], or zeros. Nothing is padded:
    /// they are one array [Σ T_n, I] on the device. A sequence may have no step, which gives an output of [0, D·S·H] and
    /// its initial state.
    ///
    /// ```
    /// # fn main() -> wgrnn::Result<()> {
    /// use ndarray::Array2;
    /// use wgrnn::{Cell, Device, Rnn, RnnCall, RnnConfig, RnnWeights};
    /// let config = RnnConfig::new(Cell::Lstm, 4, 8);
    /// let rnn = Rnn::new(&Device::auto(), &config, RnnWeights::init(&config, 0)?)?;
    /// let (a, b) = (Array2::ones((3, 4)), Array2::ones((5, 4)));
    /// let output = rnn.forward_ragged(&[a.view(), b.view()], None, &RnnCall::default())?;
    /// assert_eq!((output.y[0].dim(), output.y[1].dim()), ((3, 8), (5, 8)));
    /// assert_eq!(output.state.h.dim(), (1, 2, 8));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Rnn::forward_with`]; [`Value`](Error::Value) for no sequence, and for a call that has lengths or a mask, or wants only the
    /// last output, which is in the state. Resets by [`SequenceMap::resets_at`] are fine.
    pub fn forward_ragged(
        &self,
        x: &[ArrayView2<'_, f32>],
        state: Option<&State>,
        call: &RnnCall,
    ) -> Result<RaggedOutput> {
        block_on(self.forward_ragged_async(x, state, call))
    }

    /// The asynchronous form of [`Rnn::forward_ragged`].
    ///
    /// # Errors
    /// As [`Rnn::forward_ragged`].
    pub async fn forward_ragged_async(
        &self,
        x: &[ArrayView2<'_, f32>],
        state: Option<&State>,
        call: &RnnCall,
    ) -> Result<RaggedOutput> {
        let (rows, lengths) = concatenate(x)?;
        let call = over(call, &SequenceMap::concatenated(&lengths))?;
        let output = self.forward_any_async(rows.view().into_dyn(), state, &call).await?;
        Ok(RaggedOutput { y: split(two_axes(output.y)?.view(), &lengths), state: output.state })
    }

    /// Runs packed sequences, as a layer of PyTorch does with a `PackedSequence`. The states are in the order in which sequences
    /// were packed.
    ///
    /// # Errors
    /// As [`Rnn::forward_ragged`].
    pub fn forward_packed(&self, x: &PackedSequence, state: Option<&State>, call: &RnnCall) -> Result<PackedOutput> {
        block_on(self.forward_packed_async(x, state, call))
    }

    /// The asynchronous form of [`Rnn::forward_packed`].
    ///
    /// # Errors
    /// As [`Rnn::forward_ragged`].
    pub async fn forward_packed_async(
        &self,
        x: &PackedSequence,
        state: Option<&State>,
        call: &RnnCall,
    ) -> Result<PackedOutput> {
        let call = over(call, &x.map()?)?;
        let output = self.forward_any_async(x.data().view().into_dyn(), state, &call).await?;
        Ok(PackedOutput { y: x.with_data(two_axes(output.y)?), state: output.state })
    }
}

/// A call over packed sequences, with the resets that it has.
fn over(call: &RnnCall, map: &SequenceMap) -> Result<RnnCall> {
    if call.output != Output::All {
        return Err(Error::value("output of packed or ragged sequences", "All: the state has the last one", "Last"));
    }
    let map = match &call.lengths {
        Lengths::Full => map.clone(),
        Lengths::Map(own) => own.of_layout(map)?,
        Lengths::Fixed(_) | Lengths::PerRun(_) => {
            return Err(Error::value("lengths of packed or ragged sequences", "Full: they have their own", "others"));
        }
    };
    Ok(call.clone().map(map))
}

fn two_axes(y: ArrayD<f32>) -> Result<Array2<f32>> {
    let shape = y.shape().to_vec();
    y.into_dimensionality().map_err(|_| Error::Plan(format!("packed output of shape {shape:?}")))
}
