//! losses[m] = log Σj exp(logits[m, j]) − logits[m, target[m]], and its gradient / count.

use super::call::Call;
use crate::kernels::CrossEntropyParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: CrossEntropyParams = call.params();
    let (logits, targets, count) = (call.read(0), call.read_indices(1), call.read(2));
    let (losses, gradient) = (call.write(3), call.write(4));
    let columns = p.columns;
    let scale = 1.0 / count[p.count_offset];
    for m in 0..p.m {
        let logits = &logits[p.logits_offset + m * columns..][..columns];
        let gradient = &mut gradient[p.gradient_offset + m * columns..][..columns];
        let loss = &mut losses[p.losses_offset + m];
        let target = targets[p.target_offset + m];
        if target == u32::MAX {
            gradient.fill(0.0);
            *loss = 0.0;
        } else if target as usize >= p.columns {
            gradient.fill(p.nan);
            *loss = p.nan;
        } else {
            let largest = logits.iter().fold(f32::NEG_INFINITY, |largest, &x| largest.max(x));
            for (gradient, x) in gradient.iter_mut().zip(logits) {
                *gradient = (x - largest).exp();
            }
            let sum: f32 = gradient.iter().sum();
            for (j, gradient) in gradient.iter_mut().enumerate() {
                *gradient = (*gradient / sum - if j == target as usize { 1.0 } else { 0.0 }) * scale;
            }
            *loss = sum.ln() - (logits[target as usize] - largest);
        }
    }
}
