{%- from "groups.wgsl" import begin_group -%}
{#- What `scan` and its backward half share: parameters, and where a lane's numbers lie. -#}

{%- macro scan_params() -%}
struct Params {
{% include "rows.wgsl" %}
    steps: u32,
    running: u32, // most sequences that take part: the grid
    h_stride: u32,
    c_stride: u32,
    y_stride: u32, // 0: no y
    y_offset: u32,
    source: u32, // column of the state before a step, where it is kept
    units: u32,
    part: u32,  // steps of a part
    parts: u32, // parts that run side by side
    rank: u32,  // first rank of this dispatch
}
{{ params }}
{%- endmacro -%}

{#- A lane has a unit of a sequence in a part of the steps of a track. -#}
{%- macro begin_lane() %}
    {{- begin_group("p.running", 1, "p.tracks * p.parts") }}
    let unit = group.x * {{ LANES }}u + lane;
    if (unit >= p.units) {
        return;
    }
    let rank = p.rank + group.y;
    let track = group.z % p.tracks;
    let part = group.z / p.tracks;
    let row = track * p.batch + map[p.order + rank];
    let rows = p.tracks * p.batch;
{%- endmacro -%}

{#- The gates' sums of a step, whose first row in the map is `first`. -#}
{%- macro gates(number) %}
        let at = track * p.x_track + (first - map[p.chunk] + rank) * p.x_stride;
        var g: array<f32, {{ SCAN.gates }}>;
{%- for i in range(SCAN.gates) %}
        g[{{ i }}] = {{ number | format("at + %su * p.units + unit" | format(i)) }};
{%- endfor %}
{%- endmacro -%}

{#- Where the carry has a part's total of a row, and the states that the first part begins with, or gradients the last. -#}
{%- macro total_at(part) %}2u * (({{ part }} * rows + row) * p.units + unit){% endmacro -%}
{%- macro state_at() %}(2u * p.parts * rows + row) * p.units + unit{% endmacro -%}
