//! Variable lengths, masks, resets, packed sequences, direction and layout, all as one index map.
//!
//! Sequences are ranked by falling length, so that those still running at a step are the first ranks. The rows of a step
//! lie together, ranks in order; `map` says which row of the caller's array each one is. No row is stored or computed
//! for a step beyond a sequence's length, so cost follows the valid steps.

use super::segments::{Segments, StateMap};
use super::sequence_map::SequenceMap;
use super::shapes::sequence_sizes;
use crate::config::RnnConfig;
use crate::device::{Device, locked};
use crate::error::{Error, Result};
use crate::kernels::{GemmParams, OuterParams};
use crate::memory;
use crate::plan::{BufferId, PlanBuilder};
use crate::storage::Storage;
use ndarray::ArrayView2;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

/// How many steps of each sequence of a batch are valid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lengths {
    /// All T steps of every sequence.
    #[default]
    Full,
    /// These lengths, from 0 to T for each sequence. They are part of the plan, so another list needs another plan.
    /// Steps beyond a length are not computed. A sequence of length 0 ends in its initial state.
    Fixed(Vec<usize>),
    /// The lengths that were last written before a run. The plan is made for the longest allowed lengths, so one plan
    /// serves training on batches of many lengths.
    PerRun(BatchLengths),
    /// An index map: masks in any place, resets within sequences, and packed sequences. It is part of the plan.
    Map(SequenceMap),
}

impl From<SequenceMap> for Lengths {
    fn from(map: SequenceMap) -> Self {
        Self::Map(map)
    }
}

impl From<Option<Vec<usize>>> for Lengths {
    fn from(lengths: Option<Vec<usize>>) -> Self {
        lengths.map_or(Self::Full, Self::Fixed)
    }
}

impl Lengths {
    /// The lengths as a list, as they are now; `None` for full sequences and for an index map.
    pub fn list(&self) -> Option<Vec<usize>> {
        match self {
            Self::Full | Self::Map(_) => None,
            Self::Fixed(lengths) => Some(lengths.clone()),
            Self::PerRun(lengths) => Some(lengths.list()),
        }
    }
}

/// Lengths on a device, to be written between runs of a plan: see [`Rnn::batch_lengths`](crate::Rnn::batch_lengths).
/// Clones are handles of the same memory.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::{Cell, Device, Lengths, Rnn, RnnCall, RnnConfig, RnnWeights, SessionOptions};
/// let config = RnnConfig::new(Cell::Lstm, 4, 8);
/// let rnn = Rnn::new(&Device::auto(), &config, RnnWeights::init(&config, 0)?)?;
/// let lengths = rnn.batch_lengths(6, 2)?;
/// let call = RnnCall::default().lengths(Lengths::PerRun(lengths.clone()));
/// let session = rnn.session(SessionOptions::new(6, 2).call(call))?;
/// for batch in [[6, 3], [2, 5]] {
///     lengths.write(&batch)?;
///     session.run()?; // the same program for all lengths
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct BatchLengths(Arc<OnDevice>);

struct OnDevice {
    device: Device,
    config: RnnConfig,
    steps: usize,
    lengths: Mutex<Known>,
    rows: Storage,
}

/// What was written last.
struct Known {
    lengths: Vec<usize>,
    is_masked: bool,
}

impl BatchLengths {
    /// All sequences at full length.
    pub(crate) fn new(device: &Device, config: &RnnConfig, steps: usize, batch: usize) -> Result<Self> {
        config.validate()?;
        sequence_sizes(config, &config.sequence_shape(steps, batch, config.input))?;
        let full = RowMap::new(device, config, steps, batch, None)?;
        let rows = Storage::zeros(device, "rows, ranks, offsets", full.indices.len() as u64)?;
        rows.write(device, &full.indices)?;
        let lengths = Mutex::new(Known { lengths: memory::filled("lengths", batch, steps)?, is_masked: false });
        Ok(Self(Arc::new(OnDevice { device: device.clone(), config: config.clone(), steps, lengths, rows })))
    }

    /// Writes the lengths for the runs that follow.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) unless there is a length for each sequence, [`Value`](Error::Value) where a length is
    /// not from 0 to T, [`OutOfMemory`](Error::OutOfMemory).
    pub fn write(&self, lengths: &[usize]) -> Result<()> {
        let OnDevice { device, config, steps, lengths: known, .. } = &*self.0;
        let mut known = locked(known);
        let batch = known.lengths.len();
        check_each_length(*steps, batch, lengths)?;
        self.write_rows(&RowMap::of_lengths(device, config, *steps, batch, Some(lengths))?, batch)?;
        known.lengths.clone_from_slice(lengths);
        known.is_masked = false;
        Ok(())
    }

