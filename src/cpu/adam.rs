//! Adam, with decay in the gradient or decoupled from it.

use super::call::Call;
use super::overflow::{is_idle, is_large, note_bad, note_large};
use crate::kernels::AdamParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: AdamParams = call.params();
    let (gradient, hyper, control) = (call.read(0), call.read_indices(1), call.read(2));
    let (weights, moment, square) = (call.write(3), call.write(4), call.write(5));
    let status = bytemuck::cast_slice_mut::<f32, u32>(call.write(6));
    if is_idle(p.trial, control, status) {
        return;
    }
    let rate = f32::from_bits(hyper[2]) * p.factor;
    let [correction_1, correction_2] = [control[3], control[4]];
    let [beta_1, beta_2, epsilon, decay, most] = [p.beta_1, p.beta_2, p.epsilon, p.decay, p.max_value];
    let update = |g: f32, mut w: f32, m: f32, v: f32| {
        let mut g = g * control[0];
        if p.max_value != 0.0 {
            g = g.clamp(-most, most);
        }
        if p.decoupled {
            w -= rate * decay * w;
        } else {
            g += decay * w;
        }
        let m = beta_1 * m + (1.0 - beta_1) * g;
        let v = beta_2 * v + (1.0 - beta_2) * g * g;
        w -= rate * (m * correction_1) / ((v * correction_2).sqrt() + epsilon);
        (w, m, v)
    };
    let numbers = p.offset..p.offset + p.count;
    let moments = moment[numbers.clone()].iter_mut().zip(&mut square[numbers.clone()]);
    let all = weights[numbers.clone()].iter_mut().zip(&gradient[numbers]).zip(moments);
    if p.trial {
        let mut is_bad = false;
        for ((w, g), (m, v)) in all {
            let (w, m, v) = update(*g, *w, *m, *v);
            is_bad |= !(w.is_finite() & m.is_finite() & v.is_finite());
        }
        note_bad(status, hyper[1], is_bad);
        return;
    }
    let mut large = false;
    for ((w, g), (m, v)) in all {
        (*w, *m, *v) = update(*g, *w, *m, *v);
        large |= is_large(*w, *m, *v);
    }
    note_large(status, large);
}
