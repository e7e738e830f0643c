//! Cases of the kernels of the CTC loss.

use super::case::{Case, Words};
use super::numbers::{Numbers, poison};
use crate::device::Device;
use crate::kernels::{
    CTC_LABELS, CtcGradientParams, CtcLabelsParams, CtcLatticeParams, FLAT, Kernel, SEQUENCE_HEAD, Tile, Variant,
    ctc_tile,
};

/// The sizes of a loss.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub steps: usize,
    pub batch: usize,
    pub labels: usize,
    pub classes: usize,
}

const fn sizes(steps: usize, batch: usize, labels: usize, classes: usize) -> Sizes {
    Sizes { steps, batch, labels, classes }
}

/// The class that is the blank.
const BLANK: usize = 1;

pub(crate) fn ctc_labels(_: &Device) -> Vec<Case> {
    [sizes(9, 1, 1, 3), sizes(7, 9, 5, 4), sizes(50, 3, 70, 30), sizes(3, 2, 300, 3)].map(ctc_labels_case).into()
}

/// Labels and lengths, one beyond each bound where there are many sequences, and one sequence left out.
pub(crate) fn ctc_labels_case(sizes: Sizes) -> Case {
    let Sizes { steps, batch, labels, classes } = sizes;
    let mut numbers = Numbers::new(steps + batch + labels);
    let mut table = numbers.below(3 + batch * labels, classes);
    table.iter_mut().filter(|label| **label == BLANK as u32).for_each(|label| *label = 0);
    let mut input_lengths = numbers.below(1 + batch, steps + 1);
    let mut label_lengths = numbers.below(2 + batch, labels + 1);
    label_lengths[2] = labels as u32;
    if batch > 6 {
        input_lengths[1 + 1] = steps as u32 + 1;
        label_lengths[2 + 2] = labels as u32 + 1;
        label_lengths[2 + 3] = u32::MAX;
        for (sequence, label) in [(4, BLANK as u32), (5, classes as u32), (6, u32::MAX)] {
            label_lengths[2 + sequence] = labels as u32;
            table[3 + sequence * labels + labels / 2] = label;
        }
    }
    let params = CtcLabelsParams {
        steps,
        labels,
        classes,
        blank: BLANK,
        labels_offset: 3,
        input_lengths_offset: 1,
        label_lengths_offset: 2,
        batch,
    };
    Case {
        name: format!("ctc_labels of {batch}x{labels} among {classes}"),
        variant: Variant::plain(Kernel::CtcLabels, Tile { lanes: 128, ..FLAT }, 4),
        // Indices.
        tolerance: 0.0,
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Indices(table),
            Words::Indices(input_lengths),
            Words::Indices(label_lengths),
            Words::Indices(vec![7; batch * (SEQUENCE_HEAD + 2 * labels)]),
        ],
    }
}

/// Sequences as `ctc_labels` gives them: the first one as long as can be, one of them wrong, one left out and one without labels
/// where there are many.
fn sequences(numbers: &mut Numbers, Sizes { steps, batch, labels, classes }: Sizes) -> Vec<u32> {
    let mut words = Vec::new();
    for n in 0..batch {
        let mut row = numbers.below(labels, classes);
        row.iter_mut().filter(|label| **label == BLANK as u32).for_each(|label| *label = 0);
        let long = [steps as u32, labels as u32];
        let short = [numbers.below(1, steps)[0] + 1, numbers.below(1, labels)[0] + 1];
        let [mut input, mut count] = if n == 0 { long } else { short };
        let state = match n {
            3 => 1,
            4 => 2,
            _ => 0,
        };
        if state > 0 {
            (input, count) = (0, 0);
        }
        if n == 5 {
            count = 0;
        }
        words.extend([input, count, state, 0]);
        let known = &row[..count as usize];
        let link = |s: usize| {
            let next = (s + 1..known.len()).find(|&next| known[next] == known[s]).unwrap_or(known.len());
            next as u32 | if known[..s].contains(&known[s]) { 1 << 31 } else { 0 }
        };
        let mut links: Vec<u32> = (0..known.len()).map(link).collect();
        links.resize(labels, 0);
        words.extend(row);
        words.extend(links);
    }
    words
}

/// Logits after two words that belong to no one, and log Σ exp of each step.
fn logits(numbers: &mut Numbers, Sizes { steps, batch, classes, .. }: Sizes) -> [Vec<f32>; 2] {
    let logits = numbers.uniform(2 + steps * batch * classes, 3.0);
    let norm = |row: &[f32]| row.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln() as f32;
    let norms = logits[2..].chunks(classes).map(norm).collect();
    [logits, norms]
}

