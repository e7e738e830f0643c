// h' = the recurrent product itself: the second phase of an LSTM with projection.
fn projection(
    x: array<f32, 1>, r: array<f32, 1>, h: f32, slots: ptr<function, array<f32, 1>>, kept: ptr<function, array<f32, 1>>,
) -> f32 {
    return r[0];
}

fn projection_backward(
    k: ptr<function, array<f32, 1>>, h: f32, d: f32, dh: ptr<function, f32>, dc: ptr<function, f32>,
) -> array<f32, 1> {
    (*k)[0] = d;
    *dh = 0.0;
    return array<f32, 1>(d);
}
