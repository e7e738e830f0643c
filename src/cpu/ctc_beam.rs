//! Prefix beam search: see `shaders/ctc_beam.wgsl`. Each thread takes sequences.

use super::call::Call;
use super::rows::SharedRows;
use super::selection::{NONE, choose_largest};
use super::threads;
use super::threefry::threefry;
use crate::kernels::{CtcBeamParams, beam_entries, beam_numbers};

/// log 0. Larger than −∞, so that no difference of two is NaN.
const ZERO: f32 = -1.0e30;
/// Logarithms below are those of 0.
const NEAR_ZERO: f32 = -1.0e29;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: CtcBeamParams = call.params();
    let search = Search {
        logits: &call.read(0)[p.logits_offset..],
        norms: call.read(1),
        lengths: &call.read_indices(2)[p.lengths_offset..],
        candidates: SharedRows::new(call.write(3)),
        numbers: SharedRows::new(call.write(4)),
        entries: SharedRows::new(call.write(5)),
        tree: SharedRows::new(call.write(6)),
        p,
    };
    threads::for_each(&mut vec![(); p.batch], |n, ()| search.sequence(n));
}

struct Search<'a> {
    p: CtcBeamParams,
    logits: &'a [f32],
    norms: &'a [f32],
    lengths: &'a [u32],
    candidates: SharedRows<'a>,
    numbers: SharedRows<'a>,
    entries: SharedRows<'a>,
    tree: SharedRows<'a>,
}

/// A prefix of the beam.
#[derive(Clone, Copy)]
struct Prefix {
    /// The logarithms of the probabilities that it ends with a blank, and with its last label; and of their sum.
    blank: f32,
    label: f32,
    sum: f32,
    node: u32,
    labels: u32,
    last: u32,
    bits: [u32; 2],
    bits_before: [u32; 2],
}

impl Prefix {
    const NONE: Self = Self {
        blank: ZERO,
        label: ZERO,
        sum: ZERO,
        node: 0,
        labels: 0,
        last: u32::MAX,
        bits: [0; 2],
        bits_before: [0; 2],
    };

    /// Continued by a label.
    fn continued(&self, c: u32, y: f32) -> f32 {
        ((if self.last == c { self.blank } else { self.sum }) + y).max(ZERO)
    }
}

/// log(e^a + e^b)
fn log_sum(a: f32, b: f32) -> f32 {
    let top = a.max(b);
    (top + (1.0 + (a.min(b) - top).max(-80.0).exp()).ln()).max(ZERO)
}

/// As a score: 0 is no candidate.
fn score_of(log_probability: f32) -> f32 {
    if log_probability < NEAR_ZERO { NONE } else { log_probability }
}

