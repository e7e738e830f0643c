{%- from "groups.wgsl" import group_id -%}
{%- from "norm_row.wgsl" import norm_params, begin_row, of -%}
// `norm_step` backwards, after the product of the next step's gradients of R·h with R: a workgroup has a row. With a number
// a' = γ·â + β and â = (a − mean) · scale, the gradient of a is scale·(u − mean(u) − â·mean(u⊙â)) with u = γ·da'.
//
// Gradients of γ and β are sums over all steps of a sequence in its row of `d`, behind that of R·h.
{{ norm_params() }}

@group(0) @binding(0) var<storage, read_write> reserve: array<f32>; // [D, rows, x_stride]
@group(0) @binding(1) var<storage, read> gains: array<vec4<f32>>;   // [D, gains_of_gate [G·H], gains_of_c [H]], packed
@group(0) @binding(2) var<storage, read> map: array<u32>;           // rows of y [D, rows]; order [N]; offsets [T + 2]
@group(0) @binding(3) var<storage, read> products: array<f32>;      // [D·N, H], by rank
@group(0) @binding(4) var<storage, read_write> d: array<f32>;       // [D·N, d_stride]: of R·h, then of γ and β
@group(0) @binding(5) var<storage, read_write> dh: array<f32>;      // [L·D·N, h_stride]
@group(0) @binding(6) var<storage, read_write> dc: array<f32>;      // [L·D·N, c_stride]
@group(0) @binding(7) var<storage, read> dy: array<f32>;            // [T·N, D·H]

{% include "math.wgsl" %}
{%- set phase = PHASES[0] %}
{% include phase.file %}

// The gradient of a unit's h.
fn gradient(track: u32, rank: u32, first: u32, state: u32, unit: u32) -> f32 {
    var value = products[(track * p.batch + rank) * p.units + unit] + dh[state * p.h_stride + unit];
    if (p.y_stride != 0u) {
        let y_row = map[first + track * p.map_track + rank];
        value += dy[p.y_offset + y_row * p.y_stride + track * p.units + unit];
    }
    return value;
}

@compute @workgroup_size({{ LANES }})
fn main({{ group_id() }}, @builtin(local_invocation_index) lane: u32) {
    {{- begin_row() }}
    let units = p.units;
    let out = own * p.d_stride;
    let sums = out + GATES * units;
    let normed = row + p.normed;
    let scale = vec4<f32>(
{%- for i in range(4) %}reserve[row + p.scales + {{ i }}u], {% endfor -%}
    );
{%- if NORM.has_c %}
    let c_normed = normed + 2u * GATES * units;
    let c_sums = sums + 4u * GATES * units;
    let c_scale = reserve[row + p.scales + 4u];
    var c_sum = vec4<f32>();
    for (var unit = lane; unit < units; unit += {{ LANES }}u) {
        let a = reserve[c_normed + unit];
        let gain_c = gains_of_c(track, unit);
        let t = tanh_(fma(gain_c.x, a, gain_c.y));
        let d_t = gradient(track, rank, first, state, unit) * reserve[row + 3u * units + unit] * (1.0 - t * t);
        d[c_sums + unit] += d_t * a;
        d[c_sums + units + unit] += d_t;
        c_sum += gain_c.x * d_t * vec4<f32>(1.0, a, 0.0, 0.0);
    }
    let c_mean = total(lane, c_sum) / f32(units);
{%- endif %}
    var sum = vec4<f32>();
    var weighted = vec4<f32>();
    for (var unit = lane; unit < units; unit += {{ LANES }}u) {
        let d_y = gradient(track, rank, first, state, unit);
        var k: array<f32, {{ phase.fields }}>;
{%- for i in range(phase.fields) %}
        k[{{ i }}] = reserve[row + {{ i }}u * units + unit];
{%- endfor %}
        var d_h = 0.0;
        var d_c = 0.0;
{%- if NORM.has_c %}
        let a = reserve[c_normed + unit];
        let gain_c = gains_of_c(track, unit);
        let t = tanh_(fma(gain_c.x, a, gain_c.y));
        let o = k[3];
        d_c = dc[state * p.c_stride + unit] + c_scale * (gain_c.x * d_y * o * (1.0 - t * t) - c_mean.x - a * c_mean.y);
        // All of h's gradient has gone to o and to c.
        var gates = {{ phase.name }}_backward(&k, 0.0, 0.0, &d_h, &d_c);
        gates[3] = d_y * t * o * (1.0 - o);
        k[3] = gates[3];
        dc[state * p.c_stride + unit] = d_c;
{%- else %}
        let gates = {{ phase.name }}_backward(&k, reserve[row + p.source + unit], d_y, &d_h, &d_c);
{%- endif %}
        dh[state * p.h_stride + unit] = d_h;
{%- for i in range(NORM.gates, phase.fields) %}
        reserve[row + {{ i }}u * units + unit] = k[{{ i }}];
{%- endfor %}
{%- for i in range(NORM.gates) %}
        let at{{ i }} = {{ i }}u * units + unit;
        let w{{ i }} = reserve[normed + at{{ i }}];
        let r{{ i }} = reserve[normed + GATES * units + at{{ i }}];
        d[sums + at{{ i }}] += k[{{ i }}] * w{{ i }};
        d[sums + GATES * units + at{{ i }}] += k[{{ i }}];
        d[sums + 2u * GATES * units + at{{ i }}] += gates[{{ i }}] * r{{ i }};
        d[sums + 3u * GATES * units + at{{ i }}] += gates[{{ i }}];
        let gain{{ i }} = gains_of_gate(track, at{{ i }});
        let dw{{ i }} = gain{{ i }}.x * k[{{ i }}];
        let dr{{ i }} = gain{{ i }}.z * gates[{{ i }}];
        sum{{ of(i, false) }} += dw{{ i }};
        weighted{{ of(i, false) }} += dw{{ i }} * w{{ i }};
        sum{{ of(i, true) }} += dr{{ i }};
        weighted{{ of(i, true) }} += dr{{ i }} * r{{ i }};
        reserve[row + at{{ i }}] = dw{{ i }};
        d[out + at{{ i }}] = dr{{ i }};
{%- endfor %}
    }
    let mean = total(lane, sum) / count();
    let slope = total(lane, weighted) / count();
    for (var unit = lane; unit < units; unit += {{ LANES }}u) {
{%- for i in range(NORM.gates) %}
        let at{{ i }} = {{ i }}u * units + unit;
        let w{{ i }} = normed + at{{ i }};
        let r{{ i }} = w{{ i }} + GATES * units;
        reserve[row + at{{ i }}] = scale{{ of(i, false) }} * (reserve[row + at{{ i }}] - mean{{ of(i, false) }} - reserve[w{{ i }}] * slope{{ of(i, false) }});
        let dr{{ i }} = scale{{ of(i, true) }} * (d[out + at{{ i }}] - mean{{ of(i, true) }} - reserve[r{{ i }}] * slope{{ of(i, true) }});
        d[out + at{{ i }}] = dr{{ i }};
        // What R's gradient is the sum of.
        reserve[r{{ i }}] = dr{{ i }};
{%- endfor %}
    }
}
