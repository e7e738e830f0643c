{%- from "groups.wgsl" import begin_group -%}
{%- from "tile.wgsl" import begin_part, begin_sums, invocation, part_memory, row_products -%}
// One wave through a stack of layers of one track: each layer takes the step after which the layer below already is,
// all in one dispatch: layer l at step s - l. The lowest layer's input part was made before, the others' is made here.
//
// A lane owns UNITS units, LANES apart, with all their gates, of ROWS sequences of a layer. What in other kernels counts
// tracks counts layers here. The weights are those of the layers in turn, W before R; the lowest layer's are R alone.
{% include "recurrence.wgsl" %}
{%- set phase = PHASES[0] %}
{%- set columns = UNITS * phase.gates %}
{{- part_memory(columns) }}

alias Sums = array<array<f32, {{ columns }}>, {{ ROWS }}>;

fn sequence_of(rank: u32, running: u32) -> u32 {
    return map[p.order + min(rank, running - 1u)];
}

// The rows of one layer's states times the packed matrix that begins with vector `base`.
fn products(base: u32, layer: u32, first: u32, running: u32, unit: u32, lane: u32, part: u32{{ ", sublane: u32" if SPREAD }}) -> Sums {
    let units = p.units_0;
    let columns = {{ phase.gates }}u * units;
    let h_row = p.h_in_row + layer * p.batch;
{%- for u in range(UNITS) %}
{%- for g in range(phase.gates) %}
{%- set c = u * phase.gates + g %}
    let from{{ c }} = base + {{ g }}u * units + min(unit + {{ u * LANES }}u, units - 1u);
    let bias{{ c }} = weights_bias(from{{ c }} + p.panels_0 * columns);
{%- endfor %}
{%- endfor %}
    {{- begin_sums(columns) }}
    {{- row_products("h_in", "h_row", "p.h_in_stride", "running", "p.panels_0", "columns", columns) }}
    return sums;
}

@compute @workgroup_size({{ LANES * SPLIT }})
fn main({{ invocation() }}
) {
    {{- begin_part() }}
    {{- begin_group("p.running", ROWS, "p.tracks") }}
    let layer = p.layer + group.z;
    // Each layer is a step behind the one below.
    let step = step_at(p.layer - layer);
    let first = group.y * {{ ROWS }}u;
    if (first >= step.running) {
        return;
    }
    let unit = group.x * {{ LANES * UNITS }}u + lane;
    let base = p.weights_0 + 2u * layer * p.weights_track_0;
    var inputs: Sums;
    if (layer > 0u) {
        inputs = products(base - p.weights_track_0, layer - 1u, first, step.running, unit, lane, part{{ ", sublane" if SPREAD }});
    }
    var sums = products(base, layer, first, step.running, unit, lane, part{{ ", sublane" if SPREAD }});
    for (var r = part; r < min({{ ROWS }}u, step.running - first); r += {{ SPLIT }}u) {
        let n = sequence_of(first + r, step.running);
{%- for u in range(UNITS) %}
        if (unit + {{ u * LANES }}u < p.units_0) {
            finish(layer, first + r, n, unit + {{ u * LANES }}u, step,
                array<f32, {{ phase.gates }}>({% for g in range(phase.gates) %}inputs[r][{{ u * phase.gates + g }}], {% endfor %}),
                array<f32, {{ phase.gates }}>({% for g in range(phase.gates) %}sums[r][{{ u * phase.gates + g }}], {% endfor %}));
        }
{%- endfor %}
    }
}

fn finish(
    layer: u32, rank: u32, n: u32, unit: u32, step: Step, input: array<f32, {{ phase.gates }}>, r: array<f32, {{ phase.gates }}>,
) {
    var g = input;
    if (layer == 0u) {
        let at = (step.x_row + rank) * p.x_stride + p.gate_0 + unit;
{%- for i in range(phase.gates) %}
        g[{{ i }}] = x_at(at + {{ i }}u * p.units_0);
{%- endfor %}
    }
{%- if phase.hidden %}
    let h = h_in[(p.h_in_row + layer * p.batch + n) * p.h_in_stride + min(unit / 4u, p.h_in_stride - 1u)][unit % 4u];
{%- else %}
    let h = 0.0;
{%- endif %}
    h_out[(p.state_row + layer * p.batch + n) * p.h_out_stride + unit] = finish_0(layer, rank, n, unit, step, h, r, g);
}
