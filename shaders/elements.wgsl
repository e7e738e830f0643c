{#- Elements of the values of `map` and `fold`, at the coordinates c0, c1 and so on. `places` has the sizes of the axes, then of each
value its first element and its strides, the result first. -#}

{#- The part of a count `name` that each axis from `first` to before `end` takes, the last one fastest. The first one takes what is left:
divisions are dear. -#}
{%- macro coordinates(name, first, end) %}
{%- for axis in range(first, end)|reverse %}
{%- set count = name ~ axis %}
{%- set whole = name if loop.first else name ~ (axis + 1) %}
{%- if axis == first %}
    let c{{ axis }} = {{ whole }};
{%- else %}
    let {{ count }} = {{ whole }} / places[{{ axis }}u];
    let c{{ axis }} = {{ whole }} - {{ count }} * places[{{ axis }}u];
{%- endif %}
{%- endfor %}
{%- endmacro -%}

{#- Where the element of value `number` lies, 0 being the result, by the coordinates along the first axes. -#}
{%- macro place(number, axes) %}
{%- set start = AXES + number * (AXES + 1) -%}
{%- if DENSE[number] -%}
places[{{ start }}u] + i
{%- else -%}
places[{{ start }}u]{% for axis in range(axes) %} + c{{ axis }} * places[{{ start + 1 + axis }}u]{% endfor %}
{%- endif -%}
{%- endmacro -%}

{#- What the places of the terms of one result have in common, and their strides: loads that a loop need not repeat. -#}
{%- macro bases(first, end) %}
{%- for k in range(INPUTS) %}
{%- if READS[k] %}
    let b{{ k }} = {{ place(1 + k, first) }};
{%- for axis in range(first, end) %}
    let s{{ k }}_{{ axis }} = places[{{ AXES + (1 + k) * (AXES + 1) + 1 + axis }}u];
{%- endfor %}
{%- endif %}
{%- endfor %}
{%- endmacro -%}

{#- The formula's terms; where axes are folded, of the one at the coordinates along these. -#}
{%- macro evaluate() %}
{%- for k in range(INPUTS) %}
{%- if READS[k] %}
{%- set at %}{% if FOLDED %}b{{ k }}{% for axis in range(AXES - FOLDED, AXES) %} + c{{ axis }} * s{{ k }}_{{ axis }}{% endfor %}{% else %}{{ place(1 + k, AXES) }}{% endif %}{% endset %}
    let e{{ k }} = {% if INTEGERS[k] %}f32(bitcast<u32>(x{{ k }}[{{ at }}])){% else %}x{{ k }}[{{ at }}]{% endif %};
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
