// h' = tanh(x + r). Keeps h'.
fn elman_tanh(
    x: array<f32, 1>, r: array<f32, 1>, h: f32, slots: ptr<function, array<f32, 1>>, kept: ptr<function, array<f32, 1>>,
) -> f32 {
    let value = tanh_(x[0] + r[0]);
    (*kept)[0] = value;
    return value;
}

fn elman_tanh_backward(
    k: ptr<function, array<f32, 1>>, h: f32, d: f32, dh: ptr<function, f32>, dc: ptr<function, f32>,
) -> array<f32, 1> {
    (*k)[0] = d * (1.0 - (*k)[0] * (*k)[0]);
    *dh = 0.0;
    return array<f32, 1>((*k)[0]);
}
