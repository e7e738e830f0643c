{%- from "groups.wgsl" import begin_group, group_id -%}
{%- from "tile.wgsl" import invocation, store_number -%}
{%- set first_row = "begin" if PARTS > 1 else "p.start" -%}
{%- set VECTORS_OF_C = VECTOR and PARTS > 1 -%}

{#- Four columns of a row of C from word `at` on, where there are so many. -#}
{%- macro store_four(at, column, sum) %}
{%- if VECTORS_OF_C %}
            if ({{ column }} < p.n) {
                store({{ at }} / 4u, {{ sum }});
            }
{%- else %}
{%- for i in range(4) %}
            if ({{ column }} + {{ i }}u < p.n) {
                store({{ at }} + {{ i }}u, {{ sum }}[{{ i }}]);
            }
{%- endfor %}
{%- endif %}
{%- endmacro -%}

{#- What a workgroup adds up: `side` rows of C from `first` on, from the column that it is told on, over the rows of A from `first_row` to `rows`. -#}
{%- macro begin(side, from_column) %}
    {{- begin_group("p.m", side, "p.batch * %su" | format(PARTS) if PARTS > 1 else "p.batch") }}
{%- if PARTS > 1 %}
    let batch = group.z % p.batch;
    let part = group.z / p.batch;
{%- else %}
    let batch = group.z;
{%- endif %}
    let first = group.y * {{ side }}u;
    let column = {{ from_column }};
    var rows = p.to;
    var place = p.map_offset;
    if (p.first != p.end) {
        let start = map[p.first];
        rows = min(rows, map[p.end] - start);
        place += start;
    }
{%- if PARTS > 1 %}
    let each = (p.to - p.start + {{ PARTS - 1 }}u) / {{ PARTS }}u;
    let begin = p.start + part * each;
    rows = min(rows, begin + each);
{%- endif %}
    let a_at = p.a_offset + batch * p.a_batch;
    let b_at = p.b_offset + batch * p.b_batch;
{%- endmacro -%}
// C[b, i, j] (+)= Σr A[b, r, i] · B[b, row(r), j]: the gradient of a weight, from those of the rows that it made and the
// rows that it multiplied.
//
// A lane owns four columns of ROWS rows of C; or, with STAGED, the workgroup brings rows of A and B into its memory first, for all of its
// lanes. Rows of B may be looked up in a map, where a part of it may be theirs. With PARTS the rows are cut into so many parts, each with a
// C of its own, of whole vectors where B is: [parts, batch, m, n].

struct Params {
    m: u32, // columns of A, rows of C
    n: u32, // columns of B and C
    batch: u32,
    a_offset: u32,
    a_row: u32,
    a_batch: u32,
    b_offset: u32,
    b_row: u32,
    b_batch: u32,
    c_offset: u32,
    c_row: u32,
    c_batch: u32,
    mapped: u32,
    map_offset: u32,
    map_batch: u32,
    first: u32, // where `map` has the first row of the part,
    end: u32,   // and its end; the same: as many rows as `to`
    start: u32, // the terms of this dispatch: rows of the part from this one
    to: u32,    // to before this one
    accumulate: u32,
}
{{ params }}
@group(0) @binding(0) var<storage, read> a: array<{{ "vec4<f32>" if VECTOR and ROWS > 1 else "f32" }}>; // [batch, rows, m], strided
@group(0) @binding(1) var<storage, read> b: array<{{ "vec4<f32>" if VECTOR else "f32" }}>; // [batch, rows, n], strided
@group(0) @binding(2) var<storage, read> map: array<u32>;              // [batch, rows], row of B
@group(0) @binding(3) var<storage, read_write> c: array<{{ "vec4<f32>" if VECTORS_OF_C else "f32" }}>;          // [batch, m, n], strided
{% if not VECTOR %}
fn four(at: u32, column: u32, columns: u32) -> vec4<f32> {
    let last = columns - 1u;
    return vec4<f32>(b[at + min(column, last)], b[at + min(column + 1u, last)],
        b[at + min(column + 2u, last)], b[at + min(column + 3u, last)]);
}
{% endif %}
{% if STAGED %}{% include "outer_staged.wgsl" %}{% else -%}
@compute @workgroup_size({{ LANES }})
fn main({{ invocation() }}
) {
    {{- begin(ROWS, "4u * (group.x * %su + lane)" | format(LANES)) }}
{%- if VECTOR %}
    let b_column = min(column, p.n - 4u) / 4u;
{%- endif %}
{%- for r in range(ROWS) %}
    var s{{ r }} = vec4<f32>();
{%- endfor %}
    for (var t = {{ first_row }}; t < rows; t++) {
        var row = t;
        if (p.mapped != 0u) {
            row = map[place + batch * p.map_batch + t];
        }
{%- if VECTOR %}
        let v = b[(b_at + row * p.b_row) / 4u + b_column];
{%- else %}
        let v = four(b_at + row * p.b_row, column, p.n);
{%- endif %}
{%- if VECTOR and ROWS > 1 %}
        let from_a = (a_at + t * p.a_row) / 4u;
{%- if SPREAD %}
        let own = a[from_a + min(first / 4u + sublane % {{ SPREAD }}u, p.m / 4u - 1u)];
{%- endif %}
{%- for q in range(ROWS // 4) %}
{%- if SPREAD %}
        let u{{ q }} = subgroupBroadcast(own, {{ q }}u);
{%- else %}
        let u{{ q }} = a[from_a + min(first / 4u + {{ q }}u, p.m / 4u - 1u)];
{%- endif %}
{%- endfor %}
{%- for r in range(ROWS) %}
        s{{ r }} = fma(vec4<f32>(u{{ r // 4 }}.{{ ["x", "y", "z", "w"][r % 4] }}), v, s{{ r }});
{%- endfor %}
{%- else %}
        let from_a = a_at + t * p.a_row;
{%- for r in range(ROWS) %}
        s{{ r }} = fma(vec4<f32>(a[from_a + min(first + {{ r }}u, p.m - 1u)]), v, s{{ r }});
{%- endfor %}
{%- endif %}
    }
    var sums = array<vec4<f32>, {{ ROWS }}>({% for r in range(ROWS) %}s{{ r }}, {% endfor %});
    for (var r = 0u; r < {{ ROWS }}u; r++) {
        if (first + r < p.m) {
            let at = p.c_offset + {{ "group.z" if PARTS > 1 else "batch" }} * p.c_batch + (first + r) * p.c_row + column;
            {{- store_four("at", "column", "sums[r]") }}
        }
    }
}
{%- endif %}

{% if VECTORS_OF_C -%}
fn store(at: u32, value: vec4<f32>) {
    if (p.accumulate != 0u) {
        c[at] += value;
    } else {
        c[at] = value;
    }
}
{%- else -%}
{{ store_number() }}
{%- endif %}
