{%- from "elements.wgsl" import bases, buffers, coordinates, evaluate, place -%}
// out[i] (+)= Σr f(x0[i, r], x1[i, r], ...) over the terms r from `start` to before `end`, or the largest of them. The last FOLDED of
// AXES axes are those of r.
//
// A lane has a result; or, with SHARED, the lanes of a workgroup have one together, in one order.

struct Params {
    count: u32,
    start: u32,
    end: u32,
    accumulate: u32,
    nan: u32,       // the bits of NaN and of infinity: WGSL has no literals for them
    infinity: u32,
    row_lanes: u32, // lanes in a row of the grid: more wrap into grid y
}
{{ params }}
{{- buffers() }}

{% include "formula.wgsl" %}

fn together(a: f32, b: f32) -> f32 {
    return {{ "larger(a, b)" if MAX else "a + b" }};
}
{% if SHARED %}
var<workgroup> results: array<f32, {{ LANES }}>;
{% endif %}
@compute @workgroup_size({{ LANES }})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
{%- if SHARED %}
    let i = group.y * (p.row_lanes / {{ LANES }}u) + group.x;
    let first = p.start + lane;
    let step = {{ LANES }}u;
{%- else %}
    let i = group.y * p.row_lanes + group.x * {{ LANES }}u + lane;
    let first = p.start;
    let step = 1u;
{%- endif %}
    if (i >= p.count) {
        return;
    }
    let rest = i;
    {{- coordinates("rest", 0, AXES - FOLDED) }}
    {{- bases(AXES - FOLDED, AXES) }}
    var result = {{ "-bitcast<f32>(p.infinity)" if MAX else "0.0" }};
    for (var r = first; r < p.end; r += step) {
        let term = r;
        {{- coordinates("term", AXES - FOLDED, AXES) }}
        {{- evaluate() }}
        result = together(result, {{ RESULT }});
    }
{%- if SHARED %}
    results[lane] = result;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            results[lane] = together(results[lane], results[lane + half]);
        }
        workgroupBarrier();
    }
    if (lane > 0u) {
        return;
    }
    result = results[0];
{%- endif %}
    let at = {{ place(0, AXES - FOLDED) }};
    if (p.accumulate != 0u) {
        out[at] = together(out[at], result);
    } else {
        out[at] = result;
    }
}
