// c' = f⊙c + i⊙z, n' = f⊙n + i and h' = o⊙c'/n', c and n over e^m. Gates: i, f, z, o. Slots 0 to 2: c, n, m. Keeps i, f, z, o,
// c, n, and the derivative of log f.
fn slstm(
    x: array<f32, 4>, r: array<f32, 4>, h: f32, slots: ptr<function, array<f32, 3>>, kept: ptr<function, array<f32, 7>>,
) -> f32 {
    let old_c = (*slots)[0];
    let old_n = (*slots)[1];
    let input = x[0] + r[0];
    let forget = x[1] + r[1];
    let z = tanh_(x[2] + r[2]);
    let o = sigmoid(x[3] + r[3]);
    let carried = (*slots)[2] - softplus(-forget);
    let m = select(carried, input, old_n == 0.0 || input > carried);
    let i = slstm_scale(input, m);
    let f = slstm_scale(carried, m);
    let c = f * old_c + i * z;
    let n = f * old_n + i;
    *kept = array<f32, 7>(i, f, z, o, old_c, old_n, sigmoid(-forget));
    *slots = array<f32, 3>(c, n, m);
    return o * c / n;
}

// e^(x - m), which is 1 at most where something is carried; 1 where both are one infinity.
fn slstm_scale(x: f32, m: f32) -> f32 {
    let exponent = x - m;
    return select(select(exp(clamp(exponent, -80.0, 80.0)), exponent, is_nan(exponent)), 1.0, x == m);
}

fn slstm_backward(
    k: ptr<function, array<f32, 7>>, h: f32, d: f32, dh: ptr<function, f32>, dc: ptr<function, array<f32, 3>>,
) -> array<f32, 4> {
    let i = (*k)[0];
    let f = (*k)[1];
    let z = (*k)[2];
    let o = (*k)[3];
    let old_c = (*k)[4];
    let old_n = (*k)[5];
    let slope = (*k)[6];
    let n = f * old_n + i;
    let ratio = (f * old_c + i * z) / n;
    let d_c = (*dc)[0] + d * o / n;
    let d_n = (*dc)[1] - d * o * ratio / n;
    let d_input = (d_c * z + d_n) * i;
    let d_carried = (d_c * old_c + d_n * old_n) * f;
    // Where f is 1, m' is what was carried.
    let is_carried = old_n != 0.0 && f == 1.0;
    let d_m = select(d_carried, (*dc)[2] - d_input, is_carried);
    let gates = array<f32, 4>(
        select((*dc)[2] - d_carried, d_input, is_carried),
        d_m * slope,
        d_c * i * (1.0 - z * z),
        d * ratio * o * (1.0 - o),
    );
    *k = array<f32, 7>(gates[0], gates[1], gates[2], gates[3], old_c, old_n, slope);
    *dc = array<f32, 3>(d_c * f, d_n * f, d_m);
    *dh = 0.0;
    return gates;
}
