{%- from "groups.wgsl" import begin_group, group_id -%}
{%- from "tile.wgsl" import begin_part, begin_sums, invocation, part_memory, row_products -%}
// One phase of one time step, all tracks: h·Rᵀ + b, the gates, and the new state, in one dispatch.
//
// A lane owns UNITS units, LANES apart, with all their gates, of ROWS sequences.
{% include "recurrence.wgsl" %}
{%- set phase = PHASES[PHASE] %}
{%- set columns = UNITS * phase.gates %}
fn sequence_of(rank: u32, running: u32) -> u32 {
    return map[p.order + min(rank, running - 1u)];
}

{% if EDGE %}{% include "step_cooperative.wgsl" %}{% else %}
{{- part_memory(columns) }}

@compute @workgroup_size({{ LANES * SPLIT }})
fn main({{ invocation() }}
) {
    {{- begin_part() }}
    {{- begin_group("p.running", ROWS, "p.tracks") }}
    let step = step_at(0u);
    let track = group.z;
    let first = group.y * {{ ROWS }}u;
    if (first >= step.running) {
        return;
    }
    let units = p.units_{{ PHASE }};
    let panels = p.panels_{{ PHASE }};
    let columns = {{ phase.gates }}u * units;
    let h_row = p.h_in_row + track * p.batch;
    let base = p.weights_{{ PHASE }} + track * p.weights_track_{{ PHASE }};
{%- for u in range(UNITS) %}
    let unit{{ u }} = group.x * {{ LANES * UNITS }}u + {{ u * LANES }}u + lane;
{%- for g in range(phase.gates) %}
{%- set c = u * phase.gates + g %}
    let from{{ c }} = base + {{ g }}u * units + min(unit{{ u }}, units - 1u);
    let bias{{ c }} = weights_bias(from{{ c }} + panels * columns);
{%- endfor %}
{%- endfor %}
    {{- begin_sums(columns) }}
    {{- row_products("h_in", "h_row", "p.h_in_stride", "step.running", "panels", "columns", columns) }}
    for (var r = part; r < min({{ ROWS }}u, step.running - first); r += {{ SPLIT }}u) {
        let n = sequence_of(first + r, step.running);
{%- for u in range(UNITS) %}
        if (unit{{ u }} < units) {
            finish(track, first + r, n, unit{{ u }}, step, array<f32, {{ phase.gates }}>(
{%- for g in range(phase.gates) %}sums[r][{{ u * phase.gates + g }}], {% endfor %}));
        }
{%- endfor %}
    }
}
{% endif %}
fn finish(track: u32, rank: u32, n: u32, unit: u32, step: Step, r: array<f32, {{ phase.gates }}>) {
    let state = p.state_row + track * p.batch + n;
{%- if phase.hidden or KEEP and PHASE == 0 %}
    let vector = min(unit / 4u, p.h_in_stride - 1u);
    let h = h_in[(p.h_in_row + track * p.batch + n) * p.h_in_stride + vector][unit % 4u];
{%- else %}
    let h = 0.0;
{%- endif %}
    h_out[state * p.h_out_stride + unit] = finish_{{ PHASE }}(track, rank, n, unit, step, h, r);
}
