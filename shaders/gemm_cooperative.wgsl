{#- `gemm` by units for small matrices: a workgroup has ROWS rows by COLUMNS columns. -#}
{%- if not NARROW %}
{% include "half.wgsl" %}
{%- endif %}
{%- set PAIRS = COLUMNS // 2 %}
struct Operands {
    panels: u32,
    batch: u32,
    place: u32,   // of the part's first row in the map
    first: u32,   // row of the workgroup
    end: u32,     // of the rows
    column: u32,  // of the workgroup
    weights: u32,
}

{% include "cooperative.wgsl" %}

fn left_vector(by: Operands, row: u32, k: u32) -> vec4<f32> {
    return a[row_of(by.batch, min(by.first + row, by.end - 1u), by.place) / 4u + k];
}

fn right_vector(by: Operands, column: u32, k: u32) -> vec4<f32> {
    return b_at(by.weights + min(by.column + column, p.n - 1u) + k * p.n);
}

@compute @workgroup_size({{ LANES }})
fn main(
    {{ group_id() }},
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    {{- begin_rows(ROWS) }}
    let column = group.x * {{ COLUMNS }}u;
    multiply(Operands(panels, batch, rows.y, first, m, column, weights), lane, subgroup);
    // A lane has two neighbours of some rows.
    let side = 2u * (lane % {{ PAIRS }}u);
{%- for c in [0, 1] %}
    let column{{ c }} = column + side + {{ c }}u;
    let bias{{ c }} = {% if UNBIASED %}0.0{% else %}b_bias(weights + panels * p.n + min(column{{ c }}, p.n - 1u)){% endif %};
{%- endfor %}
    for (var i = lane / {{ PAIRS }}u; i < min({{ ROWS }}u, m - first); i += {{ LANES // PAIRS }}u) {
        let r = 0u;
        let start = i * {{ COLUMNS }}u + side;
        var sums = array<array<f32, 2>, 1>(array<f32, 2>(products[start] + bias0, products[start + 1u] + bias1));
        var row = first + i;
        {{- store_row(2) }}
    }
}
