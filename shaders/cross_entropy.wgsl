{#- A lane takes COLUMNS columns a loop trip: drivers are known that end long loops. -#}
// The cross-entropy of shares q and the softmax of logits x, and its gradient: losses[m] = −Σj q[m, j]·log softmax(x[m])[j] and
// gradient[m, j] = (softmax(x[m])[j]·Σk q[m, k] − q[m, j]) / count, where
//
//   q[m, j] = w[j]·((1 − smoothing)·t[m, j] + smoothing / columns)
//
// with w[j] the weight of class j, 1 if there are none, and t the probabilities, or 1 at the target and 0 elsewhere. Both are 0
// for a masked target and for probabilities that begin with NaN, and NaN for a target that is no column, a logit that is NaN or +∞,
// and logits that are all −∞. A share of 0 counts for nothing even where the softmax is 0.
//
// A workgroup takes a row.

struct Params {
    m: u32,
    columns: u32,
    logits_offset: u32,
    target_offset: u32,
    weights_offset: u32,
    count_offset: u32,
    losses_offset: u32,
    gradient_offset: u32,
    weighted: u32,      // whether classes have weights
    probabilities: u32, // whether targets are probabilities of all columns, as bits
    smoothing: u32,     // bits
    nan: u32,           // the bits of NaN: WGSL has no literal for it
    row_groups: u32,    // workgroups in a row of the grid
}
{{ params }}
{% include "math.wgsl" %}
{% include "larger.wgsl" %}

@group(0) @binding(0) var<storage, read> logits: array<f32>;         // [m, columns]
@group(0) @binding(1) var<storage, read> targets: array<u32>;        // [m], or [m, columns]
@group(0) @binding(2) var<storage, read> weights: array<f32>;        // [columns], if there are any
@group(0) @binding(3) var<storage, read> count: array<f32>;          // [1], targets that are not masked
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;   // [m]
@group(0) @binding(5) var<storage, read_write> gradient: array<f32>; // [m, columns]

var<workgroup> shared_: array<f32, {{ LANES }}>;

fn class_weight(j: u32) -> f32 {
    if (p.weighted == 0u) {
        return 1.0;
    }
    return weights[p.weights_offset + j];
}

// The share of column j, given the first of the row's targets and the class.
fn share(first: u32, target_: u32, j: u32) -> f32 {
    var t = select(0.0, 1.0, j == target_);
    if (p.probabilities != 0u) {
        t = bitcast<f32>(targets[first + j]);
    }
    let smoothing = bitcast<f32>(p.smoothing);
    return class_weight(j) * ((1.0 - smoothing) * t + smoothing / f32(p.columns));
}

// Σ over the lanes, for each of them.
fn sum_of_lanes(lane: u32, x: f32) -> f32 {
    shared_[lane] = x;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            shared_[lane] += shared_[lane + half];
        }
        workgroupBarrier();
    }
    let sum = shared_[0];
    workgroupBarrier();
    return sum;
}

@compute @workgroup_size({{ LANES }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let m = group.y * p.row_groups + group.x;
    if (m >= p.m) {
        return;
    }
    let row = p.logits_offset + m * p.columns;
    let has_probabilities = p.probabilities != 0u;
    // Whether all columns have a share; else only the target's.
    let spread = has_probabilities || p.smoothing != 0u;
    let first = p.target_offset + m * select(1u, p.columns, has_probabilities);
    let target_ = targets[first];
    // A lane without a column repeats the first one, which changes no maximum.
    var largest = logits[row + select(0u, lane, lane < p.columns)];
    for (var j = lane; j < p.columns; j += {{ LANES * COLUMNS }}u) {
        let x = logits[row + j];
        largest = larger(largest, x);
{%- for i in range(1, COLUMNS) %}
        if (j + {{ i * LANES }}u < p.columns) {
            let next = logits[row + j + {{ i * LANES }}u];
            largest = larger(largest, next);
        }
{%- endfor %}
    }
    shared_[lane] = largest;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            shared_[lane] = larger(shared_[lane], shared_[lane + half]);
        }
        workgroupBarrier();
    }
    largest = shared_[0];
    workgroupBarrier();
    var sum = 0.0;
    for (var j = lane; j < p.columns; j += {{ LANES * COLUMNS }}u) {
        sum += exp(logits[row + j] - largest);
{%- for i in range(1, COLUMNS) %}
        if (j + {{ i * LANES }}u < p.columns) {
            sum += exp(logits[row + j + {{ i * LANES }}u] - largest);
        }
{%- endfor %}
    }
    sum = sum_of_lanes(lane, sum);
    var masked = target_ == 0xffffffffu;
    var beyond = !masked && target_ >= p.columns;
    if (has_probabilities) {
        masked = is_nan(bitcast<f32>(target_));
        beyond = false;
    }
    // Σ of the shares, and of each times its score.
    let column = select(0u, target_, target_ < p.columns);
    var total = class_weight(column);
    var score = select(total * (logits[row + column] - largest), 0.0, total == 0.0);
    if (spread) {
        total = 0.0;
        score = 0.0;
        for (var j = lane; j < p.columns; j += {{ LANES * COLUMNS }}u) {
            let q = share(first, target_, j);
            total += q;
            score += select(q * (logits[row + j] - largest), 0.0, q == 0.0);
{%- for i in range(1, COLUMNS) %}
            if (j + {{ i * LANES }}u < p.columns) {
                let next = share(first, target_, j + {{ i * LANES }}u);
                total += next;
                score += select(next * (logits[row + j + {{ i * LANES }}u] - largest), 0.0, next == 0.0);
            }
{%- endfor %}
        }
        total = sum_of_lanes(lane, total);
        score = sum_of_lanes(lane, score);
    }
    // A logit is NaN or +∞, or all are −∞: differences from it are NaN, of which functions are some numbers on some drivers.
    let spoilt = beyond || (bitcast<u32>(largest) & 0x7fffffffu) >= 0x7f800000u;
    let scale = 1.0 / count[p.count_offset];
    for (var j = lane; j < p.columns; j += {{ LANES * COLUMNS }}u) {
{%- for i in range(COLUMNS) %}
        if (j + {{ i * LANES }}u < p.columns) {
            let at = j + {{ i * LANES }}u;
            var q = select(0.0, total, at == target_);
            if (spread) {
                q = share(first, target_, at);
            }
            var value = (exp(logits[row + at] - largest) / sum * total - q) * scale;
            value = select(value, bitcast<f32>(p.nan), spoilt);
            gradient[p.gradient_offset + m * p.columns + at] = select(value, 0.0, masked);
        }
{%- endfor %}
    }
    if (lane == 0u) {
        var loss = total * log(sum) - score;
        loss = select(loss, bitcast<f32>(p.nan), spoilt);
        losses[p.losses_offset + m] = select(loss, 0.0, masked);
    }
}
