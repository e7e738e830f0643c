{#- What activations other than those of `math.wgsl` compute, with α and β; the names are ONNX's. -#}

fn affine(a: f32, alpha: f32, beta: f32) -> f32 {
    return alpha * a + beta;
}

fn leaky_relu(a: f32, alpha: f32) -> f32 {
    return select(alpha * a, a, a >= 0.0);
}

fn thresholded_relu(a: f32, alpha: f32) -> f32 {
    return select(select(0.0, a, a > alpha), a, is_nan(a));
}

fn scaled_tanh(a: f32, alpha: f32, beta: f32) -> f32 {
    return alpha * tanh_(beta * a);
}

fn hard_sigmoid(a: f32, alpha: f32, beta: f32) -> f32 {
    return clipped(alpha * a + beta, 0.0, 1.0);
}

fn elu(a: f32, alpha: f32) -> f32 {
    let below = alpha * (exp(clamp(a, -80.0, 0.0)) - 1.0);
    return select(select(below, a, a >= 0.0), a, is_nan(a));
}

// An infinity divided by another one would be NaN.
fn softsign(a: f32) -> f32 {
    let finite = clipped(a, -1e30, 1e30);
    return finite / (1.0 + abs(finite));
}

fn softplus(a: f32) -> f32 {
    let value = max(a, 0.0) + log(1.0 + exp(-min(abs(a), 80.0)));
    return select(value, a, is_nan(a));
}

// Within two bounds; NaN stays NaN.
fn clipped(a: f32, low: f32, high: f32) -> f32 {
    return select(clamp(a, low, high), a, is_nan(a));
}
