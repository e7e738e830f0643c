//! Which rows of a call's input its sequences are made of: masks in any place, resets within sequences, packed sequences.

use super::segments::{NOWHERE, Segments, StateMap};
use crate::config::RnnConfig;
use crate::error::{Error, Result};
use crate::memory;
use ndarray::ArrayView2;
use std::collections::HashSet;
use std::hash::Hash;
use std::ops::Range;
use std::sync::Arc;

/// What a reset sets the state to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResetTo {
    /// Zeros.
    #[default]
    Zeros,
    /// The initial state of the sequence, whose gradient is then the sum of those of all parts.
    Initial,
}

/// An index map: which rows of the input each sequence is made of, and where its state is reset. It is given to a call by
/// [`RnnCall::map`](crate::RnnCall::map). Rows are read and written in place, so that a call costs its valid steps, and nothing
/// is copied or padded. Clones share their memory.
///
/// | constructor | input | sequences |
/// | --- | --- | --- |
/// | [`mask`](Self::mask) | [T, N, I] or [N, T, I] | the steps of each sequence that a mask marks: padding at either end, holes |
/// | [`resets`](Self::resets), [`resets_at`](Self::resets_at) | [T, N, I] or [N, T, I] | all steps, with the state reset before some |
/// | [`concatenated`](Self::concatenated) | [Σ lengths, I] | one after the other |
/// | [`packed`](Self::packed) | [Σ lengths, I] | PyTorch's `PackedSequence`: the steps one after the other |
/// | [`rows`](Self::rows) | [rows, I] | lists of rows |
///
/// A masked step keeps the state. A reset cuts a sequence into segments that run side by side, so that it makes a call faster. No
/// gradient passes a reset. The reverse direction is cut in the same places: it reads each segment from its end.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::{Array3, array};
/// use wgrnn::{Cell, Device, Rnn, RnnCall, RnnConfig, RnnWeights, SequenceMap};
/// let config = RnnConfig::new(Cell::Gru(wgrnn::Reset::After), 4, 8);
/// let rnn = Rnn::new(&Device::auto(), &config, RnnWeights::init(&config, 0)?)?;
/// let x = Array3::ones((3, 2, 4)); // [T, N, I]
/// // Padding at the left of the first sequence, a hole in the second one.
/// let mask = array![[false, true], [true, false], [true, true]]; // [T, N]
/// let call = RnnCall::default().map(SequenceMap::mask(mask.view()));
/// assert_eq!(rnn.forward_with(x.view(), None, &call)?.y.shape(), [3, 2, 8]);
/// // The second sequence begins anew with its step 1.
/// let call = RnnCall::default().map(SequenceMap::resets_at(&[vec![], vec![1]]));
/// assert_eq!(rnn.forward_with(x.view(), None, &call)?.state.h.dim(), (1, 2, 8));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SequenceMap(Arc<Spec>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Spec {
    layout: Layout,
    resets: Resets,
    reset_to: ResetTo,
    repeats: bool,
}

/// Where the steps of sequences lie.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Layout {
    /// The steps of an array [T, N, I] or [N, T, I], those that a mask marks.
    Grid(Option<Flags>),
    /// Sequences of these lengths, one after the other.
    Concatenated(Vec<usize>),
    /// Steps one after the other, sequences in the order of falling lengths.
    Packed { batch_sizes: Vec<usize>, sequences: Option<Vec<usize>> },
    /// Lists of rows, of so many.
    Rows { rows: usize, sequences: Vec<Vec<usize>> },
}

/// Booleans of an array's first two axes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Flags {
    shape: [usize; 2],
    flags: Vec<bool>,
}

impl Flags {
    fn of(array: ArrayView2<'_, bool>) -> Self {
        Self { shape: [array.nrows(), array.ncols()], flags: array.iter().copied().collect() }
    }

