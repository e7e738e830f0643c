{%- from "groups.wgsl" import begin_group_of, group_id -%}
// What queries see of the memory of their sequences: with score[s] = query · key[s], or scores that are given,
//
//   weights = softmax(scores), context = Σ weights[s] · value[s]
//
// over the first steps of the memory, as many as the sequence has; 0 where it has none. A score that is NaN or ∞, or nothing but −∞, gives
// NaN.
//
// A workgroup takes a query. For its scores, eight lanes share a step.

struct Params {
    rows: u32,
    queries: u32, // queries of a sequence, one after the other
    steps: u32,
    features: u32, // of queries and keys
    width: u32,    // of values
    scored: u32,   // whether `query` holds scores
    query_offset: u32,
    keys_offset: u32,
    keys_sequence: u32, // from one sequence to the next,
    keys_step: u32,     // and from one step to the next
    values_offset: u32,
    values_sequence: u32,
    values_step: u32,
    lengths_offset: u32,
    nan: u32, // its bits: WGSL has no literal for it
}
{{ params }}
{% include "math.wgsl" %}
{% include "larger.wgsl" %}

@group(0) @binding(0) var<storage, read> query: array<f32>;           // [rows, features], or scores [rows, steps]
@group(0) @binding(1) var<storage, read> keys: array<f32>;            // [rows / queries, steps, features], strided
@group(0) @binding(2) var<storage, read> values: array<f32>;          // [rows / queries, steps, width], strided
@group(0) @binding(3) var<storage, read> input_lengths: array<u32>;           // [rows / queries]: steps of each sequence
@group(0) @binding(4) var<storage, read_write> context: array<f32>;   // [rows, width]
@group(0) @binding(5) var<storage, read_write> weights: array<f32>;   // [rows, steps]

const SHARE = 8u;

var<workgroup> scores: array<f32, 2048>;
var<workgroup> parts: array<f32, {{ LANES }}>;

@compute @workgroup_size({{ LANES }})
fn main({{ group_id() }}, @builtin(local_invocation_index) lane: u32) {
    {{- begin_group_of("p.rows") }}
    let row = group.x;
    let n = row / p.queries;
    let steps = min(input_lengths[p.lengths_offset + n], p.steps);
    if (p.scored != 0u) {
        for (var s = lane; s < p.steps; s += {{ LANES }}u) {
            scores[s] = query[p.query_offset + row * p.steps + s];
        }
    } else {
        let own = p.query_offset + row * p.features;
        for (var first = 0u; first < p.steps; first += {{ LANES // 8 }}u) {
            let s = first + lane / SHARE;
            var sum = 0.0;
            if (s < steps) {
                let key = p.keys_offset + n * p.keys_sequence + s * p.keys_step;
                for (var i = lane % SHARE; i < p.features; i += SHARE) {
                    sum += query[own + i] * keys[key + i];
                }
            }
            parts[lane] = sum;
            workgroupBarrier();
            if (lane < {{ LANES // 8 }}u && first + lane < p.steps) {
                var score = 0.0;
{%- for i in range(8) %}
                score += parts[lane * SHARE + {{ i }}u];
{%- endfor %}
                scores[first + lane] = score;
            }
            workgroupBarrier();
        }
    }
    workgroupBarrier();
    // Below what counts as a number: nothing but −∞ is told by it.
    var most = -3.0e38;
    for (var s = lane; s < steps; s += {{ LANES }}u) {
        most = larger(most, scores[s]);
    }
    parts[lane] = most;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            parts[lane] = larger(parts[lane], parts[lane + half]);
        }
        workgroupBarrier();
    }
    most = parts[0];
    workgroupBarrier();
    let spoilt = is_nan(most) || bitcast<u32>(most) == 0x7f800000u || most <= -3.0e38;
    var sum = 0.0;
    for (var s = lane; s < p.steps; s += {{ LANES }}u) {
        let below = scores[s] - most;
        let weight = select(exp(clamp(below, -87.0, 0.0)), 0.0, s >= steps || below < -87.0);
        scores[s] = weight;
        sum += weight;
    }
    parts[lane] = sum;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            parts[lane] += parts[lane + half];
        }
        workgroupBarrier();
    }
    let scale = select(1.0 / max(parts[0], 1.0e-30), bitcast<f32>(p.nan), spoilt);
    for (var s = lane; s < p.steps; s += {{ LANES }}u) {
        weights[row * p.steps + s] = select(scores[s] * scale, 0.0, s >= steps);
    }
    for (var j = lane; j < p.width; j += {{ LANES }}u) {
        var at = p.values_offset + n * p.values_sequence + j;
        var total = 0.0;
        for (var s = 0u; s < steps; s++) {
            total += scores[s] * values[at];
            at += p.values_step;
        }
        context[row * p.width + j] = select(total * scale, 0.0, steps == 0u);
    }
}
