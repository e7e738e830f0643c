{%- from "gate.wgsl" import gate -%}
// First phase of a GRU that resets before the product: gives ρ⊙h. Gates: ρ, z. Slots: z, z⊙h. Keeps ρ, z.
fn gru_reset_before_gates(
    x: array<f32, 2>, r: array<f32, 2>, h: f32, slots: ptr<function, array<f32, 2>>, kept: ptr<function, array<f32, 2>>,
) -> f32 {
    let reset = {{ gate(ACTIVATIONS[0], "x[0] + r[0]") }};
    let z = {{ gate(ACTIVATIONS[0], "x[1] + r[1]") }};
    (*slots)[0] = z;
    (*slots)[1] = z * h;
    *kept = array<f32, 2>(reset, z);
    return reset * h;
}

// d is the gradient of ρ⊙h; the second phase has left that of z's gate in 1, and z⊙dh' in dh.
fn gru_reset_before_gates_backward(
    k: ptr<function, array<f32, 3>>, h: f32, d: f32, dh: ptr<function, f32>, dc: ptr<function, f32>,
) -> array<f32, 2> {
    let reset = (*k)[0];
    (*k)[0] = d * h * reset * (1.0 - reset);
    *dh += d * reset;
    return array<f32, 2>((*k)[0], (*k)[1]);
}
