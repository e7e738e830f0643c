//! losses[i] and its derivative by x[i], that one divided by count: squared error or binary cross-entropy.

use super::call::Call;
use crate::cells::math::{Separate, relu, sigmoid};
use crate::kernels::ElementLossParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: ElementLossParams = call.params();
    let (x, targets, count) = (call.read(0), call.read(1), call.read(2));
    let (losses, gradient) = (call.write(3), call.write(4));
    let count = count[p.count_offset as usize];
    for i in 0..p.count as usize {
        let (x, t) = (x[p.x_offset as usize + i], targets[p.target_offset as usize + i]);
        let (loss, slope) = if t.is_nan() {
            (0.0, 0.0)
        } else if p.binary != 0 {
            (relu(x) - x * t + (1.0 + (-x.abs()).exp()).ln(), (sigmoid::<Separate>(x) - t) / count)
        } else {
            ((x - t) * (x - t), 2.0 * (x - t) / count)
        };
        losses[p.losses_offset as usize + i] = loss;
        gradient[p.gradient_offset as usize + i] = slope;
    }
}
