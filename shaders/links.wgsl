// out[m] = the next row with the same index, or the end where there is none; its highest bit tells that there was one
// before. Lists of equal indices, for `scatter_add` to follow.
//
// A lane takes a row, and looks forwards and backwards until it finds one.

struct Params {
    start: u32, // rows of this dispatch: from this one
    end: u32,   // to before this one
    index_offset: u32,
    row_lanes: u32, // lanes in a row of the grid: longer arrays wrap into grid y
}
{{ params }}

@group(0) @binding(0) var<storage, read> index: array<u32>;     // [m]
@group(0) @binding(1) var<storage, read_write> out: array<u32>; // [m]

@compute @workgroup_size({{ LANES }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let m = p.start + id.y * p.row_lanes + id.x;
    if (m >= p.end) {
        return;
    }
    let row = index[p.index_offset + m];
    var next = m + 1u;
    while (next < p.end && index[p.index_offset + next] != row) {
        next++;
    }
    var before = m;
    while (before > p.start && index[p.index_offset + before - 1u] != row) {
        before--;
    }
    out[m] = next | select(0u, 0x80000000u, before > p.start);
}
