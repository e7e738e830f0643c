//! Stochastic gradient descent, with momentum.

use super::call::Call;
use super::overflow::{is_idle, is_large, note_bad, note_large};
use crate::kernels::SgdParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: SgdParams = call.params();
    let (gradient, hyper, control) = (call.read(0), call.read_indices(1), call.read(2));
    let (weights, moment) = (call.write(3), call.write(4));
    let status = bytemuck::cast_slice_mut::<f32, u32>(call.write(5));
    if is_idle(p.trial, control, status) {
        return;
    }
    let rate = f32::from_bits(hyper[2]) * p.factor;
    let [momentum, decay, most] = [p.momentum, p.decay, p.max_value];
    let update = |g: f32, w: f32, b: f32| {
        let mut g = g * control[0];
        if p.max_value != 0.0 {
            g = g.clamp(-most, most);
        }
        g += decay * w;
        if p.momentum == 0.0 {
            return (w - rate * g, g);
        }
        let b = if hyper[1] > 1 { momentum * b + g } else { g };
        (w - rate * if p.nesterov { g + momentum * b } else { b }, b)
    };
    let numbers = p.offset..p.offset + p.count;
    let old = |moment: &[f32], i: usize| if p.momentum != 0.0 { moment[i] } else { 0.0 };
    if p.trial {
        let mut is_bad = false;
        for i in numbers {
            let (w, b) = update(gradient[i], weights[i], old(moment, i));
            is_bad |= !(w.is_finite() & b.is_finite());
        }
        note_bad(status, hyper[1], is_bad);
        return;
    }
    let mut large = false;
    for i in numbers {
        let (w, b) = update(gradient[i], weights[i], old(moment, i));
        if p.momentum != 0.0 {
            moment[i] = b;
        }
        weights[i] = w;
        large |= is_large(w, b, 0.0);
    }
    note_large(status, large);
}
