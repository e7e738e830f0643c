//! Sums over the alignments of a CTC loss: see `shaders/ctc_lattice.wgsl`. Each thread takes sequences in one direction.

use super::call::Call;
use super::log_sum_exp::{at_least, largest};
use super::rows::SharedRows;
use super::threads;
use crate::cells::math::{MulAdd, Vectorised, exp, ln, vectorise};
use crate::kernels::{CtcLatticeParams, SCALED_STEPS, SEQUENCE_HEAD};

/// log 0. Larger than −∞, so that no difference of two is NaN.
pub(super) const ZERO: f32 = -1.0e30;
/// Logarithms below are those of 0.
const NEAR_ZERO: f32 = -1.0e29;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: CtcLatticeParams = call.params();
    let lattice = Lattice {
        logits: &call.read(0)[p.logits_offset..],
        norms: call.read(1),
        sequences: call.read_indices(2),
        carry: SharedRows::new(call.write(3)),
        lattice: SharedRows::new(call.write(4)),
        losses: SharedRows::new(call.write(5)),
        p,
    };
    let mut tasks = vec![(); p.count * p.directions];
    threads::for_each(&mut tasks, |task, ()| lattice.sequence(task / p.directions, task % p.directions));
}

struct Lattice<'a> {
    p: CtcLatticeParams,
    logits: &'a [f32],
    norms: &'a [f32],
    sequences: &'a [u32],
    carry: SharedRows<'a>,
    lattice: SharedRows<'a>,
    losses: SharedRows<'a>,
}

impl Lattice<'_> {
    /// The steps of the dispatch of one sequence in one direction.
    fn sequence(&self, i: usize, direction: usize) {
        let p = &self.p;
        let n = p.first + i;
        let width = 2 * p.labels + 1;
        let sequence = &self.sequences[n * (SEQUENCE_HEAD + 2 * p.labels)..];
        let (steps, labels) = (sequence[0] as usize, sequence[1] as usize);
        // SAFETY: the rows of a sequence in a direction are one task's.
        let carry = unsafe { self.carry.row((2 * n + direction) * (width + 2), width + 2) };
        if p.start >= steps {
            if p.start == 0 && direction == 0 {
                let is_wrong = sequence[2] == 1;
                let sum = if labels == 0 { 0.0 } else { ZERO };
                self.finish(n, labels, &mut carry[width + 1], if is_wrong { p.nan } else { sum });
            }
            return;
        }
        let labels = &sequence[SEQUENCE_HEAD..][..labels];
        let mut alphas = Alphas::new(labels, p.blank as u32, direction == 1);
        if p.start > 0 {
            let values = carry[..alphas.states].iter().map(|&value| at_least(value, ZERO));
            alphas.now[2..].iter_mut().zip(values).for_each(|(alpha, value)| *alpha = value);
            alphas.scale = carry[width];
        }
        vectorise(Pass { lattice: self, alphas: &mut alphas, steps, place: [n, i, direction] });
        carry[..width].fill(f32::NEG_INFINITY);
        carry[..width].iter_mut().zip(&alphas.now[2..]).for_each(|(carry, &alpha)| *carry = kept(alpha));
        carry[width] = alphas.scale;
        if p.end >= steps && direction == 0 {
            let last = alphas.now.len();
            let before = if alphas.states > 1 { alphas.now[last - 2] } else { ZERO };
            let sum = log_sum(alphas.now[last - 1], before);
            let scale = alphas.scale;
            let sum = if scale.is_nan() { scale } else { at_least(sum + scale, ZERO) };
            self.finish(n, labels.len(), &mut carry[width + 1], sum);
        }
    }

    fn finish(&self, n: usize, labels: usize, carried: &mut f32, log_likelihood: f32) {
        let p = &self.p;
        let is_infinite = log_likelihood < NEAR_ZERO;
        let loss = if is_infinite { p.infinity } else { -log_likelihood };
        *carried = loss;
        let loss = if is_infinite && p.zero_infinity { 0.0 } else { loss };
        // SAFETY: a sequence's loss is one task's: that of its first direction.
        let out = unsafe { self.losses.row(n, 1) };
        out[0] = if p.mean { loss / labels.max(1) as f32 } else { loss };
    }
}

fn log_sum(a: f32, b: f32) -> f32 {
    let top = a.max(b);
    top + ((a - top).exp() + (b - top).exp()).ln()
}

/// As other kernels see it: 0 is the only number without a logarithm.
#[inline(always)]
fn kept(value: f32) -> f32 {
    if value < NEAR_ZERO { f32::NEG_INFINITY } else { value }
}

