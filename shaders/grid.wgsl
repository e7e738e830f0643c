{%- from "groups.wgsl" import begin_group, group_id -%}
{%- from "tile.wgsl" import unit_products -%}
// Many time steps in one dispatch, spread over many workgroups: each takes LANES units of ROWS sequences of a track.
//
// Workgroups hand values on through atomics: a value is its own flag, stored once into a slot that was 0 before (+0.0 is
// stored as -0.0), so that no order between two stores is needed. Nothing promises that workgroups run side by side: who
// waits too long raises word 0, all stop, and `settle` lets the dispatches that follow do the work anew. What is read at
// first is therefore never overwritten here.
{% include "recurrence.wgsl" %}

const WIDTH = {{ WIDTH }}u; // of a row that is multiplied, in workgroup memory
const POLLS = {{ POLLS }}u;
const HEAD = {{ HEAD }}u; // words before the slots
var<workgroup> rows: array<f32, {{ ROWS * WIDTH }}>;
var<workgroup> stopped: u32;
var<private> polls: u32;

fn sequence_of(rank: u32, running: u32) -> u32 {
    return map[p.order + min(rank, running - 1u)];
}

// A value of an exchange: of the state row in this layer, phase by phase.
fn slot_of(phase: u32, row: u32, column: u32) -> u32 {
    return HEAD + (phase * p.tracks * p.batch + row) * p.h_out_stride + column;
}

fn publish(at: u32, value: f32) {
    atomicStore(&exchange[at], select(bitcast<u32>(value), 0x80000000u, value == 0.0));
}

// Waits for a value; 0 after too long, or where somebody else has given up.
fn take(at: u32) -> f32 {
    loop {
        let bits = atomicLoad(&exchange[at]);
        if (bits != 0u) {
            polls = 0u;
            return bitcast<f32>(bits);
        }
        polls += 1u;
        if (polls > POLLS || atomicLoad(&exchange[0]) != 0u) {
            atomicStore(&exchange[0], 1u);
            break;
        }
    }
    return 0.0;
}

// The rows that a phase multiplies, brought together.
fn stage(track: u32, first: u32, lane: u32, running: u32, phase: u32, valid: u32) {
    for (var i = lane; i < {{ ROWS }}u * WIDTH; i += {{ LANES }}u) {
        let rank = first + i / WIDTH;
        let k = i % WIDTH;
        var value = 0.0;
        if (rank < running && k < valid) {
            let row = track * p.batch + sequence_of(rank, running);
            if (phase == 0u) {
                value = h_in[(p.h_in_row + row) * p.h_in_stride + k / 4u][k % 4u];
            } else {
                value = take(slot_of(phase - 1u, row, k));
            }
        }
        rows[i] = value;
    }
    if (lane == 0u) {
        stopped = atomicLoad(&exchange[0]);
    }
}
{% for phase in PHASES %}
{%- set f = loop.index0 %}
fn phase_{{ f }}(track: u32, first: u32, unit: u32, step: Step, at: u32) {
    let units = p.units_{{ f }};
    if (unit >= units) {
        return;
    }
    {{- unit_products(f, phase.gates, "rows", "0u") }}
    for (var r = 0u; r < min({{ ROWS }}u, step.running - first); r++) {
        let n = sequence_of(first + r, step.running);
        let value = finish_{{ f }}(track, first + r, n, unit, step, rows[r * WIDTH + unit], sums[r]);
        publish(slot_of(at, track * p.batch + n, unit), value);
    }
}
{% endfor %}
@compute @workgroup_size({{ LANES }})
fn main({{ group_id() }}, @builtin(local_invocation_index) lane: u32) {
    {{- begin_group("p.batch", ROWS, "p.tracks") }}
    let track = group.z;
    let first = group.y * {{ ROWS }}u;
    let unit = group.x * {{ LANES }}u + lane;
    hold_slots(track, first, unit);
    for (var s = 0u; s < p.steps; s++) {
        let step = step_at(s);
        if (step.running <= first) {
            break;
        }
{%- for phase in PHASES %}
        let at_{{ loop.index0 }} = s * {{ PHASES | length }}u + {{ loop.index0 }}u;
        stage(track, first, lane, step.running, at_{{ loop.index0 }}, p.units_{{ (loop.index0 + PHASES | length - 1) % PHASES | length }});
        workgroupBarrier();
        if (workgroupUniformLoad(&stopped) != 0u) {
            return;
        }
        phase_{{ loop.index0 }}(track, first, unit, step, at_{{ loop.index0 }});
        workgroupBarrier();
{%- endfor %}
    }
}

// The slots that pass from step to step, of all sequences, copied to where they may change.
fn hold_slots(track: u32, first: u32, unit: u32) {
{%- for phase in PHASES if phase.slots %}
    if (unit < p.units_{{ loop.index0 }}) {
        for (var r = 0u; r < min({{ ROWS }}u, p.batch - first); r++) {
            let row = track * p.batch + sequence_of(first + r, p.batch);
            for (var i = 0u; i < {{ phase.slots }}u; i++) {
                let column = i * p.units_{{ loop.index0 }} + unit;
                let value = aux[(p.state_row + row) * p.aux_stride + column];
                atomicStore(&exchange[held_at(row) + column], bitcast<u32>(value));
            }
        }
    }
{%- endfor %}
}

// Where the exchange holds a row's slots: behind all steps.
fn held_at(row: u32) -> u32 {
    return slot_of(p.steps * {{ PHASES | length }}u, 0u, 0u) + row * p.aux_stride;
}
