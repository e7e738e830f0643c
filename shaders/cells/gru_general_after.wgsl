{%- from "gate.wgsl" import gate -%}
// h' = (1 - z)⊙n + z⊙h with n = g(clip(x_n + ρ⊙r_n)), ρ the reset gate. Gates: ρ, z, n.
fn gru_general_after(
    x: array<f32, 3>, r: array<f32, 3>, h: f32, slots: ptr<function, array<f32, 1>>, kept: ptr<function, array<f32, 3>>,
) -> f32 {
    let reset = {{ gate(ACTIVATIONS[0], "x[0] + r[0]") }};
    let z = {{ gate(ACTIVATIONS[0], "x[1] + r[1]") }};
    let n = {{ gate(ACTIVATIONS[1], "x[2] + reset * r[2]") }};
    return (1.0 - z) * n + z * h;
}
