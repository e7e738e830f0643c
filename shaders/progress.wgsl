// Whether GROUPS workgroups run side by side: each waits for all others, a few times over.
const GROUPS = {{ GROUPS }}u;
const ROUNDS = {{ ROUNDS }}u;

// A word for each workgroup and round; then how many lanes waited in vain.
@group(0) @binding(0) var<storage, read_write> arrived: array<atomic<u32>>;

// As much workgroup memory as a kernel may have, so that no more of them fit side by side than of those.
var<workgroup> ballast: array<u32, 4096>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    ballast[64u * (group.x % 64u) + lane] = lane;
    for (var round = 0u; round < ROUNDS; round++) {
        workgroupBarrier();
        if (lane == 0u) {
            atomicStore(&arrived[round * GROUPS + group.x], 1u + ballast[lane]);
        }
        for (var other = lane; other < GROUPS; other += 64u) {
            var polls = 0u;
            loop {
                if (atomicLoad(&arrived[round * GROUPS + other]) != 0u) {
                    break;
                }
                polls += 1u;
                if (polls > {{ POLLS }}u || atomicLoad(&arrived[ROUNDS * GROUPS]) != 0u) {
                    atomicAdd(&arrived[ROUNDS * GROUPS], 1u);
                    break;
                }
            }
        }
    }
}
