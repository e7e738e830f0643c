//! Stochastic gradient descent, with momentum.

use super::Call;
use super::overflow::{is_idle, note_large};
use crate::kernels::SgdParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: SgdParams = call.params();
    let (gradient, hyper, control) = (call.read(0), call.read_indices(1), call.read(2));
    let (weights, moment) = (call.write(3), call.write(4));
    let status = bytemuck::cast_slice_mut::<f32, u32>(call.write(5));
    if is_idle(p.trial, control, status) {
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
        let mut b = g;
        if p.momentum != 0 {
            if hyper[1] > 1 {
                b = momentum * moment[i] + g;
            }
            g = if p.nesterov != 0 { g + momentum * b } else { b };
        }
        let w = weights[i] - rate * g;
        if p.trial != 0 {
            if !(w.is_finite() && b.is_finite()) {
                status[0] = hyper[1];
                return;
            }
            continue;
        }
        if p.momentum != 0 {
            moment[i] = b;
        }
        weights[i] = w;
        note_large(status, w, b, 0.0);
    }
}
