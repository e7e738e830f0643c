// `scan` backwards: with d the gradient of h' and o that of h' by s', the gradient of the state is a recurrence too,
// ds = a⊙(ds' + o⊙d), from the last step to the first. PHASE as in `scan`, parts in the same order of steps.
struct Params {
    batch: u32,
    directions: u32,
    state_row: u32,
    x_direction: u32,
    x_stride: u32,
    map_direction: u32,
    order: u32,
    offsets: u32,
    chunk: u32,
    steps: u32,
    running: u32,
    dh_stride: u32,
    dc_stride: u32,
    dy_stride: u32, // 0: no gradient of y
    dy_offset: u32,
    source: u32,
    units: u32,
    part: u32,
    parts: u32,
    rank: u32,
}
{{ params }}

@group(0) @binding(0) var<storage, read_write> reserve: array<f32>; // [D, rows, x_stride]
@group(0) @binding(1) var<storage, read_write> dh: array<f32>;      // [L·D·N, dh_stride]
@group(0) @binding(2) var<storage, read> map: array<u32>;           // rows of y [D, rows]; order [N]; offsets [T + 2]
@group(0) @binding(3) var<storage, read_write> dc: array<f32>;      // [L·D·N, dc_stride]; u in its place: [D, dc_stride], a number in 4 words
@group(0) @binding(4) var<storage, read> dy: array<f32>;            // [T·N, D·H]
@group(0) @binding(5) var<storage, read_write> carry: array<f32>;   // [parts, D·N, H, 2], then the gradients at last [D·N, H]

{% include "math.wgsl" %}
{% include "activations.wgsl" %}
{% include SCAN.file %}

@compute @workgroup_size({{ LANES }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let unit = group.x * {{ LANES }}u + lane;
    if (unit >= p.units) {
        return;
    }
    let rank = p.rank + group.y;
    let direction = group.z % p.directions;
    let part = group.z / p.directions;
    let row = direction * p.batch + map[p.order + rank];
    let dh_at = (p.state_row + row) * p.dh_stride + unit;
    let rows = p.directions * p.batch;
{%- if SCAN.has_c %}
    let ds_at = (p.state_row + row) * p.dc_stride + unit;
{%- endif %}
{%- if PHASE == 2 %}
    var d_s = carry[(2u * p.parts * rows + row) * p.units + unit];
    for (var after = p.parts - 1u; after > part; after--) {
        let at = 2u * ((after * rows + row) * p.units + unit);
        d_s = fma(carry[at], d_s, carry[at + 1u]);
    }
{%- else %}
    var d_s = {{ "dc[ds_at]" if SCAN.has_c else "dh[dh_at]" }};
{%- endif %}
{%- if PHASE == 1 %}
    if (part == 0u) {
        carry[(2u * p.parts * rows + row) * p.units + unit] = d_s;
    }
    var total = vec2<f32>(1.0, 0.0);
{%- endif %}
    let begin = part * p.part;
    for (var step = min(begin + p.part, p.steps); step > begin; step--) {
        let first = map[p.offsets + step - 1u];
        let next = map[p.offsets + step];
        if (rank >= next - first) {
            continue;
        }
        let at = direction * p.x_direction + (first - map[p.chunk] + rank) * p.x_stride;
        var g: array<f32, {{ SCAN.gates }}>;
{%- for i in range(SCAN.gates) %}
        g[{{ i }}] = reserve[at + {{ i }}u * p.units + unit];
{%- endfor %}
        let old = reserve[at + p.source + unit];
        var d_y = 0.0;
        if (p.dy_stride != 0u) {
            let y_row = map[first + direction * p.map_direction + rank];
            d_y = dy[p.dy_offset + y_row * p.dy_stride + direction * p.units + unit];
        }
{%- if SCAN.has_c %}
        // The gradient of the last h joins that of the last y.
        if (rank >= map[p.offsets + step + 1u] - next) {
            d_y += dh[dh_at];
{%- if PHASE != 1 %}
            dh[dh_at] = 0.0;
{%- endif %}
        }
{%- endif %}
{%- if PHASE == 1 %}
        let ab = {{ SCAN.name }}_linear(g);
        let o = {{ SCAN.name }}_slope(g, fma(ab.x, old, ab.y));
        total = vec2<f32>(ab.x * total.x, ab.x * fma(d_y, o, total.y));
{%- else %}
{%- if SCAN.diagonal %}
        let u = dc[direction * p.dc_stride + 4u * unit];
        let d = (d_s + d_y) * {{ SCAN.name }}_derivative({{ SCAN.name }}_step(g[0], old, u));
        g[0] = d;
        // What u's gradient is the sum of.
        reserve[at + p.units + unit] = d * old;
        d_s = u * d;
{%- else %}
        d_s = {{ SCAN.name }}_backward(&g, old, d_y, d_s);
{%- endif %}
{%- for i in range(SCAN.gates) %}
        reserve[at + {{ i }}u * p.units + unit] = g[{{ i }}];
{%- endfor %}
{%- endif %}
    }
{%- if PHASE == 1 %}
    let at = 2u * ((part * rows + row) * p.units + unit);
    carry[at] = total.x;
    carry[at + 1u] = total.y;
{%- else %}
    if (part == 0u) {
        {{ "dc[ds_at]" if SCAN.has_c else "dh[dh_at]" }} = d_s;
    }
{%- endif %}
}
