// s' = a⊙s + (1 - a)⊙candidate with a = f / (f + i), h' = s'. Gates: f, i, candidate.

// a, also where f and i are both next to 0.
fn share(g: array<f32, 3>) -> f32 {
    return sigmoid(softplus(-g[1]) - softplus(-g[0]));
}

fn min_lstm_linear(g: array<f32, 3>) -> vec2<f32> {
    let a = share(g);
    return vec2<f32>(a, (1.0 - a) * g[2]);
}

fn min_lstm_output(g: array<f32, 3>, s: f32) -> f32 {
    return s;
}

fn min_lstm_slope(g: array<f32, 3>, s: f32) -> f32 {
    return 1.0;
}

fn min_lstm_backward(g: ptr<function, array<f32, 3>>, old: f32, d_y: f32, d_s: f32) -> f32 {
    let f = sigmoid((*g)[0]);
    let i = sigmoid((*g)[1]);
    let a = share(*g);
    let d = d_s + d_y;
    // Of a, times f·i / (f + i)².
    let d_a = d * (old - (*g)[2]) * a * (1.0 - a);
    *g = array<f32, 3>(d_a * (1.0 - f), -d_a * (1.0 - i), d * (1.0 - a));
    return d * a;
}
