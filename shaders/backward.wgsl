{%- from "operands.wgsl" import matrix, rows -%}
{#- What `step_backward` and `sequence_backward` share: bindings, and the cell's derivative for each of its phases.

A phase's backward half multiplies the gate gradients of the phase that comes after it in time (the next phase of this
step, or the first phase of the next step) with that phase's weights, which gives the gradient of the phase's value; then
the cell's derivative turns what the reserve kept of the gates into their gradients, in place. A sequence takes part from
its last step on, with the gradient of its final state in `dh` and `dc`; in the end they hold those of its initial state,
but for the product with the first step's gates.

With ZONEOUT or DROPOUT, masks lie behind the old h in the reserve, as `recurrence.wgsl` says, and behind those, for cells
whose gates see h, the h without its mask. -#}
struct Params {
{% include "rows.wgsl" %}
    steps: u32,   // `sequence_backward` only
    running: u32, // most sequences that take part: the grid
    d_in_row: u32, // first row of this layer in `d_in`
    d_in_stride: u32, // in vectors
    d_out_stride: u32,
    dh_stride: u32,
    dc_stride: u32,
    dy_stride: u32, // 0: no gradient of y
    dy_offset: u32,
    source: u32, // column of the old h in the reserve
    units_0: u32,
    panels_0: u32,            // of the product that gives this phase's gradient
    weights_0: u32,           // in vectors
    weights_track_0: u32, // in vectors
    fields_0: u32,            // first column that this phase sees
    units_1: u32,
    panels_1: u32,
    weights_1: u32,
    weights_track_1: u32,
    fields_1: u32,
}
{{ params }}

@group(0) @binding(0) var<storage, read_write> reserve: array<f32>; // [D, rows, x_stride]
// Each phase: [D, panels + 1, units], packed.
{{ matrix(1, "weights") }}
@group(0) @binding(2) var<storage, read> map: array<u32>;           // rows of y [D, rows]; order [N]; offsets [T + 2]
// [L·D·N, d_in_stride], gate gradients, or those of this layer.
{{ rows(3, "d_in") }}
@group(0) @binding(4) var<storage, read_write> d_out: array<f32>;   // [L·D·N, d_out_stride]
@group(0) @binding(5) var<storage, read_write> dh: array<f32>;      // [L·D·N, dh_stride]
@group(0) @binding(6) var<storage, read_write> dc: array<f32>;      // [L·D·N, dc_stride]
@group(0) @binding(7) var<storage, read> dy: array<f32>;            // [T·N, D·H]

{% include "math.wgsl" %}{% if ZONEOUT %}
{% include "zoneout.wgsl" %}{% endif %}{% if GENERAL %}
{% include "activations.wgsl" %}{% endif %}

// A step's rows: the first of them, the first among those of the reserve, and how many sequences take part.
struct Step {
    row: u32,
    x_row: u32,
    running: u32,
}

fn step_at(s: u32) -> Step {
    let row = map[p.offsets + s];
    return Step(row, row - map[p.chunk], map[p.offsets + s + 1u] - row);
}
{% for phase in PHASES %}
{% include phase.file %}
{%- set f = loop.index0 %}

// Ends this phase's half for one unit of one sequence: r is the product. Gives its gates' gradients.
fn finish_{{ f }}(
    track: u32, rank: u32, n: u32, unit: u32, step: Step, r: f32,
) -> array<f32, {{ phase.gates }}> {
    let row = track * p.x_track + (step.x_row + rank) * p.x_stride;
    let at = row + p.fields_{{ f }} + unit;
    let state = p.state_row + track * p.batch + n;
    var k: array<f32, {{ phase.fields }}>;
{%- for i in range(phase.fields) %}
    k[{{ i }}] = reserve[at{{ " + %su * p.units_%s" | format(i, f) if i else "" }}];
{%- endfor %}
{%- if ZONEOUT or DROPOUT %}
    let drawn = row + p.source + p.units_{{ f }} + unit;
{%- endif %}
    let h = {{ ("reserve[drawn + p.units_%s]" | format(f) if UNMASKED else "reserve[row + p.source + unit]") if phase.hidden_backward else "0.0" }};
    var d = r{{ " * reserve[drawn]" if DROPOUT }};
    var d_h = 0.0;
    var d_c{{ ": array<f32, %s>" | format(phase.carried) if phase.carried > 1 else " = 0.0" }};
{%- if phase.carries_h %}
    d_h = dh[state * p.dh_stride + unit];
{%- endif %}
{%- for i in range(phase.carried) %}
    d_c{{ "[%s]" | format(i) if phase.carried > 1 }} = dc[state * p.dc_stride + {{ i }}u * p.units_{{ f }} + unit];
{%- endfor %}
{%- if loop.last %}
    d += d_h;
    if (p.dy_stride != 0u) {
        let y_row = map[step.row + track * p.map_track + rank];
        d += dy[p.dy_offset + y_row * p.dy_stride + track * p.units_{{ f }} + unit];
    }
{%- endif %}
{%- if ZONEOUT %}
    // The gradient of a kept value is the old one's, past the cell.
    let mask = reserve[drawn];
    let keeps = vec2<bool>(keeps_h(mask), keeps_c(mask));
    let past = select(vec2<f32>(), vec2<f32>(d, d_c), keeps);
    d = select(d, 0.0, keeps.x);
    d_c = select(d_c, 0.0, keeps.y);
{%- endif %}
    let gates = {{ phase.name }}_backward(&k, h, d, &d_h, &d_c);
{%- if ZONEOUT %}
    d_h += past.x;
    d_c += past.y;
{%- endif %}
{%- for i in range(phase.fields) %}
    reserve[at{{ " + %su * p.units_%s" | format(i, f) if i else "" }}] = k[{{ i }}];
{%- endfor %}
{%- if phase.carries_h %}
    dh[state * p.dh_stride + unit] = d_h;
{%- endif %}
{%- for i in range(phase.carried) %}
    dc[state * p.dc_stride + {{ i }}u * p.units_{{ f }} + unit] = d_c{{ "[%s]" | format(i) if phase.carried > 1 }};
{%- endfor %}
    return gates;
}
{% endfor %}
