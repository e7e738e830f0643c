//! losses[i] and its derivative by x[i], that one divided by count: squared error or binary cross-entropy.

use super::call::Call;
use crate::cells::math::{Separate, relu, sigmoid};
use crate::kernels::ElementLossParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: ElementLossParams = call.params();
    let (x, targets, count) = (call.read(0), call.read(1), call.read(2));
    let (losses, gradient) = (call.write(3), call.write(4));
    let count = count[p.count_offset];
    for i in 0..p.count {
        let (x, t) = (x[p.x_offset + i], targets[p.target_offset + i]);
        let (loss, slope) = if t.is_nan() {
            (0.0, 0.0)
        } else if p.binary {
            (relu(x) - x * t + (1.0 + (-x.abs()).exp()).ln(), (sigmoid::<Separate>(x) - t) / count)
        } else {
            ((x - t) * (x - t), 2.0 * (x - t) / count)
        };
        losses[p.losses_offset + i] = loss;
        gradient[p.gradient_offset + i] = slope;
    }
}
