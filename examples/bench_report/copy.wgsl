@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> copied: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = group.x * 256u + lane;
    copied[at] = source[at];
    copied[at + 64u] = source[at + 64u];
    copied[at + 128u] = source[at + 128u];
    copied[at + 192u] = source[at + 192u];
}
