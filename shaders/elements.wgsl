{#- Elements of the values of `map` and `fold`, at the coordinates c0, c1 and so on. `places` has the sizes of the axes, then of each
value its first element and its strides, the result first. -#}

{#- The part of a count `name` that each axis from `first` to before `end` takes, the last one fastest. -#}
{%- macro coordinates(name, first, end) %}
{%- for axis in range(first, end)|reverse %}
    let c{{ axis }} = {{ name }} % places[{{ axis }}u];
    {{ name }} /= places[{{ axis }}u];
{%- endfor %}
{%- endmacro -%}

{#- Where the element of value `number` lies, 0 being the result. -#}
{%- macro place(number, axes) %}
{%- set start = AXES + number * (AXES + 1) -%}
places[{{ start }}u]{% for axis in range(axes) %} + c{{ axis }} * places[{{ start + 1 + axis }}u]{% endfor %}
{%- endmacro -%}

{#- The formula's terms. -#}
{%- macro evaluate() %}
{%- for k in range(INPUTS) %}
{%- if READS[k] %}
    let e{{ k }} = {% if INTEGERS[k] %}f32(bitcast<u32>(x{{ k }}[{{ place(1 + k, AXES) }}])){% else %}x{{ k }}[{{ place(1 + k, AXES) }}]{% endif %};
{%- endif %}
{%- endfor %}
{{ TERMS }}
{%- endmacro -%}

{#- The buffers: places, values, result. -#}
{%- macro buffers() %}
@group(0) @binding(0) var<storage, read> places: array<u32>;
{%- for k in range(6) %}
@group(0) @binding({{ k + 1 }}) var<storage, read> x{{ k }}: array<f32>;
{%- endfor %}
@group(0) @binding(7) var<storage, read_write> out: array<f32>;
{%- endmacro -%}
