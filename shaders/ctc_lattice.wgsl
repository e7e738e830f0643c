{#- A lane takes COLUMNS states, LANES apart. -#}
{%- set WIDTH = LANES * COLUMNS -%}
// Connectionist temporal classification (Graves et al. 2006, equations 6 to 11) in log space: the sums over all alignments that
// begin, forwards, or end, backwards, in a state at a step. The states of a sequence of S labels are 2·S + 1: blank, label,
// blank, and so on. With y[t, c] = softmax(logits[t])[c], and l[s] the class of a state,
//
//   sum[t, s] = α[t−1, s] + α[t−1, s−1] + (α[t−1, s−2], if l[s] is neither blank nor l[s−2]),  α[t, s] = sum[t, s] · y[t, l[s]]
//
// and the same backwards, from the last step and state on. Forwards α is kept, backwards the sums: their product is in
// proportion to the probability that an alignment is in state s at step t. Every 8 steps the largest α becomes 1, so that small
// differences of large logarithms are not lost. losses[n] = −log Σ of the last two α, divided by S where that is asked for.
//
// A workgroup takes a sequence in one direction; `carry` hands α from one dispatch to the next.

struct Params {
    first: u32, // the first sequence of this dispatch
    count: u32, // and how many they are
    batch: u32,
    steps: u32,
    classes: u32,
    labels: u32,
    blank: u32,
    start: u32, // steps of this dispatch, counted from the beginning of each direction: from this one
    end: u32,   // to before this one
    directions: u32,
    keep: u32, // whether the lattice is written
    mean: u32, // whether losses are divided by numbers of labels
    zero_infinity: u32,
    logits_offset: u32,
    infinity: u32, // its bits: WGSL has no literal for it,
    nan: u32,      // nor for this
}
{{ params }}
{% include "math.wgsl" %}

@group(0) @binding(0) var<storage, read> logits: array<f32>;        // [steps, batch, classes]
@group(0) @binding(1) var<storage, read> norms: array<f32>;         // [steps, batch], log Σ exp
@group(0) @binding(2) var<storage, read> sequences: array<u32>;     // [batch, 4 + 2·labels]: see ctc_labels.wgsl
@group(0) @binding(3) var<storage, read_write> carry: array<f32>;   // [batch, 2, states + 2]: α, log of what it was divided by, loss
@group(0) @binding(4) var<storage, read_write> lattice: array<f32>; // [2, count, steps, states]
@group(0) @binding(5) var<storage, read_write> losses: array<f32>;  // [batch]

// log 0. Larger than −∞, so that no difference of two is NaN.
const ZERO = -1.0e30;
// Logarithms below are those of 0.
const NEAR_ZERO = -1.0e29;

// α of the step before and of this one, which take turns.
var<workgroup> alphas: array<f32, {{ 2 * WIDTH }}>;
var<workgroup> largest: array<f32, {{ LANES }}>;

// log(e^a + e^b + e^c)
fn log_sum(a: f32, b: f32, c: f32) -> f32 {
    let top = max(a, max(b, c));
    return top + log(exp(max(a - top, -80.0)) + exp(max(b - top, -80.0)) + exp(max(c - top, -80.0)));
}

// As other kernels see it: 0 is the only number without a logarithm.
fn kept(value: f32) -> f32 {
    return select(value, -bitcast<f32>(p.infinity), value < NEAR_ZERO);
}

fn finish(n: u32, home: u32, log_likelihood: f32) {
    var loss = select(-log_likelihood, bitcast<f32>(p.infinity), log_likelihood < NEAR_ZERO);
    loss = select(loss, log_likelihood, is_nan(log_likelihood));
    carry[home + 2u * p.labels + 2u] = loss;
    let labels = sequences[n * (4u + 2u * p.labels) + 1u];
    loss = select(loss, 0.0, p.zero_infinity != 0u && log_likelihood < NEAR_ZERO);
    losses[n] = select(loss, loss / f32(max(labels, 1u)), p.mean != 0u);
}

@compute @workgroup_size({{ LANES }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n = p.first + group.x;
    let backwards = group.y != 0u;
    let width = 2u * p.labels + 1u;
    let row = n * (4u + 2u * p.labels);
    let home = (2u * n + group.y) * (width + 2u);
    let steps = sequences[row];
    let labels = sequences[row + 1u];
    if (p.start >= steps) {
        // Nothing is left of it; or there never was anything.
        if (p.start == 0u && !backwards && lane == 0u) {
            let wrong = sequences[row + 2u] == 1u;
            finish(n, home, select(select(ZERO, 0.0, labels == 0u), bitcast<f32>(p.nan), wrong));
        }
        return;
    }
    let states = 2u * labels + 1u;
    let end = min(p.end, steps);
    let place = ((group.y * p.count + group.x) * p.steps) * width;
    let first_step = select(p.start, steps - 1u - p.start, backwards);
{%- for i in range(COLUMNS) %}
    let s_{{ i }} = lane + {{ i * LANES }}u;
    // The class of the state, whether α may come from two states before, and where it is kept.
    var class_{{ i }} = p.blank;
    var skips_{{ i }} = false;
    if (s_{{ i }} % 2u == 1u && s_{{ i }} < states) {
        let label = select(s_{{ i }} / 2u, labels - 1u - s_{{ i }} / 2u, backwards);
        class_{{ i }} = sequences[row + 4u + label];
        if (s_{{ i }} > 2u) {
            skips_{{ i }} = class_{{ i }} != sequences[row + 4u + select(label - 1u, label + 1u, backwards)];
        }
    }
    let kept_{{ i }} = place + select(s_{{ i }}, states - 1u - s_{{ i }}, backwards);
    var logit_{{ i }} = logits[p.logits_offset + (first_step * p.batch + n) * p.classes + class_{{ i }}];
    alphas[s_{{ i }}] = ZERO;
    if (p.start > 0u && s_{{ i }} < states) {
        alphas[s_{{ i }}] = max(carry[home + s_{{ i }}], ZERO);
    }
{%- endfor %}
    var scale = 0.0;
    if (p.start > 0u) {
        scale = carry[home + width];
    }
    var spoilt = is_nan(scale);
    var at = 0u;
    workgroupBarrier();
    for (var k = p.start; k < end; k++) {
        let t = select(k, steps - 1u - k, backwards);
        let norm = norms[t * p.batch + n];
        spoilt = spoilt || is_nan(norm);
        // The next step's logits are loaded before they are needed.
        let ahead = min(k + 1u, end - 1u);
        let from_ = p.logits_offset + (select(ahead, steps - 1u - ahead, backwards) * p.batch + n) * p.classes;
{%- for i in range(COLUMNS) %}
        var sum_{{ i }} = select(ZERO, 0.0, s_{{ i }} < 2u);
        if (k > 0u) {
            let same = alphas[at + s_{{ i }}];
            let before = alphas[at + max(s_{{ i }}, 1u) - 1u];
            let skipped = alphas[at + max(s_{{ i }}, 2u) - 2u];
            sum_{{ i }} = log_sum(same, select(before, ZERO, s_{{ i }} == 0u), select(ZERO, skipped, skips_{{ i }}));
        }
        sum_{{ i }} = select(ZERO, sum_{{ i }}, s_{{ i }} < states);
        var alpha_{{ i }} = max(sum_{{ i }} + (max(logit_{{ i }}, ZERO) - norm), ZERO);
        logit_{{ i }} = logits[from_ + class_{{ i }}];
        if (p.keep != 0u && s_{{ i }} < states) {
            lattice[kept_{{ i }} + t * width] = kept(select(alpha_{{ i }}, sum_{{ i }}, backwards));
        }
{%- endfor %}
        if (k % 8u == 7u) {
            var top = alpha_0;
{%- for i in range(1, COLUMNS) %}
            top = max(top, alpha_{{ i }});
{%- endfor %}
            largest[lane] = top;
            workgroupBarrier();
            for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
                if (lane < half) {
                    largest[lane] = max(largest[lane], largest[lane + half]);
                }
                workgroupBarrier();
            }
            top = select(largest[0], 0.0, largest[0] < NEAR_ZERO);
            scale += top;
{%- for i in range(COLUMNS) %}
            alpha_{{ i }} = max(alpha_{{ i }} - top, ZERO);
{%- endfor %}
        }
        at = {{ WIDTH }}u - at;
{%- for i in range(COLUMNS) %}
        alphas[at + s_{{ i }}] = alpha_{{ i }};
{%- endfor %}
        workgroupBarrier();
    }
    scale = select(scale, bitcast<f32>(p.nan), spoilt);
{%- for i in range(COLUMNS) %}
    if (s_{{ i }} < width) {
        carry[home + s_{{ i }}] = kept(alphas[at + s_{{ i }}]);
    }
{%- endfor %}
    if (lane == 0u) {
        carry[home + width] = scale;
        if (end == steps && !backwards) {
            let last = select(ZERO, alphas[at + max(states, 2u) - 2u], states > 1u);
            let sum = log_sum(alphas[at + states - 1u], last, ZERO);
            finish(n, home, select(max(sum + scale, ZERO), scale, spoilt));
        }
    }
}
