// c' = f⊙c + i⊙g and h' = o⊙tanh(c'). Gates: i, f, g, o. Slot 0: c. Keeps i, f, g, o, c.
fn lstm(
    x: array<f32, 4>, r: array<f32, 4>, h: f32, slots: ptr<function, array<f32, 1>>, kept: ptr<function, array<f32, 5>>,
) -> f32 {
    let i = sigmoid(x[0] + r[0]);
    let f = sigmoid(x[1] + r[1]);
    let g = tanh_(x[2] + r[2]);
    let o = sigmoid(x[3] + r[3]);
    *kept = array<f32, 5>(i, f, g, o, (*slots)[0]);
    let c = f * (*slots)[0] + i * g;
    (*slots)[0] = c;
    return o * tanh_(c);
}

fn lstm_backward(
    k: ptr<function, array<f32, 5>>, h: f32, d: f32, dh: ptr<function, f32>, dc: ptr<function, f32>,
) -> array<f32, 4> {
    let i = (*k)[0];
    let f = (*k)[1];
    let g = (*k)[2];
    let o = (*k)[3];
    let c = (*k)[4];
    let t = tanh_(f * c + i * g);
    let d_c = *dc + d * o * (1.0 - t * t);
    let gates = array<f32, 4>(
        d_c * g * i * (1.0 - i),
        d_c * c * f * (1.0 - f),
        d_c * i * (1.0 - g * g),
        d * t * o * (1.0 - o),
    );
    *k = array<f32, 5>(gates[0], gates[1], gates[2], gates[3], c);
    *dc = d_c * f;
    *dh = 0.0;
    return gates;
}
