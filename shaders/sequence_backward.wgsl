{%- from "groups.wgsl" import begin_group, group_id -%}
{%- from "tile.wgsl" import collect_sums, zero_sums -%}
// Many time steps backwards in one dispatch: a workgroup takes ROWS sequences of one track, with the gate gradients of
// the step after in its memory.
//
// Two copies take turns, as in `sequence`. A sequence that has not begun has zeros there.
{% include "backward.wgsl" %}

const WIDTH = {{ WIDTH }}u; // of a row in workgroup memory
const COPY = {{ ROWS * WIDTH }}u;
var<workgroup> state: array<f32, {{ 2 * ROWS * WIDTH }}>;

fn sequence_of(rank: u32, running: u32) -> u32 {
    return map[p.order + min(rank, running - 1u)];
}
{% for phase in PHASES %}
{%- set f = loop.index0 %}
fn phase_{{ f }}(track: u32, first: u32, lane: u32, step: Step, now: u32) {
    let units = p.units_{{ f }};
    let base = p.weights_{{ f }} + track * p.weights_track_{{ f }};
    for (var unit = lane; unit < units; unit += {{ LANES }}u) {
        {{- zero_sums(1) }}
        for (var k = 0u; k < p.panels_{{ f }}; k++) {
            let w = weights_at(base + k * units + unit);
{%- for r in range(ROWS) %}
            let at{{ r }} = now * COPY + {{ r }}u * WIDTH + 4u * k;
{%- for x in ["x", "y", "z", "w"] %}
            s{{ r }}_0 = fma(state[at{{ r }} + {{ loop.index0 }}u], w.{{ x }}, s{{ r }}_0);
{%- endfor %}
{%- endfor %}
        }
        {{- collect_sums(1) }}
        for (var r = 0u; r < min({{ ROWS }}u, step.running - first); r++) {
            let gates = finish_{{ f }}(
                track, first + r, sequence_of(first + r, step.running), unit, step, sums[r][0]);
            let at = (1u - now) * COPY + r * WIDTH + unit;
{%- for g in range(phase.gates) %}
            state[at + {{ g }}u * units] = gates[{{ g }}];
{%- endfor %}
        }
    }
}
{% endfor %}
@compute @workgroup_size({{ LANES }})
fn main({{ group_id() }}, @builtin(local_invocation_index) lane: u32) {
    {{- begin_group("p.running", ROWS, "p.tracks") }}
    let track = group.z;
    let first = group.y * {{ ROWS }}u;
    let state_row = p.state_row + track * p.batch;
    // The first step has the most sequences.
    let started = step_at(0u).running;
    if (started <= first) {
        return;
    }
    for (var i = lane; i < 2u * COPY; i += {{ LANES }}u) {
        let k = i % WIDTH;
        var value = 0.0;
        if (i < COPY && k < 4u * p.d_in_stride) {
            value = d_in[(p.d_in_row + track * p.batch + sequence_of(first + i / WIDTH, started)) * p.d_in_stride + k / 4u][k % 4u];
        }
        state[i] = value;
    }
    workgroupBarrier();
    var now = 0u;
    for (var s = p.steps; s > 0u; s--) {
        let step = step_at(s - 1u);
        if (step.running <= first) {
            continue;
        }
{%- for phase in PHASES | reverse %}
        phase_{{ loop.revindex0 }}(track, first, lane, step, now);
        workgroupBarrier();
        now = 1u - now;
{%- endfor %}
    }
    for (var i = lane; i < COPY; i += {{ LANES }}u) {
        let rank = first + i / WIDTH;
        if (rank < started && i % WIDTH < p.d_out_stride) {
            d_out[(state_row + sequence_of(rank, started)) * p.d_out_stride + i % WIDTH] = state[now * COPY + i];
        }
    }
}
