{%- from "gate.wgsl" import gate -%}
{%- set sum = "f * (*slots)[0] + i * g" -%}
{%- set new_c = "clipped_cell(" ~ sum ~ ")" if CELL_CLIP else sum -%}
// c' = f⊙c + i⊙g and h' = o⊙tanh(c'). Gates: i, f, g, o. Slot 0: c. Keeps i, f, g, o, c.
fn lstm(
    x: array<f32, 4>, r: array<f32, 4>, h: f32,{{ " p: array<f32, 4>," if PEEPHOLES }} slots: ptr<function, array<f32, 1>>, kept: ptr<function, array<f32, 5>>,
) -> f32 {
    let i = {{ gate(ACTIVATIONS[0], "x[0] + r[0]" ~ (" + p[0] * (*slots)[0]" if PEEPHOLES else "")) }};
    let f = {{ "1.0 - i" if COUPLED else gate(ACTIVATIONS[0], "x[1] + r[1]" ~ (" + p[1] * (*slots)[0]" if PEEPHOLES else "")) }};
    let g = {{ gate(ACTIVATIONS[1], "x[2] + r[2]") }};
{%- if PEEPHOLES %}
    let c = {{ new_c }};
    let o = {{ gate(ACTIVATIONS[0], "x[3] + r[3] + p[3] * c") }};
    *kept = array<f32, 5>(i, f, g, o, (*slots)[0]);
{%- else %}
    let o = {{ gate(ACTIVATIONS[0], "x[3] + r[3]") }};
    *kept = array<f32, 5>(i, f, g, o, (*slots)[0]);
    let c = {{ new_c }};
{%- endif %}
    (*slots)[0] = c;
    return o * {{ ACTIVATIONS[2].name }}(c{{ ACTIVATIONS[2].constants }});
}
{%- if CELL_CLIP %}

fn clipped_cell(c: f32) -> f32 {
    return {{ "clipped(c, %s, %s)" | format(CELL_CLIP.low, CELL_CLIP.high) if CELL_CLIP.propagates_nan
        else "select(clamp(c, %s, %s), %s, is_nan(c))" | format(CELL_CLIP.low, CELL_CLIP.high, CELL_CLIP.low) }};
}
{%- endif %}

fn lstm_backward(
    k: ptr<function, array<f32, 5>>, h: f32, d: f32, dh: ptr<function, f32>, dc: ptr<function, f32>,
) -> array<f32, 4> {
    let i = (*k)[0];
    let f = (*k)[1];
    let g = (*k)[2];
    let o = (*k)[3];
    let c = (*k)[4];
{%- if CELL_CLIP %}
    // What is clipped has no gradient.
    let sum = f * c + i * g;
    let bounded = clipped_cell(sum);
    let t = tanh_(bounded);
    let d_c = select(0.0, *dc + d * o * (1.0 - t * t), sum == bounded);
{%- else %}
    let t = tanh_(f * c + i * g);
    let d_c = *dc + d * o * (1.0 - t * t);
{%- endif %}
    let gates = array<f32, 4>(
        d_c * g * i * (1.0 - i),
        d_c * c * f * (1.0 - f),
        d_c * i * (1.0 - g * g),
        d * t * o * (1.0 - o),
    );
    *k = array<f32, 5>(gates[0], gates[1], gates[2], gates[3], c);
    *dc = d_c * f;
    *dh = 0.0;
    return gates;
}