    /// Writes a mask for the runs that follow, in place of lengths: the steps that count, in any place, in the first two axes of the
    /// input. Outputs of masked steps are 0.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) for a mask of another shape, [`OutOfMemory`](Error::OutOfMemory).
    pub fn write_mask(&self, mask: ArrayView2<'_, bool>) -> Result<()> {
        let OnDevice { device, config, steps, lengths: known, .. } = &*self.0;
        let mut known = locked(known);
        let batch = known.lengths.len();
        let segments = SequenceMap::mask(mask).resolve(config, [*steps, batch])?;
        let lengths: Vec<usize> = segments.starts.windows(2).map(|ends| ends[1] - ends[0]).collect();
        self.write_rows(&RowMap::of_segments(device, config, segments)?, batch)?;
        known.lengths = lengths;
        known.is_masked = true;
        Ok(())
    }

    fn write_rows(&self, map: &RowMap, batch: usize) -> Result<()> {
        let OnDevice { device, config, steps, rows, .. } = &*self.0;
        // The places are those of full sequences; what is beyond the last row is never looked up.
        let full = steps * batch;
        let mut indices = memory::filled("map of rows", config.tracks() * full + batch + steps + 2, 0)?;
        for (direction, rows) in map.indices[..map.order].chunks_exact(map.rows.max(1)).enumerate() {
            indices[direction * full..][..map.rows].copy_from_slice(rows);
        }
        let (order, offsets) = (config.tracks() * full, config.tracks() * full + batch);
        indices[order..offsets].copy_from_slice(&map.indices[map.order..map.offsets]);
        let last = map.rows as u32;
        indices[offsets..].fill(last);
        let first_rows = &map.indices[map.offsets..];
        indices[offsets..][..first_rows.len()].copy_from_slice(first_rows);
        rows.write(device, &indices)
    }

    /// Whether a mask was written last, in place of lengths.
    pub(crate) fn is_masked(&self) -> bool {
        locked(&self.0.lengths).is_masked
    }

    /// The lengths as they are now; of a mask, how many steps count.
    pub fn list(&self) -> Vec<usize> {
        locked(&self.0.lengths).lengths.clone()
    }
}

impl PartialEq for BatchLengths {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for BatchLengths {}

impl Hash for BatchLengths {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl std::fmt::Debug for BatchLengths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("BatchLengths").field(&self.list()).finish()
    }
}

/// The map, as one buffer of indices.
#[derive(Clone)]
pub(crate) struct RowMap {
    /// Rows [D, rows], then the sequence of each rank [N], then the first row of each step [steps + 2].
    pub indices: Vec<u32>,
    /// Rows of one direction: the valid steps of all sequences.
    pub rows: usize,
    /// Steps of the longest sequence.
    pub steps: usize,
    /// Where the ranks begin.
    pub order: usize,
    /// Where the first rows begin.
    pub offsets: usize,
    /// Whether some row of the caller's array belongs to no valid step.
    pub padded: bool,
    /// Whether every row is its own image, in all directions.
    pub identity: bool,
    /// Rows of the caller's array.
    pub places: usize,
    /// Whether these are the steps of the layer's sequences, [T, N] or [N, T].
    pub is_grid: bool,
    /// M: the sequences of the layer, which are segments of the caller's.
    pub batch: usize,
    /// Whether a sequence has no step, or may have none in some run.
    pub has_empty: bool,
    /// Which states of the caller's sequences those of the segments are; none where segments are the sequences.
    pub states: Option<StateMap>,
    /// For each row of the caller's array, read forward and read backward, the one whose output it repeats.
    pub repeats: Option<[Vec<u32>; 2]>,
    /// Where indices change between runs; those here are the largest that may come.
    per_run: Option<Storage>,
}

impl RowMap {
    /// The map of a call on a device.
    pub fn of_call(device: &Device, config: &RnnConfig, steps: usize, batch: usize, lengths: &Lengths) -> Result<Self> {
        match lengths {
            Lengths::Full => Self::new(device, config, steps, batch, None),
            Lengths::Fixed(lengths) => Self::new(device, config, steps, batch, Some(lengths)),
            Lengths::PerRun(lengths) => {
                let of = |config: &RnnConfig, steps, batch| {
                    (config.direction, config.heads, config.batch_first, steps, batch)
                };
                let known = &*lengths.0;
                if !known.device.is(device) {
                    return Err(Error::OtherDevice { tensor: "lengths".to_owned() });
                }
                let got = of(&known.config, known.steps, lengths.list().len());
                let expected = of(config, steps, batch);
                if got != expected {
                    let what = "lengths (direction, heads, batch first, T, N)";
                    return Err(Error::shape(what, expected, got));
                }
                let full = Self::new(device, config, steps, batch, None)?;
                Ok(Self { padded: true, identity: false, has_empty: true, per_run: Some(known.rows.clone()), ..full })
            }
            Lengths::Map(map) => Self::of_segments(device, config, map.resolve(config, [steps, batch])?),
        }
    }

