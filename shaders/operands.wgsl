{#- How products read what they multiply, which is a matter of the adapter: buffers, or what it reads faster. -#}

{#- A packed matrix, by vector: a buffer, with HALF one of two words a vector, or a texture whose rows hold TEXELS vectors
each. A column's bias is the first number of its vector in the last panel; with HALF, where that alone would be too coarse,
what is left of it follows, 2048 times as large. -#}
{%- macro matrix(binding, name) %}
{%- if TEXTURE -%}
@group(0) @binding({{ binding }}) var {{ name }}: texture_2d<f32>;
fn {{ name }}_at(i: u32) -> vec4<f32> {
    return textureLoad({{ name }}, vec2<u32>(i % {{ TEXELS }}u, i / {{ TEXELS }}u), 0);
}
{%- elif HALF -%}
@group(0) @binding({{ binding }}) var<storage, read> {{ name }}: array<vec2<u32>>;
fn {{ name }}_at(i: u32) -> vec4<f32> {
    let words = {{ name }}[i];
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}
{%- else -%}
@group(0) @binding({{ binding }}) var<storage, read> {{ name }}: array<vec4<f32>>;
fn {{ name }}_at(i: u32) -> vec4<f32> {
    return {{ name }}[i];
}
{%- endif %}
fn {{ name }}_bias(i: u32) -> f32 {
{%- if HALF %}
    let bias = {{ name }}_at(i);
    return bias.x + bias.y / 2048.0;
{%- else %}
    return {{ name }}_at(i).x;
{%- endif %}
}
{%- endmacro -%}

{#- Rows that are multiplied with it: a storage buffer, or a window of one as a uniform buffer. -#}
{%- macro rows(binding, name, element="vec4<f32>") -%}
{%- if UNIFORM -%}
@group(0) @binding({{ binding }}) var<uniform> {{ name }}: array<{{ element }}, {{ WINDOW // 4 }}>;
{%- else -%}
@group(0) @binding({{ binding }}) var<storage, read> {{ name }}: array<{{ element }}>;
{%- endif %}
{%- endmacro -%}
