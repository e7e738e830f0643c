{%- from "gate.wgsl" import gate -%}
// Second phase: h' = (1 - z)⊙n + z⊙h with n = g(clip(x_n + r_n)), r_n the product with ρ⊙h. Slots: z, z⊙h.
fn gru_general_state(
    x: array<f32, 1>, r: array<f32, 1>, h: f32, slots: ptr<function, array<f32, 2>>, kept: ptr<function, array<f32, 1>>,
) -> f32 {
    let n = {{ gate(ACTIVATIONS[1], "x[0] + r[0]") }};
    return (1.0 - (*slots)[0]) * n + (*slots)[1];
}
