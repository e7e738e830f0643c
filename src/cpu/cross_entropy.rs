//! losses[m] = −Σj q[m, j]·log softmax(logits[m])[j], and its gradient / count.

use super::call::Call;
use crate::kernels::CrossEntropyParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: CrossEntropyParams = call.params();
    let [logits, targets, weights, count] = [0, 1, 2, 3].map(|binding| call.read(binding));
    let (losses, gradient) = (call.write(4), call.write(5));
    let columns = p.columns;
    let weight = |j: usize| if p.weighted { weights[p.weights_offset + j] } else { 1.0 };
    let even = p.smoothing / columns as f32;
    let smoothed = |j: usize, t: f32| weight(j) * ((1.0 - p.smoothing) * t + even);
    for m in 0..p.m {
        let row =
            Row { logits: &logits[p.logits_offset + m * columns..][..columns], scale: 1.0 / count[p.count_offset] };
        let gradient = &mut gradient[p.gradient_offset + m * columns..][..columns];
        let loss = &mut losses[p.losses_offset + m];
        if p.probabilities {
            let t = &targets[p.target_offset + m * columns..][..columns];
            *loss = if t[0].is_nan() { masked(gradient) } else { row.of(gradient, |j| smoothed(j, t[j])) };
            continue;
        }
        let target = targets[p.target_offset + m].to_bits();
        let is_target = |j: usize| j == target as usize;
        *loss = if target == u32::MAX {
            masked(gradient)
        } else if target as usize >= columns {
            gradient.fill(p.nan);
            p.nan
        } else if p.smoothing == 0.0 {
            let weight = weight(target as usize);
            row.of(gradient, |j| if is_target(j) { weight } else { 0.0 })
        } else {
            row.of(gradient, |j| smoothed(j, if is_target(j) { 1.0 } else { 0.0 }))
        };
    }
}

fn masked(gradient: &mut [f32]) -> f32 {
    gradient.fill(0.0);
    0.0
}

struct Row<'a> {
    logits: &'a [f32],
    scale: f32,
}

impl Row<'_> {
    /// The loss with such shares of the columns, and its gradient.
    fn of(&self, gradient: &mut [f32], share: impl Fn(usize) -> f32) -> f32 {
        let largest = self.logits.iter().fold(f32::NEG_INFINITY, |largest, &x| largest.max(x));
        let (mut total, mut score) = (0.0, 0.0);
        for (j, (gradient, x)) in gradient.iter_mut().zip(self.logits).enumerate() {
            *gradient = (x - largest).exp();
            let q = share(j);
            total += q;
            score += if q == 0.0 { 0.0 } else { q * (x - largest) };
        }
        let sum: f32 = gradient.iter().sum();
        for (j, gradient) in gradient.iter_mut().enumerate() {
            *gradient = (*gradient / sum * total - share(j)) * self.scale;
        }
        total * sum.ln() - score
    }
}
