// RMSprop in PyTorch's form (Tieleman and Hinton 2012): v = α·v + (1 − α)·g², and w −= rate · g / (√v + ε). Centered, m = m + (1 − α)·(g − m)
// and √(v − m²) stands for √v (Graves 2013). With momentum, b = momentum·b + g / (√v + ε), and w −= rate · b.

struct Params {
    count: u32,
    offset: u32, // first number in all arrays
    factor: u32, // bits, as all that follow: of the rate
    alpha: u32,
    epsilon: u32,
    momentum: u32,
    decay: u32,
    centered: u32,
    max_value: u32, // 0: any
    trial: u32,     // whether the step is only tried
    row_lanes: u32, // lanes in a row of the grid: longer arrays wrap into grid y
}
{{ params }}

@group(0) @binding(0) var<storage, read> gradient: array<f32>;      // [count]
@group(0) @binding(1) var<storage, read> hyper: array<u32>;         // seed, step, bits of the rate
@group(0) @binding(2) var<storage, read> control: array<f32>;       // scale, whether to step, whether to try it
@group(0) @binding(3) var<storage, read_write> weights: array<f32>; // [count]
@group(0) @binding(4) var<storage, read_write> square: array<f32>;  // [count]
@group(0) @binding(5) var<storage, read_write> mean: array<f32>;    // [count], or 1 unless centered
@group(0) @binding(6) var<storage, read_write> moment: array<f32>;  // [count], or 1 without momentum
@group(0) @binding(7) var<storage, read_write> status: array<atomic<u32>>; // [8]: see guard

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
    let alpha = bitcast<f32>(p.alpha);
    let v = alpha * square[i] + (1.0 - alpha) * g * g;
    var m = 0.0;
    var spread = v;
    if (p.centered != 0u) {
        m = mean[i] + (1.0 - alpha) * (g - mean[i]);
        // Rounding may make the difference less than 0.
        spread = max(v - m * m, 0.0);
    }
    var b = g / (sqrt(spread) + bitcast<f32>(p.epsilon));
    if (p.momentum != 0u) {
        b += bitcast<f32>(p.momentum) * moment[i];
    }
    w -= bitcast<f32>(hyper[2]) * bitcast<f32>(p.factor) * b;
    if (p.trial != 0u) {
        if (!(is_finite(w) && is_finite(v) && is_finite(m) && is_finite(b))) {
            note_bad();
        }
        return;
    }
    square[i] = v;
    if (p.centered != 0u) {
        mean[i] = m;
    }
    if (p.momentum != 0u) {
        moment[i] = b;
    }
    weights[i] = w;
    // What is not kept can't overflow in a later step.
    note_large(w, max(abs(m), select(0.0, abs(b), p.momentum != 0u)), v);
}
