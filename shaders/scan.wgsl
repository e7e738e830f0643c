{%- from "groups.wgsl" import group_id -%}
{%- from "scan_lane.wgsl" import scan_params, begin_lane, gates, state_at, total_at -%}
// A linear recurrence s' = a⊙s + b over many steps, a and b of the gates' input part alone: nothing is multiplied in its
// loop, and steps can be cut into parts that run side by side.
//
// PART "whole": a lane takes all steps of a unit of a sequence. In parts: with "totals" it finds what a part makes of any state,
// A⊙s + B, the product of its a's and what they leave of its b's; with "steps" it applies those of the parts before its own,
// and then takes its own steps. No lane waits for another one, and each step is computed twice at most.
//
// Where R is a diagonal u, s' is a function of g + u⊙s: "whole" only.
//
// With KEEP, the state before each step is kept beside the gates' input part.
{{ scan_params() }}

@group(0) @binding(0) var<storage, read_write> x: array<{{ "u32" if NARROW else "f32" }}>; // [D, rows, G·H]; KEEP: the reserve; NARROW: in halves
@group(0) @binding(1) var<storage, read> h_in: array<f32>;          // [L·D·N, h_stride]
@group(0) @binding(2) var<storage, read> map: array<u32>;           // rows of y [D, rows]; order [N]; offsets [T + 2]
@group(0) @binding(3) var<storage, read_write> h_out: array<f32>;   // [L·D·N, h_stride]
@group(0) @binding(4) var<storage, read_write> c: array<f32>;       // [L·D·N, c_stride]; u in its place: [D, c_stride], a number in 4 words
@group(0) @binding(5) var<storage, read_write> y: array<f32>;       // [T·N, D·H]
@group(0) @binding(6) var<storage, read_write> h_final: array<f32>; // [L·D·N, h_stride]
@group(0) @binding(7) var<storage, read_write> carry: array<f32>;   // [parts, D·N, H, 2], then the states at first [D·N, H]

{% include "math.wgsl" %}
{% include "activations.wgsl" %}
{% include SCAN.file %}

fn x_at(at: u32) -> f32 {
    return {{ "unpack2x16float(x[at / 2u])[at % 2u]" if NARROW else "x[at]" }};
}

@compute @workgroup_size({{ LANES }})
fn main({{ group_id() }}, @builtin(local_invocation_index) lane: u32) {
    {{- begin_lane() }}
    let state = p.state_row + row;
{%- if PART == "steps" %}
    var s = carry[{{ state_at() }}];
    for (var before = 0u; before < part; before++) {
        let at = {{ total_at("before") }};
        s = fma(carry[at], s, carry[at + 1u]);
    }
{%- else %}
    var s = {{ "c[state * p.c_stride + unit]" if SCAN.has_c else "h_in[state * p.h_stride + unit]" }};
{%- endif %}
{%- if PART == "totals" %}
    if (part == 0u) {
        carry[{{ state_at() }}] = s;
    }
    var total = vec2<f32>(1.0, 0.0);
{%- endif %}
    let end = min((part + 1u) * p.part, p.steps);
    for (var step = part * p.part; step < end; step++) {
        let first = map[p.offsets + step];
        let next = map[p.offsets + step + 1u];
        if (rank >= next - first) {
            break;
        }
        {{- gates("x_at(%s)") }}
{%- if not SCAN.diagonal %}
        let ab = {{ SCAN.name }}_linear(g);
{%- endif %}
{%- if PART == "totals" %}
        total = vec2<f32>(ab.x * total.x, fma(ab.x, total.y, ab.y));
{%- else %}
{%- if KEEP %}
        x[at + p.source + unit] = s;
{%- endif %}
{%- if SCAN.diagonal %}
        s = {{ SCAN.name }}_step(g[0], s, c[track * p.c_stride + 4u * unit]);
        let h = s;
{%- else %}
        s = fma(ab.x, s, ab.y);
        let h = {{ SCAN.name }}_output(g, s);
{%- endif %}
        if (p.y_stride != 0u) {
            let y_row = map[first + track * p.map_track + rank];
            y[p.y_offset + y_row * p.y_stride + track * p.units + unit] = h;
        }
        let ends = rank >= map[p.offsets + step + 2u] - next;
        if (ends) {
            h_final[state * p.h_stride + unit] = h;
        }
        if (ends || step + 1u == p.steps) {
            // For the dispatch that goes on from here.
            h_out[state * p.h_stride + unit] = h;
{%- if SCAN.has_c %}
            c[state * p.c_stride + unit] = s;
{%- endif %}
        }
{%- endif %}
    }
{%- if PART == "totals" %}
    let at = {{ total_at("part") }};
    carry[at] = total.x;
    carry[at + 1u] = total.y;
{%- endif %}
}
