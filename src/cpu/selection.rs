//! The largest candidates of a sequence: see `shaders/selection.wgsl`.

use std::cmp::Reverse;

/// Candidates that count as none have at most this score.
pub(super) const NONE: f32 = -3.0e38;

/// An integer in the order of the numbers. Zeros are equal, whatever their sign.
fn key_of(x: f32) -> u32 {
    let bits = if x == 0.0 { 0 } else { x.to_bits() };
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The places of the `wanted` largest candidates, in order; of equal ones the first.
pub(super) fn choose_largest(candidates: &[f32], wanted: usize) -> Vec<usize> {
    let places = candidates.iter().enumerate().filter(|(_, score)| **score > NONE);
    let mut all: Vec<_> = places.map(|(place, &score)| (Reverse(key_of(score)), place)).collect();
    if all.len() > wanted && wanted > 0 {
        all.select_nth_unstable(wanted - 1);
        all.truncate(wanted);
    }
    let mut chosen: Vec<usize> = all.into_iter().map(|(_, place)| place).collect();
    chosen.sort_unstable();
    chosen
}
