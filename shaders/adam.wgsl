// Adam (Kingma and Ba 2015): m = β₁·m + (1 − β₁)·g, v = β₂·v + (1 − β₂)·g², w −= rate · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + ε).
// Decay is added to g, or with `decoupled` taken from w at once: AdamW (Loshchilov and Hutter 2019).

struct Params {
    count: u32,
    offset: u32, // first number in all arrays
    factor: u32, // bits, as all that follow: of the rate
    beta_1: u32,
    beta_2: u32,
    epsilon: u32,
    decay: u32,
    decoupled: u32,
    max_value: u32, // 0: any
    trial: u32,     // whether the step is only tried
    row_lanes: u32, // lanes in a row of the grid: longer arrays wrap into grid y
}
{{ params }}

@group(0) @binding(0) var<storage, read> gradient: array<f32>;      // [count]
@group(0) @binding(1) var<storage, read> hyper: array<u32>;         // seed, step, bits of the rate
@group(0) @binding(2) var<storage, read> control: array<f32>;       // scale, whether to step, whether to try it, 1/(1 − β₁ᵗ), 1/(1 − β₂ᵗ)
@group(0) @binding(3) var<storage, read_write> weights: array<f32>; // [count]
@group(0) @binding(4) var<storage, read_write> moment: array<f32>;  // [count]
@group(0) @binding(5) var<storage, read_write> square: array<f32>;  // [count]
@group(0) @binding(6) var<storage, read_write> status: array<atomic<u32>>; // [8]: see guard

{% include "overflow.wgsl" %}

@compute @workgroup_size({{ LANES }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let lane = id.y * p.row_lanes + id.x;
    if (lane >= p.count || is_idle(p.trial)) {
        return;
    }
    let i = p.offset + lane;
    let rate = bitcast<f32>(hyper[2]) * bitcast<f32>(p.factor);
    let decay = bitcast<f32>(p.decay);
    var g = gradient[i] * control[0];
    if (p.max_value != 0u) {
        let most = bitcast<f32>(p.max_value);
        g = clamp(g, -most, most);
    }
    var w = weights[i];
    if (p.decoupled != 0u) {
        w -= rate * decay * w;
    } else {
        g += decay * w;
    }
    let beta_1 = bitcast<f32>(p.beta_1);
    let beta_2 = bitcast<f32>(p.beta_2);
    let m = beta_1 * moment[i] + (1.0 - beta_1) * g;
    let v = beta_2 * square[i] + (1.0 - beta_2) * g * g;
    w -= rate * (m * control[3]) / (sqrt(v * control[4]) + bitcast<f32>(p.epsilon));
    if (p.trial != 0u) {
        if (!(is_finite(w) && is_finite(m) && is_finite(v))) {
            note_bad();
        }
        return;
    }
    moment[i] = m;
    square[i] = v;
    weights[i] = w;
    note_large(w, m, v);
}
