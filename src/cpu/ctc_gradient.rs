//! The gradient of a CTC loss: see `shaders/ctc_gradient.wgsl`.

use super::call::Call;
use super::ctc_lattice::ZERO;
use super::links::EARLIER;
use super::log_sum_exp::{LANES, at_least, largest};
use super::rows::SharedRows;
use super::threads;
use crate::cells::math::{MulAdd, Vectorised, exp, vectorise};
use crate::kernels::{CtcGradientParams, SEQUENCE_HEAD};
use std::ops::Range;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: CtcGradientParams = call.params();
    let gradients = Gradients {
        logits: &call.read(0)[p.logits_offset..],
        norms: call.read(1),
        sequences: call.read_indices(2),
        carry: call.read(3),
        lattice: call.read(4),
        valid: call.read(5)[0],
        gradient: SharedRows::new(call.write(6)),
        p,
    };
    let rows = p.steps * p.count;
    let part = rows.div_ceil(4 * threads::count()).max(1);
    let mut parts = vec![(); rows.div_ceil(part)];
    threads::for_each(&mut parts, |i, ()| {
        vectorise(Part { gradients: &gradients, rows: i * part..rows.min((i + 1) * part) });
    });
}

struct Gradients<'a> {
    p: CtcGradientParams,
    logits: &'a [f32],
    norms: &'a [f32],
    sequences: &'a [u32],
    carry: &'a [f32],
    lattice: &'a [f32],
    valid: f32,
    gradient: SharedRows<'a>,
}

/// Some of the rows.
struct Part<'a> {
    gradients: &'a Gradients<'a>,
    rows: Range<usize>,
}

impl Vectorised for Part<'_> {
    #[inline(always)]
    fn run<M: MulAdd>(self) {
        let mut weights = Vec::new();
        for m in self.rows {
            self.gradients.row::<M>(m, &mut weights);
        }
    }
}

impl Gradients<'_> {
    #[inline(always)]
    fn row<M: MulAdd>(&self, m: usize, weights: &mut Vec<f32>) {
        let p = &self.p;
        let (t, i) = (m / p.count, m % p.count);
        let n = p.first + i;
        let width = 2 * p.labels + 1;
        let sequence = &self.sequences[n * (SEQUENCE_HEAD + 2 * p.labels)..];
        let (steps, count, is_wrong) = (sequence[0] as usize, sequence[1] as usize, sequence[2] == 1);
        let (labels, links) = sequence[SEQUENCE_HEAD..].split_at(p.labels);
        let row = (t * p.batch + n) * p.classes;
        // SAFETY: each row is one task's.
        let gradient = unsafe { self.gradient.row(row, p.classes) };
        let loss = self.carry[2 * n * (width + 2) + width + 1];
        if is_wrong || t >= steps || !loss.is_finite() {
            let is_zero = !is_wrong && (t >= steps || loss.is_infinite() && p.zero_infinity);
            gradient.fill(if is_zero { 0.0 } else { p.nan });
            return;
        }
        let [blanks, all] = self.weigh::<M>((i * p.steps + t) * width, 2 * count + 1, weights);
        let scale = if p.mean { 1.0 / (self.valid * count.max(1) as f32) } else { 1.0 / self.valid };
        let norm = self.norms[t * p.batch + n];
        for (gradient, &logit) in gradient.iter_mut().zip(&self.logits[row..][..p.classes]) {
            *gradient = exp::<M>(at_least(logit - norm, -87.0).min(0.0));
        }
        let mut subtract = |class: usize, sum: f32| gradient[class] -= sum / all;
        subtract(p.blank, blanks);
        for (mut at, &label) in labels[..count].iter().enumerate() {
            if links[at] & EARLIER == 0 {
                let mut sum = 0.0;
                while at < count {
                    sum += weights[2 * at + 1];
                    at = (links[at] & !EARLIER) as usize;
                }
                subtract(label as usize, sum);
            }
        }
        gradient.iter_mut().for_each(|gradient| *gradient *= scale);
    }

    /// What is in proportion to the probabilities of the states of a row; the sums of blank ones, and of all.
    #[inline(always)]
    fn weigh<M: MulAdd>(&self, row: usize, states: usize, weights: &mut Vec<f32>) -> [f32; 2] {
        let p = &self.p;
        let (forwards, backwards) = self.lattice.split_at(p.count * p.steps * (2 * p.labels + 1));
        let both = forwards[row..][..states].iter().zip(&backwards[row..][..states]);
        weights.clear();
        weights.extend(both.map(|(&a, &b)| at_least(a, ZERO) + at_least(b, ZERO)));
        let top = largest(weights.iter().copied(), 4.0 * ZERO);
        for weight in weights.iter_mut() {
            let difference = *weight - top;
            *weight = if difference > -80.0 { exp::<M>(at_least(difference, -80.0)) } else { 0.0 };
        }
        // Every other state is blank.
        let mut sums = [0.0; LANES];
        for weights in weights.chunks(LANES) {
            sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight);
        }
        let blanks = sums.iter().step_by(2).sum::<f32>();
        [blanks, blanks + sums.iter().skip(1).step_by(2).sum::<f32>()]
    }
}
