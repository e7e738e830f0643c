{%- from "groups.wgsl" import begin_group, group_id -%}
{%- from "tile.wgsl" import begin_sums, collect_sums, unit_products -%}
// Many time steps in one dispatch: a workgroup takes ROWS sequences of one track, with their state in its memory.
//
// With RESIDENT a lane has one unit, whose weights it keeps over all steps; SPREAD lanes share what they read of the state.
//
// Two copies of the state take turns, one read and one written in a phase, so one barrier a phase is enough. Scalars, not
// vectors: two lanes that store components of one vector may race.
{% include "recurrence.wgsl" %}

const WIDTH = {{ WIDTH }}u; // of a row of the state in workgroup memory
const COPY = {{ ROWS * WIDTH }}u;
var<workgroup> state: array<f32, {{ 2 * ROWS * WIDTH }}>;

fn sequence_of(rank: u32, running: u32) -> u32 {
    return map[p.order + min(rank, running - 1u)];
}
{% for phase in PHASES if not RESIDENT %}
{%- set f = loop.index0 %}
fn phase_{{ f }}(
    track: u32, first: u32, lane: u32, step: Step, now: u32,
) {
    let units = p.units_{{ f }};
    for (var unit = lane; unit < units; unit += {{ LANES }}u) {
        {{- unit_products(f, phase.gates, "state", "now * COPY") }}
        for (var r = 0u; r < min({{ ROWS }}u, step.running - first); r++) {
            let at = r * WIDTH + unit;
            state[(1u - now) * COPY + at] = finish_{{ f }}(
                track, first + r, sequence_of(first + r, step.running), unit, step, state[now * COPY + at], sums[r]);
        }
    }
}
{% endfor %}
@compute @workgroup_size({{ LANES }})
fn main(
    {{ group_id() }},
    @builtin(local_invocation_index) lane: u32,
{%- if SPREAD %}
    @builtin(subgroup_invocation_id) sublane: u32,
{%- endif %}
) {
    {{- begin_group("p.running", ROWS, "p.tracks") }}
    let track = group.z;
    let first = group.y * {{ ROWS }}u;
    let state_row = p.state_row + track * p.batch;
    let started = step_at(0u).running;
    if (started <= first) {
        return;
    }
    // The state with its padding, which is 0 in `h_in`, or made 0 here: products run over whole vectors.
    for (var i = lane; i < 2u * COPY; i += {{ LANES }}u) {
        let k = i % WIDTH;
        var value = 0.0;
        if (i < COPY && k < 4u * p.h_in_stride) {
            value = h_in[(p.h_in_row + track * p.batch + sequence_of(first + i / WIDTH, started)) * p.h_in_stride + k / 4u][k % 4u];
        }
        state[i] = value;
    }
{%- if RESIDENT %}
{%- set gates = PHASES[0].gates %}
    // Zeros beyond the last row.
    let columns = {{ gates }}u * p.units_0;
    let unit = min(lane, p.units_0 - 1u);
{%- for g in range(gates) %}
    let start{{ g }} = p.weights_0 + track * p.weights_track_0 + {{ g }}u * p.units_0 + unit;
    let bias{{ g }} = weights_bias(start{{ g }} + p.panels_0 * columns);
{%- for k in range(WIDTH // 4) %}
    let w{{ g }}_{{ k }} = select(vec4<f32>(), weights_at(start{{ g }} + min({{ k }}u, p.panels_0 - 1u) * columns), {{ k }}u < p.panels_0);
{%- endfor %}
{%- endfor %}
{%- endif %}
    workgroupBarrier();
    var now = 0u;
    for (var s = 0u; s < p.steps; s++) {
        let step = step_at(s);
        if (step.running <= first) {
            break;
        }
{%- if RESIDENT %}
        let at = now * COPY;
        {{- begin_sums(gates) }}
{%- for i in range(WIDTH // SPREAD) %}
{%- for r in range(ROWS) %}
        let held{{ r }}_{{ i }} = state[at + {{ r * WIDTH + i * SPREAD }}u + sublane % {{ SPREAD }}u];
{%- endfor %}
{%- for j in range(SPREAD) %}
{%- set k = i * SPREAD + j %}
{%- for r in range(ROWS) %}
        let h{{ r }}_{{ k }} = subgroupBroadcast(held{{ r }}_{{ i }}, {{ j }}u);
{%- for g in range(gates) %}
        s{{ r }}_{{ g }} = fma(h{{ r }}_{{ k }}, w{{ g }}_{{ k // 4 }}.{{ "xyzw"[k % 4] }}, s{{ r }}_{{ g }});
{%- endfor %}
{%- endfor %}
{%- endfor %}
{%- endfor %}
        {{- collect_sums(gates) }}
        for (var r = 0u; r < min({{ ROWS }}u, step.running - first); r++) {
            if (lane < p.units_0) {
                let own = r * WIDTH + lane;
                state[(1u - now) * COPY + own] = finish_0(
                    track, first + r, sequence_of(first + r, step.running), lane, step, state[at + own], sums[r]);
            }
        }
        workgroupBarrier();
        now = 1u - now;
{%- endif %}
{%- for phase in PHASES if not RESIDENT %}
        phase_{{ loop.index0 }}(track, first, lane, step, now);
        workgroupBarrier();
        now = 1u - now;
{%- endfor %}
    }
    // For the dispatch that goes on from here.
    for (var i = lane; i < COPY; i += {{ LANES }}u) {
        let rank = first + i / WIDTH;
        if (rank < started && i % WIDTH < p.h_out_stride) {
            h_out[(state_row + sequence_of(rank, started)) * p.h_out_stride + i % WIDTH] = state[now * COPY + i];
        }
    }
}