/// α of a sequence's states, in the order of the direction. Two states of probability 0 are before them.
struct Alphas {
    states: usize,
    /// The classes of states.
    classes: Vec<usize>,
    /// 0 where α may come from two states before, else so much that nothing comes.
    barred: Vec<f32>,
    now: Vec<f32>,
    next: Vec<f32>,
    sums: Vec<f32>,
    logits: Vec<f32>,
    /// The logarithm of what α was divided by.
    scale: f32,
}

impl Alphas {
    fn new(labels: &[u32], blank: u32, backwards: bool) -> Self {
        let mut labels = labels.to_vec();
        if backwards {
            labels.reverse();
        }
        let states = 2 * labels.len() + 1;
        let mut classes = vec![blank as usize; states];
        let mut barred = vec![2.0 * ZERO; states];
        for (i, &label) in labels.iter().enumerate() {
            classes[2 * i + 1] = label as usize;
            if i > 0 && labels[i - 1] != label {
                barred[2 * i + 1] = 0.0;
            }
        }
        let [now, next] = [(); 2].map(|()| vec![ZERO; states + 2]);
        let [sums, logits] = [(); 2].map(|()| vec![ZERO; states]);
        Self { states, classes, barred, now, next, sums, logits, scale: 0.0 }
    }

    /// The sums over the states that each state is reached from.
    #[inline(always)]
    fn add<M: MulAdd>(&mut self) {
        let states = self.states;
        let (same, before, skipped) = (&self.now[2..][..states], &self.now[1..][..states], &self.now[..states]);
        let (sums, barred) = (&mut self.sums[..states], &self.barred[..states]);
        for s in 0..states {
            let skipped = at_least(skipped[s] + barred[s], ZERO);
            let top = at_least(at_least(same[s], before[s]), skipped);
            let part = |value: f32| exp::<M>(at_least(value - top, -80.0));
            sums[s] = top + ln::<M>(part(same[s]) + part(before[s]) + part(skipped));
        }
    }

    /// The next α from the sums, with their logits; those become the α of now.
    #[inline(always)]
    fn multiply(&mut self, row: &[f32], norm: f32) {
        let states = self.states;
        for (logit, &class) in self.logits.iter_mut().zip(&self.classes) {
            *logit = row[class];
        }
        let (sums, logits) = (&self.sums[..states], &self.logits[..states]);
        let next = &mut self.next[2..][..states];
        for s in 0..states {
            next[s] = at_least(sums[s] + (at_least(logits[s], ZERO) - norm), ZERO);
        }
        std::mem::swap(&mut self.now, &mut self.next);
    }

    /// Lets the largest α be 1.
    #[inline(always)]
    fn rescale(&mut self) {
        let now = &mut self.now[2..];
        let top = largest(now.iter().copied(), ZERO);
        if top >= NEAR_ZERO {
            self.scale += top;
            now.iter_mut().for_each(|alpha| *alpha = at_least(*alpha - top, ZERO));
        }
    }
}

/// The steps of a sequence in a direction.
struct Pass<'a> {
    lattice: &'a Lattice<'a>,
    alphas: &'a mut Alphas,
    steps: usize,
    /// The sequence among all and among those of the dispatch, and the direction.
    place: [usize; 3],
}

impl Vectorised for Pass<'_> {
    #[inline(always)]
    fn run<M: MulAdd>(self) {
        let Self { lattice, alphas, steps, place: [n, i, direction] } = self;
        let p = &lattice.p;
        let (states, width) = (alphas.states, 2 * p.labels + 1);
        for k in p.start..p.end.min(steps) {
            let t = if direction == 1 { steps - 1 - k } else { k };
            let norm = lattice.norms[t * p.batch + n];
            if k == 0 {
                alphas.sums.fill(ZERO);
                alphas.sums.iter_mut().take(2).for_each(|sum| *sum = 0.0);
            } else {
                alphas.add::<M>();
            }
            alphas.multiply(&lattice.logits[(t * p.batch + n) * p.classes..][..p.classes], norm);
            if norm.is_nan() {
                alphas.scale = p.nan;
            }
            if p.keep {
                let at = ((direction * p.count + i) * p.steps + t) * width;
                // SAFETY: the rows of a sequence in a direction are one task's.
                let row = unsafe { lattice.lattice.row(at, states) };
                if direction == 1 {
                    row.iter_mut().zip(alphas.sums.iter().rev()).for_each(|(to, &sum)| *to = kept(sum));
                } else {
                    row.iter_mut().zip(&alphas.now[2..]).for_each(|(to, &alpha)| *to = kept(alpha));
                }
            }
            if k % SCALED_STEPS == SCALED_STEPS - 1 {
                alphas.rescale();
            }
        }
    }
}
