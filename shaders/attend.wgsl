{%- from "groups.wgsl" import begin_group_of, group_id -%}
{#- VECTOR: features and values are read four at a time. -#}
{%- set E = "vec4<f32>" if VECTOR else "f32" -%}
{%- set W = 4 if VECTOR else 1 -%}
{#- A lane's share of a score: eight lanes have a step, each lane two steps. Of a context: a lane has two columns, and some of the steps. -#}
{%- set PAIRS = LANES // 8 -%}
// What queries see of the memory of their sequences: with score[s] = query · key[s], or scores that are given,
//
//   weights = softmax(scores), context = Σ weights[s] · value[s]
//
// over the first steps of the memory, as many as the sequence has; 0 where it has none. A score that is NaN or ∞, or nothing but −∞, gives
// NaN.
//
// A workgroup takes a query.

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

@group(0) @binding(0) var<storage, read> query: array<{{ E }}>;         // [rows, features], or scores [rows, steps]
@group(0) @binding(1) var<storage, read> keys: array<{{ E }}>;          // [rows / queries, steps, features], strided
@group(0) @binding(2) var<storage, read> values: array<{{ E }}>;        // [rows / queries, steps, width], strided
@group(0) @binding(3) var<storage, read> input_lengths: array<u32>;     // [rows / queries]
@group(0) @binding(4) var<storage, read_write> context: array<{{ E }}>; // [rows, width]
@group(0) @binding(5) var<storage, read_write> weights: array<f32>;     // [rows, steps]

var<workgroup> scores: array<f32, 1024>;
var<workgroup> parts: array<{{ E }}, {{ 2 * LANES }}>;
var<workgroup> shared_: array<f32, {{ 2 * LANES }}>;

fn product(a: {{ E }}, b: {{ E }}) -> f32 {
    return {{ "dot(a, b)" if VECTOR else "a * b" }};
}

fn given(at: u32) -> f32 {
    return {{ "query[at / 4u][at % 4u]" if VECTOR else "query[at]" }};
}

// Scores of steps from `first` on, two for each eight lanes.
fn score(lane: u32, row: u32, first: u32, steps: u32) {
    let end = p.features / {{ W }}u;
    let own = (p.query_offset + row * p.features) / {{ W }}u;
    let s = first + lane / 8u;
    let key = (p.keys_offset + row / p.queries * p.keys_sequence + min(s, p.steps - 1u) * p.keys_step) / {{ W }}u;
    let next = select(0u, {{ PAIRS }}u * p.keys_step / {{ W }}u, s + {{ PAIRS }}u < p.steps);
    var sums = vec2<f32>(0.0);
    if (s < steps) {
        for (var i = lane % 8u; i < end; i += 8u) {
            let q = query[own + i];
            sums += vec2<f32>(product(q, keys[key + i]), product(q, keys[key + next + i]));
        }
    }
    shared_[lane] = sums.x;
    shared_[{{ LANES }}u + lane] = sums.y;
    workgroupBarrier();
    if (lane < {{ 2 * PAIRS }}u && first + lane < p.steps) {
        var sum = 0.0;
{%- for i in range(8) %}
        sum += shared_[lane * 8u + {{ i }}u];
{%- endfor %}
        scores[first + lane] = sum;
    }
    workgroupBarrier();
}

// The context's columns from `first` on, two for each lane, whose eighths of the steps are then added up.
fn average(lane: u32, row: u32, first: u32, steps: u32, scale: f32) {
    let end = p.width / {{ W }}u;
    let j = first + lane % {{ PAIRS }}u;
    let next = select(0u, {{ PAIRS }}u, j + {{ PAIRS }}u < end);
    let value = (p.values_offset + row / p.queries * p.values_sequence) / {{ W }}u + min(j, end - 1u);
    let stride = p.values_step / {{ W }}u;
    var a = {{ E }}();
    var b = {{ E }}();
    if (j < end) {
        for (var s = lane / {{ PAIRS }}u; s < steps; s += 8u) {
            let weight = scores[s];
            a += weight * values[value + s * stride];
            b += weight * values[value + next + s * stride];
        }
    }
    // [columns, eighths]
    parts[lane % {{ PAIRS }}u * 8u + lane / {{ PAIRS }}u] = a;
    parts[{{ LANES }}u + lane % {{ PAIRS }}u * 8u + lane / {{ PAIRS }}u] = b;
    workgroupBarrier();
    if (lane < {{ 2 * PAIRS }}u && first + lane < end) {
        var sum = {{ E }}();
{%- for i in range(8) %}
        sum += parts[lane * 8u + {{ i }}u];
{%- endfor %}
        context[row * end + first + lane] = select(sum * scale, {{ E }}(), steps == 0u);
    }
    workgroupBarrier();
}

@compute @workgroup_size({{ LANES }})
fn main({{ group_id() }}, @builtin(local_invocation_index) lane: u32) {
    {{- begin_group_of("p.rows") }}
    let row = group.x;
    let steps = min(input_lengths[p.lengths_offset + row / p.queries], p.steps);
    if (p.scored != 0u) {
        for (var s = lane; s < p.steps; s += {{ LANES }}u) {
            scores[s] = given(p.query_offset + row * p.steps + s);
        }
    } else {
        for (var first = 0u; first < p.steps; first += {{ 2 * PAIRS }}u) {
            score(lane, row, first, steps);
        }
    }
    workgroupBarrier();
    // Below what counts as a number: nothing but −∞ is told by it.
    var most = -3.0e38;
    for (var s = lane; s < steps; s += {{ LANES }}u) {
        most = larger(most, scores[s]);
    }
    shared_[lane] = most;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            shared_[lane] = larger(shared_[lane], shared_[lane + half]);
        }
        workgroupBarrier();
    }
    most = shared_[0];
    workgroupBarrier();
    let spoilt = is_nan(most) || bitcast<u32>(most) == 0x7f800000u || most <= -3.0e38;
    var sum = 0.0;
    for (var s = lane; s < steps; s += {{ LANES }}u) {
        let below = scores[s] - most;
        let weight = select(exp(clamp(below, -87.0, 0.0)), 0.0, below < -87.0);
        scores[s] = weight;
        sum += weight;
    }
    shared_[lane] = sum;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            shared_[lane] += shared_[lane + half];
        }
        workgroupBarrier();
    }
    let scale = select(1.0 / max(shared_[0], 1.0e-30), bitcast<f32>(p.nan), spoilt);
    for (var s = lane; s < p.steps; s += {{ LANES }}u) {
        weights[row * p.steps + s] = select(scores[s] * scale, 0.0, s >= steps);
    }
    for (var first = 0u; first < p.width / {{ W }}u; first += {{ 2 * PAIRS }}u) {
        average(lane, row, first, steps, scale);
    }
}
