{%- from "gate.wgsl" import gate -%}
// Second phase: h' = (1 - z)⊙n + z⊙h with n = tanh(x_n + r_n), r_n the product with ρ⊙h. Slots: z, z⊙h. Keeps n.
fn gru_reset_before_state(
    x: array<f32, 1>, r: array<f32, 1>, h: f32, slots: ptr<function, array<f32, 2>>, kept: ptr<function, array<f32, 1>>,
) -> f32 {
    let n = {{ gate(ACTIVATIONS[1], "x[0] + r[0]") }};
    (*kept)[0] = n;
    return (1.0 - (*slots)[0]) * n + (*slots)[1];
}

// Sees ρ, z and n; leaves the gradients of the gates z and n in their places.
fn gru_reset_before_state_backward(
    k: ptr<function, array<f32, 3>>, h: f32, d: f32, dh: ptr<function, f32>, dc: ptr<function, f32>,
) -> array<f32, 1> {
    let z = (*k)[1];
    let n = (*k)[2];
    (*k)[1] = d * (h - n) * z * (1.0 - z);
    (*k)[2] = d * (1.0 - z) * (1.0 - n * n);
    *dh = d * z;
    return array<f32, 1>((*k)[2]);
}
