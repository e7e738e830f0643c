// Activations that hold on every driver: built-in tanh and exp overflow to NaN on some, so arguments are clamped;
// clamping would lose a NaN, so NaN is passed on by its bits, which no fast-math assumption can fold away.

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// 1 / (1 + e^-x)
fn sigmoid(x: f32) -> f32 {
    let y = 1.0 / (1.0 + exp(-clamp(x, -80.0, 80.0)));
    return select(y, x, is_nan(x));
}

// (e^x - e^-x) / (e^x + e^-x). Near 0 that difference cancels, so a polynomial takes over (coefficients: Cephes tanhf).
fn tanh_(x: f32) -> f32 {
    let a = clamp(abs(x), 0.0, 15.0);
    let large = 1.0 - 2.0 / (exp(2.0 * a) + 1.0);
    let z = a * a;
    let p = (((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z + 1.33314422036e-1) * z
        - 3.33332819422e-1;
    let small = a + a * z * p;
    let y = select(large, small, a < 0.625);
    return select(select(y, -y, x < 0.0), x, is_nan(x));
}

fn relu(x: f32) -> f32 {
    return select(select(0.0, x, x > 0.0), x, is_nan(x));
}
