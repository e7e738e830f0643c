// Second phase: h' = (1 - f)⊙h + f⊙n with n = tanh(x_n + r_n), r_n the product with f⊙h. Slots: f, (1 - f)⊙h. Keeps n, and a
// column for its derivative.
fn mgu_state(
    x: array<f32, 1>, r: array<f32, 1>, h: f32, slots: ptr<function, array<f32, 2>>, kept: ptr<function, array<f32, 2>>,
) -> f32 {
    let n = tanh_(x[0] + r[0]);
    *kept = array<f32, 2>(n, 0.0);
    return (*slots)[1] + (*slots)[0] * n;
}

// Sees f and n; leaves the gradient of the gate n in its place, and that of f but for the first phase's part in 2.
fn mgu_state_backward(
    k: ptr<function, array<f32, 3>>, h: f32, d: f32, dh: ptr<function, f32>, dc: ptr<function, f32>,
) -> array<f32, 1> {
    let f = (*k)[0];
    let n = (*k)[1];
    (*k)[1] = d * f * (1.0 - n * n);
    (*k)[2] = d * (n - h);
    *dh = d * (1.0 - f);
    return array<f32, 1>((*k)[1]);
}
