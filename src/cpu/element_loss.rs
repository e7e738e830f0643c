//! losses[i] and its derivative by x[i], that one divided by count.

use super::call::Call;
use crate::cells::math::{Separate, relu, sigmoid};
use crate::kernels::{ElementLossForm, ElementLossParams};

pub(crate) fn run(call: &mut Call<'_>) {
    let p: ElementLossParams = call.params();
    let (x, targets, count) = (call.read(0), call.read(1), call.read(2));
    let (losses, gradient) = (call.write(3), call.write(4));
    let count = count[p.count_offset];
    for i in 0..p.count {
        let (x, t) = (x[p.x_offset + i], targets[p.target_offset + i]);
        let masked = p.form != ElementLossForm::Itself && t.is_nan();
        let (loss, slope) = if masked { (0.0, 0.0) } else { loss(p.form, p.delta, x, t) };
        losses[p.losses_offset + i] = loss;
        gradient[p.gradient_offset + i] = if masked { 0.0 } else { slope / count };
    }
}

/// The loss of x with target t, and its derivative by x.
fn loss(form: ElementLossForm, delta: f32, x: f32, t: f32) -> (f32, f32) {
    let d = x - t;
    let sign = if d > 0.0 {
        1.0
    } else if d < 0.0 {
        -1.0
    } else {
        0.0
    };
    match form {
        ElementLossForm::Squared => (d * d, 2.0 * d),
        ElementLossForm::Binary => (relu(x) - x * t + (1.0 + (-x.abs()).exp()).ln(), sigmoid::<Separate>(x) - t),
        ElementLossForm::Absolute => (d.abs(), sign),
        ElementLossForm::Huber if d.abs() <= delta => (0.5 * d * d, d),
        ElementLossForm::Huber => (delta * (d.abs() - 0.5 * delta), delta * sign),
        ElementLossForm::Itself => (x, 1.0),
    }
}
