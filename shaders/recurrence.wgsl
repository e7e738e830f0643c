{%- from "operands.wgsl" import matrix, rows -%}
{#- What `step` and `sequence` share: bindings, and the cell's end of a step for each of its phases.

A phase is one recurrent product and the gates that follow it. Most cells have one. Ranks number the sequences of a batch
by falling length, so that those still running at a step are the first `running` of them; all rows of a step lie together,
ranks in order, and `map` says where each belongs in the caller's arrays.

With KEEP, a row of `x` becomes the reserve of a row: what the backward pass needs takes the place of the gates' input
part, and the vectors that were multiplied follow it.

With ZONEOUT or DROPOUT, which have one phase, masks lie behind those: what zoneout drew, as `zoneout.wgsl` reads it; or by
what h is multiplied before R. Then what steps hand on is masked, and the h without its mask is in `h_final`. -#}
{%- set MASKED = DROPOUT and KEEP -%}
struct Params {
{% include "rows.wgsl" %}
    steps: u32,   // `sequence` only
    running: u32, // most sequences that take part: the grid
    h_in_row: u32, // first row of this layer in `h_in`
    h_in_stride: u32, // in vectors
    h_out_stride: u32,
    final_stride: u32,
    y_stride: u32, // 0: no y wanted
    y_offset: u32,
    aux_stride: u32,
    source: u32,  // KEEP: column of the old h
    between: u32, // KEEP: column of what the first phase gives to the second
    units_0: u32,
    panels_0: u32,
    weights_0: u32,           // in vectors
    weights_track_0: u32, // in vectors
    gate_0: u32,              // first column of this phase in `x`
    units_1: u32,
    panels_1: u32,
    weights_1: u32,
    weights_track_1: u32,
    gate_1: u32,
    layer: u32, // `wave`: the lowest of its layers,
    last: u32,  // and the topmost of the stack
}
{{ params }}

// [D, rows, G·H], x·Wᵀ + b; KEEP: the reserve; NARROW: in halves.
@group(0) @binding(0) var<storage, read_write> x: array<{{ "u32" if NARROW else "f32" }}>;
// Each phase: [D, panels + 1, gates · units], packed; after the first one's, those of peepholes: [D, 1, gates · units].
{{ matrix(1, "weights") }}
@group(0) @binding(2) var<storage, read> map: array<u32>;            // rows of y [D, rows]; order [N]; offsets [T + 2]
// [L·D·N, h_in_stride], or those of this layer.
{{ rows(3, "h_in") }}
{%- if EXCHANGE %}
@group(0) @binding(4) var<storage, read_write> exchange: array<atomic<u32>>; // `grid`: what workgroups hand on
{%- else %}
@group(0) @binding(4) var<storage, read_write> h_out: array<f32>;    // [L·D·N, h_out_stride]
{%- endif %}
@group(0) @binding(5) var<storage, read_write> aux: array<f32>;      // [L·D·N, slots · units]
@group(0) @binding(6) var<storage, read_write> y: array<f32>;        // [T·N, D·H]
@group(0) @binding(7) var<storage, read_write> h_final: array<f32>;  // [L·D·N, final_stride]

{% include "math.wgsl" %}{% if ZONEOUT and KEEP %}
{% include "zoneout.wgsl" %}{% endif %}{% if GENERAL %}
{% include "activations.wgsl" %}{% endif %}

// A step's rows: the first of them, and how many sequences take part in it and in the next step.
struct Step {
    row: u32,
    x_row: u32, // of those that `x` holds
    running: u32,
    next_running: u32,
}

fn x_at(at: u32) -> f32 {
    return {{ "unpack2x16float(x[at / 2u])[at % 2u]" if NARROW else "x[at]" }};
}

fn step_at(s: u32) -> Step {
    let row = map[p.offsets + s];
    let next = map[p.offsets + s + 1u];
    return Step(row, row - map[p.chunk], next - row, map[p.offsets + s + 2u] - next);
}
{% for phase in PHASES %}
{% include phase.file %}
{%- set f = loop.index0 %}
{%- set is_last = loop.last %}

// Ends a step for one unit of one sequence: gates, slots and, in the last phase, the outputs.
fn finish_{{ f }}(
    track: u32, rank: u32, n: u32, unit: u32, step: Step, h: f32, r: array<f32, {{ phase.gates }}>,
{%- if WAVE %}
    g: array<f32, {{ phase.gates }}>,
{%- endif %}
) -> f32 {
{%- if not WAVE %}
    var g: array<f32, {{ phase.gates }}>;
{%- endif %}
    var kept: array<f32, {{ phase.kept or 1 }}>;
{%- if (phase.input or KEEP) and not WAVE %}
    let row = track * p.x_track + (step.x_row + rank) * p.x_stride;
{%- endif %}
{%- if phase.input and not WAVE %}
    let at = row + p.gate_{{ f }} + unit;
{%- for i in range(phase.gates) %}
    g[{{ i }}] = x_at(at{{ " + %su * p.units_%s" | format(i, f) if i else "" }});
{%- endfor %}
{%- endif %}
    let state = p.state_row + track * p.batch + n;
    var slots: array<f32, {{ phase.slots or 1 }}>;
{%- if phase.slots %}
    let slot = {{ "held_at(track * p.batch + n)" if EXCHANGE else "state * p.aux_stride" }} + unit;
{%- for i in range(phase.slots) %}
{%- if EXCHANGE %}
    slots[{{ i }}] = bitcast<f32>(atomicLoad(&exchange[slot + {{ i }}u * p.units_{{ f }}]));
{%- else %}
    slots[{{ i }}] = aux[slot + {{ i }}u * p.units_{{ f }}];
{%- endif %}
{%- endfor %}
{%- endif %}
{%- if phase.peepholes %}
    let peepholes = p.weights_{{ f }} + p.tracks * p.weights_track_{{ f }} + track * {{ phase.gates }}u * p.units_{{ f }} + unit;
    let seen = array<f32, {{ phase.gates }}>(
{%- for i in range(phase.gates) %}weights_bias(peepholes + {{ i }}u * p.units_{{ f }}), {% endfor -%}
    );
{%- endif %}
{%- if KEEP and (ZONEOUT or DROPOUT) %}
    let drawn = row + p.source + p.units_{{ f }} + unit;
{%- endif %}
{%- if MASKED and UNMASKED %}
    let unmasked = h_final[state * p.final_stride + unit];
    x[drawn + p.units_{{ f }}] = unmasked;
{%- endif %}
{%- if ZONEOUT and phase.slots %}
    let old = slots[0];
{%- endif %}
    {{ "var" if ZONEOUT else "let" }} value = {{ phase.name }}(g, r, {{ "unmasked" if MASKED and UNMASKED else "h" }}, {{ "seen, " if phase.peepholes }}&slots, &kept);
{%- if ZONEOUT and KEEP %}
    let mask = x[drawn];
    value = select(value, h, keeps_h(mask));
{%- if phase.slots %}
    slots[0] = select(slots[0], old, keeps_c(mask));
{%- endif %}
{%- elif ZONEOUT %}
    value = {{ ZONEOUT[0][0] }} * h + {{ ZONEOUT[0][1] }} * value;
{%- if phase.slots %}
    slots[0] = {{ ZONEOUT[1][0] }} * old + {{ ZONEOUT[1][1] }} * slots[0];
{%- endif %}
{%- endif %}
{%- for i in range(phase.slots) %}
{%- if EXCHANGE %}
    atomicStore(&exchange[slot + {{ i }}u * p.units_{{ f }}], bitcast<u32>(slots[{{ i }}]));
{%- else %}
    aux[slot + {{ i }}u * p.units_{{ f }}] = slots[{{ i }}];
{%- endif %}
{%- endfor %}
{%- if KEEP %}
{%- for i in range(phase.kept) %}
    x[at + {{ i }}u * p.units_{{ f }}] = kept[{{ i }}];
{%- endfor %}
{%- if f == 0 %}
    if (unit < p.units_{{ PHASES | length - 1 }}) {
        x[row + p.source + unit] = h;
    }
{%- endif %}
{%- if not is_last %}
    x[row + p.between + unit] = value;
{%- endif %}
{%- endif %}
{%- if is_last %}
{%- if WAVE %}
    if (p.y_stride != 0u && track == p.last) {
        y[p.y_offset + map[step.row + rank] * p.y_stride + unit] = value;
    }
{%- else %}
    if (p.y_stride != 0u) {
        let y_row = map[step.row + track * p.map_track + rank];
        y[p.y_offset + y_row * p.y_stride + track * p.units_{{ f }} + unit] = value;
    }
{%- endif %}
{%- if MASKED %}
    h_final[state * p.final_stride + unit] = value;
{%- else %}
    if (rank >= step.next_running) {
        h_final[state * p.final_stride + unit] = value;
    }
{%- endif %}
{%- endif %}
    return value{{ " * x[drawn]" if MASKED }};
}
{% endfor %}
