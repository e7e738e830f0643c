{#- `outer` for adapters with many lanes and fast workgroup memory: 16 by 16 lanes, each with ROWS rows and COLUMNS columns of C in fours,
64 apart. While a stage of DEPTH rows of A and B is multiplied, each lane already loads its vector of the next one, which goes into the other
half of the memory. -#}
{%- set SIDE = 16 * ROWS %}
{%- set VECTORS = 4 * ROWS %}
{%- set DEPTH = 256 // VECTORS %}
{%- set FOURS = ROWS // 4 %}
const STAGE = 256u; // vectors of an operand in a stage: one a lane
var<workgroup> a_tile: array<vec4<f32>, {{ 2 * 256 }}>; // [2, DEPTH, VECTORS]
var<workgroup> b_tile: array<vec4<f32>, {{ 2 * 256 }}>; // [2, DEPTH, VECTORS]

@compute @workgroup_size(256)
fn main({{ group_id() }}, @builtin(local_invocation_index) lane: u32) {
    {{- begin(SIDE, "group.x * %su" | format(SIDE)) }}
    // What this lane loads: neighbours load neighbours.
    let depth = lane / {{ VECTORS }}u;
    let side = 4u * (lane % {{ VECTORS }}u);
    let a_from = a_at + min(first + side, p.m - 4u);
    let b_from = b_at + min(column + side, p.n - 4u);
    let map_from = place + batch * p.map_batch;
    // What it multiplies.
    let x = lane % 16u;
    let y = lane / 16u;
{%- for r in range(ROWS) %}
{%- for q in range(FOURS) %}
    var s{{ r }}_{{ q }} = vec4<f32>();
{%- endfor %}
{%- endfor %}
    var now = 0u;
    a_tile[lane] = a_vector(a_from, {{ first_row }} + depth, rows);
    b_tile[lane] = b_vector(b_from, {{ first_row }} + depth, rows, map_from);
    workgroupBarrier();
    for (var t = {{ first_row }}; t < rows; t += {{ DEPTH }}u) {
        let next = t + {{ DEPTH }}u + depth;
        let a_next = a_vector(a_from, next, rows);
        let b_next = b_vector(b_from, next, rows, map_from);
        for (var d = 0u; d < {{ DEPTH }}u; d++) {
            let at = now + d * {{ VECTORS }}u;
{%- for q in range(FOURS) %}
            let u{{ q }} = a_tile[at + {{ 16 * q }}u + y];
            let v{{ q }} = b_tile[at + {{ 16 * q }}u + x];
{%- endfor %}
{%- for r in range(ROWS) %}
{%- for q in range(FOURS) %}
            s{{ r }}_{{ q }} = fma(vec4<f32>(u{{ r // 4 }}.{{ ["x", "y", "z", "w"][r % 4] }}), v{{ q }}, s{{ r }}_{{ q }});
{%- endfor %}
{%- endfor %}
        }
        now = STAGE - now;
        a_tile[now + lane] = a_next;
        b_tile[now + lane] = b_next;
        workgroupBarrier();
    }
    var sums = array<array<vec4<f32>, {{ FOURS }}>, {{ ROWS }}>(
{%- for r in range(ROWS) %}
        array<vec4<f32>, {{ FOURS }}>({% for q in range(FOURS) %}s{{ r }}_{{ q }}, {% endfor %}),
{%- endfor %}
    );
    for (var r = 0u; r < {{ ROWS }}u; r++) {
        let row = first + 64u * (r / 4u) + 4u * y + r % 4u;
        if (row < p.m) {
            let at = p.c_offset + group.z * p.c_batch + row * p.c_row;
{%- for q in range(FOURS) %}
            let column{{ q }} = column + {{ 64 * q }}u + 4u * x;
            let at{{ q }} = at + column{{ q }};
            {{- store_four("at%s" | format(q), "column%s" | format(q), "sums[r][%s]" | format(q)) }}
{%- endfor %}
        }
    }
}

// Beyond the last row there are zeros.
fn a_vector(column: u32, t: u32, rows: u32) -> vec4<f32> {
    if (t < rows) {
        return a[(column + t * p.a_row) / 4u];
    }
    return vec4<f32>();
}

fn b_vector(column: u32, t: u32, rows: u32, place: u32) -> vec4<f32> {
    if (t < rows) {
        var row = t;
        if (p.mapped != 0u) {
            row = map[place + t];
        }
        return b[(column + row * p.b_row) / 4u];
    }
    return vec4<f32>();
}
