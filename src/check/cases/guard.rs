//! Cases of `guard`.

use super::case::{Case, Words};
use super::numbers::poison;
use crate::device::Device;
use crate::kernels::{ALONE, GuardParams, Kernel, Variant};

/// Steps that are compared as numbers, which small integers would not be.
pub(crate) const STEP: u32 = 1.5_f32.to_bits();

pub(crate) type Guarded = (&'static str, (f32, f32, f32, u32), (f32, [bool; 3]));

/// Loss, squared norm, largest norm, first bad step; the learning rate, and whether weights are unknown, a number is large,
/// and the optimiser wary.
pub(crate) fn guard(_: &Device) -> Vec<Case> {
    let usual = (0.1, [false; 3]);
    let cases = [
        ("a good step", (1.5, 4.0, 0.0, 0), usual),
        ("a norm to clip", (1.5, 400.0, 5.0, 0), usual),
        ("a small norm", (1.5, 4.0, 5.0, 0), usual),
        ("a loss that is NaN", (f32::NAN, 4.0, 5.0, 0), usual),
        ("a loss that is infinite", (f32::INFINITY, 4.0, 0.0, 0), usual),
        ("gradients that are not finite", (1.5, f32::NAN, 0.0, 0), usual),
        ("an overflowing norm", (1.5, f32::INFINITY, 1.0, 0), usual),
        ("a step after a bad one", (1.5, 4.0, 0.0, STEP + 1), usual),
        ("large gradients", (1.5, 2e24, 0.0, 0), usual),
        ("a large rate", (1.5, 4.0, 0.0, 0), (1001.0, [false; 3])),
        ("a rate that is infinite", (1.5, 4.0, 0.0, 0), (f32::INFINITY, [false; 3])),
        ("unknown weights", (1.5, 4.0, 0.0, 0), (0.1, [true, false, false])),
        ("large weights", (1.5, 4.0, 0.0, 0), (0.1, [false, true, false])),
        ("a wary optimiser", (1.5, 4.0, 0.0, 0), (0.1, [false, false, true])),
    ];
    let case = |(name, (loss, square, norm, bad), (rate, [unknown, large, wary])): Guarded| Case {
        name: format!("guard of {name}"),
        variant: Variant::plain(Kernel::Guard, ALONE, 4),
        // A root and a quotient; status words are compared as numbers.
        tolerance: 16.0 * f64::from(f32::EPSILON),
        params: GuardParams { max_norm: norm, loss_offset: 1, squares_offset: 1, wary }.words(),
        window: 0,
        buffers: vec![
            Words::Indices(vec![1, STEP, rate.to_bits(), 0, 0, unknown.into()]),
            Words::Numbers(vec![0.0, loss]),
            Words::Numbers(vec![0.0, square]),
            Words::Numbers([bad, 0, 0, 2.5_f32.to_bits(), 0, u32::from(large) * STEP].map(f32::from_bits).to_vec()),
            poison(3),
        ],
    };
    cases.into_iter().map(case).collect()
}
