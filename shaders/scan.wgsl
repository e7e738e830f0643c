// A linear recurrence s' = a⊙s + b over many steps, a and b of the gates' input part alone: nothing is multiplied in its
// loop, and steps can be cut into parts that run side by side.
//
// PHASE 0: a lane takes all steps of a unit of a sequence. In parts: with PHASE 1 it finds what a part makes of any state,
// A⊙s + B, the product of its a's and what they leave of its b's; with PHASE 2 it applies those of the parts before its own,
// and then takes its own steps. No lane waits for another one, and each step is computed twice at most.
//
// Where R is a diagonal u, s' is a function of g + u⊙s: PHASE 0 only.
//
// With KEEP, the state before each step is kept beside the gates' input part.
struct Params {
    batch: u32,
    directions: u32,
    state_row: u32, // first row of this layer's states: layer · directions · batch
    x_direction: u32,
    x_stride: u32,
    map_direction: u32,
    order: u32,   // where `map` has the sequence of each rank
    offsets: u32, // where `map` has the first row of this dispatch's first step
    chunk: u32,   // where `map` has the first row that `x` holds
    steps: u32,
    running: u32, // most sequences that take part: the grid
    h_stride: u32,
    c_stride: u32,
    y_stride: u32, // 0: no y wanted
    y_offset: u32,
    source: u32, // KEEP: column of the old state
    units: u32,
    part: u32,  // steps of a part
    parts: u32, // parts that run side by side
    rank: u32,  // first rank of this dispatch
}
{{ params }}

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
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let unit = group.x * {{ LANES }}u + lane;
    if (unit >= p.units) {
        return;
    }
    let rank = p.rank + group.y;
    let direction = group.z % p.directions;
    let part = group.z / p.directions;
    let row = direction * p.batch + map[p.order + rank];
    let state = p.state_row + row;
    let rows = p.directions * p.batch;
{%- if PHASE == 2 %}
    var s = carry[(2u * p.parts * rows + row) * p.units + unit];
    for (var before = 0u; before < part; before++) {
        let at = 2u * ((before * rows + row) * p.units + unit);
        s = fma(carry[at], s, carry[at + 1u]);
    }
{%- else %}
    var s = {{ "c[state * p.c_stride + unit]" if SCAN.has_c else "h_in[state * p.h_stride + unit]" }};
{%- endif %}
{%- if PHASE == 1 %}
    if (part == 0u) {
        carry[(2u * p.parts * rows + row) * p.units + unit] = s;
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
        let at = direction * p.x_direction + (first - map[p.chunk] + rank) * p.x_stride;
        var g: array<f32, {{ SCAN.gates }}>;
{%- for i in range(SCAN.gates) %}
        g[{{ i }}] = x_at(at + {{ i }}u * p.units + unit);
{%- endfor %}
{%- if not SCAN.diagonal %}
        let ab = {{ SCAN.name }}_linear(g);
{%- endif %}
{%- if PHASE == 1 %}
        total = vec2<f32>(ab.x * total.x, fma(ab.x, total.y, ab.y));
{%- else %}
{%- if KEEP %}
        x[at + p.source + unit] = s;
{%- endif %}
{%- if SCAN.diagonal %}
        s = {{ SCAN.name }}_step(g[0], s, c[direction * p.c_stride + 4u * unit]);
        let h = s;
{%- else %}
        s = fma(ab.x, s, ab.y);
        let h = {{ SCAN.name }}_output(g, s);
{%- endif %}
        if (p.y_stride != 0u) {
            let y_row = map[first + direction * p.map_direction + rank];
            y[p.y_offset + y_row * p.y_stride + direction * p.units + unit] = h;
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
{%- if PHASE == 1 %}
    let at = 2u * ((part * rows + row) * p.units + unit);
    carry[at] = total.x;
    carry[at + 1u] = total.y;
{%- endif %}
}
