// First phase of a minimal gated unit: gives f⊙h. Gate: f. Slots: f, (1 - f)⊙h. Keeps f.
fn mgu_gate(
    x: array<f32, 1>, r: array<f32, 1>, h: f32, slots: ptr<function, array<f32, 2>>, kept: ptr<function, array<f32, 1>>,
) -> f32 {
    let f = sigmoid(x[0] + r[0]);
    *slots = array<f32, 2>(f, (1.0 - f) * h);
    (*kept)[0] = f;
    return f * h;
}

// d is the gradient of f⊙h; the second phase has left dh'⊙(n - h) in 2, and (1 - f)⊙dh' in dh.
fn mgu_gate_backward(
    k: ptr<function, array<f32, 3>>, h: f32, d: f32, dh: ptr<function, f32>, dc: ptr<function, f32>,
) -> array<f32, 1> {
    let f = (*k)[0];
    (*k)[0] = ((*k)[2] + d * h) * f * (1.0 - f);
    *dh += d * f;
    return array<f32, 1>((*k)[0]);
}