impl Search<'_> {
    /// The steps of the dispatch of one sequence.
    fn sequence(&self, n: usize) {
        let p = &self.p;
        let (per_numbers, per_entries) = (beam_numbers(p.beams), beam_entries(p.beams));
        // SAFETY: the rows of a sequence are one task's.
        let [numbers, entries, candidates, tree] = unsafe {
            [
                self.numbers.row(n * per_numbers, per_numbers),
                self.entries.row(n * per_entries, per_entries),
                self.candidates.row(n * p.beams * p.classes, p.beams * p.classes),
                self.tree.row(2 * n * p.steps * p.beams, 2 * p.steps * p.beams),
            ]
        };
        let entries: &mut [u32] = bytemuck::cast_slice_mut(entries);
        let tree: &mut [u32] = bytemuck::cast_slice_mut(tree);
        let is_long = self.lengths[n] as usize > p.steps;
        let steps = if is_long { 0 } else { self.lengths[n] as usize };
        if p.start > 0 && p.start >= steps {
            return;
        }
        let mut beam = self.load(numbers, entries);
        let mut scale = if p.start > 0 { numbers[3 * p.beams] } else { 0.0 };
        let mut is_spoilt = scale.is_nan();
        scale = if is_spoilt { 0.0 } else { scale };
        for t in p.start..p.end.min(steps) {
            let row = t * p.batch + n;
            is_spoilt |= self.norms[row].is_nan();
            let after = self.continue_all(&beam, row, candidates);
            scale += self.choose(&mut beam, &after, candidates, (t, tree));
        }
        self.store(&beam, scale, numbers, entries);
        numbers[3 * p.beams] = if is_spoilt { p.nan } else { scale };
        entries[7 * p.beams] = u32::from(is_long);
    }

    /// The logarithm of a class's probability; 0 where there is none, which ends with NaN for the sequence.
    fn log_y(&self, row: usize, c: usize) -> f32 {
        let norm = self.norms[row];
        if norm.is_nan() { 0.0 } else { self.logits[row * self.p.classes + c].max(ZERO) - norm }
    }

    /// Scores of all candidates; and for each prefix its blank and label after the step.
    fn continue_all(&self, beam: &[Prefix], row: usize, candidates: &mut [f32]) -> Vec<[f32; 2]> {
        let classes = self.p.classes;
        for (prefix, candidates) in beam.iter().zip(candidates.chunks_exact_mut(classes)) {
            for (c, candidate) in candidates.iter_mut().enumerate() {
                *candidate = score_of(prefix.continued(c as u32, self.log_y(row, c)));
            }
        }
        let mut after = Vec::with_capacity(beam.len());
        for (i, prefix) in beam.iter().enumerate() {
            let (mut blank, mut label) = (ZERO, ZERO);
            if prefix.sum > NEAR_ZERO {
                blank = (prefix.sum + self.log_y(row, self.p.blank)).max(ZERO);
                if prefix.labels > 0 {
                    let y = self.log_y(row, prefix.last as usize);
                    label = (prefix.label + y).max(ZERO);
                    let is_before = |other: &Prefix| {
                        other.bits == prefix.bits_before && other.labels + 1 == prefix.labels && other.sum > NEAR_ZERO
                    };
                    if let Some(source) = beam.iter().rposition(is_before) {
                        label = log_sum(label, beam[source].continued(prefix.last, y));
                        // What was added to a prefix is no candidate.
                        candidates[source * classes + prefix.last as usize] = NONE;
                    }
                }
            }
            // In place of a blank, which continues no prefix, the prefix itself.
            candidates[i * classes + self.p.blank] = score_of(log_sum(blank, label));
            after.push([blank, label]);
        }
        after
    }

    /// The best candidates as the beam, divided by the best one's probability, whose logarithm this gives.
    fn choose(
        &self,
        beam: &mut [Prefix],
        after: &[[f32; 2]],
        candidates: &[f32],
        (t, tree): (usize, &mut [u32]),
    ) -> f32 {
        let p = &self.p;
        let chosen = choose_largest(candidates, p.beams);
        let top = chosen.iter().map(|&at| candidates[at]).fold(NONE, f32::max);
        let top = if chosen.is_empty() { 0.0 } else { top };
        let old = beam.to_vec();
        beam.fill(Prefix::NONE);
        for (r, &at) in chosen.iter().enumerate() {
            let (i, c) = (at / p.classes, at % p.classes);
            let mut prefix = old[i];
            if c == p.blank {
                [prefix.blank, prefix.label] = after[i];
            } else {
                (prefix.blank, prefix.label) = (ZERO, candidates[at]);
                let in_tree = 2 * (t * p.beams + r);
                tree[in_tree] = prefix.node;
                tree[in_tree + 1] = c as u32;
                prefix.node = (t * p.beams + r + 1) as u32;
                prefix.labels += 1;
                prefix.last = c as u32;
                prefix.bits_before = prefix.bits;
                prefix.bits = threefry([c as u32, 0], prefix.bits);
            }
            beam[r] = prefix;
        }
        for prefix in beam {
            prefix.blank = (prefix.blank - top).max(ZERO);
            prefix.label = (prefix.label - top).max(ZERO);
            prefix.sum = log_sum(prefix.blank, prefix.label);
        }
        top
    }

    /// The beam as an earlier dispatch left it, or the empty prefix with probability 1.
    fn load(&self, numbers: &[f32], entries: &[u32]) -> Vec<Prefix> {
        let beams = self.p.beams;
        let mut beam = vec![Prefix::NONE; beams];
        if self.p.start == 0 {
            beam[0].blank = 0.0;
        } else {
            for (i, prefix) in beam.iter_mut().enumerate() {
                let entry = |k: usize| entries[k * beams + i];
                (prefix.blank, prefix.label) = (numbers[i].max(ZERO), numbers[beams + i].max(ZERO));
                [prefix.node, prefix.labels, prefix.last] = [0, 1, 2].map(entry);
                (prefix.bits, prefix.bits_before) = ([3, 4].map(entry), [5, 6].map(entry));
            }
        }
        beam.iter_mut().for_each(|prefix| prefix.sum = log_sum(prefix.blank, prefix.label));
        beam
    }

    fn store(&self, beam: &[Prefix], scale: f32, numbers: &mut [f32], entries: &mut [u32]) {
        let beams = self.p.beams;
        // As other kernels see it: 0 is the only number without a logarithm.
        let kept = |value: f32| if value < NEAR_ZERO { -self.p.infinity } else { value };
        for (i, prefix) in beam.iter().enumerate() {
            numbers[i] = kept(prefix.blank);
            numbers[beams + i] = kept(prefix.label);
            numbers[2 * beams + i] = kept(if prefix.sum < NEAR_ZERO { ZERO } else { prefix.sum + scale });
            let [x, y] = prefix.bits;
            let [x_before, y_before] = prefix.bits_before;
            let words = [prefix.node, prefix.labels, prefix.last, x, y, x_before, y_before];
            words.into_iter().enumerate().for_each(|(k, word)| entries[k * beams + i] = word);
        }
    }
}
