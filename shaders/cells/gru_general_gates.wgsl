{%- from "gate.wgsl" import gate -%}
// First phase of a GRU that resets before the product: gives ρ⊙h. Gates: ρ, z. Slots: z, z⊙h.
fn gru_general_gates(
    x: array<f32, 2>, r: array<f32, 2>, h: f32, slots: ptr<function, array<f32, 2>>, kept: ptr<function, array<f32, 2>>,
) -> f32 {
    let reset = {{ gate(ACTIVATIONS[0], "x[0] + r[0]") }};
    let z = {{ gate(ACTIVATIONS[0], "x[1] + r[1]") }};
    (*slots)[0] = z;
    (*slots)[1] = z * h;
    return reset * h;
}