    fn check(&self, what: &str, shape: [usize; 2]) -> Result<()> {
        if self.shape == shape { Ok(()) } else { Err(Error::shape(what, shape, self.shape)) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Resets {
    Never,
    /// Before the steps that are marked, in the layout of the input.
    Flags(Flags),
    /// Before these steps of each sequence.
    At(Vec<Vec<usize>>),
}

impl SequenceMap {
    fn of(layout: Layout) -> Self {
        Self(Arc::new(Spec { layout, resets: Resets::Never, reset_to: ResetTo::Zeros, repeats: false }))
    }

    fn with(self, change: impl FnOnce(&mut Spec)) -> Self {
        let mut spec = Arc::unwrap_or_clone(self.0);
        change(&mut spec);
        Self(Arc::new(spec))
    }

    /// The steps of each sequence that count, in any place: `mask` has the first two axes of the input, [T, N], or [N, T] with
    /// [`batch_first`](crate::RnnConfig::batch_first). A masked step (`false`) keeps the state, and its output is 0, or repeats
    /// the one before it: see [`repeat_output`](Self::repeat_output). A call refuses a mask of another shape.
    pub fn mask(mask: ArrayView2<'_, bool>) -> Self {
        Self::of(Layout::Grid(Some(Flags::of(mask))))
    }

    /// All steps, with the state reset before those that are marked, in the first two axes of the input.
    pub fn resets(resets: ArrayView2<'_, bool>) -> Self {
        Self::of(Layout::Grid(None)).with_resets(resets)
    }

    /// All steps, with the state reset before these steps of each sequence: a list for each, counted from 0.
    pub fn resets_at(resets: &[Vec<usize>]) -> Self {
        Self::of(Layout::Grid(None)).with_resets_at(resets)
    }

    /// Sequences of these lengths one after the other, [Σ lengths, I]. A length may be 0.
    pub fn concatenated(lengths: &[usize]) -> Self {
        Self::of(Layout::Concatenated(lengths.to_vec()))
    }

    /// The layout of PyTorch's `PackedSequence`: `batch_sizes` tells how many sequences have a step 0, a step 1 and so on; row k of a step is
    /// that of sequence `sorted_indices[k]`, or k without these. States and the last output are in the order of the sequences.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for no sequence, sizes that rise or are 0, and indices that are not each of the sequences once.
    pub fn packed(batch_sizes: &[usize], sorted_indices: Option<&[usize]>) -> Result<Self> {
        let batch = batch_sizes.first().copied().unwrap_or(0);
        if batch == 0 {
            return Err(Error::value(
                "batch_sizes",
                "at least one, and the first one at least 1",
                format!("{batch_sizes:?}"),
            ));
        }
        for (step, pair) in batch_sizes.windows(2).enumerate() {
            if pair[1] > pair[0] || pair[1] == 0 {
                let expected = format!("from 1 to the one before it, {}", pair[0]);
                return Err(Error::value(format!("batch_sizes of step {}", step + 1), expected, pair[1]));
            }
        }
        let sequences = match sorted_indices {
            None => None,
            Some(indices) => {
                if indices.len() != batch {
                    return Err(Error::shape("sorted_indices", [batch], [indices.len()]));
                }
                check_permutation("sorted_indices", indices)?;
                Some(indices.to_vec())
            }
        };
        Ok(Self::of(Layout::Packed { batch_sizes: batch_sizes.to_vec(), sequences }))
    }

    /// Sequences as lists of rows of an input [rows, I]. Rows may be left out; their output is 0.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a row beyond the input, and for one that comes twice.
    pub fn rows(rows: usize, sequences: &[Vec<usize>]) -> Result<Self> {
        let mut seen = HashSet::new();
        for (n, list) in sequences.iter().enumerate() {
            for &row in list {
                if row >= rows {
                    return Err(Error::value(format!("row of sequence {n}"), format!("less than {rows}"), row));
                }
                if !seen.insert(row) {
                    return Err(Error::value(format!("row of sequence {n}"), "each row once", format!("{row} again")));
                }
            }
        }
        Ok(Self::of(Layout::Rows { rows, sequences: sequences.to_vec() }))
    }

    /// Resets the state before the steps that are marked, in the first two axes of the input. A masked step resets it as well.
    pub fn with_resets(self, resets: ArrayView2<'_, bool>) -> Self {
        self.with(|spec| spec.resets = Resets::Flags(Flags::of(resets)))
    }

    /// Resets the state before these steps of each sequence, counted from 0: a list for each. A call refuses steps from the end of a
    /// sequence on.
    pub fn with_resets_at(self, resets: &[Vec<usize>]) -> Self {
        self.with(|spec| spec.resets = Resets::At(resets.to_vec()))
    }

    /// Sets what a reset sets the state to; zeros unless it is called.
    pub fn reset_to(self, reset_to: ResetTo) -> Self {
        self.with(|spec| spec.reset_to = reset_to)
    }

    /// The output of a masked step repeats that of the valid step that the direction has read before it, and is 0 before the first
    /// valid step and after a reset: Keras's way, unless a layer has `zero_output_for_mask`. It costs one copy of the output. Without this,
    /// the output is 0.
    pub fn repeat_output(self) -> Self {
        self.with(|spec| spec.repeats = true)
    }

    /// The same resets in packed sequences, of a map that has no mask.
    pub(super) fn of_layout(&self, packed: &Self) -> Result<Self> {
        match &self.0.layout {
            Layout::Grid(None) => Ok(self.clone().with(|spec| spec.layout = packed.0.layout.clone())),
            _ => Err(Error::value("index map of packed or ragged sequences", "resets only", "a mask or another map")),
        }
    }

    /// Rows of the packed input; none of [T, N, I].
    pub(super) fn packed_rows(&self) -> Result<Option<usize>> {
        let sum = |sizes: &[usize]| sizes.iter().try_fold(0_usize, |sum, &size| sum.checked_add(size));
        let rows = match &self.0.layout {
            Layout::Grid(_) => return Ok(None),
            Layout::Concatenated(lengths) => sum(lengths),
            Layout::Packed { batch_sizes, .. } => sum(batch_sizes),
            Layout::Rows { rows, .. } => Some(*rows),
        };
        rows.map(Some).ok_or_else(|| Error::value("sum of lengths", "less than 2⁶⁴", "more"))
    }

    /// Steps of the longest packed sequence, and how many sequences there are.
    pub(super) fn packed_sizes(&self) -> (usize, usize) {
        let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
        match &self.0.layout {
            Layout::Grid(_) => (0, 0),
            Layout::Concatenated(lengths) => (longest(&mut lengths.iter().copied()), lengths.len()),
            Layout::Packed { batch_sizes, .. } => (batch_sizes.len(), batch_sizes.first().copied().unwrap_or(0)),
            Layout::Rows { sequences, .. } => (longest(&mut sequences.iter().map(Vec::len)), sequences.len()),
        }
    }

    /// The segments of a call on so many steps and sequences, whose input has been checked.
    pub(super) fn resolve(&self, config: &RnnConfig, [steps, batch]: [usize; 2]) -> Result<Segments> {
        let Spec { layout, resets, reset_to, repeats } = &*self.0;
        let is_grid = matches!(layout, Layout::Grid(_));
        let places = self.packed_rows()?.unwrap_or(steps.saturating_mul(batch));
        let shape = if config.batch_first { [batch, steps] } else { [steps, batch] };
        match (layout, resets) {
            (Layout::Grid(Some(mask)), _) => mask.check("mask", shape)?,
            (Layout::Grid(None), _) => {}
            (_, Resets::Flags(flags)) => {
                return Err(Error::shape("resets of packed sequences", "a list of steps for each", flags.shape));
            }
            _ => {}
        }
        match resets {
            Resets::Flags(flags) => flags.check("resets", shape)?,
            Resets::At(lists) if lists.len() != batch => {
                return Err(Error::shape("resets", [batch], [lists.len()]));
            }
            Resets::At(_) | Resets::Never => {}
        }
        let mut cutter = Cutter::new(places, *repeats && matches!(layout, Layout::Grid(Some(_))))?;
        let places_of = Places::new(layout, config, [steps, batch])?;
        for n in 0..batch {
            let length = places_of.length(n);
            let at = match resets {
                Resets::At(lists) => sorted(n, &lists[n], length)?,
                Resets::Flags(_) | Resets::Never => Vec::new(),
            };
            let is_reset = |t: usize| match resets {
                Resets::Never => false,
                Resets::Flags(flags) => flags.flags[places_of.row(n, t)],
                Resets::At(_) => at.binary_search(&t).is_ok(),
            };
            let is_valid = |row: usize| match layout {
                Layout::Grid(Some(mask)) => mask.flags[row],
                _ => true,
            };
            cutter.sequence(length, |t| places_of.row(n, t), is_valid, is_reset);
        }
        Ok(cutter.segments(is_grid, *reset_to == ResetTo::Initial))
    }
}

/// Steps of a sequence before which it is reset, in order.
fn sorted(n: usize, steps: &[usize], length: usize) -> Result<Vec<usize>> {
    if let Some(step) = steps.iter().find(|&&step| step >= length) {
        let expected = format!("less than its {length} steps");
        return Err(Error::value(format!("step before which sequence {n} is reset"), expected, step));
    }
    let mut steps = steps.to_vec();
    steps.sort_unstable();
    Ok(steps)
}

/// An error unless indices are each of 0, 1 and so on once.
pub(super) fn check_permutation(what: &str, indices: &[usize]) -> Result<()> {
    let mut seen = memory::filled(what, indices.len(), false)?;
    for &index in indices {
        match seen.get_mut(index) {
            Some(seen) if !*seen => *seen = true,
            Some(_) => return Err(Error::value(what, "each index once", format!("{index} again"))),
            None => return Err(Error::value(what, format!("indices less than {}", indices.len()), index)),
        }
    }
    Ok(())
}

/// Which row a step of a sequence is.
enum Places<'a> {
    Grid { steps: usize, batch: usize, batch_first: bool },
    Concatenated { lengths: &'a [usize], starts: Vec<usize> },
    Packed { lengths: Vec<usize>, offsets: Vec<usize>, ranks: Vec<usize> },
    Rows(&'a [Vec<usize>]),
}

impl<'a> Places<'a> {
    fn new(layout: &'a Layout, config: &RnnConfig, [steps, batch]: [usize; 2]) -> Result<Self> {
        // Sums that have been checked: see `packed_rows`.
        let starts = |sizes: &[usize]| {
            let mut at = 0;
            let starts = sizes.iter().map(|size| {
                at += size;
                at - size
            });
            memory::collected("first rows", sizes.len(), starts)
        };
        Ok(match layout {
            Layout::Grid(_) => Self::Grid { steps, batch, batch_first: config.batch_first },
            Layout::Concatenated(lengths) => Self::Concatenated { lengths, starts: starts(lengths)? },
            Layout::Packed { batch_sizes, sequences } => {
                let mut lengths = memory::filled("lengths", batch, 0)?;
                let mut ranks = memory::filled("ranks", batch, 0)?;
                for rank in 0..batch {
                    let n = sequences.as_ref().map_or(rank, |sequences| sequences[rank]);
                    ranks[n] = rank;
                    // Falling sizes: the steps that have more sequences than the rank.
                    lengths[n] = batch_sizes.partition_point(|&size| size > rank);
                }
                Self::Packed { lengths, offsets: starts(batch_sizes)?, ranks }
            }
            Layout::Rows { sequences, .. } => Self::Rows(sequences),
        })
    }

    fn length(&self, n: usize) -> usize {
        match self {
            Self::Grid { steps, .. } => *steps,
            Self::Concatenated { lengths, .. } => lengths[n],
            Self::Packed { lengths, .. } => lengths[n],
            Self::Rows(sequences) => sequences[n].len(),
        }
    }

    fn row(&self, n: usize, t: usize) -> usize {
        match self {
            Self::Grid { steps, batch_first: true, .. } => n * steps + t,
            Self::Grid { batch, .. } => t * batch + n,
            Self::Concatenated { starts, .. } => starts[n] + t,
            Self::Packed { offsets, ranks, .. } => offsets[t] + ranks[n],
            Self::Rows(sequences) => sequences[n][t],
        }
    }
}

/// Cuts sequences into segments, one sequence after the other.
struct Cutter {
    places: usize,
    rows: Vec<u32>,
    starts: Vec<usize>,
    sequences: Vec<Range<usize>>,
    from_zero: Vec<bool>,
    repeats: Option<[Vec<u32>; 2]>,
}

impl Cutter {
    fn new(places: usize, repeats: bool) -> Result<Self> {
        let nowhere = || memory::filled("rows whose outputs are repeated", places, NOWHERE);
        Ok(Self {
            places,
            rows: memory::reserved("rows of segments", places)?,
            starts: vec![0],
            sequences: Vec::new(),
            from_zero: Vec::new(),
            repeats: if repeats { Some([nowhere()?, nowhere()?]) } else { None },
        })
    }

    fn sequence(
        &mut self,
        length: usize,
        row: impl Fn(usize) -> usize,
        is_valid: impl Fn(usize) -> bool,
        is_reset: impl Fn(usize) -> bool,
    ) {
        let first = self.starts.len() - 1;
        let mut begins = self.rows.len();
        for t in 0..length {
            // Segments of nothing matter only at a sequence's ends, where states go in and out.
            let is_first = self.starts.len() - 1 == first;
            if t > 0 && is_reset(t) && (is_first || self.rows.len() > begins) {
                begins = self.rows.len();
                self.starts.push(begins);
            }
            if is_valid(row(t)) {
                self.rows.push(row(t) as u32);
            }
        }
        self.starts.push(self.rows.len());
        self.sequences.push(first..self.starts.len() - 1);
        self.from_zero.push(length > 0 && is_reset(0));
        let Some([forward, backward]) = &mut self.repeats else { return };
        let mut last = NOWHERE;
        for t in 0..length {
            last = if is_valid(row(t)) {
                row(t) as u32
            } else if is_reset(t) {
                NOWHERE
            } else {
                last
            };
            forward[row(t)] = last;
        }
        last = NOWHERE;
        for t in (0..length).rev() {
            last = if is_valid(row(t)) { row(t) as u32 } else { last };
            backward[row(t)] = last;
            last = if is_reset(t) { NOWHERE } else { last };
        }
    }

    fn segments(self, is_grid: bool, to_initial: bool) -> Segments {
        let Self { places, rows, starts, sequences, from_zero, repeats } = self;
        let is_whole = sequences.iter().all(|range| range.len() == 1) && (to_initial || !from_zero.contains(&true));
        let states = (!is_whole).then_some(StateMap { segments: sequences, from_zero, to_initial });
        let repeats = repeats.filter(|_| rows.len() < places);
        Segments { places, is_grid, rows, starts, states, repeats }
    }
}
