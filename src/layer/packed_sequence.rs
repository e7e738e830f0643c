//! Batches of sequences of different lengths without padding, as PyTorch packs them.

use super::sequence_map::{SequenceMap, check_permutation};
use crate::error::{Error, Result};
use crate::memory;
use ndarray::{Array2, ArrayView2, s};

/// Sequences of different lengths without padding, in the layout of PyTorch's `PackedSequence`: step 0 of all sequences, then step 1 of
/// those that have one, and so on, with longer sequences first.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::{Array2, array};
/// use wgrnn::PackedSequence;
/// let (a, b) = (array![[1.]], array![[2.], [3.]]); // [T, I]
/// let packed = PackedSequence::pack(&[a.view(), b.view()])?;
/// assert_eq!(packed.data(), array![[2.], [1.], [3.]]);
/// assert_eq!((packed.batch_sizes(), packed.sorted_indices()), (&[2, 1][..], Some(&[1, 0][..])));
/// assert_eq!(packed.unpack()?, [a, b]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PackedSequence {
    data: Array2<f32>,
    batch_sizes: Vec<usize>,
    sorted_indices: Option<Vec<usize>>,
    unsorted_indices: Option<Vec<usize>>,
}

impl PackedSequence {
    /// From PyTorch's four arrays: `data` [Σ lengths, features], `batch_sizes` `[T]`, and `sorted_indices` and `unsorted_indices` `[N]`,
    /// which are none where sequences are given in the order of falling lengths. If only one of them is given, the other one follows.
    ///
    /// # Errors
    /// As [`SequenceMap::packed`]; [`Shape`](Error::Shape) where `data` has not as many rows as sizes add up to, and
    /// [`Value`](Error::Value) where the indices are not each other's inverse.
    pub fn new(
        data: Array2<f32>,
        batch_sizes: Vec<usize>,
        sorted_indices: Option<Vec<usize>>,
        unsorted_indices: Option<Vec<usize>>,
    ) -> Result<Self> {
        if let Some(indices) = &unsorted_indices {
            check_permutation("unsorted_indices", indices)?;
        }
        let sorted_indices = match (sorted_indices, &unsorted_indices) {
            (None, Some(indices)) => Some(inverse(indices)?),
            (sorted, _) => sorted,
        };
        let map = SequenceMap::packed(&batch_sizes, sorted_indices.as_deref())?;
        let unsorted = sorted_indices.as_deref().map(inverse).transpose()?;
        if unsorted_indices.is_some() && unsorted_indices != unsorted {
            let (expected, got) =
                (format!("{unsorted:?}, the inverse of sorted_indices"), format!("{unsorted_indices:?}"));
            return Err(Error::value("unsorted_indices", expected, got));
        }
        let rows = map.packed_rows()?.unwrap_or(0);
        if data.nrows() != rows {
            return Err(Error::shape("data of packed sequences", [rows, data.ncols()], data.shape()));
        }
        Ok(Self { data, batch_sizes, sorted_indices, unsorted_indices: unsorted })
    }

