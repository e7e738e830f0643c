//! Sequences shared out to threads: as many steps for each as can be.

use crate::kernels::Tile;
use std::ops::Range;

/// Ranks of `started` sequences, cut into as many parts as there are tiles. The tiles of a GPU's kernels, which have many lanes, are
/// mirrored. Those of the CPU device have one lane: their parts have about as many steps each, for falling numbers of
/// sequences that run at each step.
pub(crate) fn shares(tile: Tile, steps: usize, started: usize, running: impl Fn(usize) -> usize) -> Vec<Range<usize>> {
    let rows = (tile.rows as usize).max(1);
    let tiles = (0..started).step_by(rows).map(|first| first..started.min(first + rows));
    if tile.lanes > 1 {
        return tiles.collect();
    }
    let count = tiles.count();
    // How many steps end with so many sequences.
    let mut last = vec![0_usize; started + 1];
    (0..steps).for_each(|s| last[running(s).min(started)] += 1);
    let total: usize = last.iter().enumerate().map(|(running, steps)| running * steps).sum();
    let mut shares = Vec::with_capacity(count);
    // The first rank runs at all steps at which any does.
    let mut length = steps - last[0];
    let (mut first, mut done) = (0, 0);
    for rank in 0..started {
        done += length;
        length -= last[rank + 1];
        if done * count >= total * (shares.len() + 1) {
            shares.push(first..rank + 1);
            first = rank + 1;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::shares;
    use crate::kernels::Tile;

    fn cut(steps: usize, running: impl Fn(usize) -> usize, rows: u32) -> Vec<std::ops::Range<usize>> {
        shares(Tile { rows, columns: 1, lanes: 1, spread: 0 }, steps, running(0), running)
    }

    #[test]
    fn equal_sequences_make_equal_shares() {
        assert_eq!(cut(5, |_| 16, 8), [0..8, 8..16]);
        assert_eq!(cut(5, |_| 17, 9), [0..9, 9..17]);
        assert_eq!(cut(5, |_| 2, 1), [0..1, 1..2]);
    }

    #[test]
    fn long_sequences_are_worth_several_short_ones() {
        // One of 6 steps, six of 1: in two shares.
        assert_eq!(cut(6, |s| if s == 0 { 7 } else { 1 }, 4), [0..1, 1..7]);
    }

    #[test]
    fn a_gpus_tiles_are_as_they_are() {
        let tile = Tile { rows: 4, columns: 1, lanes: 64, spread: 0 };
        assert_eq!(shares(tile, 6, 7, |s| if s == 0 { 7 } else { 1 }), [0..4, 4..7]);
    }

    #[test]
    fn every_rank_is_in_one_share() {
        for rows in 1..10 {
            let shares = cut(4, |s| [9, 5, 5, 0][s], rows);
            assert!(shares.len() <= 9_usize.div_ceil(rows as usize) && shares[0].start == 0);
            assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert_eq!(shares.last().map(|share| share.end), Some(9));
        }
        assert!(cut(2, |_| 0, 2).is_empty());
    }
}
