// s' = f⊙s + (1 - f)⊙z, h' = o⊙s'. Gates: z, f, o.
fn qrnn_linear(g: array<f32, 3>) -> vec2<f32> {
    let f = sigmoid(g[1]);
    return vec2<f32>(f, (1.0 - f) * tanh_(g[0]));
}

fn qrnn_output(g: array<f32, 3>, s: f32) -> f32 {
    return sigmoid(g[2]) * s;
}

fn qrnn_slope(g: array<f32, 3>, s: f32) -> f32 {
    return sigmoid(g[2]);
}

fn qrnn_backward(g: ptr<function, array<f32, 3>>, old: f32, d_y: f32, d_s: f32) -> f32 {
    let z = tanh_((*g)[0]);
    let f = sigmoid((*g)[1]);
    let o = sigmoid((*g)[2]);
    let c = f * old + (1.0 - f) * z;
    let d = d_s + d_y * o;
    *g = array<f32, 3>(d * (1.0 - f) * (1.0 - z * z), d * (old - z) * f * (1.0 - f), d_y * c * o * (1.0 - o));
    return d * f;
}
