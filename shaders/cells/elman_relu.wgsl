// h' = max(x + r, 0). Keeps h'.
fn elman_relu(
    x: array<f32, 1>, r: array<f32, 1>, h: f32, slots: ptr<function, array<f32, 1>>, kept: ptr<function, array<f32, 1>>,
) -> f32 {
    let value = relu(x[0] + r[0]);
    (*kept)[0] = value;
    return value;
}

fn elman_relu_backward(
    k: ptr<function, array<f32, 1>>, h: f32, d: f32, dh: ptr<function, f32>, dc: ptr<function, f32>,
) -> array<f32, 1> {
    (*k)[0] = select(0.0, d, (*k)[0] > 0.0);
    *dh = 0.0;
    return array<f32, 1>((*k)[0]);
}
