//! Whether a step of training is taken, or tried before, and what gradients are multiplied with.

use super::call::Call;
use crate::kernels::GuardParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: GuardParams = call.params();
    let (hyper, loss, squares) = (call.read_indices(0), call.read(1), call.read(2));
    let status = bytemuck::cast_slice_mut::<f32, u32>(call.write(3));
    let control = call.write(4);
    let (value, square) = (loss[p.loss_offset], squares[p.squares_offset]);
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
    control[0] = if p.max_norm == 0.0 { 1.0 } else { (p.max_norm / (square.sqrt() + 1.0e-6)).min(1.0) };
    control[1] = if go { 1.0 } else { 0.0 };
    // A rate of more than 1000, infinite or NaN: by its bits, for it is not negative.
    let risky = square > 1.0e24 || hyper[2] > 0x447a_0000 || hyper[5] != 0 || status[5] != 0 || p.wary;
    control[2] = if risky { 1.0 } else { 0.0 };
    // The step that is tried now says it anew.
    status[5] = 0;
}
