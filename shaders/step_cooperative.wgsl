{#- `step` by units for small matrices: a workgroup has all gates of UNITS units of ROWS sequences. -#}
{%- set COLUMNS = UNITS * phase.gates %}
struct Operands {
    panels: u32,
    track: u32,
    running: u32,
    first: u32,   // rank of the workgroup
    unit: u32,    // of the workgroup
}

{% include "half.wgsl" %}
{% include "cooperative.wgsl" %}

fn left_vector(by: Operands, row: u32, k: u32) -> vec4<f32> {
    let state = p.h_in_row + by.track * p.batch + sequence_of(by.first + row, by.running);
    return h_in[state * p.h_in_stride + k];
}

// Columns lie gate by gate.
fn column_of(by: Operands, column: u32) -> u32 {
    let units = p.units_{{ PHASE }};
    let base = p.weights_{{ PHASE }} + by.track * p.weights_track_{{ PHASE }};
    return base + column / {{ UNITS }}u * units + min(by.unit + column % {{ UNITS }}u, units - 1u);
}

fn right_vector(by: Operands, column: u32, k: u32) -> vec4<f32> {
    return weights_at(column_of(by, column) + k * {{ phase.gates }}u * p.units_{{ PHASE }});
}

@compute @workgroup_size({{ LANES }})
fn main(
    {{ group_id() }},
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    {{- begin_group("p.running", ROWS, "p.tracks") }}
    let step = step_at(0u);
    let first = group.y * {{ ROWS }}u;
    if (first >= step.running) {
        return;
    }
    let by = Operands(p.panels_{{ PHASE }}, group.z, step.running, first, group.x * {{ UNITS }}u);
    multiply(by, lane, subgroup);
    let side = lane % {{ UNITS }}u;
    let unit = by.unit + side;
    if (unit >= p.units_{{ PHASE }}) {
        return;
    }
{%- for g in range(phase.gates) %}
    let bias{{ g }} = weights_bias(column_of(by, {{ g * UNITS }}u + side) + by.panels * {{ phase.gates }}u * p.units_{{ PHASE }});
{%- endfor %}
    for (var r = lane / {{ UNITS }}u; r < min({{ ROWS }}u, step.running - first); r += {{ LANES // UNITS }}u) {
        let n = sequence_of(first + r, step.running);
        finish(by.track, first + r, n, unit, step, array<f32, {{ phase.gates }}>(
{%- for g in range(phase.gates) %}products[r * {{ COLUMNS }}u + {{ g * UNITS }}u + side] + bias{{ g }}, {% endfor %}));
    }
}
