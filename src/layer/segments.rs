//! The parts of sequences that a layer runs side by side, and the states that they begin and end with.

use crate::config::RnnConfig;
use std::ops::Range;

/// A call's sequences cut into segments, each a list of rows of the caller's array.
pub(super) struct Segments {
    /// Rows of the caller's array.
    pub places: usize,
    /// Whether these are the steps of all sequences, [T, N] or [N, T].
    pub is_grid: bool,
    /// Rows of all segments, one segment after the other.
    pub rows: Vec<u32>,
    /// Where each segment begins there, and the end of the last one.
    pub starts: Vec<usize>,
    /// None where each sequence is one segment that begins with its initial state.
    pub states: Option<StateMap>,
    /// For each row of the caller's array, read forward and read backward, the one whose output it repeats; [`NOWHERE`] for none.
    pub repeats: Option<[Vec<u32>; 2]>,
}

/// A row that is none, which `gather` gives a number for and `scatter_add` leaves out.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Which states of the caller's sequences those of their segments are.
#[derive(Clone)]
pub(crate) struct StateMap {
    /// The segments of each sequence, one after the other.
    pub segments: Vec<Range<usize>>,
    /// Whether a sequence is reset before its first step.
    pub from_zero: Vec<bool>,
    /// Whether a reset sets the initial state, in place of zeros.
    pub to_initial: bool,
}

impl StateMap {
    /// The segments that a direction reads first and last.
    fn ends(range: &Range<usize>, is_reverse: bool) -> [usize; 2] {
        let (first, last) = (range.start, range.end - 1);
        if is_reverse { [last, first] } else { [first, last] }
    }

    /// For each state of a segment, [L·D·S·M], the one of its sequence, [L·D·S·N], that it begins with.
    pub fn begins(&self, config: &RnnConfig) -> Vec<u32> {
        self.of_segments(config, |range, m, is_reverse, n| {
            let is_first = Self::ends(range, is_reverse)[0] == m;
            self.to_initial || is_first && (is_reverse || !self.from_zero[n])
        })
    }

    /// For each state of a segment, the one of its sequence that it is in the end.
    pub fn ends_as(&self, config: &RnnConfig) -> Vec<u32> {
        self.of_segments(config, |range, m, is_reverse, _| Self::ends(range, is_reverse)[1] == m)
    }

    fn of_segments(&self, config: &RnnConfig, is: impl Fn(&Range<usize>, usize, bool, usize) -> bool) -> Vec<u32> {
        let sequences = self.segments.len();
        let mut states = Vec::new();
        for row in 0..config.layers * config.tracks() {
            let is_reverse = config.is_reverse(row % config.tracks());
            for (n, range) in self.segments.iter().enumerate() {
                let own = (row * sequences + n) as u32;
                states.extend(range.clone().map(|m| if is(range, m, is_reverse, n) { own } else { NOWHERE }));
            }
        }
        states
    }

    /// For each state of a sequence, the one of the segment that ends with it.
    pub fn finals(&self, config: &RnnConfig) -> Vec<u32> {
        let count = self.segments.last().map_or(0, |range| range.end);
        let mut states = Vec::new();
        for row in 0..config.layers * config.tracks() {
            let is_reverse = config.is_reverse(row % config.tracks());
            states.extend(self.segments.iter().map(|range| (row * count + Self::ends(range, is_reverse)[1]) as u32));
        }
        states
    }
}
