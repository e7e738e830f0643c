// h' = σ(x + r)
fn elman_sigmoid(x: array<f32, 1>, r: array<f32, 1>, h: f32, slots: ptr<function, array<f32, 1>>) -> f32 {
    return sigmoid(x[0] + r[0]);
}
