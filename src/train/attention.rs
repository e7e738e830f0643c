//! Attention: a query looks at the steps of a memory, and takes a mean of them, weighted by how well they fit.

use super::tape::Tape;
use crate::cells::Activation;
use crate::error::{Error, Result};
use crate::layer::{Linear, Look, emit_attend};
use crate::plan::Value;

/// How well a query q fits a step m of the memory: its score. The weights of the steps are the softmax of their scores.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::Array3;
/// use wgrnn::{Attention, Device, Tape, Tensor};
/// let device = Device::cpu();
/// let encoded = Tensor::from_array(&device, Array3::<f32>::ones((7, 2, 4)).view())?; // [S, N, M]
/// let lengths = Tensor::from_array(&device, ndarray::arr1(&[7_u32, 3]).view())?;
/// let query = Tensor::<f32>::zeros(&device, &[2, 4])?;
/// let mut tape = Tape::evaluating(&device)?;
/// let (encoded, lengths, query) = (tape.input(&encoded)?, tape.input(&lengths)?, tape.input(&query)?);
/// let memory = tape.memory(&Attention::Dot, &encoded, Some(&lengths))?;
/// let (context, weights) = memory.attend(&mut tape, &query)?;
/// assert_eq!((context.shape(), weights.shape()), (&[2, 4][..], &[2, 7][..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Attention {
    /// q · m (Luong et al. 2015): query and memory have the same number of features.
    Dot,
    /// q · W m (Luong et al. 2015): W takes the memory's features to the query's.
    General(Linear),
    /// v · tanh(W q + U m) (Bahdanau et al. 2015).
    Additive {
        /// W, from the query's features to those of the score.
        query: Linear,
        /// U, from the memory's features to those of the score.
        memory: Linear,
        /// v, from these to one number.
        score: Linear,
    },
}

/// A memory with what is computed of it once, however often it is looked at.
#[derive(Clone, Debug)]
pub struct Memory {
    attention: Attention,
    /// [N, S, M].
    values: Value,
    /// [N, S, features]: what queries are compared with.
    keys: Value,
    /// `[N]`.
    lengths: Option<Value>,
}

impl Tape {
    /// Makes the outputs of an encoder, [S, N, M], a memory. With `lengths`, `[N]` of u32, only so many steps of each sequence can be seen; of
    /// a sequence without any the context is 0.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes do not fit each other or the layers of the attention.
    pub fn memory(&mut self, attention: &Attention, encoded: &Value, lengths: Option<&Value>) -> Result<Memory> {
        self.plan.expect_view(encoded, "memory", false)?;
        let &[_, batch, _] = encoded.shape() else {
            return Err(Error::shape("memory", "[S, N, M]", encoded.shape()));
        };
        let lengths = match lengths {
            Some(lengths) if lengths.shape() == [batch] => {
                self.plan.expect_view(lengths, "lengths of a memory", true)?;
                Some(lengths.clone())
            }
            Some(lengths) => return Err(Error::shape("lengths of a memory", [batch], lengths.shape())),
            None => None,
        };
        let values = encoded.transpose(0, 1)?;
        let keys = match attention {
            Attention::Dot => values.clone(),
            Attention::General(layer) | Attention::Additive { memory: layer, .. } => self.linear(layer, &values)?,
        };
        Ok(Memory { attention: attention.clone(), values, keys, lengths })
    }
}

impl Memory {
    /// What queries see: for each the mean of the memory's steps [N, M], and how much each of them counts in it [N, S].
    ///
    /// `query` is [N, Q], or [N·K, Q] for K queries of each sequence, one after the other, as a beam search has them; the results then have
    /// N·K rows too. On a tape for evaluation, scores, softmax and mean are one kernel where the memory has at most 1,024 steps.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the query does not fit the memory.
    pub fn attend(&self, tape: &mut Tape, query: &Value) -> Result<(Value, Value)> {
        tape.plan.expect_view(query, "query", false)?;
        let [batch, steps, width] = [0, 1, 2].map(|axis| self.values.shape()[axis]);
        let &[rows, features] = query.shape() else {
            return Err(Error::shape("query", format!("[{batch}, features]"), query.shape()));
        };
        if rows % batch != 0 {
            return Err(Error::shape(
                "query",
                format!("[{batch}, features], or a multiple of the rows"),
                query.shape(),
            ));
        }
        let expected = match &self.attention {
            Attention::Dot | Attention::General(_) => self.keys.shape()[2],
            Attention::Additive { query, .. } => query.inputs,
        };
        if features != expected {
            return Err(Error::shape("query", [rows, expected], query.shape()));
        }
        let (keys, lengths) = (Some(&self.keys), self.lengths.as_ref());
        let is_product = !matches!(self.attention, Attention::Additive { .. });
        if is_product && !tape.is_training() {
            let look = Look { query, keys, values: &self.values, lengths };
            if let Some(seen) = emit_attend(&mut tape.plan, &look)? {
                return Ok(seen);
            }
        }
        let scores = self.scores(tape, query, rows / batch)?;
        if !tape.is_training() {
            let scores = scores.reshape(&[rows, steps])?;
            let look = Look { query: &scores, keys: None, values: &self.values, lengths };
            if let Some(seen) = emit_attend(&mut tape.plan, &look)? {
                return Ok(seen);
            }
        }
        let lengths = lengths.map(|lengths| lengths.insert_axis(1)?.insert_axis(2)).transpose()?;
        let weights = tape.softmax(&scores, 2, lengths.as_ref())?;
        // [N, K, S] · [N, S, M]
        let context = tape.matmul(&weights, &self.values)?;
        Ok((context.reshape(&[rows, width])?, weights.reshape(&[rows, steps])?))
    }

    /// How well K queries of each sequence fit each step: [N, K, S].
    fn scores(&self, tape: &mut Tape, query: &Value, queries: usize) -> Result<Value> {
        let [batch, steps, _] = [0, 1, 2].map(|axis| self.values.shape()[axis]);
        match &self.attention {
            Attention::Dot | Attention::General(_) => {
                // [N, K, features] · [N, features, S]
                let query = query.reshape(&[batch, queries, query.shape()[1]])?;
                tape.matmul(&query, &self.keys.transpose(1, 2)?)
            }
            Attention::Additive { query: layer, score, .. } => {
                let query = tape.linear(layer, query)?;
                let query = query.reshape(&[batch, queries, 1, query.shape()[1]])?;
                let keys = self.keys.insert_axis(1)?;
                let sums = tape.map([&query, &keys], |[q, m]| (q + m).activation(Activation::Tanh))?;
                tape.linear(score, &sums)?.reshape(&[batch, queries, steps])
            }
        }
    }
}
