// h' = tanh(x + r)
fn elman_tanh(x: array<f32, 1>, r: array<f32, 1>, h: f32, slots: ptr<function, array<f32, 1>>) -> f32 {
    return tanh_(x[0] + r[0]);
}
