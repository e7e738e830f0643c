// c' = f⊙c + i⊙g and h' = o⊙tanh(c'). Gates: i, f, g, o. Slot 0: c.
fn lstm(x: array<f32, 4>, r: array<f32, 4>, h: f32, slots: ptr<function, array<f32, 1>>) -> f32 {
    let i = sigmoid(x[0] + r[0]);
    let f = sigmoid(x[1] + r[1]);
    let g = tanh_(x[2] + r[2]);
    let o = sigmoid(x[3] + r[3]);
    let c = f * (*slots)[0] + i * g;
    (*slots)[0] = c;
    return o * tanh_(c);
}
