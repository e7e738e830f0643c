{#- A lane takes COLUMNS steps a loop trip: drivers are known that end long loops. -#}
{%- from "groups.wgsl" import begin_group_of, group_id -%}
// The labels of the most probable alignment of each sequence: its classes, the first of equal ones of a step first, without repetitions
// and then without blanks; and Σ over its steps of logit − log Σ exp(logits), the logarithm of the alignment's probability.
//
// A workgroup takes a sequence, a lane steps that follow one another.

struct Params {
    batch: u32,
    steps: u32,
    classes: u32,
    blank: u32,
    logits_offset: u32,
    lengths_offset: u32,
    nan: u32, // its bits: WGSL has no literal for it
}
{{ params }}
{% include "math.wgsl" %}

@group(0) @binding(0) var<storage, read> logits: array<f32>;        // [steps, batch, classes]
@group(0) @binding(1) var<storage, read> norms: array<f32>;         // [steps, batch], log Σ exp
@group(0) @binding(2) var<storage, read> best: array<u32>;          // [steps, batch]: the class of the largest logit
@group(0) @binding(3) var<storage, read> input_lengths: array<u32>; // [batch]
@group(0) @binding(4) var<storage, read_write> labels: array<u32>;  // [batch, steps]
@group(0) @binding(5) var<storage, read_write> heads: array<u32>;   // [batch, 2]: labels, and 1 where the length is beyond `steps`
@group(0) @binding(6) var<storage, read_write> scores: array<f32>;  // [batch]

var<workgroup> counts: array<u32, {{ LANES }}>;
var<workgroup> sums: array<f32, {{ LANES }}>;
var<workgroup> spoilt: array<u32, {{ LANES }}>;

const UNUSED: u32 = 0xffffffffu;

// Whether the alignment writes a label at a step.
fn writes(n: u32, t: u32) -> bool {
    let class_ = best[t * p.batch + n];
    let before = best[(max(t, 1u) - 1u) * p.batch + n];
    return class_ != p.blank && (t == 0u || class_ != before);
}

@compute @workgroup_size({{ LANES }})
fn main({{ group_id() }}, @builtin(local_invocation_index) lane: u32) {
    {{- begin_group_of("p.batch") }}
    let n = group.x;
    let given = input_lengths[p.lengths_offset + n];
    let steps = select(given, 0u, given > p.steps);
    let chunk = (p.steps + {{ LANES - 1 }}u) / {{ LANES }}u;
    let start = min(lane * chunk, p.steps);
    let end = min(start + chunk, p.steps);
    var count = 0u;
    var sum = 0.0;
    var is_spoilt = false;
    for (var first = start; first < end; first += {{ COLUMNS }}u) {
{%- for i in range(COLUMNS) %}
        if (first + {{ i }}u < min(end, steps)) {
            let t = first + {{ i }}u;
            let row = t * p.batch + n;
            let norm = norms[row];
            is_spoilt = is_spoilt || is_nan(norm);
            sum += logits[p.logits_offset + row * p.classes + best[row]] - norm;
            count += select(0u, 1u, writes(n, t));
        }
{%- endfor %}
    }
    counts[lane] = count;
    sums[lane] = sum;
    spoilt[lane] = select(0u, 1u, is_spoilt);
    workgroupBarrier();
    var before = 0u;
    var all = 0u;
    var any = 0u;
    var total = 0.0;
    for (var i = 0u; i < {{ LANES }}u; i++) {
        before += select(0u, counts[i], i < lane);
        all += counts[i];
        any = max(any, spoilt[i]);
        total += sums[i];
    }
    for (var first = start; first < end; first += {{ COLUMNS }}u) {
{%- for i in range(COLUMNS) %}
        if (first + {{ i }}u < min(end, steps) && writes(n, first + {{ i }}u)) {
            labels[n * p.steps + before] = best[(first + {{ i }}u) * p.batch + n];
            before++;
        }
{%- endfor %}
    }
    for (var j = lane; j < p.steps; j += {{ LANES * COLUMNS }}u) {
{%- for i in range(COLUMNS) %}
        if (j + {{ i * LANES }}u >= all && j + {{ i * LANES }}u < p.steps) {
            labels[n * p.steps + j + {{ i * LANES }}u] = UNUSED;
        }
{%- endfor %}
    }
    if (lane == 0u) {
        heads[2u * n] = all;
        heads[2u * n + 1u] = select(0u, 1u, given > p.steps);
        scores[n] = select(total, bitcast<f32>(p.nan), any != 0u);
    }
}
