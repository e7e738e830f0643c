{#- A lane takes COLUMNS columns a loop trip: drivers are known that end long loops. -#}
{%- from "groups.wgsl" import begin_group_of, group_id -%}
// out[m] = the column of the largest element of row m; the first of equals; the first NaN if there is one.
//
// A workgroup takes a row: each lane its best of every LANES-th column, then the lanes' best in pairs.

struct Params {
    m: u32,
    columns: u32,
    values_offset: u32,
    values_row: u32,
    out_offset: u32,
}
{{ params }}
{% include "math.wgsl" %}

@group(0) @binding(0) var<storage, read> values: array<f32>;    // [m, columns], strided
@group(0) @binding(1) var<storage, read_write> out: array<u32>; // [m]

var<workgroup> best_value: array<f32, {{ LANES }}>;
var<workgroup> best_column: array<u32, {{ LANES }}>;

// Whether (x, at column i) comes before (y, at column j).
fn better(x: f32, i: u32, y: f32, j: u32) -> bool {
    if (is_nan(x) || is_nan(y)) {
        return is_nan(x) && (!is_nan(y) || i < j);
    }
    return x > y || (x == y && i < j);
}

@compute @workgroup_size({{ LANES }})
fn main({{ group_id() }}, @builtin(local_invocation_index) lane: u32) {
    {{- begin_group_of("p.m") }}
    let row = p.values_offset + group.x * p.values_row;
    // A lane without a column repeats the first one, which changes nothing.
    var column = select(0u, lane, lane < p.columns);
    var value = values[row + column];
    for (var j = lane + {{ LANES }}u; j < p.columns; j += {{ LANES * COLUMNS }}u) {
        let x = values[row + j];
        if (better(x, j, value, column)) {
            value = x;
            column = j;
        }
{%- for i in range(1, COLUMNS) %}
        if (j + {{ i * LANES }}u < p.columns) {
            let next = values[row + j + {{ i * LANES }}u];
            if (better(next, j + {{ i * LANES }}u, value, column)) {
                value = next;
                column = j + {{ i * LANES }}u;
            }
        }
{%- endfor %}
    }
    best_value[lane] = value;
    best_column[lane] = column;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            let other = lane + half;
            if (better(best_value[other], best_column[other], best_value[lane], best_column[lane])) {
                best_value[lane] = best_value[other];
                best_column[lane] = best_column[other];
            }
        }
        workgroupBarrier();
    }
    if (lane == 0u) {
        out[p.out_offset + group.x] = best_column[0];
    }
}
