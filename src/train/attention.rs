//! Attention: a query looks at the steps of a memory, and takes a mean of them, weighted by how well they fit.

use super::tape::Tape;
use crate::cells::Activation;
use crate::error::{Error, Result};
use crate::layer::Linear;
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
    /// [N, 1].
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
                Some(lengths.insert_axis(1)?)
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
    /// What a query [N, Q] sees: the mean of the memory's steps [N, M], and how much each of them counts in it [N, S].
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the query does not fit the memory.
    pub fn attend(&self, tape: &mut Tape, query: &Value) -> Result<(Value, Value)> {
        tape.plan.expect_view(query, "query", false)?;
        let (batch, steps) = (self.values.shape()[0], self.values.shape()[1]);
        if query.shape().len() != 2 || query.shape()[0] != batch {
            return Err(Error::shape("query", format!("[{batch}, features]"), query.shape()));
        }
        let scores = match &self.attention {
            Attention::Dot | Attention::General(_) => {
                if query.shape()[1] != self.keys.shape()[2] {
                    return Err(Error::shape("query", [batch, self.keys.shape()[2]], query.shape()));
                }
                // [N, S, features] · [N, features, 1]
                tape.matmul(&self.keys, &query.insert_axis(2)?)?.reshape(&[batch, steps])?
            }
            Attention::Additive { query: layer, score, .. } => {
                let query = tape.linear(layer, query)?.insert_axis(1)?;
                let sums = tape.map([&query, &self.keys], |[q, m]| (q + m).activation(Activation::Tanh))?;
                tape.linear(score, &sums)?.reshape(&[batch, steps])?
            }
        };
        let weights = tape.softmax(&scores, 1, self.lengths.as_ref())?;
        // [N, 1, S] · [N, S, M]
        let context = tape.matmul(&weights.insert_axis(1)?, &self.values)?;
        Ok((context.reshape(&[batch, self.values.shape()[2]])?, weights))
    }
}
