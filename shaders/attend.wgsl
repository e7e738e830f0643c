{%- from "groups.wgsl" import begin_group_of, group_id -%}
{#- VECTOR: features and values are read four at a time. -#}
{%- set E = "vec4<f32>" if VECTOR else "f32" -%}
{%- set W = 4 if VECTOR else 1 -%}
{#- SHARE lanes have a step each of a score, or a part of the steps of a context; a lane has EACH steps, or columns. -#}
{%- set SHARE = 4 -%}
{%- set EACH = 8 if LANES <= 32 else 2 -%}
{%- set GROUPS = LANES // SHARE -%}
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
var<workgroup> parts: array<{{ E }}, {{ EACH * LANES }}>;
var<workgroup> shared_: array<f32, {{ EACH * LANES }}>;

fn product(a: {{ E }}, b: {{ E }}) -> f32 {
    return {{ "dot(a, b)" if VECTOR else "a * b" }};
}

fn given(at: u32) -> f32 {
    return {{ "query[at / 4u][at % 4u]" if VECTOR else "query[at]" }};
}

// Scores of steps from `first` on.
fn score(lane: u32, row: u32, first: u32, steps: u32) {
    let end = p.features / {{ W }}u;
    let own = (p.query_offset + row * p.features) / {{ W }}u;
    let s = first + lane / {{ SHARE }}u;
    let stride = p.keys_step / {{ W }}u;
    let base = (p.keys_offset + row / p.queries * p.keys_sequence) / {{ W }}u;
{%- for k in range(EACH) %}
    // A lane beyond the last step repeats it.
    let key_{{ k }} = base + min(s + {{ k * GROUPS }}u, p.steps - 1u) * stride;
    var sum_{{ k }} = 0.0;
{%- endfor %}
    if (s < steps) {
        for (var i = lane % {{ SHARE }}u; i < end; i += {{ SHARE }}u) {
            let q = query[own + i];
{%- for k in range(EACH) %}
            sum_{{ k }} += product(q, keys[key_{{ k }} + i]);
{%- endfor %}
        }
    }
{%- for k in range(EACH) %}
    shared_[{{ k * LANES }}u + lane] = sum_{{ k }};
{%- endfor %}
    workgroupBarrier();
    for (var r = lane; r < min({{ EACH * GROUPS }}u, p.steps - first); r += {{ LANES }}u) {
        var sum = 0.0;
{%- for i in range(SHARE) %}
        sum += shared_[r * {{ SHARE }}u + {{ i }}u];
{%- endfor %}
        scores[first + r] = sum;
    }
    workgroupBarrier();
}

// Σ of the weights before they are scaled, which `average` leaves.
fn sum_of_weights() -> f32 {
    return {% for i in range(SHARE) %}{{ " + " if i > 0 }}shared_[{{ i }}]{% endfor %};
}

// The context's columns from `first` on.
fn average(lane: u32, row: u32, first: u32, steps: u32, spoilt: bool) {
    let end = p.width / {{ W }}u;
    let j = first + lane % {{ GROUPS }}u;
    let base = (p.values_offset + row / p.queries * p.values_sequence) / {{ W }}u;
    let stride = p.values_step / {{ W }}u;
    var all = 0.0;
{%- for k in range(EACH) %}
    // A lane beyond the last column repeats it.
    let value_{{ k }} = base + min(j + {{ k * GROUPS }}u, end - 1u);
    var sum_{{ k }} = {{ E }}();
{%- endfor %}
    for (var s = lane / {{ GROUPS }}u; s < steps; s += {{ SHARE }}u) {
        let weight = scores[s];
        all += weight;
{%- for k in range(EACH) %}
        sum_{{ k }} += weight * values[value_{{ k }} + s * stride];
{%- endfor %}
    }
    if (lane % {{ GROUPS }}u == 0u) {
        shared_[lane / {{ GROUPS }}u] = all;
    }
    // [columns, parts of the steps]
    let at = lane % {{ GROUPS }}u * {{ SHARE }}u + lane / {{ GROUPS }}u;
{%- for k in range(EACH) %}
    parts[{{ k * LANES }}u + at] = sum_{{ k }};
{%- endfor %}
    workgroupBarrier();
    let scale = select(1.0 / max(sum_of_weights(), 1.0e-30), bitcast<f32>(p.nan), spoilt);
    for (var r = lane; r < min({{ EACH * GROUPS }}u, end - first); r += {{ LANES }}u) {
        var sum = {{ E }}();
{%- for i in range(SHARE) %}
        sum += parts[r * {{ SHARE }}u + {{ i }}u];
{%- endfor %}
        context[row * end + first + r] = select(sum * scale, {{ E }}(), steps == 0u);
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
        for (var first = 0u; first < p.steps; first += {{ EACH * GROUPS }}u) {
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
    let spoilt = is_nan(most) || bitcast<u32>(most) == 0x7f800000u || most <= -3.0e38;
    for (var s = lane; s < steps; s += {{ LANES }}u) {
        let below = scores[s] - most;
        scores[s] = select(exp(clamp(below, -87.0, 0.0)), 0.0, below < -87.0);
    }
    workgroupBarrier();
    for (var first = 0u; first < p.width / {{ W }}u; first += {{ EACH * GROUPS }}u) {
        average(lane, row, first, steps, spoilt);
    }
    let scale = select(1.0 / max(sum_of_weights(), 1.0e-30), bitcast<f32>(p.nan), spoilt);
    for (var s = lane; s < p.steps; s += {{ LANES }}u) {
        weights[row * p.steps + s] = select(scores[s] * scale, 0.0, s >= steps);
    }
}
