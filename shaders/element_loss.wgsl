{#- The forms: 0 squared error, 1 binary cross-entropy, 2 absolute error, 3 Huber loss, 4 x itself. -#}
// losses[i] and its derivative by x[i], that one divided by count. With d = x − t:
//
//   0  d²
//   1  max(x, 0) − x·t + log(1 + exp(−|x|)), the cross-entropy of σ(x) and t
//   2  |d|
//   3  d² / 2 where |d| ≤ delta, else delta·(|d| − delta / 2)
//   4  x
//
// Where the target is NaN it is masked: both are 0. Form 4 has no targets, and masks nothing.

struct Params {
    count: u32,
    form: u32,
    delta: u32, // bits
    x_offset: u32,
    target_offset: u32,
    count_offset: u32,
    losses_offset: u32,
    gradient_offset: u32,
    row_lanes: u32, // lanes in a row of the grid: longer arrays wrap into grid y
}
{{ params }}
{% include "math.wgsl" %}

@group(0) @binding(0) var<storage, read> x: array<f32>;              // [count]
@group(0) @binding(1) var<storage, read> targets: array<f32>;        // [count]
@group(0) @binding(2) var<storage, read> count: array<f32>;          // [1], targets that are not masked
@group(0) @binding(3) var<storage, read_write> losses: array<f32>;   // [count]
@group(0) @binding(4) var<storage, read_write> gradient: array<f32>; // [count]

@compute @workgroup_size({{ LANES }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.y * p.row_lanes + id.x;
    if (i >= p.count) {
        return;
    }
    let value = x[p.x_offset + i];
    let t = targets[p.target_offset + i];
    let d = value - t;
    let size = abs(d);
    let sign_ = select(select(0.0, -1.0, d < 0.0), 1.0, d > 0.0);
    var loss = d * d;
    var slope = 2.0 * d;
    switch (p.form) {
        case 0u: {}
        case 1u: {
            loss = relu(value) - value * t + log(1.0 + exp(-abs(value)));
            slope = sigmoid(value) - t;
        }
        case 2u: {
            loss = size;
            slope = sign_;
        }
        case 3u: {
            let delta = bitcast<f32>(p.delta);
            loss = select(delta * (size - 0.5 * delta), 0.5 * d * d, size <= delta);
            slope = select(delta * sign_, d, size <= delta);
        }
        default: {
            loss = value;
            slope = 1.0;
        }
    }
    let masked = p.form != 4u && is_nan(t);
    losses[p.losses_offset + i] = select(loss, 0.0, masked);
    gradient[p.gradient_offset + i] = select(slope / count[p.count_offset], 0.0, masked);
}
