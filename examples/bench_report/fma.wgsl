// Nothing but multiply-adds, in CHAINS chains that do not wait for each other.
@group(0) @binding(0) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let b = 0.999 + f32(id.x & 1u) * 1e-4;
    let c = f32(id.x & 3u) * 1e-4;
    var a: array<f32, CHAINS>;
    for (var i = 0u; i < TRIPS; i++) {
BODY
    }
    // Stored where the compiler can't know that it never is.
    let sum = SUM;
    if (sum == 12345.678) {
        out[id.x & 63u] = sum;
    }
}
