// s' = f⊙s + (1 - f)⊙candidate, h' = r⊙tanh(s') + (1 - r)⊙k. Gates: candidate, f, r, highway k.
fn sru_linear(g: array<f32, 4>) -> vec2<f32> {
    let f = sigmoid(g[1]);
    return vec2<f32>(f, (1.0 - f) * g[0]);
}

fn sru_output(g: array<f32, 4>, s: f32) -> f32 {
    let r = sigmoid(g[2]);
    return r * tanh_(s) + (1.0 - r) * g[3];
}

fn sru_slope(g: array<f32, 4>, s: f32) -> f32 {
    let t = tanh_(s);
    return sigmoid(g[2]) * (1.0 - t * t);
}

fn sru_backward(g: ptr<function, array<f32, 4>>, old: f32, d_y: f32, d_s: f32) -> f32 {
    let f = sigmoid((*g)[1]);
    let r = sigmoid((*g)[2]);
    let t = tanh_(f * old + (1.0 - f) * (*g)[0]);
    let d = d_s + d_y * r * (1.0 - t * t);
    let d_r = d_y * (t - (*g)[3]);
    *g = array<f32, 4>(d * (1.0 - f), d * (old - (*g)[0]) * f * (1.0 - f), d_r * r * (1.0 - r), d_y * (1.0 - r));
    return d * f;
}
