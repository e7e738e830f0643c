//! Variable lengths, direction and layout, all as one index map.
//!
//! Sequences are ranked by falling length, so that those still running at a step are the first ranks. The rows of a step
//! lie together, ranks in order; `map` says which row of the caller's array each one is. No row is stored or computed
//! for a step beyond a sequence's length, so cost follows the valid steps.

use super::config::RnnConfig;
use crate::error::{Error, Result};

/// The map, as one buffer of indices.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Whether every row is its own image.
    pub identity: bool,
}

impl RowMap {
    pub fn new(config: &RnnConfig, steps: usize, batch: usize, lengths: Option<&[usize]>) -> Result<Self> {
        let lengths = check_lengths(steps, batch, lengths)?;
        let mut order: Vec<usize> = (0..batch).collect();
        order.sort_by_key(|&n| std::cmp::Reverse(lengths[n]));
        let longest = lengths[order[0]];
        let mut offsets = vec![0];
        for s in 0..longest {
            // Falling lengths: the ranks that run at step s come first.
            let running = order.partition_point(|&n| lengths[n] > s);
            offsets.push(offsets[s] + running);
        }
        let rows = offsets[longest];
        // Once more, so that the step after the last one has no running rank.
        offsets.push(rows);
        let mut indices = Vec::with_capacity(rows * config.directions() + batch + offsets.len());
        for direction in 0..config.directions() {
            for s in 0..longest {
                for &n in &order[..offsets[s + 1] - offsets[s]] {
                    let t = if config.is_reverse(direction) { lengths[n] - 1 - s } else { s };
                    indices.push(if config.batch_first { n * steps + t } else { t * batch + n });
                }
            }
        }
        let identity = config.directions() == 1 && indices.iter().enumerate().all(|(i, &row)| i == row);
        let (order_at, offsets_at) = (indices.len(), indices.len() + batch);
        indices.extend(order.into_iter().chain(offsets));
        Ok(Self {
            indices: indices.into_iter().map(|index| index as u32).collect(),
            rows,
            steps: longest,
            order: order_at,
            offsets: offsets_at,
            padded: rows < steps * batch,
            identity,
        })
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

/// Lengths as given, or T for each; an error unless each is from 1 to T.
pub(crate) fn check_lengths(steps: usize, batch: usize, lengths: Option<&[usize]>) -> Result<Vec<usize>> {
    let Some(lengths) = lengths else { return Ok(vec![steps; batch]) };
    if lengths.len() != batch {
        return Err(Error::shape("lengths", [batch], [lengths.len()]));
    }
    match lengths.iter().enumerate().find(|&(_, length)| !(1..=steps).contains(length)) {
        Some((n, length)) => Err(Error::value(format!("length of sequence {n}"), format!("from 1 to {steps}"), length)),
        None => Ok(lengths.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, Direction};

    fn map(config: &RnnConfig, steps: usize, lengths: &[usize]) -> RowMap {
        RowMap::new(config, steps, lengths.len(), Some(lengths)).unwrap()
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
        let map = RowMap::new(&RnnConfig::new(Cell::Lstm, 1, 1), 3, 2, None).unwrap();
        assert!(map.identity && !map.padded);
    }

    #[test]
    fn lengths_out_of_range_are_refused_by_name() {
        for lengths in [[0, 1], [1, 4]] {
            let error = check_lengths(3, 2, Some(&lengths)).unwrap_err().to_string();
            assert!(error.contains("length of sequence") && error.contains("from 1 to 3"), "{error}");
        }
        assert!(check_lengths(3, 2, Some(&[1])).is_err());
    }
}
