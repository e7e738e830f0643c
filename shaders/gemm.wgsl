{#- With UNBIASED these are terms of longer sums, whose bias comes with others. -#}
{%- from "groups.wgsl" import group_id -%}
{%- from "operands.wgsl" import matrix, rows -%}
{%- from "tile.wgsl" import begin_rows, begin_sums, collect_sums, column_of, invocation, load_rows, multiply_add, store_number, store_row -%}
// C[b, m, n] (+)= Σk A[b, row(m), k] · B[b, k, n] + bias[b, n]
//
// A lane owns COLUMNS columns, LANES apart, of ROWS rows, or with NARROW pairs of columns; or, with STAGED, the workgroup
// brings a tile of both operands into its memory first, for all of its lanes. A is strided; rows of A or of C may be looked up in a map, where
// a part of it may be theirs; B is packed by `pack`: four rows of a column in a vector, then one row with the bias.

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
    mapped: u32, // 0: no map; 1: rows of A; 2: rows of C
    map_offset: u32,
    map_batch: u32,
    accumulate: u32,
    first: u32, // where `map` has the first row of the part,
    end:  u32,   // and its end; the same: all m rows
}
{{ params }}

// [batch, rows, k], strided
{{ rows(0, "a", "vec4<f32>" if VECTOR else "f32") }}
// [batch, ceil(k/4) + 1, n]
{{ matrix(1, "b") }}
@group(0) @binding(2) var<storage, read> map: array<u32>;          // [batch, m], row of A or C
@group(0) @binding(3) var<storage, read_write> c: array<{{ "u32" if NARROW else "f32" }}>;      // [batch, m, n], strided; NARROW: in halves

// Rows that there are, and the place of the first of them in the map.
fn part() -> vec2<u32> {
    if (p.first == p.end) {
        return vec2<u32>(p.m, p.map_offset);
    }
    let first = map[p.first];
    return vec2<u32>(min(p.m, map[p.end] - first), p.map_offset + first);
}

fn row_of(batch: u32, m: u32, place: u32) -> u32 {
    var row = m;
    if (p.mapped == 1u) {
        row = map[place + batch * p.map_batch + m];
    }
    return p.a_offset + batch * p.a_batch + row * p.a_row;
}
{% if not VECTOR %}
// Beyond k there may be anything, even NaN: those terms are 0.
fn a_term(row: u32, k: u32) -> f32 {
    return select(0.0, a[row + min(k, p.k - 1u) * p.a_column], k < p.k);
}
{% endif %}
{% if NARROW %}
{% include "half.wgsl" %}
// Two neighbours, where `at` is even.
fn store(at: u32, first: f32, second: f32) {
    c[at / 2u] = pack2x16float(vec2<f32>(to_half(first), to_half(second)));
}
{%- else %}
{{ store_number() }}
{%- endif %}

{% if EDGE %}{% include "gemm_cooperative.wgsl" %}{% elif STAGED %}{% include "gemm_staged.wgsl" %}{% else -%}
@compute @workgroup_size({{ LANES }})
fn main({{ invocation() }}
) {
    {{- begin_rows(ROWS) }}
{%- for c in range(COLUMNS) %}
    let column{{ c }} = group.x * {{ LANES * COLUMNS }}u + {{ column_of(c, LANES, "lane") }};
    let from{{ c }} = weights + min(column{{ c }}, p.n - 1u);
    let bias{{ c }} = {% if UNBIASED %}0.0{% else %}b_bias(from{{ c }} + panels * p.n){% endif %};
{%- endfor %}
{%- if SPREAD %}
{%- for i in range(ROWS // SPREAD) %}
    let own{{ i }} = row_of(batch, min(first + {{ i * SPREAD }}u + sublane % {{ SPREAD }}u, m - 1u), rows.y) / 4u;
{%- endfor %}
{%- else %}
{%- for r in range(ROWS) %}
    let row{{ r }} = row_of(batch, min(first + {{ r }}u, m - 1u), rows.y){{ " / 4u" if VECTOR }};
{%- endfor %}
{%- endif %}
    {{- begin_sums(COLUMNS) }}
    for (var k = 0u; k < panels; k++) {
{%- for c in range(COLUMNS) %}
        let w{{ c }} = b_at(from{{ c }} + k * p.n);
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
    for (var r = 0u; r < min({{ ROWS }}u, m - first); r++) {
        var row = first + r;
        {{- store_row(COLUMNS) }}
    }
}
{%- endif %}
