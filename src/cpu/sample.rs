//! A column of each row, drawn by its probability.

use super::call::Call;
use super::threefry::threefry;
use crate::kernels::SampleParams;
use std::cmp::Reverse;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: SampleParams = call.params();
    let (logits, seed) = (call.read(0), call.read_indices(1));
    let out = bytemuck::cast_slice_mut::<f32, u32>(call.write(2));
    let key = [seed[p.seed_offset], seed[p.seed_offset + 1]];
    for m in 0..p.m {
        let row = &logits[p.logits_offset + m * p.columns..][..p.columns];
        let [word, _] = threefry([m as u32, p.place], key);
        // 24 bits, which a float holds.
        let uniform = f64::from(word >> 8) / 16_777_216.0;
        out[p.out_offset + m] = draw(&p, row, uniform).map_or(u32::MAX, |column| column as u32);
    }
}

/// None where a logit is NaN, or all are −∞.
fn draw(p: &SampleParams, row: &[f32], uniform: f64) -> Option<usize> {
    let largest = row.iter().fold(f32::NEG_INFINITY, |largest, &x| largest.max(x));
    if row.iter().any(|x| x.is_nan()) || largest == f32::NEG_INFINITY {
        return None;
    }
    let weight = |&j: &usize| {
        let below = (row[j] - largest) * p.scale;
        // Also of two infinities.
        if row[j] == largest { 1.0 } else { f64::from(below.max(-200.0).exp()) }
    };
    let mut kept: Vec<usize> = (0..row.len()).collect();
    if p.top_k < row.len() || p.top_p < 1.0 {
        kept.sort_unstable_by_key(|&j| (Reverse(order(row[j])), j));
        kept.truncate(p.top_k.max(1));
        if p.top_p < 1.0 {
            let goal = f64::from(p.top_p) * kept.iter().map(weight).sum::<f64>();
            let mut mass = 0.0;
            let reaches = |j: &usize| {
                mass += weight(j);
                mass >= goal
            };
            let needed = kept.iter().position(reaches).map_or(kept.len(), |last| last + 1);
            kept.truncate(needed);
        }
        kept.sort_unstable();
    }
    let goal = uniform * kept.iter().map(weight).sum::<f64>();
    let mut reached = 0.0;
    let mut chosen = None;
    for j in kept.iter().filter(|j| weight(j) > 0.0) {
        chosen = Some(*j);
        reached += weight(j);
        if reached > goal {
            break;
        }
    }
    chosen
}

/// An integer in the order of numbers. Zeros are equal, whatever their sign.
fn order(x: f32) -> u32 {
    let bits = if x == 0.0 { 0 } else { x.to_bits() };
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}
