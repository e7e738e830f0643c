{#- Which part of the output a workgroup takes. WRAPPED: there are more than one axis of a grid may have, so that they are
spread over two axes and numbered on from one to the other. -#}

{#- What a workgroup knows of its place. -#}
{%- macro group_id() -%}
{%- if WRAPPED -%}
@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>
{%- else -%}
@builtin(workgroup_id) group: vec3<u32>
{%- endif -%}
{%- endmacro -%}

{#- Its rows, `side` of them, in y, and its track or matrix in z. -#}
{%- macro begin_group(rows, side, tracks) %}
{%- if WRAPPED %}
    let number = workgroup.z * workgroups.y + workgroup.y;
    let down = ({{ rows }} + {{ side - 1 }}u) / {{ side }}u;
    let group = vec3<u32>(workgroup.x, number % down, number / down);
    if (group.z >= {{ tracks }}) {
        return;
    }
{%- endif %}
{%- endmacro -%}

{#- Its row, or block, in x. -#}
{%- macro begin_group_of(count) %}
{%- if WRAPPED %}
    let group = vec3<u32>(workgroup.y * workgroups.x + workgroup.x, 0u, 0u);
    if (group.x >= {{ count }}) {
        return;
    }
{%- endif %}
{%- endmacro -%}
