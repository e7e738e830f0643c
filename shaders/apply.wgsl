// out[m, j] = f(x[m, j]), or with MAGNITUDE √(x[m, j]² + x[m, columns + j]²): of a complex number's two parts.

struct Params {
    rows: u32,
    columns: u32,
    x_offset: u32,
    x_row: u32,
    out_offset: u32,
    out_row: u32,
    row_lanes: u32, // lanes in a row of the grid: longer arrays wrap into grid y
}
{{ params }}

@group(0) @binding(0) var<storage, read> x: array<f32>;         // [rows, columns], strided; MAGNITUDE: [rows, 2 · columns]
@group(0) @binding(1) var<storage, read_write> out: array<f32>; // [rows, columns], strided

{% include "math.wgsl" %}
{% include "activations.wgsl" %}
@compute @workgroup_size({{ LANES }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.y * p.row_lanes + id.x;
    if (i >= p.rows * p.columns) {
        return;
    }
    let m = i / p.columns;
    let j = i % p.columns;
    let at = p.x_offset + m * p.x_row + j;
{%- if FUNCTION %}
    let value = {{ FUNCTION.name }}(x[at]{{ FUNCTION.constants }});
{%- else %}
    let value = sqrt(x[at] * x[at] + x[at + p.columns] * x[at + p.columns]);
{%- endif %}
    out[p.out_offset + m * p.out_row + j] = value;
}