/// Whole sequences, then the first steps and the later ones, one lane to a state and several.
pub(crate) fn ctc_lattice(_: &Device) -> Vec<Case> {
    let small = sizes(21, 7, 5, 4);
    let long = sizes(19, 2, 200, 12);
    vec![
        ctc_lattice_case(sizes(1, 1, 1, 2), 0..1, [true, true], 0),
        ctc_lattice_case(small, 0..21, [true, true], 0),
        ctc_lattice_case(small, 0..21, [false, false], 0),
        ctc_lattice_case(small, 0..10, [true, false], 2),
        ctc_lattice_case(small, 10..21, [true, true], 2),
        ctc_lattice_case(long, 0..19, [true, true], 0),
        ctc_lattice_case(sizes(3, 1, CTC_LABELS, 5), 0..3, [true, false], 0),
    ]
}

/// Some steps, from sequence `first` on: whether the lattice is kept, and whether losses are means and infinite ones 0.
pub(crate) fn ctc_lattice_case(
    sizes: Sizes,
    steps: std::ops::Range<usize>,
    [keep, mean]: [bool; 2],
    first: usize,
) -> Case {
    let Sizes { batch, labels, classes, .. } = sizes;
    let mut numbers = Numbers::new(sizes.steps + batch + labels + steps.start);
    let [logits, norms] = logits(&mut numbers, sizes);
    let sequences = sequences(&mut numbers, sizes);
    let states = 2 * labels + 1;
    let (count, directions) = (batch - first, if keep { 2 } else { 1 });
    // What an earlier dispatch left.
    let carry = match steps.start {
        0 => poison(2 * batch * (states + 2)),
        _ => Words::Numbers(numbers.uniform(2 * batch * (states + 2), 5.0)),
    };
    let params = CtcLatticeParams {
        first,
        count,
        batch,
        steps: sizes.steps,
        classes,
        labels,
        blank: BLANK,
        start: steps.start,
        end: steps.end,
        directions,
        keep,
        mean,
        zero_infinity: mean,
        logits_offset: 2,
        infinity: f32::INFINITY,
        nan: f32::NAN,
    };
    Case {
        name: format!("ctc_lattice of {batch}x{labels} among {classes}, steps {steps:?} of {}", sizes.steps),
        variant: Variant::plain(Kernel::CtcLattice, ctc_tile(labels), 4),
        // log and exp of GPUs are off by some ulp in each step, and logarithms are a few tens.
        tolerance: (64.0 + 16.0 * sizes.steps as f64) * f64::from(f32::EPSILON),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(logits),
            Words::Numbers(norms),
            Words::Indices(sequences),
            carry,
            if keep { poison(2 * count * sizes.steps * states) } else { Words::Numbers(vec![0.0]) },
            poison(batch),
        ],
    }
}

pub(crate) fn ctc_gradient(_: &Device) -> Vec<Case> {
    let small = sizes(5, 9, 4, 70);
    vec![
        ctc_gradient_case(sizes(1, 1, 1, 2), true, 0),
        ctc_gradient_case(small, true, 0),
        ctc_gradient_case(small, false, 2),
        ctc_gradient_case(sizes(3, 2, 150, 9), true, 0),
    ]
}

/// From sequence `first` on, sums that have nothing to do with the logits; some losses infinite or NaN where there are many.
pub(crate) fn ctc_gradient_case(sizes: Sizes, mean: bool, first: usize) -> Case {
    let Sizes { steps, batch, labels, classes } = sizes;
    let mut numbers = Numbers::new(steps + batch + labels + first);
    let [logits, norms] = logits(&mut numbers, sizes);
    let sequences = sequences(&mut numbers, sizes);
    let states = 2 * labels + 1;
    let mut carry = numbers.uniform(2 * batch * (states + 2), 5.0);
    for (sequence, loss) in [(6, f32::INFINITY), (7, f32::NAN)].into_iter().filter(|(n, _)| *n < batch) {
        carry[2 * sequence * (states + 2) + states + 1] = loss;
    }
    let count = batch - first;
    let mut lattice = numbers.uniform(2 * count * steps * states, 20.0);
    lattice.iter_mut().step_by(7).skip(1).for_each(|sum| *sum = f32::NEG_INFINITY);
    let params = CtcGradientParams {
        first,
        count,
        batch,
        steps,
        classes,
        labels,
        blank: BLANK,
        mean,
        zero_infinity: mean,
        logits_offset: 2,
        nan: f32::NAN,
        row_groups: 8,
    };
    Case {
        name: format!("ctc_gradient of {steps}x{batch}x{classes}, {labels} labels"),
        variant: Variant::plain(Kernel::CtcGradient, FLAT, 4),
        // exp on GPUs may be off by 3 + 2|x| ulp, x up to 80 below the largest, where it is small; sums of `states` terms.
        tolerance: (64.0 + states as f64) * f64::from(f32::EPSILON),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(logits),
            Words::Numbers(norms),
            Words::Indices(sequences),
            Words::Numbers(carry),
            Words::Numbers(lattice),
            Words::Numbers(vec![3.0]),
            poison(steps * batch * classes),
        ],
    }
}

/// Sequences of speech, by their characters.
pub(crate) const TIMED: Sizes = sizes(200, 16, 40, 80);
