{#- How products read what they multiply, which is a matter of the adapter: buffers, or what it reads faster. -#}

{#- A packed matrix, by vector: a buffer, or a texture whose rows hold TEXELS vectors each. -#}
{%- macro matrix(binding, name) %}
{%- if TEXTURE -%}
@group(0) @binding({{ binding }}) var {{ name }}: texture_2d<f32>;
fn {{ name }}_at(i: u32) -> vec4<f32> {
    return textureLoad({{ name }}, vec2<u32>(i % {{ TEXELS }}u, i / {{ TEXELS }}u), 0);
}
{%- else -%}
@group(0) @binding({{ binding }}) var<storage, read> {{ name }}: array<vec4<f32>>;
fn {{ name }}_at(i: u32) -> vec4<f32> {
    return {{ name }}[i];
}
{%- endif %}
{%- endmacro -%}

{#- Rows that are multiplied with it: a storage buffer, or a window of one as a uniform buffer. -#}
{%- macro rows(binding, name, element="vec4<f32>") -%}
{%- if UNIFORM -%}
@group(0) @binding({{ binding }}) var<uniform> {{ name }}: array<{{ element }}, {{ WINDOW // 4 }}>;
{%- else -%}
@group(0) @binding({{ binding }}) var<storage, read> {{ name }}: array<{{ element }}>;
{%- endif %}
{%- endmacro -%}
