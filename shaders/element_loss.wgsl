// losses[i] and its derivative by x[i], that one divided by count: (x − t)², or with `binary` the cross-entropy of σ(x) and
// t, max(x, 0) − x·t + log(1 + exp(−|x|)). Where the target is NaN it is masked: both are 0.

struct Params {
    count: u32,
    binary: u32,
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
    var loss = (value - t) * (value - t);
    var slope = 2.0 * (value - t);
    if (p.binary != 0u) {
        loss = relu(value) - value * t + log(1.0 + exp(-abs(value)));
        slope = sigmoid(value) - t;
    }
    let masked = is_nan(t);
    losses[p.losses_offset + i] = select(loss, 0.0, masked);
    gradient[p.gradient_offset + i] = select(slope / count[p.count_offset], 0.0, masked);
}
