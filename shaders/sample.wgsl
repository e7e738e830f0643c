{#- A lane takes COLUMNS columns a loop trip: drivers are known that end long loops. -#}
{%- from "groups.wgsl" import begin_group_of, group_id -%}
// out[m] = a column of row m, drawn with a probability that grows with exp(logits[m, j]·scale), among the top_k largest logits
// and the smallest set of the largest of these whose probabilities sum to at least top_p. Of equal logits those with lower
// columns count as larger. The draw is by one random number of the row, the place and the seed: the first column, in their
// order, up to which the probabilities sum to more than it. 0xffffffff where a logit is NaN or all are −∞.
//
// A workgroup takes a row. Logits are compared by keys, integers in the order of the numbers: the least key of a set is found
// bit by bit, which takes the same loops whatever the numbers are.

struct Params {
    m: u32,
    columns: u32,
    logits_offset: u32,
    out_offset: u32,
    seed_offset: u32,
    place: u32,
    scale: u32, // bits of 1 / temperature
    top_k: u32, // at least `columns`: all
    top_p: u32, // bits; those of 1: all
}
{{ params }}
{% include "math.wgsl" %}
{% include "threefry.wgsl" %}

@group(0) @binding(0) var<storage, read> logits: array<f32>;    // [m, columns]
@group(0) @binding(1) var<storage, read> seed: array<u32>;      // seed, step
@group(0) @binding(2) var<storage, read_write> out: array<u32>; // [m]

var<workgroup> counts: array<u32, {{ LANES }}>;
var<workgroup> masses: array<f32, {{ LANES }}>;

// Keys of NaN and of the infinities, and one below those of all numbers, for what is no column.
const NOT_A_NUMBER: u32 = 0xffffffffu;
const MINUS_INFINITY: u32 = 0x007fffffu;
const INFINITY: u32 = 0xff800000u;
const NO_COLUMN: u32 = 0u;

fn key_of(row: u32, j: u32, end: u32) -> u32 {
    if (j >= end) {
        return NO_COLUMN;
    }
    let x = logits[row + j];
    if (is_nan(x)) {
        return NOT_A_NUMBER;
    }
    let bits = bitcast<u32>(x);
    // Zeros are equal, whatever their sign.
    let plus = select(bits, 0u, bits == 0x80000000u);
    return select(plus | 0x80000000u, ~plus, (plus & 0x80000000u) != 0u);
}

fn number_of(key: u32) -> f32 {
    return bitcast<f32>(select(~key, key & 0x7fffffffu, (key & 0x80000000u) != 0u));
}

// The probability of a logit with this key, relative to that of the largest: 0 for what is no column.
fn weight_of(key: u32, largest: u32) -> f32 {
    if (key == largest) {
        return 1.0;
    }
    let below = max((number_of(key) - number_of(largest)) * bitcast<f32>(p.scale), -200.0);
    // Below −200 there is nothing left.
    return select(exp(below), 0.0, key <= MINUS_INFINITY || largest == INFINITY || below <= -200.0);
}

// 1 where the key of a column is at least this.
fn counted(row: u32, j: u32, least: u32) -> u32 {
    return select(0u, 1u, key_of(row, j, p.columns) >= least);
}

// The weight of a column where its key is at least this.
fn weighed(row: u32, j: u32, least: u32, largest: u32) -> f32 {
    let key = key_of(row, j, p.columns);
    if (key < least) {
        return 0.0;
    }
    return weight_of(key, largest);
}

// The largest key of a row.
fn largest_of(row: u32, lane: u32) -> u32 {
    var largest = NO_COLUMN;
    for (var j = lane; j < p.columns; j += {{ LANES * COLUMNS }}u) {
{%- for i in range(COLUMNS) %}
        largest = max(largest, key_of(row, j + {{ i * LANES }}u, p.columns));
{%- endfor %}
    }
    counts[lane] = largest;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            counts[lane] = max(counts[lane], counts[lane + half]);
        }
        workgroupBarrier();
    }
    largest = counts[0];
    workgroupBarrier();
    return largest;
}

// How many columns have at least this key.
fn count_of(row: u32, lane: u32, least: u32) -> u32 {
    var count = 0u;
    for (var j = lane; j < p.columns; j += {{ LANES * COLUMNS }}u) {
{%- for i in range(COLUMNS) %}
        count += counted(row, j + {{ i * LANES }}u, least);
{%- endfor %}
    }
    counts[lane] = count;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            counts[lane] += counts[lane + half];
        }
        workgroupBarrier();
    }
    count = counts[0];
    workgroupBarrier();
    return count;
}

