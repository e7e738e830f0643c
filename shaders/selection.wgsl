{#- The largest candidates of a workgroup. The shader declares `candidates` and 256 places in `chosen`. A lane takes COLUMNS candidates a loop
trip: drivers are known that end long loops. -#}

// Candidates that count as none have at most this score.
const NONE: f32 = -3.0e38;
// In `chosen`: there were fewer candidates than wanted.
const NO_ONE: u32 = 0xffffffffu;

// How many candidates have a key at or above each of three thresholds.
var<workgroup> counts: array<atomic<u32>, 3>;
// How many candidates of a lane are above the least key that is chosen, and how many have it.
var<workgroup> ranks: array<vec2<u32>, {{ LANES }}>;
var<workgroup> chosen: array<u32, 256>;

// An integer in the order of the numbers; 0 for no candidate. Zeros are equal, whatever their sign.
fn key_of(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let plus = select(bits, 0u, bits == 0x80000000u);
    return select(select(plus | 0x80000000u, ~plus, (plus & 0x80000000u) != 0u), 0u, x <= NONE);
}

fn number_of(key: u32) -> f32 {
    return bitcast<f32>(select(~key, key & 0x7fffffffu, (key & 0x80000000u) != 0u));
}

fn key_at(first: u32, j: u32, end: u32) -> u32 {
    if (j >= end) {
        return 0u;
    }
    return key_of(candidates[first + j]);
}

// 1 for each threshold that a key reaches.
fn reached(key: u32, least: u32, step: u32) -> vec3<u32> {
    return vec3<u32>(
        select(0u, 1u, key >= least + step),
        select(0u, 1u, key >= least + 2u * step),
        select(0u, 1u, key >= least + 3u * step),
    );
}

// How many candidates have at least this key, this key and one step, and so on.
fn count_reached(lane: u32, first: u32, end: u32, least: u32, step: u32) -> vec3<u32> {
    var own = vec3<u32>(0u);
    for (var j = lane; j < end; j += {{ LANES * COLUMNS }}u) {
{%- for i in range(COLUMNS) %}
        own += reached(key_at(first, j + {{ i * LANES }}u, end), least, step);
{%- endfor %}
    }
    if (lane < 3u) {
        atomicStore(&counts[lane], 0u);
    }
    workgroupBarrier();
    atomicAdd(&counts[0], own.x);
    atomicAdd(&counts[1], own.y);
    atomicAdd(&counts[2], own.z);
    workgroupBarrier();
    let all = vec3<u32>(atomicLoad(&counts[0]), atomicLoad(&counts[1]), atomicLoad(&counts[2]));
    workgroupBarrier();
    return all;
}

// The `wanted` largest of `end` candidates from `first` on, the first of equal ones: their places, in order, in `chosen`. The
// least key that is chosen is found two bits at a time, which takes the same loops whatever the numbers are.
fn choose_largest(lane: u32, first: u32, end: u32, wanted: u32) {
    var least = 0u;
    for (var shift = 30i; shift >= 0i; shift -= 2i) {
        let step = 1u << u32(shift);
        let all = count_reached(lane, first, end, least, step);
        least += step * (select(0u, 1u, all.x >= wanted) + select(0u, 1u, all.y >= wanted) + select(0u, 1u, all.z >= wanted));
    }
    let above = count_reached(lane, first, end, least, 1u).x;
    // Where there are too few, the least key is that of no candidate.
    let ties = select(wanted - min(above, wanted), 0u, least == 0u);
    for (var r = lane; r < wanted; r += {{ LANES }}u) {
        chosen[r] = NO_ONE;
    }
    // Each lane takes candidates that follow one another.
    let chunk = (end + {{ LANES - 1 }}u) / {{ LANES }}u;
    let start = min(lane * chunk, end);
    let stop = min(start + chunk, end);
    var own = vec2<u32>(0u);
    for (var j = start; j < stop; j += {{ COLUMNS }}u) {
{%- for i in range(COLUMNS) %}
        {
            let key = key_at(first, j + {{ i }}u, stop);
            own += vec2<u32>(select(0u, 1u, key > least), select(0u, 1u, key == least && least > 0u));
        }
{%- endfor %}
    }
    ranks[lane] = own;
    workgroupBarrier();
    var before = vec2<u32>(0u);
    for (var i = 0u; i < lane; i++) {
        before += ranks[i];
    }
    for (var j = start; j < stop; j += {{ COLUMNS }}u) {
{%- for i in range(COLUMNS) %}
        {
            let key = key_at(first, j + {{ i }}u, stop);
            let equal = key == least && least > 0u;
            if (key > least || (equal && before.y < ties)) {
                chosen[before.x + min(before.y, ties)] = j + {{ i }}u;
            }
            before += vec2<u32>(select(0u, 1u, key > least), select(0u, 1u, equal));
        }
{%- endfor %}
    }
    workgroupBarrier();
}
