// h' = the recurrent product itself: the second phase of an LSTM with projection.
fn projection(x: array<f32, 1>, r: array<f32, 1>, h: f32, slots: ptr<function, array<f32, 1>>) -> f32 {
    return r[0];
}