// Σ of the weights of those columns. Whatever the least key, the order is the same, so that more columns never sum to less.
fn mass_of(row: u32, lane: u32, least: u32, largest: u32) -> f32 {
    var mass = 0.0;
    for (var j = lane; j < p.columns; j += {{ LANES * COLUMNS }}u) {
{%- for i in range(COLUMNS) %}
        mass += weighed(row, j + {{ i * LANES }}u, least, largest);
{%- endfor %}
    }
    masses[lane] = mass;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            masses[lane] += masses[lane + half];
        }
        workgroupBarrier();
    }
    mass = masses[0];
    workgroupBarrier();
    return mass;
}

@compute @workgroup_size({{ LANES }})
fn main({{ group_id() }}, @builtin(local_invocation_index) lane: u32) {
    {{- begin_group_of("p.m") }}
    let row = p.logits_offset + group.x * p.columns;
    let largest = largest_of(row, lane);
    // What is kept: keys above the least one, and the first so many columns that have it. At first, all.
    var least = NO_COLUMN + 1u;
    var ties = p.columns;
    if (p.top_k == 1u) {
        least = largest;
        ties = 1u;
    } else if (p.top_k < p.columns) {
        least = 0u;
        for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
            let count = count_of(row, lane, least | bit);
            least = select(least, least | bit, count >= p.top_k);
        }
        ties = p.top_k - count_of(row, lane, least + 1u);
    }
    if (p.top_k > 1u && bitcast<f32>(p.top_p) < 1.0) {
        let kept = mass_of(row, lane, least + 1u, largest) + f32(ties) * weight_of(least, largest);
        let goal = bitcast<f32>(p.top_p) * kept;
        var bound = 0u;
        for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
            let mass = mass_of(row, lane, bound | bit, largest);
            bound = select(bound, bound | bit, (bound | bit) <= least || mass >= goal);
        }
        let missing = goal - mass_of(row, lane, bound + 1u, largest);
        let weight = weight_of(bound, largest);
        var needed = p.columns;
        if (weight > 0.0) {
            needed = u32(clamp(ceil(missing / weight), 1.0, f32(p.columns)));
        }
        ties = select(needed, min(needed, ties), bound == least);
        least = bound;
    }
    // Each lane takes columns that follow one another. The first of them has so many equals of the least key before it,
    let chunk = (p.columns + {{ LANES - 1 }}u) / {{ LANES }}u;
    let start = min(lane * chunk, p.columns);
    let end = min(start + chunk, p.columns);
    var tied = 0u;
    for (var j = start; j < end; j += {{ COLUMNS }}u) {
{%- for i in range(COLUMNS) %}
        tied += select(0u, 1u, key_of(row, j + {{ i }}u, end) == least);
{%- endfor %}
    }
    counts[lane] = tied;
    workgroupBarrier();
    var rank = 0u;
    for (var i = 0u; i < lane; i++) {
        rank += counts[i];
    }
    var tie = rank;
    var mass = 0.0;
    for (var j = start; j < end; j += {{ COLUMNS }}u) {
{%- for i in range(COLUMNS) %}
        {
            let key = key_of(row, j + {{ i }}u, end);
            let equal = key == least;
            mass += select(0.0, weight_of(key, largest), key > least || (equal && tie < ties));
            tie += select(0u, 1u, equal);
        }
{%- endfor %}
    }
    masses[lane] = mass;
    workgroupBarrier();
    // and such a sum of the weights that are kept.
    var before = 0.0;
    var total = 0.0;
    for (var i = 0u; i < {{ LANES }}u; i++) {
        before = select(before, total, i == lane);
        total += masses[i];
    }
    if (largest == NOT_A_NUMBER || largest <= MINUS_INFINITY) {
        if (lane == 0u) {
            out[p.out_offset + group.x] = 0xffffffffu;
        }
        return;
    }
    let word = random(vec2<u32>(group.x, p.place), vec2<u32>(seed[p.seed_offset], seed[p.seed_offset + 1u])).x;
    // 24 bits, which a float holds: less than the whole sum.
    let goal = f32(word >> 8u) / 16777216.0 * total;
    if (goal < before || goal >= before + mass) {
        return;
    }
    var chosen = start;
    var reached = before;
    tie = rank;
    for (var j = start; j < end; j += {{ COLUMNS }}u) {
{%- for i in range(COLUMNS) %}
        {
            let key = key_of(row, j + {{ i }}u, end);
            let equal = key == least;
            let weight = select(0.0, weight_of(key, largest), key > least || (equal && tie < ties));
            tie += select(0u, 1u, equal);
            if (weight > 0.0 && reached <= goal) {
                chosen = j + {{ i }}u;
                reached += weight;
            }
        }
{%- endfor %}
    }
    out[p.out_offset + group.x] = chosen;
}
