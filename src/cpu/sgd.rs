//! Stochastic gradient descent, with momentum.

use super::Call;
use crate::kernels::SgdParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: SgdParams = call.params();
    let (gradient, hyper, control) = (call.read(0), call.read_indices(1), call.read(2));
    let (weights, moment) = (call.write(3), call.write(4));
    if control[1] == 0.0 {
        return;
    }
    let rate = f32::from_bits(hyper[2]);
    let [momentum, decay, most] = [p.momentum, p.decay, p.max_value].map(f32::from_bits);
    for i in 0..p.count as usize {
        let mut g = gradient[i] * control[0];
        if p.max_value != 0 {
            g = g.clamp(-most, most);
        }
        g += decay * weights[i];
        if p.momentum != 0 {
            moment[i] = if hyper[1] > 1 { momentum * moment[i] + g } else { g };
            g = if p.nesterov != 0 { g + momentum * moment[i] } else { moment[i] };
        }
        weights[i] -= rate * g;
    }
}
