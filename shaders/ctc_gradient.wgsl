// The gradient of a CTC loss with respect to its logits (Graves et al. 2006, equation 16):
//
//   gradient[t, n, c] = (y[t, n, c] − Σ over states s of class c: posterior[t, s]) · scale
//
// where y = softmax(logits), posterior[t] = softmax(forward[t] + backward[t]) over the states of sequence n, both as
// `ctc_lattice` keeps them, and scale = 1 / (valid · max(labels of n, 1)) for a mean, 1 / valid for a sum. 0 from the sequence's last
// step on, for one that is left out, and for an infinite loss where infinite ones count as 0; else NaN for a loss that is not
// finite.
//
// A workgroup takes a row. The lane of a class's first label follows the list of equal ones: sums run in one order.

struct Params {
    first: u32, // the first sequence of this dispatch
    count: u32, // and how many they are
    batch: u32,
    steps: u32,
    classes: u32,
    labels: u32,
    blank: u32,
    mean: u32,
    zero_infinity: u32,
    logits_offset: u32,
    nan: u32,        // the bits of NaN: WGSL has no literal for it
    row_groups: u32, // workgroups in a row of the grid
}
{{ params }}
{% include "math.wgsl" %}

@group(0) @binding(0) var<storage, read> logits: array<f32>;         // [steps, batch, classes]
@group(0) @binding(1) var<storage, read> norms: array<f32>;          // [steps, batch], log Σ exp
@group(0) @binding(2) var<storage, read> sequences: array<u32>;      // [batch, 4 + 2·labels]: see ctc_labels.wgsl
@group(0) @binding(3) var<storage, read> carry: array<f32>;          // [batch, 2, states + 2]: its last word is a sequence's loss
@group(0) @binding(4) var<storage, read> lattice: array<f32>;        // [2, count, steps, states]
@group(0) @binding(5) var<storage, read> valid: array<f32>;          // [1], what the loss is divided by
@group(0) @binding(6) var<storage, read_write> gradient: array<f32>; // [steps, batch, classes]

const ZERO = -1.0e30; // log 0

var<workgroup> shared_: array<vec2<f32>, {{ LANES }}>;

// The logarithm of a posterior, up to one number for all states of the row.
fn weight(row: u32, s: u32) -> f32 {
    let forwards = max(lattice[row + s], ZERO);
    return forwards + max(lattice[row + p.count * p.steps * (2u * p.labels + 1u) + s], ZERO);
}

fn share(weight: f32, top: f32) -> f32 {
    return select(0.0, exp(max(weight - top, -80.0)), weight - top > -80.0);
}

@compute @workgroup_size({{ LANES }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let m = group.y * p.row_groups + group.x;
    if (m >= p.steps * p.count) {
        return;
    }
    let t = m / p.count;
    let n = p.first + m % p.count;
    let states_most = 2u * p.labels + 1u;
    let sequence = n * (4u + 2u * p.labels);
    let steps = sequences[sequence];
    let labels = sequences[sequence + 1u];
    let wrong = sequences[sequence + 2u] == 1u;
    let out = (t * p.batch + n) * p.classes;
    let loss = carry[2u * n * (states_most + 2u) + states_most + 1u];
    let infinite = (bitcast<u32>(loss) & 0x7fffffffu) == 0x7f800000u;
    if (wrong || t >= steps || infinite || is_nan(loss)) {
        let zero = !wrong && (t >= steps || (infinite && p.zero_infinity != 0u));
        for (var c = lane; c < p.classes; c += {{ LANES }}u) {
            gradient[out + c] = select(bitcast<f32>(p.nan), 0.0, zero);
        }
        return;
    }
    let states = 2u * labels + 1u;
    let row = ((n - p.first) * p.steps + t) * states_most;
    var top = 4.0 * ZERO;
    for (var s = lane; s < states; s += {{ LANES }}u) {
        top = max(top, weight(row, s));
    }
    shared_[lane].x = top;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            shared_[lane].x = max(shared_[lane].x, shared_[lane + half].x);
        }
        workgroupBarrier();
    }
    top = shared_[0].x;
    workgroupBarrier();
    // Of all states, and of the blank ones.
    var sums = vec2<f32>();
    for (var s = lane; s < states; s += {{ LANES }}u) {
        let value = share(weight(row, s), top);
        sums += vec2<f32>(value, select(0.0, value, s % 2u == 0u));
    }
    shared_[lane] = sums;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            shared_[lane] += shared_[lane + half];
        }
        workgroupBarrier();
    }
    sums = shared_[0];
    var scale = 1.0 / valid[0];
    if (p.mean != 0u) {
        scale = 1.0 / (valid[0] * f32(max(labels, 1u)));
    }
    let norm = norms[t * p.batch + n];
    let logit = p.logits_offset + out;
    for (var c = lane; c < p.classes; c += {{ LANES }}u) {
        let y = exp(clamp(logits[logit + c] - norm, -87.0, 0.0));
        gradient[out + c] = (y - select(0.0, sums.y / sums.x, c == p.blank)) * scale;
    }
    storageBarrier();
    let links = sequence + 4u + p.labels;
    for (var i = lane; i < labels; i += {{ LANES }}u) {
        if (sequences[links + i] < 0x80000000u) {
            let c = sequences[sequence + 4u + i];
            var sum = 0.0;
            for (var j = i; j < labels; j = sequences[links + j] & 0x7fffffffu) {
                sum += share(weight(row, 2u * j + 1u), top);
            }
            let y = exp(clamp(logits[logit + c] - norm, -87.0, 0.0));
            gradient[out + c] = (y - sum / sums.x) * scale;
        }
    }
}
