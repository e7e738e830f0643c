// h' = (1 - z)⊙n + z⊙h with n = tanh(x_n + ρ⊙r_n), ρ the reset gate. Gates: ρ, z, n.
fn gru_reset_after(x: array<f32, 3>, r: array<f32, 3>, h: f32, slots: ptr<function, array<f32, 1>>) -> f32 {
    let reset = sigmoid(x[0] + r[0]);
    let z = sigmoid(x[1] + r[1]);
    let n = tanh_(x[2] + reset * r[2]);
    return (1.0 - z) * n + z * h;
}
