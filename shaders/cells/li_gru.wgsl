// h' = z⊙h + (1 - z)⊙n with n = max(x_n + r_n, 0). Gates: z, n. Keeps z, n.
fn li_gru(
    x: array<f32, 2>, r: array<f32, 2>, h: f32, slots: ptr<function, array<f32, 1>>, kept: ptr<function, array<f32, 2>>,
) -> f32 {
    let z = sigmoid(x[0] + r[0]);
    let n = relu(x[1] + r[1]);
    *kept = array<f32, 2>(z, n);
    return z * h + (1.0 - z) * n;
}

fn li_gru_backward(
    k: ptr<function, array<f32, 2>>, h: f32, d: f32, dh: ptr<function, f32>, dc: ptr<function, f32>,
) -> array<f32, 2> {
    let z = (*k)[0];
    let n = (*k)[1];
    *k = array<f32, 2>(d * (h - n) * z * (1.0 - z), select(0.0, d * (1.0 - z), n > 0.0));
    *dh = d * z;
    return *k;
}
