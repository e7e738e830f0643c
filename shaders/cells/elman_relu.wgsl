// h' = max(x + r, 0)
fn elman_relu(x: array<f32, 1>, r: array<f32, 1>, h: f32, slots: ptr<function, array<f32, 1>>) -> f32 {
    return relu(x[0] + r[0]);
}
