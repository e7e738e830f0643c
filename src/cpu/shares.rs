//! Sequences shared out to threads: as many steps for each as can be.

use std::ops::Range;

/// Ranks of sequences cut into at most `count` parts of about as many steps, for falling numbers of sequences that run at each of
/// some steps.
pub(crate) fn shares(steps: usize, running: impl Fn(usize) -> usize, count: usize) -> Vec<Range<usize>> {
    let started = if steps > 0 { running(0) } else { 0 };
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

    #[test]
    fn equal_sequences_make_equal_shares() {
        assert_eq!(shares(5, |_| 16, 2), [0..8, 8..16]);
        assert_eq!(shares(5, |_| 17, 2), [0..9, 9..17]);
        assert_eq!(shares(5, |_| 2, 4), [0..1, 1..2]);
    }

    #[test]
    fn long_sequences_are_worth_several_short_ones() {
        // One of 6 steps, six of 1.
        assert_eq!(shares(6, |s| if s == 0 { 7 } else { 1 }, 2), [0..1, 1..7]);
    }

    #[test]
    fn every_rank_is_in_one_share() {
        for count in 1..6 {
            let shares = shares(4, |s| [9, 5, 5, 0][s], count);
            assert!(shares.len() <= count && shares[0].start == 0);
            assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert_eq!(shares.last().map(|share| share.end), Some(9));
        }
        assert!(shares(0, |_| 3, 2).is_empty() && shares(2, |_| 0, 2).is_empty());
    }
}
