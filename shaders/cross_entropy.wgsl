{#- A lane takes COLUMNS columns a loop trip: drivers are known that end long loops. -#}
// losses[m] = log Σj exp(logits[m, j]) − logits[m, target[m]] and gradient[m, j] = (softmax(logits[m])[j] − [j = target])
// / count; 0 for a masked target, NaN for one that is no column.
//
// A workgroup takes a row.

struct Params {
    m: u32,
    columns: u32,
    logits_offset: u32,
    target_offset: u32,
    count_offset: u32,
    losses_offset: u32,
    gradient_offset: u32,
    nan: u32,        // the bits of NaN: WGSL has no literal for it
    row_groups: u32, // workgroups in a row of the grid
}
{{ params }}
{% include "math.wgsl" %}

@group(0) @binding(0) var<storage, read> logits: array<f32>;         // [m, columns]
@group(0) @binding(1) var<storage, read> targets: array<u32>;        // [m]
@group(0) @binding(2) var<storage, read> count: array<f32>;          // [1], targets that are not masked
@group(0) @binding(3) var<storage, read_write> losses: array<f32>;   // [m]
@group(0) @binding(4) var<storage, read_write> gradient: array<f32>; // [m, columns]

var<workgroup> shared_: array<f32, {{ LANES }}>;

@compute @workgroup_size({{ LANES }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let m = group.y * p.row_groups + group.x;
    if (m >= p.m) {
        return;
    }
    let row = p.logits_offset + m * p.columns;
    let target_ = targets[p.target_offset + m];
    // A lane without a column repeats the first one, which changes no maximum.
    var largest = logits[row + select(0u, lane, lane < p.columns)];
    for (var j = lane; j < p.columns; j += {{ LANES * COLUMNS }}u) {
        let x = logits[row + j];
        largest = select(max(largest, x), x, is_nan(x));
{%- for i in range(1, COLUMNS) %}
        if (j + {{ i * LANES }}u < p.columns) {
            let next = logits[row + j + {{ i * LANES }}u];
            largest = select(max(largest, next), next, is_nan(next));
        }
{%- endfor %}
    }
    shared_[lane] = largest;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            shared_[lane] = max(shared_[lane], shared_[lane + half]);
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
    shared_[lane] = sum;
    workgroupBarrier();
    for (var half = {{ LANES // 2 }}u; half > 0u; half /= 2u) {
        if (lane < half) {
            shared_[lane] += shared_[lane + half];
        }
        workgroupBarrier();
    }
    sum = shared_[0];
    let masked = target_ == 0xffffffffu;
    let beyond = !masked && target_ >= p.columns;
    let scale = 1.0 / count[p.count_offset];
    for (var j = lane; j < p.columns; j += {{ LANES * COLUMNS }}u) {
        let probability = exp(logits[row + j] - largest) / sum;
        var value = (probability - select(0.0, 1.0, j == target_)) * scale;
        value = select(value, bitcast<f32>(p.nan), beyond);
        gradient[p.gradient_offset + m * p.columns + j] = select(value, 0.0, masked);
{%- for i in range(1, COLUMNS) %}
        if (j + {{ i * LANES }}u < p.columns) {
            let at = j + {{ i * LANES }}u;
            var next = (exp(logits[row + at] - largest) / sum - select(0.0, 1.0, at == target_)) * scale;
            next = select(next, bitcast<f32>(p.nan), beyond);
            gradient[p.gradient_offset + m * p.columns + at] = select(next, 0.0, masked);
        }
{%- endfor %}
    }
    if (lane == 0u) {
        let score = logits[row + select(0u, target_, target_ < p.columns)];
        var loss = log(sum) - (score - largest);
        loss = select(loss, bitcast<f32>(p.nan), beyond);
        losses[p.losses_offset + m] = select(loss, 0.0, masked);
    }
}
