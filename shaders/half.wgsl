// The nearest number that a half can hold, ties to even, so that packing it rounds nothing whichever way a driver rounds;
// the largest one for what is larger, and NaN stays NaN.
fn to_half(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let size = bits & 0x7fffffffu;
    let rounded = (bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u;
    // 65,504 and what rounds to more; infinity too.
    let limited = select(rounded, (bits & 0x80000000u) | 0x477fe000u, size > 0x477fe000u);
    // The smallest ones are multiples of 2⁻²⁴.
    let small = round(x * 16777216.0) / 16777216.0;
    return select(bitcast<f32>(select(limited, bits, size > 0x7f800000u)), small, size < 0x38800000u);
}
