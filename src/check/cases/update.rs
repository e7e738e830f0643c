//! Updates of weights by an optimiser.

use super::case::{Case, STEP, Words};
use super::numbers::Numbers;
use crate::kernels::Variant;

/// Numbers, step, and whether it is taken.
pub(crate) type Update = (usize, u32, Taken);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Taken {
    Not,
    Yes,
    /// It would make numbers that are not finite, and was found to do so.
    NotAfterTrial,
    /// One of the weights is large, and too large to be changed.
    OfLargeWeight,
    /// It is tried, because a number may overflow.
    Tried,
    /// It is not even tried.
    Untried,
    /// The same, and one overflows: the weight, or what is kept of gradients.
    TriedInVain(f32),
}

/// The first step of an optimiser, later ones, one that is not taken, and ones that are tried.
pub(crate) const UPDATES: [Update; 11] = [
    (1, 1, Taken::Yes),
    (63, 1, Taken::Yes),
    (63, 5, Taken::Yes),
    (64, 5, Taken::Not),
    (1000, 2, Taken::Yes),
    (63, 5, Taken::NotAfterTrial),
    (1000, 5, Taken::OfLargeWeight),
    (1000, STEP, Taken::Tried),
    (1000, STEP, Taken::Untried),
    (1000, STEP, Taken::TriedInVain(f32::MAX)),
    (100, STEP, Taken::TriedInVain(f32::INFINITY)),
];

pub(crate) fn update_case(
    variant: Variant,
    name: &str,
    words: usize,
    mut params: Vec<u32>,
    (count, step, taken): Update,
) -> Case {
    // Arrays have so many numbers before the first one of the dispatch.
    let offset = params[1] as usize;
    let count = offset + count;
    let mut numbers = Numbers::new(count + step as usize % 1000);
    let is_trial = matches!(taken, Taken::Tried | Taken::Untried | Taken::TriedInVain(_));
    let trial = params.len() - 2;
    params[trial] = is_trial.into();
    let hyper = [1, step, 0.1_f32.to_bits()];
    let go = f32::from(u8::from(taken != Taken::Not));
    let tries = f32::from(u8::from(is_trial && taken != Taken::Untried));
    let mut gradients = numbers.uniform(count, 1.0);
    if let Taken::TriedInVain(gradient) = taken {
        gradients[count - 1] = -gradient;
    }
    let mut buffers = vec![
        Words::Numbers(gradients),
        Words::Indices(hyper.to_vec()),
        Words::Numbers(vec![0.75, go, tries, 2.0, 3.0]),
    ];
    // Squares are not negative.
    let positive = |_| Words::Numbers(numbers.uniform(count, 1.0).into_iter().map(f32::abs).collect());
    buffers.extend((0..words).map(positive));
    if let (Taken::OfLargeWeight, Words::Numbers(weights)) = (taken, &mut buffers[3]) {
        // A power of two, whose products are exact.
        weights[count.midpoint(offset)] = 2.0_f32.powi(100);
    }
    if let (Taken::TriedInVain(_), Words::Numbers(weights)) = (taken, &mut buffers[3]) {
        weights[count - 1] = f32::MAX;
    }
    let bad = if taken == Taken::NotAfterTrial { STEP } else { 0 };
    buffers.push(Words::Numbers([bad, 0, 0, 0, 0, 0, 0, 0].map(f32::from_bits).to_vec()));
    Case {
        name: format!("{name} of {}, step {step}, {taken:?}", count - offset),
        variant,
        // A few roundings of numbers near 1, and a quotient.
        tolerance: 32.0 * f64::from(f32::EPSILON),
        params,
        window: 0,
        buffers,
    }
}
