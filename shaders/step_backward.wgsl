{%- from "groups.wgsl" import begin_group -%}
{%- from "tile.wgsl" import begin_part, invocation, part_memory, row_products, zero_sums -%}
// One phase of one time step backwards, all tracks: the product with R (transposed) and the cell's derivative, in one
// dispatch.
//
// A lane owns UNITS units, LANES apart, of ROWS sequences.
{% include "backward.wgsl" %}
{%- set phase = PHASES[PHASE] %}
fn sequence_of(rank: u32, running: u32) -> u32 {
    return map[p.order + min(rank, running - 1u)];
}

{{- part_memory(UNITS) }}

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
    let state_row = p.state_row + track * p.batch;
    let d_row = p.d_in_row + track * p.batch;
    let base = p.weights_{{ PHASE }} + track * p.weights_track_{{ PHASE }};
{%- for u in range(UNITS) %}
    let unit{{ u }} = group.x * {{ LANES * UNITS }}u + {{ u * LANES }}u + lane;
    let from{{ u }} = base + min(unit{{ u }}, units - 1u);
{%- endfor %}
    {{- zero_sums(UNITS) }}
    {{- row_products("d_in", "d_row", "p.d_in_stride", "step.running", "p.panels_%s" | format(PHASE), "units", UNITS) }}
    for (var r = part; r < min({{ ROWS }}u, step.running - first); r += {{ SPLIT }}u) {
        let n = sequence_of(first + r, step.running);
        let out = (state_row + n) * p.d_out_stride;
{%- for u in range(UNITS) %}
        if (unit{{ u }} < units) {
            let gates = finish_{{ PHASE }}(track, first + r, n, unit{{ u }}, step, sums[r][{{ u }}]);
{%- for g in range(phase.gates) %}
            d_out[out + {{ g }}u * units + unit{{ u }}] = gates[{{ g }}];
{%- endfor %}
        }
{%- endfor %}
    }
}
