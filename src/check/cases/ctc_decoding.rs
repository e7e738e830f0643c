//! Cases of the kernels that decode what a CTC loss has taught.

use super::case::{Case, Words};
use super::ctc::Sizes;
use super::numbers::{Numbers, poison};
use crate::device::Device;
use crate::kernels::{
    CtcBeamParams, CtcGreedyParams, Kernel, Variant, beam_entries, beam_numbers, ctc_beam_tile, greedy_tile,
};
use std::ops::Range;

const fn sizes(steps: usize, batch: usize, classes: usize) -> Sizes {
    Sizes { steps, batch, classes, labels: 0 }
}

/// The class that is the blank.
const BLANK: usize = 1;

/// Logits after two words that belong to no one, log Σ exp of each step, and lengths after one word: one of them 0 and one beyond all steps
/// where there are many.
fn inputs(numbers: &mut Numbers, Sizes { steps, batch, classes, .. }: Sizes) -> (Vec<f32>, Vec<f32>, Vec<u32>) {
    let logits = numbers.uniform(2 + steps * batch * classes, 3.0);
    let norm = |row: &[f32]| row.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln() as f32;
    let mut norms: Vec<f32> = logits[2..].chunks(classes).map(norm).collect();
    let mut lengths = numbers.below(1 + batch, steps + 1);
    lengths[1] = steps as u32;
    if batch > 5 {
        (lengths[1 + 2], lengths[1 + 3], lengths[1 + 4]) = (0, steps as u32 + 1, steps as u32);
        norms[4] = f32::NAN;
    }
    (logits, norms, lengths)
}

pub(crate) fn ctc_greedy(_: &Device) -> Vec<Case> {
    [sizes(1, 1, 2), sizes(9, 7, 4), sizes(130, 6, 3), sizes(700, 2, 9)].map(ctc_greedy_case).into()
}

pub(crate) fn ctc_greedy_case(sizes: Sizes) -> Case {
    let Sizes { steps, batch, classes, .. } = sizes;
    let mut numbers = Numbers::new(steps + batch + classes);
    let (logits, norms, lengths) = inputs(&mut numbers, sizes);
    let best = numbers.below(steps * batch, classes.min(3));
    let params =
        CtcGreedyParams { batch, steps, classes, blank: BLANK, logits_offset: 2, lengths_offset: 1, nan: f32::NAN };
    Case {
        name: format!("ctc_greedy of {steps}x{batch}x{classes}"),
        variant: Variant::plain(Kernel::CtcGreedy, greedy_tile(steps, 80), 4),
        // A sum of so many numbers up to 8, in another order.
        tolerance: 8.0 * (16.0 + steps as f64) * f64::from(f32::EPSILON),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(logits),
            Words::Numbers(norms),
            Words::Indices(best),
            Words::Indices(lengths),
            Words::Indices(vec![7; batch * steps]),
            Words::Indices(vec![7; 2 * batch]),
            poison(batch),
        ],
    }
}

/// Whole sequences, and later steps of what an earlier dispatch left.
pub(crate) fn ctc_beam(_: &Device) -> Vec<Case> {
    vec![
        ctc_beam_case(sizes(1, 1, 2), 1, 0..1),
        ctc_beam_case(sizes(6, 7, 3), 5, 0..6),
        ctc_beam_case(sizes(9, 2, 12), 20, 0..9),
        ctc_beam_case(sizes(6, 7, 4), 4, 3..6),
        ctc_beam_case(sizes(4, 2, 70), 70, 0..4),
        ctc_beam_case(sizes(3, 1, 9), 256, 0..3),
    ]
}

pub(crate) fn ctc_beam_case(sizes: Sizes, beams: usize, range: Range<usize>) -> Case {
    let Sizes { steps, batch, classes, .. } = sizes;
    let mut numbers = Numbers::new(steps + batch + beams + range.start);
    let (logits, norms, lengths) = inputs(&mut numbers, sizes);
    let (mut carried, mut entries) =
        (vec![f32::NAN; batch * beam_numbers(beams)], vec![7; batch * beam_entries(beams)]);
    if range.start > 0 {
        // What an earlier dispatch left: prefixes of one label each, but for the first, which is empty, and continued by the others.
        carried = numbers.uniform(carried.len(), 3.0);
        for entries in entries.chunks_exact_mut(beam_entries(beams)) {
            for i in 0..beams as u32 {
                let is_root = i == 0;
                let last = if is_root { u32::MAX } else { 2 + i % (classes as u32 - 2) };
                let words = [i, u32::from(!is_root), last, i, 2 * i, 0, 0];
                words.into_iter().enumerate().for_each(|(k, word)| entries[k * beams + i as usize] = word);
            }
        }
    }
    let params = CtcBeamParams {
        batch,
        steps,
        classes,
        beams,
        blank: BLANK,
        start: range.start,
        end: range.end,
        logits_offset: 2,
        lengths_offset: 1,
        infinity: f32::INFINITY,
        nan: f32::NAN,
    };
    Case {
        name: format!("ctc_beam of {steps}x{batch}x{classes}, {beams} beams, steps {range:?}"),
        variant: Variant::plain(Kernel::CtcBeam, ctc_beam_tile(beams, classes, 1 << 14), 4),
        // log and exp of GPUs are off by some ulp in each step, and logarithms are a few tens.
        tolerance: (64.0 + 16.0 * steps as f64) * f64::from(f32::EPSILON),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(logits),
            Words::Numbers(norms),
            Words::Indices(lengths),
            poison(batch * beams * classes),
            Words::Numbers(carried),
            Words::Indices(entries),
            Words::Indices(vec![7; 2 * batch * steps * beams]),
        ],
    }
}
