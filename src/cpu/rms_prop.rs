//! RMSprop, centered or not, with momentum or without.

use super::call::Call;
use super::overflow::{is_idle, is_large, note_bad, note_large};
use crate::kernels::RmsPropParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: RmsPropParams = call.params();
    let (gradient, hyper, control) = (call.read(0), call.read_indices(1), call.read(2));
    let (weights, square, mean, moment) = (call.write(3), call.write(4), call.write(5), call.write(6));
    let status = bytemuck::cast_slice_mut::<f32, u32>(call.write(7));
    if is_idle(p.trial, control, status) {
        return;
    }
    let rate = f32::from_bits(hyper[2]) * p.factor;
    let has_momentum = p.momentum != 0.0;
    let update = |g: f32, w: f32, v: f32, m: f32, b: f32| {
        let mut g = g * control[0];
        if p.max_value != 0.0 {
            g = g.clamp(-p.max_value, p.max_value);
        }
        g += p.decay * w;
        let v = p.alpha * v + (1.0 - p.alpha) * g * g;
        let m = if p.centered { m + (1.0 - p.alpha) * (g - m) } else { 0.0 };
        // Rounding may make the difference less than 0; a NaN has to stay one.
        let spread = if p.centered && v - m * m < 0.0 { 0.0 } else { v - m * m };
        let b = g / (spread.sqrt() + p.epsilon) + if has_momentum { p.momentum * b } else { 0.0 };
        (w - rate * b, v, m, b)
    };
    let old = |array: &[f32], i: usize, is_kept: bool| if is_kept { array[i] } else { 0.0 };
    let (mut is_bad, mut large) = (false, false);
    for i in p.offset..p.offset + p.count {
        let kept = (old(mean, i, p.centered), old(moment, i, has_momentum));
        let (w, v, m, b) = update(gradient[i], weights[i], square[i], kept.0, kept.1);
        if p.trial {
            is_bad |= !(w.is_finite() & v.is_finite() & m.is_finite() & b.is_finite());
            continue;
        }
        square[i] = v;
        if p.centered {
            mean[i] = m;
        }
        if has_momentum {
            moment[i] = b;
        }
        weights[i] = w;
        large |= is_large(w, if has_momentum { m.abs().max(b.abs()) } else { m }, v);
    }
    note_bad(status, hyper[1], is_bad);
    note_large(status, large);
}
