// How optimisers keep numbers finite. A trial of a step changes nothing, and notes a step that would make one that is not; then
// no lane takes that step. A step that is taken notes numbers that are large, so that the next one is tried too.

fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

// Whether a step is neither to be tried nor to be taken.
fn is_idle(trial: u32) -> bool {
    if (trial != 0u) {
        return control[1] == 0.0 || control[2] == 0.0;
    }
    return control[1] == 0.0 || atomicLoad(&status[0]) != 0u;
}

// Every lane that notes a step notes the same one.
fn note_bad() {
    atomicStore(&status[0], hyper[1]);
}

// From 10¹² on a number may overflow within a step, and from 10³⁰ on a mean of squares.
fn note_large(weight: f32, moment: f32, square: f32) {
    if (abs(weight) > 1.0e12 || abs(moment) > 1.0e12 || square > 1.0e30) {
        atomicStore(&status[5], 0x3f800000u); // 1.0, which tests see as a number
    }
}
