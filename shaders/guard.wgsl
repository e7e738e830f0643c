// Decides whether a step of training is taken: only while loss and gradients are finite, and never again after a step
// where they were not. Gives what the gradients are multiplied with so that their norm is at most max_norm, and whether the
// optimiser has to try the step first: where a number could overflow, because one of gradients, weights, moments or the
// rate is large, nobody knows the weights yet, or the optimiser's options are unusual.
//
// Gradients may be sums over several micro-batches: they and the losses are multiplied with `share`, 1 over their number.
//
// AFTER the step, where steps may be skipped, one that was not taken is forgotten, unless too many have followed one another.
// The steps that were taken are then fewer than `hyper` counts, and what depends on their number is computed here.

struct Params {
    max_norm: u32, // bits; 0: any norm
    loss_offset: u32,
    squares_offset: u32,
    wary: u32,       // whether each step is tried
    after: u32,      // whether this follows the step
    skips: u32,      // how many steps in a row may be skipped
    log_beta_1: u32, // bits, as all that follow: natural logarithms, less than 0; 0: no correction
    log_beta_2: u32,
    log_decay: u32,
    decay: u32,      // of the moving average
}
{{ params }}
{% include "math.wgsl" %}

@group(0) @binding(0) var<storage, read> hyper: array<u32>;         // seed, step, bits of rate, 1/(1 − β₁ᵗ) and 1/(1 − β₂ᵗ); whether weights are unknown; bits of share and of the average's part
@group(0) @binding(1) var<storage, read> loss: array<f32>;          // [1]
@group(0) @binding(2) var<storage, read> added: array<f32>;         // [1], the losses of micro-batches before
@group(0) @binding(3) var<storage, read> squares: array<f32>;       // [1], the squared norm of all gradients
@group(0) @binding(4) var<storage, read_write> status: array<u32>;  // first bad step, 0 for none; bits of the last loss and norm, of Σ losses; steps; whether a number is large; steps skipped, and in a row
@group(0) @binding(5) var<storage, read_write> control: array<f32>; // what gradients are multiplied with; whether to step; whether to try it; 1/(1 − β₁ᵗ), 1/(1 − β₂ᵗ), the average's part

// 1/(1 − βᵗ), of t·ln β: a series near 0, where the difference would cancel.
fn correction(t: f32, log_beta: f32) -> f32 {
    let x = max(t * log_beta, -80.0);
    let series = -x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0 * (1.0 + x / 6.0)))));
    return select(1.0 / select(1.0 - exp(x), series, x > -0.25), 1.0, log_beta == 0.0);
}

fn settle() {
    if (status[0] == 0u) {
        status[7] = 0u;
        return;
    }
    status[7] += 1u;
    if (status[7] <= p.skips) {
        status[6] += 1u;
        status[0] = 0u;
    }
}

@compute @workgroup_size(1)
fn main() {
    if (p.after != 0u) {
        settle();
        return;
    }
    let share = bitcast<f32>(hyper[6]);
    let value = (loss[p.loss_offset] + added[0]) * share;
    let square = squares[p.squares_offset] * share * share;
    // The largest finite number is a little above 3.4e38; NaN is no less than that either.
    let finite = abs(value) < 3.0e38 && square < 3.0e38 && !is_nan(value) && !is_nan(square);
    if (status[0] == 0u && !finite) {
        status[0] = hyper[1];
    }
    status[1] = bitcast<u32>(value);
    status[2] = bitcast<u32>(sqrt(square));
    let go = status[0] == 0u;
    if (go) {
        status[3] = bitcast<u32>(bitcast<f32>(status[3]) + value);
        status[4] += 1u;
    }
    var scale = 1.0;
    if (p.max_norm != 0u) {
        scale = min(1.0, bitcast<f32>(p.max_norm) / (sqrt(square) + 1.0e-6));
    }
    control[0] = scale * share;
    control[1] = select(0.0, 1.0, go);
    // A rate of more than 1000, infinite or NaN: by its bits, for it is not negative.
    let risky = square > 1.0e24 || hyper[2] > 0x447a0000u || hyper[5] != 0u || status[5] != 0u || p.wary != 0u;
    control[2] = select(0.0, 1.0, risky);
    // The step that is tried now says it anew.
    status[5] = 0u;
    if (status[6] == 0u) {
        control[3] = bitcast<f32>(hyper[3]);
        control[4] = bitcast<f32>(hyper[4]);
        control[5] = bitcast<f32>(hyper[7]);
        return;
    }
    let t = f32(hyper[1] - status[6]);
    control[3] = correction(t, bitcast<f32>(p.log_beta_1));
    control[4] = correction(t, bitcast<f32>(p.log_beta_2));
    let part = (1.0 - bitcast<f32>(p.decay)) * correction(t, bitcast<f32>(p.log_decay));
    control[5] = select(part, 1.0, t <= 1.0);
}
