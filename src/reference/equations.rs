//! One step of one sequence by each cell's equations.
//!
//! A cell's function has the sums of its gates by name, and gives the new h and c.

use super::numbers::{Real, layer_norm, real, value, within};
use super::weights::Weights;
use crate::cells::{Activation, Cell, CellClip, Equations, Reset};
use crate::config::{Precision, RnnConfig};
use ndarray::{Array1, ArrayView1, Zip, s};

/// What a cell sees in a step of one sequence.
struct Step<'a, F> {
    /// H.
    units: usize,
    equations: Equations,
    weights: &'a Weights<F>,
    /// W·x + b, or its norm: [G·H].
    wx: Array1<F>,
    /// R·h + b_R, or its norm, of a cell with a matrix R: [G·H].
    rh: Array1<F>,
    /// The old h,
    h: &'a Array1<F>,
    /// and the old c.
    c: &'a Array1<F>,
}

/// The new h and c.
type New<F> = (Array1<F>, Array1<F>);

/// One step of one sequence.
pub(super) fn step<F: Real>(
    config: &RnnConfig,
    weights: &Weights<F>,
    x: ArrayView1<'_, F>,
    h: &Array1<F>,
    c: &Array1<F>,
) -> New<F> {
    let step = Step::new(config, weights, x, h, c);
    match config.cell {
        Cell::Elman(f) => (step.apply(f, step.wx.clone() + &step.rh), c.clone()),
        Cell::Lstm => lstm(&step),
        Cell::Gru(Reset::After) => gru_reset_after(&step),
        Cell::Gru(Reset::Before) => gru_reset_before(&step),
        Cell::MinGru => min_gru(&step),
        Cell::MinLstm => min_lstm(&step),
        Cell::Sru => sru(&step),
        Cell::Qrnn => qrnn(&step),
        Cell::IndRnn(f) => (step.apply(f, step.wx.clone() + &weights.r.column(0) * h), c.clone()),
        Cell::Slstm => slstm(&step),
        Cell::Mgu => mgu(&step),
        Cell::LiGru => li_gru(&step),
    }
}

impl<'a, F: Real> Step<'a, F> {
    fn new(
        config: &RnnConfig,
        weights: &'a Weights<F>,
        x: ArrayView1<'_, F>,
        h: &'a Array1<F>,
        c: &'a Array1<F>,
    ) -> Self {
        let units = config.hidden;
        // A GRU's r and z are normed together, n apart; all gates of others together.
        let normed = |a: Array1<F>, gain: &Array1<F>, bias: &Array1<F>| {
            let apart = if matches!(config.cell, Cell::Gru(_)) { 2 * units } else { a.len() };
            let parts = [a.slice(s![..apart]), a.slice(s![apart..])];
            let all: Array1<F> = parts.into_iter().filter(|part| !part.is_empty()).flat_map(layer_norm).collect();
            all * gain + bias
        };
        let mut wx = match &weights.norm {
            Some(norm) => normed(weights.w.dot(&x), &norm.w, &weights.b_w),
            None => weights.w.dot(&x) + &weights.b_w,
        };
        if config.precision == Precision::Half && weights.norm.is_none() {
            wx.mapv_inplace(F::handed_on);
        }
        let rh = match &weights.norm {
            _ if !config.cell.has_recurrent_weights() => Array1::zeros(0),
            Some(norm) => normed(weights.r.dot(h), &norm.r, &weights.b_r),
            None => weights.r.dot(h) + &weights.b_r,
        };
        Self { units, equations: config.options.equations, weights, wx, rh, h, c }
    }

    fn part(&self, a: &Array1<F>, gate: usize) -> Array1<F> {
        a.slice(s![gate * self.units..(gate + 1) * self.units]).to_owned()
    }

    /// The input part of a gate's sum.
    fn x(&self, gate: usize) -> Array1<F> {
        self.part(&self.wx, gate)
    }

    /// The recurrent part of a gate's sum.
    fn r(&self, gate: usize) -> Array1<F> {
        self.part(&self.rh, gate)
    }

    /// A gate's sum.
    fn sum(&self, gate: usize) -> Array1<F> {
        self.x(gate) + self.r(gate)
    }

    /// R·v + b_R of one gate, of another vector than h.
    fn product(&self, gate: usize, v: &Array1<F>) -> Array1<F> {
        let rows = s![gate * self.units..(gate + 1) * self.units, ..];
        self.weights.r.slice(rows).dot(v) + self.part(&self.weights.b_r, gate)
    }

    /// A gate's peepholes times c; 0 where there are none.
    fn peepholes(&self, gate: usize, c: &Array1<F>) -> Array1<F> {
        self.part(&self.weights.peepholes, gate) * c
    }

    /// An activation of sums, which are clipped first where there is a clip.
    fn apply(&self, f: Activation, a: Array1<F>) -> Array1<F> {
        let clip = self.equations.clip.map(|limit| limit.get());
        a.mapv(|a| value(f, clip.map_or(a, |limit| within(a, real(-limit), real(limit)))))
    }
}

fn sigmoid<F: Real>(a: Array1<F>) -> Array1<F> {
    a.mapv(|a| value(Activation::Sigmoid, a))
}

fn tanh<F: Real>(a: Array1<F>) -> Array1<F> {
    a.mapv(|a| a.tanh())
}

/// 1 − a.
fn rest<F: Real>(a: &Array1<F>) -> Array1<F> {
    a.mapv(|a| F::one() - a)
}

