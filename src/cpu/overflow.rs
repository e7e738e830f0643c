//! How optimisers keep numbers finite: see `shaders/overflow.wgsl`.

/// Whether a step is neither to be tried nor to be taken.
pub(super) fn is_idle(trial: u32, control: &[f32], status: &[u32]) -> bool {
    if trial != 0 { control[1] == 0.0 || control[2] == 0.0 } else { control[1] == 0.0 || status[0] != 0 }
}

/// From 10¹² on a number may overflow within a step, and from 10³⁰ on a mean of squares.
pub(super) fn note_large(status: &mut [u32], weight: f32, moment: f32, square: f32) {
    if weight.abs() > 1.0e12 || moment.abs() > 1.0e12 || square > 1.0e30 {
        status[5] = 1.0_f32.to_bits();
    }
}
