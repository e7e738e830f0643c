// Moving averages of weights: average += part · (weight − average), part being 1 − decay, after each step that was taken.

struct Params {
    count: u32,
    row_lanes: u32, // lanes in a row of the grid: longer arrays wrap into grid y
}
{{ params }}

@group(0) @binding(0) var<storage, read> weights: array<f32>;       // [count]
@group(0) @binding(1) var<storage, read> control: array<f32>;       // word 1: whether the step was to be taken; word 5: the part
@group(0) @binding(2) var<storage, read> status: array<u32>;        // word 0: the step that is not taken after all, or 0
@group(0) @binding(3) var<storage, read_write> averaged: array<f32>; // [count]

@compute @workgroup_size({{ LANES }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.y * p.row_lanes + id.x;
    if (i >= p.count || control[1] == 0.0 || status[0] != 0u) {
        return;
    }
    let part = control[5];
    let w = weights[i];
    // The second form gives the weight itself where the part is 1.
    let low = averaged[i] + part * (w - averaged[i]);
    let high = w - (1.0 - part) * (w - averaged[i]);
    averaged[i] = select(high, low, part < 0.5);
}
