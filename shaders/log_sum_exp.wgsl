// out[m] = log Σj exp(x[m, j]). NaN where a number of the row is NaN or +∞, or all are −∞.
//
// A workgroup takes a row.

struct Params {
    m: u32,
    columns: u32,
    x_offset: u32,
    nan: u32,        // the bits of NaN: WGSL has no literal for it
    row_groups: u32, // workgroups in a row of the grid
}
{{ params }}

@group(0) @binding(0) var<storage, read> x: array<f32>;         // [m, columns]
@group(0) @binding(1) var<storage, read_write> out: array<f32>; // [m]

var<workgroup> shared_: array<f32, {{ LANES }}>;

@compute @workgroup_size({{ LANES }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let m = group.y * p.row_groups + group.x;
    if (m >= p.m) {
        return;
    }
    let row = p.x_offset + m * p.columns;
    // Below what counts as 0, so that a row of −∞ is told from others.
    var largest = -3.0e38;
    var spoilt = false;
    for (var j = lane; j < p.columns; j += {{ LANES }}u) {
        let value = x[row + j];
        let bits = bitcast<u32>(value);
        spoilt = spoilt || (bits & 0x7fffffffu) > 0x7f800000u || bits == 0x7f800000u;
        largest = max(largest, select(value, -3.0e38, bits == 0xff800000u));
    }
    shared_[lane] = largest;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            shared_[lane] = max(shared_[lane], shared_[lane + half]);
        }
        workgroupBarrier();
    }
    largest = shared_[0];
    workgroupBarrier();
    var sum = 0.0;
    for (var j = lane; j < p.columns; j += {{ LANES }}u) {
        sum += exp(clamp(x[row + j] - largest, -87.0, 0.0));
    }
    shared_[lane] = select(sum, bitcast<f32>(p.nan), spoilt);
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            shared_[lane] += shared_[lane + half];
        }
        workgroupBarrier();
    }
    if (lane == 0u) {
        // The logarithm of NaN is some number on some drivers.
        let total = shared_[0];
        let is_nan = (bitcast<u32>(total) & 0x7fffffffu) > 0x7f800000u;
        out[m] = select(largest + log(total), bitcast<f32>(p.nan), is_nan || largest <= -3.0e38);
    }
}
