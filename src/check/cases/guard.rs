//! Cases of `guard`.

use super::case::{Case, STEP, Words};
use super::numbers::poison;
use crate::device::Device;
use crate::kernels::{ALONE, GuardParams, Kernel, Variant};

pub(crate) type Guarded = (&'static str, (f32, f32, f32, u32), (f32, [bool; 3]));

/// Name; micro-batches before and the share of each; steps skipped, and in a row; the step, whether the dispatch follows it,
/// and the step that was not taken.
type Counted = (&'static str, (f32, f32), [u32; 2], (u32, bool, u32));

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
        params: GuardParams { max_norm: norm, loss_offset: 1, squares_offset: 1, wary, ..Default::default() }.words(),
        window: 0,
        buffers: vec![
            Words::Indices(hyper(STEP, rate, unknown, 1.0)),
            Words::Numbers(vec![0.0, loss]),
            Words::Numbers(vec![0.0]),
            Words::Numbers(vec![0.0, square]),
            Words::Numbers(
                [bad, 0, 0, 2.5_f32.to_bits(), 0, u32::from(large) * STEP, 0, 0].map(f32::from_bits).to_vec(),
            ),
            poison(6),
        ],
    };
    cases.into_iter().map(case).chain(counted()).collect()
}

/// Seed, step, rate, corrections, whether weights are unknown, share, the average's part.
fn hyper(step: u32, rate: f32, unknown: bool, share: f32) -> Vec<u32> {
    let [rate, first, second, share, part] = [rate, 1.25, 1.75, share, 0.125].map(f32::to_bits);
    vec![1, step, rate, first, second, unknown.into(), share, part]
}

/// Micro-batches, and steps that are skipped.
fn counted() -> impl Iterator<Item = Case> {
    let cases = [
        ("micro-batches", (2.5, 0.25), [0, 0], (STEP, false, 0)),
        ("a step after a skipped one", (0.0, 1.0), [1, 0], (3, false, 0)),
        ("the first step taken, after skipped ones", (0.0, 1.0), [2, 2], (3, false, 0)),
        ("late steps", (0.0, 1.0), [2, 0], (5000, false, 0)),
        ("what follows a step", (0.0, 1.0), [0, STEP], (STEP, true, 0)),
        ("what follows a step to skip", (0.0, 1.0), [0, STEP], (STEP, true, STEP)),
        ("what follows one too many", (0.0, 1.0), [0, STEP + 2], (STEP, true, STEP)),
    ];
    let case = |(name, (added, share), [skipped, in_a_row], (step, after, bad)): Counted| Case {
        name: format!("guard of {name}"),
        variant: Variant::plain(Kernel::Guard, ALONE, 4),
        // Roots, quotients, and exp of small numbers.
        tolerance: 64.0 * f64::from(f32::EPSILON),
        params: GuardParams {
            max_norm: 1.5,
            loss_offset: 1,
            squares_offset: 1,
            after,
            skips: STEP + 2,
            log_beta_1: 0.9_f32.ln(),
            log_beta_2: 0.999_f32.ln(),
            log_decay: 0.99_f32.ln(),
            decay: 0.99,
            ..Default::default()
        }
        .words(),
        window: 0,
        buffers: vec![
            Words::Indices(hyper(step, 0.1, false, share)),
            Words::Numbers(vec![0.0, 1.5]),
            Words::Numbers(vec![added]),
            Words::Numbers(vec![0.0, 400.0]),
            Words::Numbers([bad, 0, 0, 0, 0, 0, skipped, in_a_row].map(f32::from_bits).to_vec()),
            // Nothing of it is written after a step.
            if after { Words::Numbers(vec![0.5; 6]) } else { poison(6) },
        ],
    };
    cases.into_iter().map(case)
}
