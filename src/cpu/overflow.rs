//! How optimisers keep numbers finite: see `shaders/overflow.wgsl`. Loops take conditions together, so that they stay
//! loops over vectors.

/// Whether a step is neither to be tried nor to be taken.
pub(super) fn is_idle(trial: bool, control: &[f32], status: &[u32]) -> bool {
    if trial { control[1] == 0.0 || control[2] == 0.0 } else { control[1] == 0.0 || status[0] != 0 }
}

/// Notes a step that would make a number that is not finite.
pub(super) fn note_bad(status: &mut [u32], step: u32, is_bad: bool) {
    if is_bad {
        status[0] = step;
    }
}

/// Whether a number may overflow within a step: from 10¹² on, and a mean of squares from 10³⁰ on.
#[inline(always)]
pub(super) fn is_large(weight: f32, moment: f32, square: f32) -> bool {
    (weight.abs() > 1.0e12) | (moment.abs() > 1.0e12) | (square > 1.0e30)
}

/// Notes that numbers are large.
pub(super) fn note_large(status: &mut [u32], is_large: bool) {
    if is_large {
        status[5] = 1.0_f32.to_bits();
    }
}
