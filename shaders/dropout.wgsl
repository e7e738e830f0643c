// values[i] = values[i] · scale where a random word is below the threshold, else 0: the word is that of i, the stream and
// the seed, so that the backward pass draws the same mask.

struct Params {
    count: u32,
    offset: u32,
    threshold: u32, // of 2³²: how likely it is to be kept
    scale: u32,     // bits of 1 / that
    stream: u32,    // one for each place of a model
    seed_offset: u32,
    row_lanes: u32, // lanes in a row of the grid: longer arrays wrap into grid y
}
{{ params }}
{% include "threefry.wgsl" %}

@group(0) @binding(0) var<storage, read> seed: array<u32>;         // seed, step
@group(0) @binding(1) var<storage, read_write> values: array<f32>; // [count]

@compute @workgroup_size({{ LANES }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.y * p.row_lanes + id.x;
    if (i >= p.count) {
        return;
    }
    let word = random(vec2<u32>(i, p.stream), vec2<u32>(seed[p.seed_offset], seed[p.seed_offset + 1u])).x;
    let at = p.offset + i;
    values[at] = select(0.0, values[at] * bitcast<f32>(p.scale), word < p.threshold);
}
