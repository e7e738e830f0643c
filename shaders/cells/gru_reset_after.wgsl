{%- from "gate.wgsl" import gate -%}
// h' = (1 - z)⊙n + z⊙h with n = tanh(x_n + ρ⊙u), ρ the reset gate, u = r_n. Gates: ρ, z, n. Keeps ρ, z, n, u.
fn gru_reset_after(
    x: array<f32, 3>, r: array<f32, 3>, h: f32, slots: ptr<function, array<f32, 1>>, kept: ptr<function, array<f32, 4>>,
) -> f32 {
    let reset = {{ gate(ACTIVATIONS[0], "x[0] + r[0]") }};
    let z = {{ gate(ACTIVATIONS[0], "x[1] + r[1]") }};
    let n = {{ gate(ACTIVATIONS[1], "x[2] + reset * r[2]") }};
    *kept = array<f32, 4>(reset, z, n, r[2]);
    return (1.0 - z) * n + z * h;
}

// Leaves the gradients of the gates' input parts in 0, 1, 2 and that of u in 3.
fn gru_reset_after_backward(
    k: ptr<function, array<f32, 4>>, h: f32, d: f32, dh: ptr<function, f32>, dc: ptr<function, f32>,
) -> array<f32, 3> {
    let reset = (*k)[0];
    let z = (*k)[1];
    let n = (*k)[2];
    let d_n = d * (1.0 - z) * (1.0 - n * n);
    let d_z = d * (h - n) * z * (1.0 - z);
    let d_reset = d_n * (*k)[3] * reset * (1.0 - reset);
    *k = array<f32, 4>(d_reset, d_z, d_n, d_n * reset);
    *dh = d * z;
    return array<f32, 3>(d_reset, d_z, d_n * reset);
}