    /// Packs sequences [T_n, features] in any order of lengths, as `pack_sequence` with `enforce_sorted=False` does.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for no sequence, or one without a step, which PyTorch's layout can't hold
    /// ([`Rnn::forward_ragged`](crate::Rnn::forward_ragged) takes it); [`Shape`](Error::Shape) where features differ,
    /// [`OutOfMemory`](Error::OutOfMemory).
    pub fn pack(sequences: &[ArrayView2<'_, f32>]) -> Result<Self> {
        let features = check_features(sequences)?;
        if let Some(n) = sequences.iter().position(|x| x.nrows() == 0) {
            return Err(Error::value(format!("length of packed sequence {n}"), "at least 1", 0));
        }
        let mut sorted: Vec<usize> = (0..sequences.len()).collect();
        sorted.sort_by_key(|&n| std::cmp::Reverse(sequences[n].nrows()));
        let longest = sorted.first().map_or(0, |&n| sequences[n].nrows());
        let count = sequences.iter().fold(0, |rows: usize, x| rows.saturating_add(x.nrows()));
        let mut data = memory::reserved("packed sequences", count.saturating_mul(features))?;
        let mut batch_sizes = memory::reserved("batch_sizes", longest)?;
        for t in 0..longest {
            let running = sorted.partition_point(|&n| sequences[n].nrows() > t);
            batch_sizes.push(running);
            sorted[..running].iter().for_each(|&n| data.extend(sequences[n].row(t)));
        }
        let data = Array2::from_shape_vec((count, features), data);
        let data = data.map_err(|error| Error::Plan(format!("packed sequences: {error}")))?;
        Self::new(data, batch_sizes, Some(sorted), None)
    }

    /// The sequences, [T_n, features], in the order in which they were given.
    ///
    /// # Errors
    /// [`OutOfMemory`](Error::OutOfMemory).
    pub fn unpack(&self) -> Result<Vec<Array2<f32>>> {
        let (features, count) = (self.data.ncols(), self.batch_sizes.first().copied().unwrap_or(0));
        let one = |n: usize| {
            let rank = self.unsorted_indices.as_ref().map_or(n, |ranks| ranks[n]);
            let length = self.batch_sizes.partition_point(|&size| size > rank);
            let mut numbers = memory::reserved("sequence", length.saturating_mul(features))?;
            let mut at = rank;
            for size in &self.batch_sizes[..length] {
                numbers.extend(self.data.row(at));
                at += size;
            }
            let array = Array2::from_shape_vec((length, features), numbers);
            array.map_err(|error| Error::Plan(format!("sequence {n}: {error}")))
        };
        (0..count).map(one).collect()
    }

    /// The rows of all steps: [Σ lengths, features].
    pub fn data(&self) -> &Array2<f32> {
        &self.data
    }

    /// How many sequences have each step.
    pub fn batch_sizes(&self) -> &[usize] {
        &self.batch_sizes
    }

    /// For each place among the longest-first, its sequence.
    pub fn sorted_indices(&self) -> Option<&[usize]> {
        self.sorted_indices.as_deref()
    }

    /// For each sequence, its place among the longest-first.
    pub fn unsorted_indices(&self) -> Option<&[usize]> {
        self.unsorted_indices.as_deref()
    }

    /// The index map of this layout, for calls and tapes on data that lie on a device.
    ///
    /// # Errors
    /// [`OutOfMemory`](Error::OutOfMemory).
    pub fn map(&self) -> Result<SequenceMap> {
        SequenceMap::packed(&self.batch_sizes, self.sorted_indices())
    }

    /// Other rows in the same layout.
    pub(super) fn with_data(&self, data: Array2<f32>) -> Self {
        Self { data, ..self.clone() }
    }
}

fn inverse(indices: &[usize]) -> Result<Vec<usize>> {
    let mut inverse = memory::filled("inverse of indices", indices.len(), 0)?;
    indices.iter().enumerate().for_each(|(place, &index)| inverse[index] = place);
    Ok(inverse)
}

/// The features that all sequences have.
pub(super) fn check_features(sequences: &[ArrayView2<'_, f32>]) -> Result<usize> {
    let Some(first) = sequences.first() else {
        return Err(Error::value("sequences", "at least one", "none"));
    };
    match sequences.iter().enumerate().find(|(_, x)| x.ncols() != first.ncols()) {
        Some((n, x)) => Err(Error::shape(format!("sequence {n}"), format!("[T, {}]", first.ncols()), x.shape())),
        None => Ok(first.ncols()),
    }
}

/// Sequences one after the other, and their lengths.
pub(super) fn concatenate(sequences: &[ArrayView2<'_, f32>]) -> Result<(Array2<f32>, Vec<usize>)> {
    let features = check_features(sequences)?;
    let lengths: Vec<usize> = sequences.iter().map(|x| x.nrows()).collect();
    let rows = lengths.iter().fold(0, |rows: usize, &length| rows.saturating_add(length));
    let mut numbers = memory::reserved("ragged batch", rows.saturating_mul(features))?;
    sequences.iter().for_each(|x| numbers.extend(x.iter()));
    let array = Array2::from_shape_vec((rows, features), numbers);
    Ok((array.map_err(|error| Error::Plan(format!("ragged batch: {error}")))?, lengths))
}

/// Rows of sequences one after the other as arrays of their own.
pub(super) fn split(rows: ArrayView2<'_, f32>, lengths: &[usize]) -> Vec<Array2<f32>> {
    let mut at = 0;
    let one = |&length: &usize| {
        at += length;
        rows.slice(s![at - length..at, ..]).to_owned()
    };
    lengths.iter().map(one).collect()
}
