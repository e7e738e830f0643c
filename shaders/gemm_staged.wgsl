{#- `gemm` for adapters with many lanes and fast workgroup memory: 16 by 16 lanes, each with ROWS rows 16 apart by COLUMNS
columns 16 apart. While a stage of DEPTH vectors of the dot products is multiplied, each lane already loads its vector of
the next one, which goes into the other half of the memory. -#}
{%- set SIDE = 16 * ROWS %}
{%- set DEPTH = 256 // SIDE %}
const STAGE = 256u; // vectors of an operand in a stage: one a lane
var<workgroup> a_tile: array<vec4<f32>, {{ 2 * 256 }}>; // [2, DEPTH, SIDE]
var<workgroup> b_tile: array<vec4<f32>, {{ 2 * 256 }}>; // [2, DEPTH, SIDE]

@compute @workgroup_size(256)
fn main({{ group_id() }}, @builtin(local_invocation_index) lane: u32) {
    {{- begin_rows(SIDE) }}
    let column = group.x * {{ SIDE }}u;
    // What this lane loads: neighbours load neighbours.
    let a_depth = lane % {{ DEPTH }}u;
    let a_side = lane / {{ DEPTH }}u;
    let a_from = row_of(batch, min(first + a_side, m - 1u), rows.y) / 4u;
    let b_depth = lane / {{ SIDE }}u;
    let b_side = lane % {{ SIDE }}u;
    let b_from = weights + min(column + b_side, p.n - 1u);
    let a_to = a_depth * {{ SIDE }}u + a_side;
    let b_to = lane;
    // What it multiplies.
    let x = lane % 16u;
    let y = lane / 16u;
{%- for c in range(COLUMNS) %}
    let side{{ c }} = {{ column_of(c, 16, "x") }};
    let column{{ c }} = column + side{{ c }};
    let bias{{ c }} = {% if UNBIASED %}0.0{% else %}b_bias(weights + panels * p.n + min(column{{ c }}, p.n - 1u)){% endif %};
{%- endfor %}
    {{- begin_sums(COLUMNS) }}
    var now = 0u;
    a_tile[a_to] = a_vector(a_from, a_depth, panels);
    b_tile[b_to] = b_vector(b_from, b_depth, panels);
    workgroupBarrier();
    for (var k = 0u; k < panels; k += {{ DEPTH }}u) {
        let next = k + {{ DEPTH }}u;
        let a_next = a_vector(a_from, next + a_depth, panels);
        let b_next = b_vector(b_from, next + b_depth, panels);
        for (var d = 0u; d < {{ DEPTH }}u; d++) {
            let at = now + d * {{ SIDE }}u;
{%- for r in range(ROWS) %}
            let v{{ r }} = a_tile[at + {{ 16 * r }}u + y];
{%- endfor %}
{%- for c in range(COLUMNS) %}
            let w{{ c }} = b_tile[at + side{{ c }}];
{%- endfor %}
            {{- multiply_add(COLUMNS) }}
        }
        now = STAGE - now;
        a_tile[now + a_to] = a_next;
        b_tile[now + b_to] = b_next;
        workgroupBarrier();
    }
    {{- collect_sums(COLUMNS) }}
    for (var r = 0u; r < {{ ROWS }}u; r++) {
        var row = first + 16u * r + y;
        if (row < m) {
            {{- store_row(COLUMNS) }}
        }
    }
}

// Beyond the last vector there are zeros.
fn a_vector(row: u32, k: u32, panels: u32) -> vec4<f32> {
    return select(vec4<f32>(), a[row + min(k, panels - 1u)], k < panels);
}

fn b_vector(column: u32, k: u32, panels: u32) -> vec4<f32> {
    return select(vec4<f32>(), b_at(column + min(k, panels - 1u) * p.n), k < panels);
}
