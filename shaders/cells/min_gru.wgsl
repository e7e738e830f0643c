// s' = (1 - z)⊙s + z⊙candidate, h' = s'. Gates: z, candidate.
fn min_gru_linear(g: array<f32, 2>) -> vec2<f32> {
    let z = sigmoid(g[0]);
    return vec2<f32>(1.0 - z, z * g[1]);
}

fn min_gru_output(g: array<f32, 2>, s: f32) -> f32 {
    return s;
}

fn min_gru_slope(g: array<f32, 2>, s: f32) -> f32 {
    return 1.0;
}

fn min_gru_backward(g: ptr<function, array<f32, 2>>, old: f32, d_y: f32, d_s: f32) -> f32 {
    let z = sigmoid((*g)[0]);
    let d = d_s + d_y;
    *g = array<f32, 2>(d * ((*g)[1] - old) * z * (1.0 - z), d * z);
    return d * (1.0 - z);
}
