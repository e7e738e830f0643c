// s' = tanh(g + u⊙s), h' = s'.
fn ind_rnn_tanh_step(g: f32, s: f32, u: f32) -> f32 {
    return tanh_(fma(u, s, g));
}

// By its value.
fn ind_rnn_tanh_derivative(h: f32) -> f32 {
    return 1.0 - h * h;
}
