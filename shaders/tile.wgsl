{%- from "groups.wgsl" import begin_group, group_id -%}
{#- A register tile: sums s{row}_{column} of ROWS rows by COLUMNS columns, four terms of the dot product at a time. -#}

{#- The rows of vector k, v0..: each lane reads all of them, or, with SPREAD, lane i of a subgroup reads row i and the
    subgroup shares them. The caller declares row0.. (or own0.. with SPREAD): where each row starts. -#}
{%- macro load_rows(name) %}
{%- if SPREAD %}
{%- for i in range(ROWS // SPREAD) %}
        let held{{ i }} = {{ name }}[own{{ i }} + k];
{%- endfor %}
{%- for r in range(ROWS) %}
        let v{{ r }} = subgroupBroadcast(held{{ r // SPREAD }}, {{ r % SPREAD }}u);
{%- endfor %}
{%- else %}
{%- for r in range(ROWS) %}
        let v{{ r }} = {{ name }}[row{{ r }} + k];
{%- endfor %}
{%- endif %}
{%- endmacro -%}

{%- macro multiply_add(columns) %}
{%- for r in range(ROWS) %}
{%- for x in ["x", "y", "z", "w"] %}
{%- for c in range(columns) %}
        s{{ r }}_{{ c }} = fma(v{{ r }}.{{ x }}, w{{ c }}.{{ x }}, s{{ r }}_{{ c }});
{%- endfor %}
{%- endfor %}
{%- endfor %}
{%- endmacro -%}

{#- With SPLIT, so many invocations share the sums of a lane: each takes every SPLIT-th vector of the terms, and then each adds
    up some rows, through workgroup memory, always in the same order. -#}
{%- macro part_memory(columns) %}
{%- if SPLIT > 1 %}
var<workgroup> parts: array<f32, {{ SPLIT * ROWS * columns * LANES }}>;
{%- endif %}
{%- endmacro -%}

{%- macro begin_part() %}
{%- if SPLIT > 1 %}
    let lane = thread % {{ LANES }}u;
    let part = thread / {{ LANES }}u;
{%- else %}
    let part = 0u;
{%- endif %}
{%- endmacro -%}

{#- What an invocation knows of itself. -#}
{%- macro invocation() %}
    {{ group_id() }},
    @builtin(local_invocation_index) {{ "thread" if SPLIT > 1 else "lane" }}: u32,
{%- if SPREAD %}
    @builtin(subgroup_invocation_id) sublane: u32,
{%- endif %}
{%- endmacro -%}

{#- Every sum begins with its column's bias. -#}
{%- macro begin_sums(columns) %}
{%- for r in range(ROWS) %}
{%- for c in range(columns) %}
    var s{{ r }}_{{ c }} = {{ "select(0.0, bias%s, part == 0u)" | format(c) if SPLIT > 1 else "bias%s" | format(c) }};
{%- endfor %}
{%- endfor %}
{%- endmacro -%}

{#- Or with nothing. -#}
{%- macro zero_sums(columns) %}
{%- for r in range(ROWS) %}
{%- for c in range(columns) %}
    var s{{ r }}_{{ c }} = 0.0;
{%- endfor %}
{%- endfor %}
{%- endmacro -%}

{#- The sums as an array, so that what follows can be a loop: unrolled, a large tile would take a driver seconds to
    compile. -#}
{%- macro collect_sums(columns) %}
{%- if SPLIT > 1 %}
    // What was added up here before has been read.
    workgroupBarrier();
{%- for r in range(ROWS) %}
{%- for c in range(columns) %}
    parts[(part * {{ ROWS }}u + {{ r }}u) * {{ columns * LANES }}u + {{ c * LANES }}u + lane] = s{{ r }}_{{ c }};
{%- endfor %}
{%- endfor %}
    workgroupBarrier();
    var sums: array<array<f32, {{ columns }}>, {{ ROWS }}>;
    for (var r = part; r < {{ ROWS }}u; r += {{ SPLIT }}u) {
{%- for c in range(columns) %}
        let at{{ c }} = r * {{ columns * LANES }}u + {{ c * LANES }}u + lane;
        var sum{{ c }} = parts[at{{ c }}];
{%- for i in range(1, SPLIT) %}
        sum{{ c }} += parts[at{{ c }} + {{ i * ROWS * columns * LANES }}u];
{%- endfor %}
        sums[r][{{ c }}] = sum{{ c }};
{%- endfor %}
    }
{%- else %}
    var sums = array<array<f32, {{ columns }}>, {{ ROWS }}>(
{%- for r in range(ROWS) %}
        array<f32, {{ columns }}>({% for c in range(columns) %}s{{ r }}_{{ c }}, {% endfor %}),
{%- endfor %}
    );
{%- endif %}
{%- endmacro -%}

{#- Sums s{row}_{gate} of a phase for one unit: rows in workgroup memory, from `offset` on, times the columns of its gates. -#}
{%- macro unit_products(f, gates, memory, offset) %}
        let columns = {{ gates }}u * units;
        let base = p.weights_{{ f }} + track * p.weights_track_{{ f }};
{%- for g in range(gates) %}
        let from{{ g }} = base + {{ g }}u * units + unit;
        let bias{{ g }} = weights_bias(from{{ g }} + p.panels_{{ f }} * columns);
{%- endfor %}
        {{- begin_sums(gates) }}
        for (var k = 0u; k < p.panels_{{ f }}; k++) {
{%- for g in range(gates) %}
            let w{{ g }} = weights_at(from{{ g }} + k * columns);
{%- endfor %}
{%- for r in range(ROWS) %}
            let at{{ r }} = {{ offset }} + {{ r }}u * WIDTH + 4u * k;
{%- for x in ["x", "y", "z", "w"] %}
            let v{{ r }}{{ x }} = {{ memory }}[at{{ r }} + {{ loop.index0 }}u];
{%- for g in range(gates) %}
            s{{ r }}_{{ g }} = fma(v{{ r }}{{ x }}, w{{ g }}.{{ x }}, s{{ r }}_{{ g }});
{%- endfor %}
{%- endfor %}
{%- endfor %}
        }
        {{- collect_sums(gates) }}
{%- endmacro -%}

{#- Rows of states in `memory`, those of the sequences with ranks from `first` on, times columns of packed weights that begin
    at from0..: added to the sums. `row` is the first state's, `pitch` from one vector of a column to the next. -#}
{%- macro row_products(memory, row, stride, running, panels, pitch, columns) %}
{%- if SPREAD %}
{%- for i in range(ROWS // SPREAD) %}
    let own{{ i }} = ({{ row }} + sequence_of(first + {{ i * SPREAD }}u + sublane % {{ SPREAD }}u, {{ running }})) * {{ stride }};
{%- endfor %}
{%- else %}
{%- for r in range(ROWS) %}
    let row{{ r }} = ({{ row }} + sequence_of(first + {{ r }}u, {{ running }})) * {{ stride }};
{%- endfor %}
{%- endif %}
    for (var k = part; k < {{ panels }}; k += {{ SPLIT }}u) {
{%- for c in range(columns) %}
        let w{{ c }} = weights_at(from{{ c }} + k * {{ pitch }});
{%- endfor %}
        {{- load_rows(memory) }}
        {{- multiply_add(columns) }}
    }
    {{- collect_sums(columns) }}
{%- endmacro -%}

{#- Column c of a lane's: one of every `lanes` columns, or, with NARROW, two neighbours of every two times as many. -#}
{%- macro column_of(c, lanes, lane) -%}
{%- if NARROW %}{{ c // 2 * 2 * lanes }}u + 2u * {{ lane }} + {{ c % 2 }}u{% else %}{{ c * lanes }}u + {{ lane }}{% endif -%}
{%- endmacro -%}

{#- Where a workgroup of `gemm` begins: its rows, `side` of them, and its matrix. -#}
{%- macro begin_rows(side) %}
    {{- begin_group("p.m", side, "p.batch") }}
    let batch = group.z;
    let first = group.y * {{ side }}u;
    let rows = part();
    let m = rows.x;
    if (first >= m) {
        return;
    }
    let panels = (p.k + 3u) / 4u;
    let weights = p.b_offset + batch * p.b_batch;
{%- endmacro -%}

{#- A number into C, or added to what is there. -#}
{%- macro store_number() -%}
fn store(at: u32, value: f32) {
    if (p.accumulate != 0u) {
        c[at] += value;
    } else {
        c[at] = value;
    }
}
{%- endmacro -%}

{#- A row's sums to C: of `gemm`. -#}
{%- macro store_row(columns) %}
        if (p.mapped == 2u) {
            row = map[rows.y + batch * p.map_batch + row];
        }
        let at = p.c_offset + batch * p.c_batch + row * p.c_row;
{%- for c in range(0, columns, 2) if NARROW %}
        if (column{{ c }} < p.n) {
            store(at + column{{ c }}, sums[r][{{ c }}], select(0.0, sums[r][{{ c + 1 }}], column{{ c + 1 }} < p.n));
        }
{%- endfor %}
{%- for c in range(0 if NARROW else columns) %}
        if (column{{ c }} < p.n) {
            store(at + column{{ c }}, sums[r][{{ c }}]);
        }
{%- endfor %}
{%- endmacro -%}
