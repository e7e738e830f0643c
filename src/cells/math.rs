//! Activations as in `shaders/math.wgsl`, without branches or calls, so that loops over them become vector code.

/// a·b + c, as an instruction set does it best: what it has no instruction for would be a call.
pub(crate) trait MulAdd {
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// In one rounding, by one instruction.
pub(crate) struct Fused;

impl MulAdd for Fused {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// In two.
pub(crate) struct Separate;

impl MulAdd for Separate {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// Work whose loops become vector code.
pub(crate) trait Vectorised {
    fn run<M: MulAdd>(self);
}

/// Does it with the best instruction set that this CPU has.
pub(crate) fn vectorise(work: impl Vectorised) {
    dispatch(Dispatched(work));
}

/// The same of work that names its vectors.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub(crate) fn dispatch<W: pulp::WithSimd>(work: W) -> W::Output {
    pulp::Arch::new().dispatch(work)
}

/// WebAssembly is compiled for one instruction set: code for others would only make the download longer.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) fn dispatch<W: pulp::WithSimd>(work: W) -> W::Output {
    // SAFETY: the whole module is compiled for this instruction set.
    let simd = unsafe { pulp::wasm::Simd128::new_unchecked() };
    pulp::Simd::vectorize(simd, work)
}

struct Dispatched<W>(W);

impl<W: Vectorised> pulp::WithSimd for Dispatched<W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        // Every vector set of these has it that `pulp` chooses.
        if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) && !S::IS_SCALAR {
            self.0.run::<Fused>();
        } else {
            self.0.run::<Separate>();
        }
    }
}

/// A polynomial, its highest power's coefficient first.
#[inline(always)]
fn polynomial<M: MulAdd, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[0];
    for &coefficient in &coefficients[1..] {
        sum = M::mul_add(sum, x, coefficient);
    }
    sum
}

/// e^x for |x| ≤ 87, to about 2 ulp: 2ⁿ times a polynomial of the rest (coefficients: Cephes expf).
#[inline(always)]
pub(crate) fn exp<M: MulAdd>(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding 1.5·2²³ leaves the nearest integer in the low bits: round() without a call.
    const ROUND: f32 = 12_582_912.0;
    const COEFFICIENTS: [f32; 6] = [1.987_569_2e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let shifted = M::mul_add(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = M::mul_add(n, -LN2_LOW, M::mul_add(n, -LN2_HIGH, x));
    let p = polynomial::<M, 6>(r, COEFFICIENTS);
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    (M::mul_add(p * r, r, r) + 1.0) * power
}

/// log x for positive numbers that are normal and finite, to about 2 ulp: the exponent times log 2, and a polynomial of the
/// rest (coefficients: Cephes logf).
#[inline(always)]
pub(crate) fn ln<M: MulAdd>(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    /// The bits of √½, where mantissas begin.
    const ROOT: u32 = 0x3f35_04f3;
    const COEFFICIENTS: [f32; 9] = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    let exponent = x.to_bits().wrapping_sub(ROOT) as i32 >> 23;
    let z = f32::from_bits(x.to_bits().wrapping_sub((exponent << 23) as u32)) - 1.0;
    let n = exponent as f32;
    let square = z * z;
    let p = M::mul_add(polynomial::<M, 9>(z, COEFFICIENTS), square * z, n * LN2_LOW);
    M::mul_add(n, LN2_HIGH, z + M::mul_add(square, -0.5, p))
}

/// 1 / (1 + e^-x); NaN for NaN.
#[inline(always)]
pub(crate) fn sigmoid<M: MulAdd>(x: f32) -> f32 {
    let y = 1.0 / (1.0 + exp::<M>(-x.clamp(-80.0, 80.0)));
    if x.is_nan() { x } else { y }
}

/// tanh x, to a few ulp (small arguments: coefficients of Cephes tanhf); NaN for NaN.
#[inline(always)]
pub(crate) fn tanh<M: MulAdd>(x: f32) -> f32 {
    const COEFFICIENTS: [f32; 5] = [-5.704_988_7e-3, 2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1];
    let a = x.abs().min(15.0);
    let large = 1.0 - 2.0 / (exp::<M>(2.0 * a) + 1.0);
    let z = a * a;
    let small = M::mul_add(a * z, polynomial::<M, 5>(z, COEFFICIENTS), a);
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

    /// With each way to add to a product.
    fn both(of: [fn(f32) -> f32; 2], statement: impl Fn(fn(f32) -> f32)) {
        of.into_iter().for_each(statement);
    }

    #[test]
    fn a_logarithm_is_within_two_ulp_of_the_larger_of_it_and_one() {
        both([ln::<Fused>, ln::<Separate>], |ln| {
            for x in arguments().filter(|x| x.is_normal() && *x > 0.0).chain([
                1.0,
                3.0,
                0.5,
                std::f32::consts::FRAC_1_SQRT_2,
            ]) {
                let exact = f64::from(x).ln();
                let error = (f64::from(ln(x)) - exact).abs();
                assert!(error <= 1.2e-7 * exact.abs().max(1.0), "ln({x}) is off by {error}");
            }
        });
    }

    #[test]
    fn tanh_is_within_two_ulp_of_one_everywhere() {
        both([tanh::<Fused>, tanh::<Separate>], |tanh| {
            for x in arguments() {
                let error = (f64::from(tanh(x)) - f64::from(x).tanh()).abs();
                assert!(error <= 1.2e-7, "tanh({x}) is off by {error}");
            }
        });
    }

    #[test]
    fn tanh_of_a_small_number_keeps_its_relative_precision() {
        both([tanh::<Fused>, tanh::<Separate>], |tanh| {
            for x in arguments().filter(|x| x.abs() < 0.625 && x.is_normal()) {
                let exact = f64::from(x).tanh();
                let error = ((f64::from(tanh(x)) - exact) / exact).abs();
                assert!(error <= 2.4e-7, "tanh({x}) is off by {error}, relatively");
            }
        });
    }

    #[test]
    fn sigmoid_is_within_two_ulp_of_one_everywhere() {
        both([sigmoid::<Fused>, sigmoid::<Separate>], |sigmoid| {
            for x in arguments() {
                let error = (f64::from(sigmoid(x)) - 1.0 / (1.0 + (-f64::from(x)).exp())).abs();
                assert!(error <= 1.2e-7, "sigmoid({x}) is off by {error}");
            }
        });
    }

    #[test]
    fn nan_stays_nan() {
        both([tanh::<Fused>, tanh::<Separate>], |tanh| assert!(tanh(f32::NAN).is_nan()));
        both([sigmoid::<Fused>, sigmoid::<Separate>], |sigmoid| assert!(sigmoid(f32::NAN).is_nan()));
        assert!(relu(f32::NAN).is_nan());
    }
}