    /// As a buffer of a plan.
    pub fn buffer(&self, plan: &mut PlanBuilder) -> Result<BufferId> {
        match &self.per_run {
            None => Ok(plan.constant("rows, ranks, offsets", &self.indices)),
            Some(storage) => Ok(plan.indices("rows, ranks, offsets", storage, &self.indices)),
        }
    }

    /// The parameters of a product over the rows of some steps; rows of A by the map unless every row is its own image.
    pub fn gemm_part(&self, from: usize, to: usize) -> GemmParams {
        let (map_offset, first, end) = self.part(from, to);
        GemmParams { map_offset, map_batch: self.rows, first, end, ..Default::default() }
    }

    /// The same for a sum over those rows.
    pub fn outer_part(&self, from: usize, to: usize) -> OuterParams {
        let (map_offset, first, end) = self.part(from, to);
        OuterParams { map_offset, map_batch: self.rows, first, end, ..Default::default() }
    }

    /// Where a part begins in the map; or where the map tells its ends, if they are known only then.
    fn part(&self, from: usize, to: usize) -> (usize, usize, usize) {
        if self.per_run.is_none() {
            return (self.offset(from), 0, 0);
        }
        (0, self.offsets + from, self.offsets + to)
    }

    /// The map of sequences of these lengths, which has to fit into one buffer of a device.
    pub fn new(
        device: &Device,
        config: &RnnConfig,
        steps: usize,
        batch: usize,
        lengths: Option<&[usize]>,
    ) -> Result<Self> {
        if steps == 0 || batch == 0 {
            return Err(Error::shape("steps and sequences", "[T, N], neither of them 0", [steps, batch]));
        }
        if let Some(lengths) = lengths {
            check_each_length(steps, batch, lengths)?;
        }
        Self::of_lengths(device, config, steps, batch, lengths)
    }

    /// The same of lengths that have been checked, some of which may be 0.
    fn of_lengths(
        device: &Device,
        config: &RnnConfig,
        steps: usize,
        batch: usize,
        lengths: Option<&[usize]>,
    ) -> Result<Self> {
        let length = |n: usize| lengths.map_or(steps, |lengths| lengths[n]);
        let row = |n: usize, t: usize| if config.batch_first { n * steps + t } else { t * batch + n };
        Self::of_rows(device, config, [steps.saturating_mul(batch), batch], length, row)
    }

    /// The map of segments of the caller's sequences.
    fn of_segments(device: &Device, config: &RnnConfig, segments: Segments) -> Result<Self> {
        let Segments { places, is_grid, rows, starts, states, repeats } = segments;
        let length = |m: usize| starts[m + 1] - starts[m];
        let row = |m: usize, t: usize| rows[starts[m] + t] as usize;
        let map = Self::of_rows(device, config, [places, starts.len() - 1], length, row)?;
        Ok(Self { is_grid: is_grid && states.is_none(), states, repeats, ..map })
    }

    /// The map of `batch` sequences with these lengths in an array of `places` rows, of which `row` tells that of a sequence's step.
    fn of_rows(
        device: &Device,
        config: &RnnConfig,
        [places, batch]: [usize; 2],
        length: impl Fn(usize) -> usize,
        row: impl Fn(usize, usize) -> usize,
    ) -> Result<Self> {
        let longest = (0..batch).map(&length).max().unwrap_or(0);
        let rows = (0..batch).fold(0, |rows: usize, n| rows.saturating_add(length(n)));
        let words = map_words(config, rows, batch, longest);
        let (needed, allowed) = (words.saturating_mul(4), device.plan_limits().binding_bytes);
        if needed > allowed {
            let limit = "max_storage_buffer_binding_size";
            return Err(Error::Limit { what: "map of rows".to_owned(), needed, limit, allowed });
        }
        let mut order: Vec<u32> = memory::collected("order of sequences", batch, 0..batch as u32)?;
        order.sort_by_key(|&n| std::cmp::Reverse(length(n as usize)));
        let mut offsets = memory::reserved::<u32>("first rows of steps", longest + 2)?;
        offsets.push(0);
        for s in 0..longest {
            // Falling lengths: the ranks that run at step s come first.
            let running = order.partition_point(|&n| length(n as usize) > s);
            offsets.push(offsets[s] + running as u32);
        }
        // Once more, so that the step after the last one has no running rank.
        offsets.push(rows as u32);
        let mut indices = memory::reserved("map of rows", words as usize)?;
        for direction in 0..config.tracks() {
            for s in 0..longest {
                for &n in &order[..(offsets[s + 1] - offsets[s]) as usize] {
                    let n = n as usize;
                    let t = if config.is_reverse(direction) { length(n) - 1 - s } else { s };
                    indices.push(row(n, t) as u32);
                }
            }
        }
        let identity = indices.chunks_exact(rows.max(1)).all(|rows| rows.iter().zip(0..).all(|(&row, i)| row == i));
        let (order_at, offsets_at) = (indices.len(), indices.len() + batch);
        indices.extend(order.into_iter().chain(offsets));
        Ok(Self {
            indices,
            rows,
            steps: longest,
            order: order_at,
            offsets: offsets_at,
            padded: rows < places,
            identity,
            places,
            is_grid: true,
            batch,
            has_empty: (0..batch).any(|n| length(n) == 0),
            states: None,
            repeats: None,
            per_run: None,
        })
    }

