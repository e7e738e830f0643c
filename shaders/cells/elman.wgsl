{%- from "gate.wgsl" import gate -%}
{%- set f = ACTIVATIONS[0].name -%}
// h' = {{ "tanh(x + r)" if f == "tanh_" else "max(x + r, 0)" if f == "relu" else "σ(x + r)" if f == "sigmoid" else f ~ "(x + r)" }}. Keeps h'.
fn {{ phase.name }}(
    x: array<f32, 1>, r: array<f32, 1>, h: f32, slots: ptr<function, array<f32, 1>>, kept: ptr<function, array<f32, 1>>,
) -> f32 {
    let value = {{ gate(ACTIVATIONS[0], "x[0] + r[0]") }};
    (*kept)[0] = value;
    return value;
}
{%- if phase.fields %}

fn {{ phase.name }}_backward(
    k: ptr<function, array<f32, 1>>, h: f32, d: f32, dh: ptr<function, f32>, dc: ptr<function, f32>,
) -> array<f32, 1> {
    (*k)[0] = {{ "d * (1.0 - (*k)[0] * (*k)[0])" if f == "tanh_" else "select(0.0, d, (*k)[0] > 0.0)" if f == "relu" else "d * (*k)[0] * (1.0 - (*k)[0])" }};
    *dh = 0.0;
    return array<f32, 1>((*k)[0]);
}
{%- endif %}
