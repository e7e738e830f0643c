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

{#- What an invocation knows of itself. -#}
{%- macro invocation() %}
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
{%- if SPREAD %}
    @builtin(subgroup_invocation_id) sublane: u32,
{%- endif %}
{%- endmacro -%}

{#- Every sum begins with its column's bias. -#}
{%- macro begin_sums(columns) %}
{%- for r in range(ROWS) %}
{%- for c in range(columns) %}
    var s{{ r }}_{{ c }} = bias{{ c }};
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
    var sums = array<array<f32, {{ columns }}>, {{ ROWS }}>(
{%- for r in range(ROWS) %}
        array<f32, {{ columns }}>({% for c in range(columns) %}s{{ r }}_{{ c }}, {% endfor %}),
{%- endfor %}
    );
{%- endmacro -%}
