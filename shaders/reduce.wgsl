{%- from "groups.wgsl" import begin_group_of, group_id -%}
{#- The forms: 0 Σ x, 1 Σ x², 2 how many are not masked indices, 3 how many are not NaN, 4 Σ x of those that are not NaN. -#}
// out[g] = Σ f(values[i · stride]) over the g-th block of values, f one of x, x², 1 where an index is none of the masked ones,
// 1 where a number is not NaN, x where it is not NaN; divided by another number where that is asked for (NaN where it is 0).
//
// A workgroup takes a block: sums run in one order.

struct Params {
    count: u32,
    block: u32,
    form: u32,
    stride: u32, // words from one value to the next one
    values_offset: u32,
    out_offset: u32,
    divided: u32,
    divisor_offset: u32,
    nan: u32,  // the bits of NaN: WGSL has no literal for it
}
{{ params }}
{% include "math.wgsl" %}

@group(0) @binding(0) var<storage, read> values: array<u32>;    // [count], strided, bits
@group(0) @binding(1) var<storage, read> divisor: array<f32>;   // [1]
@group(0) @binding(2) var<storage, read_write> out: array<f32>; // [groups]

var<workgroup> sums: array<f32, {{ LANES }}>;

fn term(bits: u32) -> f32 {
    let x = bitcast<f32>(bits);
    switch (p.form) {
        case 0u: { return x; }
        case 1u: { return x * x; }
        case 2u: { return select(1.0, 0.0, bits == 0xffffffffu); }
        case 3u: { return select(1.0, 0.0, is_nan(x)); }
        default: { return select(x, 0.0, is_nan(x)); }
    }
}

@compute @workgroup_size({{ LANES }})
fn main({{ group_id() }}, @builtin(local_invocation_index) lane: u32) {
    {{- begin_group_of("(p.count / p.block + u32(p.count % p.block != 0u))") }}
    let start = group.x * p.block;
    let end = min(start + p.block, p.count);
    var sum = 0.0;
    for (var i = start + lane; i < end; i += {{ LANES }}u) {
        sum += term(values[p.values_offset + i * p.stride]);
    }
    sums[lane] = sum;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            sums[lane] += sums[lane + half];
        }
        workgroupBarrier();
    }
    if (lane == 0u) {
        var result = sums[0];
        if (p.divided != 0u) {
            let by = divisor[p.divisor_offset];
            result = select(result / by, bitcast<f32>(p.nan), by == 0.0);
        }
        out[p.out_offset + group.x] = result;
    }
}
