{%- from "tile.wgsl" import begin_sums, collect_sums, invocation, load_rows, multiply_add -%}
// C[b, m, n] (+)= Σk A[b, row(m), k] · B[b, k, n] + bias[b, n]
//
// A lane owns COLUMNS columns, LANES apart, of ROWS rows. A is strided and its rows may be looked up in a map; B is packed
// by `pack`: four rows of a column in a vector, then one row with the bias.

struct Params {
    m: u32,
    n: u32,
    k: u32,
    batch: u32,
    a_offset: u32,
    a_row: u32,
    a_column: u32,
    a_batch: u32,
    b_offset: u32, // in vectors
    b_batch: u32,  // in vectors
    c_offset: u32,
    c_row: u32,
    c_batch: u32,
    mapped: u32,
    map_offset: u32,
    map_batch: u32,
    accumulate: u32,
}
{{ params }}

@group(0) @binding(0) var<storage, read> a: array<{{ "vec4<f32>" if VECTOR else "f32" }}>; // [batch, rows, k], strided
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;      // [batch, ceil(k/4) + 1, n]
@group(0) @binding(2) var<storage, read> map: array<u32>;          // [batch, m], row of A
@group(0) @binding(3) var<storage, read_write> c: array<f32>;      // [batch, m, n], strided

fn row_of(batch: u32, m: u32) -> u32 {
    var row = m;
    if (p.mapped != 0u) {
        row = map[p.map_offset + batch * p.map_batch + m];
    }
    return p.a_offset + batch * p.a_batch + row * p.a_row;
}
{% if not VECTOR %}
// Beyond k there may be anything, even NaN: those terms are 0.
fn a_term(row: u32, k: u32) -> f32 {
    return select(0.0, a[row + min(k, p.k - 1u) * p.a_column], k < p.k);
}
{% endif %}
@compute @workgroup_size({{ LANES }})
fn main({{ invocation() }}
) {
    let batch = group.z;
    let first = group.y * {{ ROWS }}u;
    let panels = (p.k + 3u) / 4u;
    let weights = p.b_offset + batch * p.b_batch;
{%- for c in range(COLUMNS) %}
    let column{{ c }} = group.x * {{ LANES * COLUMNS }}u + {{ c * LANES }}u + lane;
    let from{{ c }} = weights + min(column{{ c }}, p.n - 1u);
    let bias{{ c }} = b[from{{ c }} + panels * p.n].x;
{%- endfor %}
{%- if SPREAD %}
{%- for i in range(ROWS // SPREAD) %}
    let own{{ i }} = row_of(batch, min(first + {{ i * SPREAD }}u + sublane % {{ SPREAD }}u, p.m - 1u)) / 4u;
{%- endfor %}
{%- else %}
{%- for r in range(ROWS) %}
    let row{{ r }} = row_of(batch, min(first + {{ r }}u, p.m - 1u)){{ " / 4u" if VECTOR }};
{%- endfor %}
{%- endif %}
    {{- begin_sums(COLUMNS) }}
    for (var k = 0u; k < panels; k++) {
{%- for c in range(COLUMNS) %}
        let w{{ c }} = b[from{{ c }} + k * p.n];
{%- endfor %}
{%- if VECTOR %}
        {{- load_rows("a") }}
{%- else %}
{%- for r in range(ROWS) %}
        let v{{ r }} = vec4<f32>(a_term(row{{ r }}, 4u * k), a_term(row{{ r }}, 4u * k + 1u),
            a_term(row{{ r }}, 4u * k + 2u), a_term(row{{ r }}, 4u * k + 3u));
{%- endfor %}
{%- endif %}
        {{- multiply_add(COLUMNS) }}
    }
    {{- collect_sums(COLUMNS) }}
    for (var r = 0u; r < min({{ ROWS }}u, p.m - first); r++) {
        let at = p.c_offset + batch * p.c_batch + (first + r) * p.c_row;
{%- for c in range(COLUMNS) %}
        if (column{{ c }} < p.n) {
            store(at + column{{ c }}, sums[r][{{ c }}]);
        }
{%- endfor %}
    }
}

fn store(at: u32, value: f32) {
    if (p.accumulate != 0u) {
        c[at] += value;
    } else {
        c[at] = value;
    }
}
