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