fn lstm<F: Real>(step: &Step<'_, F>) -> New<F> {
    let [input, forget, candidate, output] = [0, 1, 2, 3];
    let Equations { activations: [f_gate, f_candidate, f_cell], cell_clip, coupled, .. } = step.equations;
    let i = step.apply(f_gate, step.sum(input) + step.peepholes(input, step.c));
    let f = match coupled {
        true => rest(&i),
        false => step.apply(f_gate, step.sum(forget) + step.peepholes(forget, step.c)),
    };
    let g = step.apply(f_candidate, step.sum(candidate));
    let c = (f * step.c + i * g).mapv(|c| match cell_clip {
        Some(CellClip { low, propagates_nan: false, .. }) if c.is_nan() => real(low.get()),
        Some(CellClip { low, high, .. }) => within(c, real(low.get()), real(high.get())),
        None => c,
    });
    let o = step.apply(f_gate, step.sum(output) + step.peepholes(output, &c));
    let seen = match &step.weights.norm {
        Some(norm) => Array1::from_iter(layer_norm(c.view())) * &norm.c + &norm.b_c,
        None => c.clone(),
    };
    let h = o * seen.mapv(|c| value(f_cell, c));
    (step.weights.w_hr.as_ref().map_or_else(|| h.clone(), |w| w.dot(&h)), c)
}

fn gru_reset_after<F: Real>(step: &Step<'_, F>) -> New<F> {
    let [reset, update, new] = [0, 1, 2];
    let [f_gate, f_candidate, _] = step.equations.activations;
    let r = step.apply(f_gate, step.sum(reset));
    let z = step.apply(f_gate, step.sum(update));
    let n = step.apply(f_candidate, step.x(new) + r * step.r(new));
    (rest(&z) * n + z * step.h, step.c.clone())
}

fn gru_reset_before<F: Real>(step: &Step<'_, F>) -> New<F> {
    let [reset, update, new] = [0, 1, 2];
    let [f_gate, f_candidate, _] = step.equations.activations;
    let r = step.apply(f_gate, step.sum(reset));
    let z = step.apply(f_gate, step.sum(update));
    let n = step.apply(f_candidate, step.x(new) + step.product(new, &(r * step.h)));
    (rest(&z) * n + z * step.h, step.c.clone())
}

fn min_gru<F: Real>(step: &Step<'_, F>) -> New<F> {
    let [update, candidate] = [0, 1];
    let z = sigmoid(step.x(update));
    (rest(&z) * step.h + &z * &step.x(candidate), step.c.clone())
}

fn min_lstm<F: Real>(step: &Step<'_, F>) -> New<F> {
    let [forget, input, candidate] = [0, 1, 2];
    // f / (f + i), which would be 0 / 0 where both are next to 0.
    let softplus = |gate: usize| step.x(gate).mapv(|a| value(Activation::Softplus, -a));
    let share = sigmoid(softplus(input) - softplus(forget));
    (&share * step.h + rest(&share) * step.x(candidate), step.c.clone())
}

fn sru<F: Real>(step: &Step<'_, F>) -> New<F> {
    let [candidate, forget, reset, highway] = [0, 1, 2, 3];
    let [f, r] = [forget, reset].map(|gate| sigmoid(step.x(gate)));
    let c = &f * step.c + rest(&f) * step.x(candidate);
    (&r * &tanh(c.clone()) + rest(&r) * step.x(highway), c)
}

fn qrnn<F: Real>(step: &Step<'_, F>) -> New<F> {
    let [candidate, forget, output] = [0, 1, 2];
    let f = sigmoid(step.x(forget));
    let c = &f * step.c + rest(&f) * tanh(step.x(candidate));
    (sigmoid(step.x(output)) * &c, c)
}

fn slstm<F: Real>(step: &Step<'_, F>) -> New<F> {
    let [input, forget, candidate, output] = [0, 1, 2, 3];
    let [old_c, old_n, old_m] = [0, 1, 2].map(|slot| step.part(step.c, slot));
    let carried = step.sum(forget).mapv(|f| -value(Activation::Softplus, -f)) + old_m;
    let mut m = step.sum(input);
    // Nothing is carried where n is 0.
    Zip::from(&mut m).and(&carried).and(&old_n).for_each(|m, &carried, &n| {
        *m = if n == F::zero() || *m > carried { *m } else { carried };
    });
    let [i, f] = [step.sum(input), carried].map(|exponent| {
        // One infinity less itself. Where nothing is carried, what it is multiplied with stays 0.
        Zip::from(&exponent)
            .and(&m)
            .map_collect(|&a, &m| if a == m { F::one() } else { within(a - m, F::neg_infinity(), real(80.0)).exp() })
    });
    let z = tanh(step.sum(candidate));
    let o = sigmoid(step.sum(output));
    let (c, n) = (&f * &old_c + &i * &z, &f * &old_n + &i);
    let h = o * &c / &n;
    (h, c.into_iter().chain(n).chain(m).collect())
}

fn mgu<F: Real>(step: &Step<'_, F>) -> New<F> {
    let [forget, new] = [0, 1];
    let f = sigmoid(step.sum(forget));
    let n = tanh(step.x(new) + step.product(new, &(&f * step.h)));
    (rest(&f) * step.h + &f * &n, step.c.clone())
}

fn li_gru<F: Real>(step: &Step<'_, F>) -> New<F> {
    let [update, new] = [0, 1];
    let z = sigmoid(step.sum(update));
    let n = step.sum(new).mapv(|n| value(Activation::Relu, n));
    (&z * step.h + rest(&z) * n, step.c.clone())
}
