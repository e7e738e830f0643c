// After a `grid` that went through: its last states to where the next steps look for them, and no work for the dispatches
// that stand by. After one that was stopped: all of it for them, by the true map.
struct Params {
    rows: u32, // of states: tracks · batch
    state_row: u32,
    h_width: u32,
    exchange_width: u32, // of a row of the exchange
    h_at: u32,  // first word of the last states in the exchange
    aux_stride: u32,
    aux_at: u32,
    map_words: u32,
    row_lanes: u32,
}
{{ params }}

@group(0) @binding(0) var<storage, read> exchange: array<u32>;
@group(0) @binding(1) var<storage, read> map: array<u32>;
@group(0) @binding(2) var<storage, read_write> guarded: array<u32>; // [map_words]: the map, or zeros
@group(0) @binding(3) var<storage, read_write> h_out: array<f32>;   // [L·D·N, h_width]
@group(0) @binding(4) var<storage, read_write> aux: array<f32>;     // [L·D·N, aux_stride]

@compute @workgroup_size({{ LANES }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.y * p.row_lanes + id.x;
    let stopped = exchange[0] != 0u;
    if (i < p.map_words) {
        guarded[i] = select(0u, map[i], stopped);
    }
    if (stopped) {
        return;
    }
    if (i < p.rows * p.exchange_width && i % p.exchange_width < p.h_width) {
        h_out[(p.state_row + i / p.exchange_width) * p.h_width + i % p.exchange_width] = bitcast<f32>(exchange[p.h_at + i]);
    }
    if (i < p.rows * p.aux_stride) {
        aux[p.state_row * p.aux_stride + i] = bitcast<f32>(exchange[p.aux_at + i]);
    }
}
