{%- from "gate.wgsl" import gate -%}
// h' = f(clip(x + r)).
fn elman_general(
    x: array<f32, 1>, r: array<f32, 1>, h: f32, slots: ptr<function, array<f32, 1>>, kept: ptr<function, array<f32, 1>>,
) -> f32 {
    return {{ gate(ACTIVATIONS[0], "x[0] + r[0]") }};
}
