//! A weight where a random word is below a threshold, plus 2 where a second word is below another one.

use super::call::Call;
use super::threefry::threefry;
use crate::kernels::MasksParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: MasksParams = call.params();
    let (seed, map) = (call.read_indices(0), call.read_indices(1));
    let out = call.write(2);
    let key = [seed[0], seed[1]];
    let first = map[p.first] as usize;
    for track in 0..p.tracks {
        for row in 0..p.rows.min(map[p.end] as usize - first) {
            let image = map[track * p.map_track + first + row];
            let counter = (track as u32)
                .wrapping_mul(p.counter_track)
                .wrapping_add((image / p.divisor % p.modulus).wrapping_mul(p.counter_row));
            let at = p.out_offset + track * p.out_track + row * p.out_row;
            for (unit, mask) in out[at..][..p.units].iter_mut().enumerate() {
                let words = threefry([counter.wrapping_add(unit as u32), p.stream], key);
                let drawn = |word: u32, threshold: u32, weight: f32| if word < threshold { weight } else { 0.0 };
                *mask = drawn(words[0], p.threshold, p.weight) + drawn(words[1], p.threshold_2, 2.0);
            }
        }
    }
}
