// table[index[m], j] += values[m, j]: the gradient of an embedding. An index beyond the table is left out.
//
// A lane takes a row m and a column, and adds up all rows with this index if it is the first of them, along the list that
// `links` made: no two lanes write one element of the table, and sums run in one order.

struct Params {
    start: u32, // rows of this dispatch: from this one
    end: u32,   // to before this one
    columns: u32,
    table_rows: u32,
    values_offset: u32,
    values_row: u32,
    index_offset: u32,
    table_offset: u32,
    row_groups: u32, // workgroups in a row of the grid
}
{{ params }}

@group(0) @binding(0) var<storage, read> values: array<f32>;      // [m, columns], strided
@group(0) @binding(1) var<storage, read> index: array<u32>;       // [m]
@group(0) @binding(2) var<storage, read> links: array<u32>;       // [m]
@group(0) @binding(3) var<storage, read_write> table: array<f32>; // [table_rows, columns]

@compute @workgroup_size({{ LANES }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let m = p.start + group.y * p.row_groups + group.x;
    let j = group.z * {{ LANES }}u + lane;
    if (m >= p.end || j >= p.columns || links[m] >= 0x80000000u) {
        return;
    }
    let row = index[p.index_offset + m];
    if (row >= p.table_rows) {
        return;
    }
    var sum = 0.0;
    for (var i = m; i < p.end; i = links[i] & 0x7fffffffu) {
        sum += values[p.values_offset + i * p.values_row + j];
    }
    table[p.table_offset + row * p.columns + j] += sum;
}
