// Stochastic gradient descent: g += decay·w; b = momentum·b + g (g itself in the first step); w −= rate·b, or with
// Nesterov's momentum rate·(g + momentum·b).

struct Params {
    count: u32,
    offset: u32,   // first number in all arrays
    factor: u32,   // bits, as all that follow: of the rate
    momentum: u32,
    decay: u32,
    nesterov: u32,
    max_value: u32, // 0: any
    trial: u32,     // whether the step is only tried
    row_lanes: u32, // lanes in a row of the grid: longer arrays wrap into grid y
}
{{ params }}

@group(0) @binding(0) var<storage, read> gradient: array<f32>;      // [count]
@group(0) @binding(1) var<storage, read> hyper: array<u32>;         // seed, step, bits of the rate
@group(0) @binding(2) var<storage, read> control: array<f32>;       // scale, whether to step, whether to try it
@group(0) @binding(3) var<storage, read_write> weights: array<f32>; // [count]
@group(0) @binding(4) var<storage, read_write> moment: array<f32>;  // [count], or 1 without momentum
@group(0) @binding(5) var<storage, read_write> status: array<atomic<u32>>; // [8]: see guard

{% include "overflow.wgsl" %}

@compute @workgroup_size({{ LANES }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let lane = id.y * p.row_lanes + id.x;
    if (lane >= p.count || is_idle(p.trial)) {
        return;
    }
    let i = p.offset + lane;
    var g = gradient[i] * control[0];
    if (p.max_value != 0u) {
        let most = bitcast<f32>(p.max_value);
        g = clamp(g, -most, most);
    }
    var w = weights[i];
    g += bitcast<f32>(p.decay) * w;
    var b = g;
    if (p.momentum != 0u) {
        let momentum = bitcast<f32>(p.momentum);
        if (hyper[1] > 1u) {
            b = momentum * moment[i] + g;
        }
        g = select(b, g + momentum * b, p.nesterov != 0u);
    }
    w -= bitcast<f32>(hyper[2]) * bitcast<f32>(p.factor) * g;
    if (p.trial != 0u) {
        if (!(is_finite(w) && is_finite(b))) {
            note_bad();
        }
        return;
    }
    if (p.momentum != 0u) {
        moment[i] = b;
    }
    weights[i] = w;
    note_large(w, b, 0.0);
}
