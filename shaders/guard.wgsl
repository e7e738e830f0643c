// Decides whether a step of training is taken: only while loss and gradients are finite, and never again after a step
// where they were not. Gives what the gradients are multiplied with so that their norm is at most max_norm, and whether the
// optimiser has to try the step first: where a number could overflow, because one of gradients, weights, moments or the
// rate is large, nobody knows the weights yet, or the optimiser's options are unusual.

struct Params {
    max_norm: u32, // bits; 0: any norm
    loss_offset: u32,
    squares_offset: u32,
    wary: u32, // whether each step is tried
}
{{ params }}
{% include "math.wgsl" %}

@group(0) @binding(0) var<storage, read> hyper: array<u32>;         // seed, step, bits of rate and bias corrections; whether weights are unknown
@group(0) @binding(1) var<storage, read> loss: array<f32>;          // [1]
@group(0) @binding(2) var<storage, read> squares: array<f32>;       // [1], the squared norm of all gradients
@group(0) @binding(3) var<storage, read_write> status: array<u32>;  // first bad step, 0 for none; bits of the last loss and norm, of Σ losses; steps; whether a number is large
@group(0) @binding(4) var<storage, read_write> control: array<f32>; // what gradients are multiplied with; whether to step; whether to try it

@compute @workgroup_size(1)
fn main() {
    let value = loss[p.loss_offset];
    let square = squares[p.squares_offset];
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
    control[0] = scale;
    control[1] = select(0.0, 1.0, go);
    // A rate of more than 1000, infinite or NaN: by its bits, for it is not negative.
    let risky = square > 1.0e24 || hyper[2] > 0x447a0000u || hyper[5] != 0u || status[5] != 0u || p.wary != 0u;
    control[2] = select(0.0, 1.0, risky);
    // The step that is tried now says it anew.
    status[5] = 0u;
}
