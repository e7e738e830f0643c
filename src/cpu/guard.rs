//! Whether a step of training is taken, or tried before, and what gradients are multiplied with.

use super::call::Call;
use crate::kernels::GuardParams;

/// 1/(1 − βᵗ), of t·ln β: a series near 0, where the difference would cancel.
fn correction(t: f32, log_beta: f32) -> f32 {
    let x = (t * log_beta).max(-80.0);
    let series = -x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0 * (1.0 + x / 6.0)))));
    let difference = if x > -0.25 { series } else { 1.0 - x.exp() };
    if log_beta == 0.0 { 1.0 } else { 1.0 / difference }
}

/// After a step: one that was not taken is forgotten, unless too many have followed one another.
fn settle(status: &mut [u32], skips: u32) {
    if status[0] == 0 {
        status[7] = 0;
        return;
    }
    status[7] += 1;
    if status[7] <= skips {
        status[6] += 1;
        status[0] = 0;
    }
}

pub(crate) fn run(call: &mut Call<'_>) {
    let p: GuardParams = call.params();
    let (hyper, loss, added, squares) = (call.read_indices(0), call.read(1), call.read(2), call.read(3));
    let status = bytemuck::cast_slice_mut::<f32, u32>(call.write(4));
    let control = call.write(5);
    if p.after {
        settle(status, p.skips);
        return;
    }
    let share = f32::from_bits(hyper[6]);
    let (value, square) = ((loss[p.loss_offset] + added[0]) * share, squares[p.squares_offset] * share * share);
    // The largest finite number is a little above 3.4e38.
    let finite = value.abs() < 3.0e38 && square < 3.0e38;
    if status[0] == 0 && !finite {
        status[0] = hyper[1];
    }
    status[1] = value.to_bits();
    status[2] = square.sqrt().to_bits();
    let go = status[0] == 0;
    if go {
        status[3] = (f32::from_bits(status[3]) + value).to_bits();
        status[4] += 1;
    }
    let scale = if p.max_norm == 0.0 { 1.0 } else { (p.max_norm / (square.sqrt() + 1.0e-6)).min(1.0) };
    control[0] = scale * share;
    control[1] = if go { 1.0 } else { 0.0 };
    // A rate of more than 1000, infinite or NaN: by its bits, for it is not negative.
    let risky = square > 1.0e24 || hyper[2] > 0x447a_0000 || hyper[5] != 0 || status[5] != 0 || p.wary;
    control[2] = if risky { 1.0 } else { 0.0 };
    // The step that is tried now says it anew.
    status[5] = 0;
    if status[6] == 0 {
        for (control, bits) in control[3..6].iter_mut().zip([hyper[3], hyper[4], hyper[7]]) {
            *control = f32::from_bits(bits);
        }
        return;
    }
    let t = hyper[1].wrapping_sub(status[6]) as f32;
    control[3] = correction(t, p.log_beta_1);
    control[4] = correction(t, p.log_beta_2);
    control[5] = if t <= 1.0 { 1.0 } else { (1.0 - p.decay) * correction(t, p.log_decay) };
}
