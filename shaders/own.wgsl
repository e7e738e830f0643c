// A kernel from outside of the library: its declarations, then its own text.

struct Params {
    groups_x: u32,
    groups_y: u32,
    groups_z: u32,
{%- for binding in range(8) %}
    words_{{ binding }}: u32, // of the value with this binding
{%- endfor %}
{%- for name in OWN.params %}
    {{ name }}: u32,
{%- endfor %}
}
{{ params }}

const LANES = {{ LANES }}u;
{% for name in OWN.inputs %}
@group(0) @binding({{ loop.index0 }}) var<storage, read> {{ name }}: array<f32>;
{%- endfor %}
{%- for name in OWN.indices %}
@group(0) @binding({{ OWN.inputs|length + loop.index0 }}) var<storage, read> {{ name }}: array<u32>;
{%- endfor %}
{%- for name in OWN.outputs %}
@group(0) @binding({{ 6 + loop.index0 }}) var<storage, read_write> {{ name }}: array<f32>;
{%- endfor %}

{{ OWN.wgsl }}
