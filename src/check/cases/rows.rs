//! Rows of sequences of different lengths, as maps have them.

use crate::kernels::RowParams;

/// Rows of a batch of sequences of falling lengths in `tracks` tracks, with as many rows before them that belong to
/// no one.
pub(crate) struct Rows {
    /// Rows of the caller's array, a track after the other; the sequence of each rank; first rows of the steps.
    pub(super) map: Vec<u32>,
    pub(super) rows: usize,
    pub(super) order: usize,
    pub(super) offsets: usize,
    pub(super) running: usize,
}

/// Rows that the chunk has before the first step of the dispatch.
pub(crate) const EARLIER: usize = 2;

impl Rows {
    pub(super) fn new(batch: usize, steps: usize, tracks: usize) -> Self {
        // Rank r runs for steps − r % 2 steps where there are several; in a single step two of three end.
        let lengths: Vec<usize> =
            (0..batch).map(|rank| if 2 * rank >= batch { steps.div_ceil(2) } else { steps }).collect();
        let mut offsets = vec![EARLIER];
        for s in 0..steps {
            offsets.push(offsets[s] + lengths.iter().filter(|&&length| length > s).count());
        }
        let rows = offsets[steps];
        let next_running = if steps == 1 { batch / 3 } else { 0 };
        offsets.push(rows + next_running);
        let mut map: Vec<usize> = (0..rows).collect();
        for track in 1..tracks {
            map.extend((0..rows).map(|row| (row + track) % rows));
        }
        let (order, at) = (map.len(), map.len() + batch);
        map.extend((0..batch).rev().chain(offsets).chain([0]));
        let map = map.into_iter().map(|index| index as u32).collect();
        Self { map, rows, order, offsets: at, running: batch }
    }

    /// What kernels are told of them: rows of `stride` numbers, of a layer whose states begin at `state_row`.
    pub(super) fn params(&self, batch: usize, state_row: usize, stride: usize) -> RowParams {
        RowParams {
            batch,
            tracks: TRACKS,
            state_row,
            x_track: self.rows * stride,
            x_stride: stride,
            map_track: self.rows,
            order: self.order,
            ..RowParams::default()
        }
        .at(self.offsets, self.chunk())
    }

    /// Where the map tells the first row of the chunk: 0.
    pub(super) fn chunk(&self) -> usize {
        self.map.len() - 1
    }
}

pub(crate) const TRACKS: usize = 2;
