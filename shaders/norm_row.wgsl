{%- from "groups.wgsl" import begin_group -%}
{#- What `norm_step` and its backward half share: parameters, and what a workgroup, which has a row, knows of it. -#}

{%- macro norm_params() -%}
struct Params {
{% include "rows.wgsl" %}
    running: u32, // most sequences that take part: the grid
    rank: u32,    // first rank of this dispatch
    h_stride: u32,
    c_stride: u32,
    d_stride: u32, // backwards: of a row of gradients
    y_stride: u32, // 0: no y
    y_offset: u32,
    source: u32,   // column of the state before a step, where it is kept
    normed: u32,   // of the normed products: W's, R's, then c's
    scales: u32,   // and of what they were multiplied with
    units: u32,
    biases: u32,     // 0 to 2
    gates_gain: u32, // vectors of a track's gains of all gates,
    units_gain: u32, // and of those of c
}
{{ params }}

const GATES = {{ NORM.gates }}u;
const EPSILON = {{ NORM.epsilon }};

// Sums of all lanes.
var<workgroup> parts: array<vec4<f32>, {{ LANES }}>;
fn total(lane: u32, part: vec4<f32>) -> vec4<f32> {
    // The last sum has been read.
    workgroupBarrier();
    parts[lane] = part;
    for (var stride = {{ LANES // 2 }}u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if (lane < stride) {
            parts[lane] += parts[lane + stride];
        }
    }
    workgroupBarrier();
    return parts[0];
}

// How many numbers are normed together: gates of W's products, and of R's.
fn count() -> vec4<f32> {
    return f32(p.units) * vec4<f32>(
{%- for i in range(2) %}{% for count in NORM.counts %}{{ count }}.0, {% endfor %}{% endfor -%}
    );
}

// What a gate's normed number is multiplied with, and what is added then: W's, and R's. Biases come first in memory.
fn gains_of_gate(track: u32, at: u32) -> vec4<f32> {
    var all = gains[track * (p.gates_gain + p.units_gain) + at];
    return vec4<f32>(
        all[p.biases], select(0.0, all.x, p.biases > 0u), all[p.biases + 1u], select(0.0, all.y, p.biases > 1u),
    );
}

// The same of c.
fn gains_of_c(track: u32, at: u32) -> vec2<f32> {
    let all = gains[track * (p.gates_gain + p.units_gain) + p.gates_gain + at];
    return vec2<f32>(all.x, select(0.0, all.y, p.biases > 0u));
}
{%- endmacro -%}

{%- macro begin_row() %}
    {{- begin_group("p.running", 1, "p.tracks") }}
    let rank = p.rank + group.y;
    let track = group.z;
    let first = map[p.offsets];
    let next = map[p.offsets + 1u];
    if (rank >= next - first) {
        return;
    }
    let own = track * p.batch + map[p.order + rank];
    let state = p.state_row + own;
    let row = track * p.x_track + (first - map[p.chunk] + rank) * p.x_stride;
{%- endmacro -%}

{#- Where a group's sum is: of W's products, or of R's. -#}
{%- macro of(gate, r) %}[{{ NORM.groups[gate] + (2 if r else 0) }}]{% endmacro -%}
