// out[m, j] (+)= table[index[m], j], or row m itself where there is no index: embedding lookup, strided copies and sums.
// An index beyond the table gives NaN, never another row.

struct Params {
    m: u32,
    columns: u32,
    table_rows: u32,
    table_offset: u32,
    table_row: u32,
    indexed: u32,
    index_offset: u32,
    out_offset: u32,
    out_row: u32,
    nan: u32, // the bits of NaN: WGSL has no literal for it
    accumulate: u32,
    row_lanes: u32, // lanes in a row of the grid: longer arrays wrap into grid y
}
{{ params }}

@group(0) @binding(0) var<storage, read> table: array<f32>;     // [table_rows, columns], strided
@group(0) @binding(1) var<storage, read> index: array<u32>;     // [m]
@group(0) @binding(2) var<storage, read_write> out: array<f32>; // [m, columns], strided

@compute @workgroup_size({{ LANES }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.y * p.row_lanes + id.x;
    if (at >= p.m * p.columns) {
        return;
    }
    let m = at / p.columns;
    let j = at % p.columns;
    var row = m;
    if (p.indexed != 0u) {
        row = index[p.index_offset + m];
    }
    var value = bitcast<f32>(p.nan);
    if (row < p.table_rows) {
        value = table[p.table_offset + row * p.table_row + j];
    }
    let place = p.out_offset + m * p.out_row + j;
    if (p.accumulate != 0u) {
        value += out[place];
    }
    out[place] = value;
}
