// What training of a layer draws, into the rows of its reserve: of each row and unit a weight where a random word is below a
// threshold, plus 2 where a second word is below another one.
//
// Zoneout: 1 where h keeps its old value, plus 2 where c does; the counter is the unit's place in the layer's output.
// Recurrent dropout: 1 / (1 - p) or 0; the counter is the unit's place among the layer's states, the same at all steps.

struct Params {
    rows: u32, // of a track, at most
    units: u32,
    tracks: u32,
    out_offset: u32, // column of the masks
    out_row: u32,
    out_track: u32,
    map_track: u32,
    first: u32, // where `map` has the first row of these steps,
    end: u32,   // and the first one after them
    divisor: u32, // a row of the output divided by this,
    modulus: u32, // modulo this,
    counter_row: u32, // counts so much
    counter_track: u32,
    threshold: u32, // of 2³²: how likely the first word adds
    weight: u32,    // these bits
    threshold_2: u32,
    stream: u32, // one for each layer of a model
    row_lanes: u32, // lanes in a row of the grid: longer arrays wrap into grid y
}
{{ params }}
{% include "threefry.wgsl" %}

@group(0) @binding(0) var<storage, read> seed: array<u32>;      // seed, step
@group(0) @binding(1) var<storage, read> map: array<u32>;       // rows of y [D, rows]; order [N]; offsets [T + 2]
@group(0) @binding(2) var<storage, read_write> out: array<f32>; // [D, rows, out_row], the reserve

@compute @workgroup_size({{ LANES }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.y * p.row_lanes + id.x;
    let track = id.z;
    let row = i / p.units;
    let unit = i % p.units;
    let first = map[p.first];
    if (row >= min(p.rows, map[p.end] - first)) {
        return;
    }
    let image = map[track * p.map_track + first + row];
    let counter = track * p.counter_track + image / p.divisor % p.modulus * p.counter_row + unit;
    let words = random(vec2<u32>(counter, p.stream), vec2<u32>(seed[0], seed[1]));
    let mask = select(0.0, bitcast<f32>(p.weight), words.x < p.threshold) + select(0.0, 2.0, words.y < p.threshold_2);
    out[p.out_offset + track * p.out_track + row * p.out_row + unit] = mask;
}
