{%- from "groups.wgsl" import group_id -%}
{%- from "norm_row.wgsl" import norm_params, begin_row, of -%}
// A time step of a cell with layer norms (Ba et al. 2016), all tracks, after the product with R: a workgroup has a row, so
// that sums over all of its units stay in its memory. W's products and R's are normed apart, then the gates follow, and of a
// cell with c the norm of c'.
{{ norm_params() }}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;       // [D, rows, x_stride]: W·x; KEEP: the reserve
@group(0) @binding(1) var<storage, read> gains: array<vec4<f32>>;   // [D, gains_of_gate [G·H], gains_of_c [H]], packed
@group(0) @binding(2) var<storage, read> map: array<u32>;           // rows of y [D, rows]; order [N]; offsets [T + 2]
@group(0) @binding(3) var<storage, read> products: array<f32>;      // [D·N, G·H]: R·h by rank
@group(0) @binding(4) var<storage, read_write> h: array<f32>;       // [L·D·N, h_stride]
@group(0) @binding(5) var<storage, read_write> c: array<f32>;       // [L·D·N, c_stride]
@group(0) @binding(6) var<storage, read_write> y: array<f32>;       // [T·N, D·H]
@group(0) @binding(7) var<storage, read_write> h_final: array<f32>; // [L·D·N, h_stride]

{% include "math.wgsl" %}
{%- set phase = PHASES[0] %}
{% include phase.file %}

fn finish(track: u32, rank: u32, first: u32, next: u32, state: u32, unit: u32, value: f32) {
    h[state * p.h_stride + unit] = value;
    if (p.y_stride != 0u) {
        let y_row = map[first + track * p.map_track + rank];
        y[p.y_offset + y_row * p.y_stride + track * p.units + unit] = value;
    }
    if (rank >= map[p.offsets + 2u] - next) {
        h_final[state * p.h_stride + unit] = value;
    }
}

@compute @workgroup_size({{ LANES }})
fn main({{ group_id() }}, @builtin(local_invocation_index) lane: u32) {
    {{- begin_row() }}
    let units = p.units;
    let product = (track * p.batch + rank) * GATES * units;
    var sum = vec4<f32>();
    for (var unit = lane; unit < units; unit += {{ LANES }}u) {
{%- for g in range(NORM.gates) %}
        sum{{ of(g, false) }} += x[row + {{ g }}u * units + unit];
        sum{{ of(g, true) }} += products[product + {{ g }}u * units + unit];
{%- endfor %}
    }
    let mean = total(lane, sum) / count();
    sum = vec4<f32>();
    for (var unit = lane; unit < units; unit += {{ LANES }}u) {
{%- for g in range(NORM.gates) %}
        let w{{ g }} = x[row + {{ g }}u * units + unit] - mean{{ of(g, false) }};
        sum{{ of(g, false) }} += w{{ g }} * w{{ g }};
        let r{{ g }} = products[product + {{ g }}u * units + unit] - mean{{ of(g, true) }};
        sum{{ of(g, true) }} += r{{ g }} * r{{ g }};
{%- endfor %}
    }
    let scale = 1.0 / sqrt(total(lane, sum) / count() + EPSILON);
    sum = vec4<f32>();
    for (var unit = lane; unit < units; unit += {{ LANES }}u) {
        var g: array<f32, GATES>;
        var r: array<f32, GATES>;
{%- for i in range(NORM.gates) %}
        let at{{ i }} = {{ i }}u * units + unit;
        let w{{ i }} = (x[row + at{{ i }}] - mean{{ of(i, false) }}) * scale{{ of(i, false) }};
        let r{{ i }} = (products[product + at{{ i }}] - mean{{ of(i, true) }}) * scale{{ of(i, true) }};
        let gain{{ i }} = gains_of_gate(track, at{{ i }});
        g[{{ i }}] = fma(gain{{ i }}.x, w{{ i }}, gain{{ i }}.y);
        r[{{ i }}] = fma(gain{{ i }}.z, r{{ i }}, gain{{ i }}.w);
{%- if KEEP %}
        x[row + p.normed + at{{ i }}] = w{{ i }};
        x[row + p.normed + GATES * units + at{{ i }}] = r{{ i }};
{%- endif %}
{%- endfor %}
        let old = h[state * p.h_stride + unit];
        var slots: array<f32, {{ phase.slots or 1 }}>;
        var kept: array<f32, {{ phase.kept }}>;
{%- if NORM.has_c %}
        slots[0] = c[state * p.c_stride + unit];
{%- endif %}
        let value = {{ phase.name }}(g, r, old, &slots, &kept);
{%- if KEEP %}
{%- for i in range(phase.kept) %}
        x[row + {{ i }}u * units + unit] = kept[{{ i }}];
{%- endfor %}
        x[row + p.source + unit] = old;
{%- endif %}
{%- if NORM.has_c %}
        c[state * p.c_stride + unit] = slots[0];
        sum.x += slots[0];
        // o, for what follows.
        x[row + 3u * units + unit] = kept[3];
{%- else %}
        finish(track, rank, first, next, state, unit, value);
{%- endif %}
    }
{%- if NORM.has_c %}
    let c_mean = total(lane, sum).x / f32(units);
    sum = vec4<f32>();
    for (var unit = lane; unit < units; unit += {{ LANES }}u) {
        let deviation = c[state * p.c_stride + unit] - c_mean;
        sum.x += deviation * deviation;
    }
    let c_scale = 1.0 / sqrt(total(lane, sum).x / f32(units) + EPSILON);
    for (var unit = lane; unit < units; unit += {{ LANES }}u) {
        let normed = (c[state * p.c_stride + unit] - c_mean) * c_scale;
{%- if KEEP %}
        x[row + p.normed + 2u * GATES * units + unit] = normed;
{%- endif %}
        let gain = gains_of_c(track, unit);
        let value = x[row + 3u * units + unit] * tanh_(fma(gain.x, normed, gain.y));
        finish(track, rank, first, next, state, unit, value);
    }
{%- endif %}
{%- if KEEP %}
    if (lane == 0u) {
{%- for i in range(4) %}
        x[row + p.scales + {{ i }}u] = scale[{{ i }}];
{%- endfor %}
{%- if NORM.has_c %}
        x[row + p.scales + 4u] = c_scale;
{%- endif %}
    }
{%- endif %}
}