    /// Whether ranks are the sequences themselves, in every run.
    pub fn is_ranked(&self) -> bool {
        let order = &self.indices[self.order..self.offsets];
        self.per_run.is_none() && order.iter().enumerate().all(|(rank, &n)| rank == n as usize)
    }

    /// First row of a step.
    pub fn offset(&self, step: usize) -> usize {
        self.indices[self.offsets + step] as usize
    }

    /// Sequences that take part in a step.
    pub fn running(&self, step: usize) -> usize {
        self.offset(step + 1) - self.offset(step)
    }
}

/// Words of a map: a row of each direction for each valid step, the ranks, and where each step begins.
fn map_words(config: &RnnConfig, rows: usize, batch: usize, steps: usize) -> u64 {
    let words = config.tracks().saturating_mul(rows).saturating_add(batch).saturating_add(steps).saturating_add(2);
    words as u64
}

/// Lengths as given, or T for each; an error unless each is from 0 to T.
pub(crate) fn check_lengths(steps: usize, batch: usize, lengths: Option<&[usize]>) -> Result<Vec<usize>> {
    match lengths {
        Some(lengths) => {
            check_each_length(steps, batch, lengths)?;
            Ok(lengths.to_vec())
        }
        None => memory::filled("lengths", batch, steps),
    }
}

/// An error unless there are as many lengths as sequences, each of them from 0 to T.
pub(super) fn check_each_length(steps: usize, batch: usize, lengths: &[usize]) -> Result<()> {
    if lengths.len() != batch {
        return Err(Error::shape("lengths", [batch], [lengths.len()]));
    }
    match lengths.iter().enumerate().find(|(_, length)| **length > steps) {
        Some((n, length)) => Err(Error::value(format!("length of sequence {n}"), format!("from 0 to {steps}"), length)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, Direction};

    fn map(config: &RnnConfig, steps: usize, lengths: &[usize]) -> RowMap {
        RowMap::new(&Device::cpu(), config, steps, lengths.len(), Some(lengths)).unwrap()
    }

    #[test]
    fn each_valid_step_has_one_row_and_ended_sequences_none() {
        let map = map(&RnnConfig::new(Cell::Lstm, 1, 1), 3, &[1, 3, 2]);
        assert_eq!((map.rows, map.steps, map.padded, map.identity), (6, 3, true, false));
        assert_eq!(map.indices[map.order..map.offsets], [1, 2, 0]);
        assert_eq!((map.running(0), map.running(1), map.running(2), map.running(3)), (3, 2, 1, 0));
        assert_eq!(map.indices[..map.rows], [1, 2, 0, 4, 5, 7]);
    }

    #[test]
    fn the_reverse_direction_starts_at_each_last_valid_step() {
        let config = RnnConfig::new(Cell::Lstm, 1, 1).direction(Direction::Bidirectional).batch_first(true);
        let map = map(&config, 4, &[2, 4]);
        assert_eq!(map.indices[map.rows..2 * map.rows], [7, 1, 6, 0, 5, 4]);
    }

    #[test]
    fn full_time_major_sequences_need_no_map() {
        let map = RowMap::new(&Device::cpu(), &RnnConfig::new(Cell::Lstm, 1, 1), 3, 2, None).unwrap();
        assert!(map.identity && !map.padded);
    }

    #[test]
    fn lengths_out_of_range_are_refused_by_name() {
        let error = check_lengths(3, 2, Some(&[1, 4])).unwrap_err().to_string();
        assert!(error.contains("length of sequence 1") && error.contains("from 0 to 3"), "{error}");
        assert!(check_lengths(3, 2, Some(&[1])).is_err());
    }
}
