{#- Sums of ROWS rows by COLUMNS columns by an adapter's units for small matrices, EDGE by EDGE, which multiply halves and
add in 32 bits. Columns are halves already. A row's number is multiplied as a sum of two halves, the second 2048 times as large
and with sums of its own: what is left out of it is at most 2⁻²² of it, or 2⁻²⁵, whichever is more, even where units take
halves below 2⁻¹⁴ for 0. Numbers beyond 65,504 count as that,
infinity as infinity.

The caller gives `Operands`, whose `panels` is the number of vectors to multiply, and `left_vector(by, row, k)` and
`right_vector(by, column, k)`, for k below it. -#}
{#- Rows are PITCH apart, eight more than their numbers, so that they begin in different banks. #}
{%- set DEPTH = PITCH - 8 %}
{%- set VECTORS = DEPTH // 4 %}
{%- set TILES = ROWS // EDGE * (COLUMNS // EDGE) %}
{%- set SHARE = (TILES + SUBGROUPS - 1) // SUBGROUPS %}
alias Left = coop_mat{{ EDGE }}x{{ EDGE }}<f16, A>;
alias Right = coop_mat{{ EDGE }}x{{ EDGE }}<f16, B>;
alias Sum = coop_mat{{ EDGE }}x{{ EDGE }}<f32, C>;
var<workgroup> first_halves: array<f16, {{ ROWS * PITCH }}>;   // [ROWS, DEPTH]
var<workgroup> second_halves: array<f16, {{ ROWS * PITCH }}>;  // [ROWS, DEPTH]
var<workgroup> right: array<f16, {{ COLUMNS * PITCH }}>;       // [COLUMNS, DEPTH]
var<workgroup> products: array<f32, {{ ROWS * COLUMNS }}>;      // [ROWS, COLUMNS]

fn store_left(at: u32, x: f32) {
    let size = bitcast<u32>(x) & 0x7fffffffu;
    let is_infinite = size == 0x7f800000u;
    // Below 2⁻¹⁴ the second half has all of it.
    let first = select(select(to_half(x), x, is_infinite), 0.0, size < 0x38800000u);
    first_halves[at] = f16(first);
    second_halves[at] = f16(select(to_half(2048.0 * (clamp(x, -65504.0, 65504.0) - first)), 0.0, is_infinite));
}

// All rows times all columns into `products`.
fn multiply(by: Operands, lane: u32, subgroup: u32) {
{%- for i in range(SHARE) %}
    var sum{{ i }} = Sum();
    var rest{{ i }} = Sum();
    // A subgroup that is left over makes the last one once more, to the same bits: all of them must go the same way.
    let tile{{ i }} = min(subgroup * {{ SHARE }}u + {{ i }}u, {{ TILES - 1 }}u);
    let row{{ i }} = tile{{ i }} / {{ COLUMNS // EDGE }}u * {{ EDGE }}u;
    let column{{ i }} = tile{{ i }} % {{ COLUMNS // EDGE }}u * {{ EDGE }}u;
{%- endfor %}
    for (var k = 0u; k < by.panels; k += {{ VECTORS }}u) {
        for (var i = lane; i < {{ ROWS * VECTORS }}u; i += {{ LANES }}u) {
            let vector = k + i % {{ VECTORS }}u;
            // Beyond the last vector there are zeros.
            let v = select(vec4<f32>(), left_vector(by, i / {{ VECTORS }}u, min(vector, by.panels - 1u)), vector < by.panels);
            let at = i / {{ VECTORS }}u * {{ PITCH }}u + i % {{ VECTORS }}u * 4u;
{%- for x in ["x", "y", "z", "w"] %}
            store_left(at + {{ loop.index0 }}u, v.{{ x }});
{%- endfor %}
        }
        for (var i = lane; i < {{ COLUMNS * VECTORS }}u; i += {{ LANES }}u) {
            let vector = k + i / {{ COLUMNS }}u;
            let w = select(vec4<f32>(), right_vector(by, i % {{ COLUMNS }}u, min(vector, by.panels - 1u)), vector < by.panels);
            let at = i % {{ COLUMNS }}u * {{ PITCH }}u + i / {{ COLUMNS }}u * 4u;
{%- for x in ["x", "y", "z", "w"] %}
            right[at + {{ loop.index0 }}u] = f16(w.{{ x }});
{%- endfor %}
        }
        workgroupBarrier();
        for (var d = 0u; d < {{ DEPTH }}u; d += {{ EDGE }}u) {
{%- for i in range(SHARE) %}
            let right{{ i }} = coopLoad<Right>(&right[column{{ i }} * {{ PITCH }}u + d], {{ PITCH }}u);
            let left{{ i }} = row{{ i }} * {{ PITCH }}u + d;
            sum{{ i }} = coopMultiplyAdd(coopLoadT<Left>(&first_halves[left{{ i }}], {{ PITCH }}u), right{{ i }}, sum{{ i }});
            rest{{ i }} = coopMultiplyAdd(coopLoadT<Left>(&second_halves[left{{ i }}], {{ PITCH }}u), right{{ i }}, rest{{ i }});
{%- endfor %}
        }
        workgroupBarrier();
    }
{%- for i in range(SHARE) %}
    coopStoreT(sum{{ i }} + rest{{ i }} * {{ 1 / 2048 }}, &products[row{{ i }} * {{ COLUMNS }}u + column{{ i }}], {{ COLUMNS }}u);
{%- endfor %}
    workgroupBarrier();
}
