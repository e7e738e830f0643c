//! Activations as in `shaders/math.wgsl`, without branches or calls, so that loops over them become vector code.

/// e^x for |x| ≤ 87, to about 2 ulp: 2ⁿ times a polynomial of the rest (coefficients: Cephes expf).
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding 1.5·2²³ leaves the nearest integer in the low bits: round() without a call.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let p = ((((1.987_569_2e-4 * r + 1.398_199_9e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r + 1.666_666_5e-1)
        * r
        + 0.5;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    (p * r * r + r + 1.0) * power
}

/// 1 / (1 + e^-x); NaN for NaN.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    let y = 1.0 / (1.0 + exp(-x.clamp(-80.0, 80.0)));
    if x.is_nan() { x } else { y }
}

/// tanh x, to a few ulp (small arguments: coefficients of Cephes tanhf); NaN for NaN.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let a = x.abs().min(15.0);
    let large = 1.0 - 2.0 / (exp(2.0 * a) + 1.0);
    let z = a * a;
    let p = (((-5.704_988_7e-3 * z + 2.063_909e-2) * z - 5.373_971_6e-2) * z + 1.333_144_2e-1) * z - 3.333_328e-1;
    let small = a + a * z * p;
    let y = if a < 0.625 { small } else { large };
    if x.is_nan() { x } else { y.copysign(x) }
}

/// max(x, 0); NaN for NaN.
#[inline(always)]
pub(crate) fn relu(x: f32) -> f32 {
    if x > 0.0 || x.is_nan() { x } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arguments from the smallest denormal to infinity, both signs.
    fn arguments() -> impl Iterator<Item = f32> {
        (0..0x7f80_0001_u32).step_by(9973).chain([0x7f80_0000]).flat_map(|bits| {
            let x = f32::from_bits(bits);
            [x, -x]
        })
    }

    #[test]
    fn tanh_is_within_two_ulp_of_one_everywhere() {
        for x in arguments() {
            let error = (f64::from(tanh(x)) - f64::from(x).tanh()).abs();
            assert!(error <= 1.2e-7, "tanh({x}) is off by {error}");
        }
    }

    #[test]
    fn tanh_of_a_small_number_keeps_its_relative_precision() {
        for x in arguments().filter(|x| x.abs() < 0.625 && x.is_normal()) {
            let exact = f64::from(x).tanh();
            let error = ((f64::from(tanh(x)) - exact) / exact).abs();
            assert!(error <= 2.4e-7, "tanh({x}) is off by {error}, relatively");
        }
    }

    #[test]
    fn sigmoid_is_within_two_ulp_of_one_everywhere() {
        for x in arguments() {
            let error = (f64::from(sigmoid(x)) - 1.0 / (1.0 + (-f64::from(x)).exp())).abs();
            assert!(error <= 1.2e-7, "sigmoid({x}) is off by {error}");
        }
    }

    #[test]
    fn nan_stays_nan() {
        assert!(tanh(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan() && relu(f32::NAN).is_nan());
    }
}
