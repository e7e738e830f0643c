{%- from "elements.wgsl" import buffers, coordinates, evaluate, place -%}
// out[i] (+)= f(x0[i], x1[i], ...), each value in a layout of its own: a transpose or a slice has other strides, and a value that is
// repeated along an axis has the stride 0 there.

struct Params {
    count: u32,
    accumulate: u32,
    nan: u32,       // the bits of NaN and of infinity: WGSL has no literals for them
    infinity: u32,
    row_lanes: u32, // lanes in a row of the grid: longer arrays wrap into grid y
}
{{ params }}
{{- buffers() }}

{% include "formula.wgsl" %}

@compute @workgroup_size({{ LANES }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.y * p.row_lanes + id.x;
    if (i >= p.count) {
        return;
    }
    let rest = i;
    {{- coordinates("rest", 0, AXES) }}
    {{- evaluate() }}
    let at = {{ place(0, AXES) }};
    if (p.accumulate != 0u) {
        out[at] += {{ RESULT }};
    } else {
        out[at] = {{ RESULT }};
    }
}
