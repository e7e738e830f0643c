// s' = max(g + u⊙s, 0), h' = s'.
fn ind_rnn_relu_step(g: f32, s: f32, u: f32) -> f32 {
    return relu(fma(u, s, g));
}

// By its value.
fn ind_rnn_relu_derivative(h: f32) -> f32 {
    return select(0.0, 1.0, h > 0.0);
}
