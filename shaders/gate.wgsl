{#- A gate's sum, clipped, through an activation of its cell. -#}
{%- macro gate(activation, sum) -%}
{{ activation.name }}({{ "clipped(%s, -%s, %s)" | format(sum, CLIP, CLIP) if CLIP else sum }}{{ activation.constants }})
{%- endmacro -%}
