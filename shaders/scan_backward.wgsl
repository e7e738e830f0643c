{%- from "groups.wgsl" import group_id -%}
{%- from "scan_lane.wgsl" import scan_params, begin_lane, gates, state_at, total_at -%}
// `scan` backwards: with d the gradient of h' and o that of h' by s', the gradient of the state is a recurrence too,
// ds = a⊙(ds' + o⊙d), from the last step to the first. PART as in `scan`, parts in the same order of steps.
{{ scan_params() }}

@group(0) @binding(0) var<storage, read_write> reserve: array<f32>; // [D, rows, x_stride]
@group(0) @binding(1) var<storage, read_write> dh: array<f32>;      // [L·D·N, h_stride]
@group(0) @binding(2) var<storage, read> map: array<u32>;           // rows of y [D, rows]; order [N]; offsets [T + 2]
@group(0) @binding(3) var<storage, read_write> dc: array<f32>;      // [L·D·N, c_stride]; u in its place: [D, c_stride], a number in 4 words
@group(0) @binding(4) var<storage, read> dy: array<f32>;            // [T·N, D·H]
@group(0) @binding(5) var<storage, read_write> carry: array<f32>;   // [parts, D·N, H, 2], then the gradients at last [D·N, H]

{% include "math.wgsl" %}
{% include "activations.wgsl" %}
{% include SCAN.file %}

@compute @workgroup_size({{ LANES }})
fn main({{ group_id() }}, @builtin(local_invocation_index) lane: u32) {
    {{- begin_lane() }}
    let dh_at = (p.state_row + row) * p.h_stride + unit;
{%- if SCAN.has_c %}
    let ds_at = (p.state_row + row) * p.c_stride + unit;
{%- endif %}
{%- if PART == "steps" %}
    var d_s = carry[{{ state_at() }}];
    for (var after = p.parts - 1u; after > part; after--) {
        let at = {{ total_at("after") }};
        d_s = fma(carry[at], d_s, carry[at + 1u]);
    }
{%- else %}
    var d_s = {{ "dc[ds_at]" if SCAN.has_c else "dh[dh_at]" }};
{%- endif %}
{%- if PART == "totals" %}
    if (part == 0u) {
        carry[{{ state_at() }}] = d_s;
    }
    var total = vec2<f32>(1.0, 0.0);
{%- endif %}
    let begin = part * p.part;
    for (var step = min(begin + p.part, p.steps); step > begin; step--) {
        let first = map[p.offsets + step - 1u];
        let next = map[p.offsets + step];
        if (rank >= next - first) {
            continue;
        }
        {{- gates("reserve[%s]") }}
        let old = reserve[at + p.source + unit];
        var d_y = 0.0;
        if (p.y_stride != 0u) {
            let y_row = map[first + track * p.map_track + rank];
            d_y = dy[p.y_offset + y_row * p.y_stride + track * p.units + unit];
        }
{%- if SCAN.has_c %}
        // The gradient of the last h joins that of the last y.
        if (rank >= map[p.offsets + step + 1u] - next) {
            d_y += dh[dh_at];
{%- if PART != "totals" %}
            dh[dh_at] = 0.0;
{%- endif %}
        }
{%- endif %}
{%- if PART == "totals" %}
        let ab = {{ SCAN.name }}_linear(g);
        let o = {{ SCAN.name }}_slope(g, fma(ab.x, old, ab.y));
        total = vec2<f32>(ab.x * total.x, ab.x * fma(d_y, o, total.y));
{%- else %}
{%- if SCAN.diagonal %}
        let u = dc[track * p.c_stride + 4u * unit];
        let d = (d_s + d_y) * {{ SCAN.name }}_derivative({{ SCAN.name }}_step(g[0], old, u));
        g[0] = d;
        // What u's gradient is the sum of.
        reserve[at + p.units + unit] = d * old;
        d_s = u * d;
{%- else %}
        d_s = {{ SCAN.name }}_backward(&g, old, d_y, d_s);
{%- endif %}
{%- for i in range(SCAN.gates) %}
        reserve[at + {{ i }}u * p.units + unit] = g[{{ i }}];
{%- endfor %}
{%- endif %}
    }
{%- if PART == "totals" %}
    let at = {{ total_at("part") }};
    carry[at] = total.x;
    carry[at + 1u] = total.y;
{%- else %}
    if (part == 0u) {
        {{ "dc[ds_at]" if SCAN.has_c else "dh[dh_at]" }} = d_s;
    }
{%- endif %}
}
