//! The reference: the equations of the textbooks in plain ndarray. It is slow and short, and everything else is compared with
//! it.
//!
//! [`forward`] computes in `f32` or `f64`, one sequence and one step after the other. In half precision, weights are rounded
//! first. In `f32` the input part of the gates is rounded as well, as kernels do when they hand it on; the difference between
//! `f32` and `f64` then shows what that may cost. Nothing here is shared with the kernels or their twins.
//!
//! σ is the logistic function, ⊙ the element-wise product; see [`Cell`] for the equations' sources.

use crate::cells::{Activation, Cell, CellClip, Coefficient, Options, Probability, Reset};
use crate::config::{Precision, RnnConfig};
use crate::error::{Error, Result};
use crate::layer::{State, check_lengths};
use crate::weights::{LayerWeights, RnnWeights};
use half::f16;
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView3, Axis, LinalgScalar, Zip, concatenate, s};
use num_traits::{Float, FromPrimitive};

/// The numbers that the reference computes with: `f32` or `f64`.
pub trait Real: Float + LinalgScalar + FromPrimitive + Send + Sync + std::fmt::Debug {
    /// A number of the input part of the gates as it comes out of memory in half precision.
    fn handed_on(self) -> Self;
}

/// Halves end at 65,504; NaN stays NaN.
fn limited<F: Float + FromPrimitive>(number: F) -> F {
    let most = F::from_f32(f16::MAX.to_f32()).unwrap_or_else(F::nan);
    if number > most {
        most
    } else if number < -most {
        -most
    } else {
        number
    }
}

impl Real for f32 {
    fn handed_on(self) -> Self {
        f16::from_f32(limited(self)).to_f32()
    }
}
impl Real for f64 {
    fn handed_on(self) -> Self {
        limited(self)
    }
}

/// The result of [`forward`].
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceOutput<F> {
    /// The output y: [T, N, D·S·H] or [N, T, D·S·H], 0 beyond a sequence's length.
    pub y: Array3<F>,
    /// The final h: [L·D, N, H], or P in place of H with a projection.
    pub h: Array3<F>,
    /// The final c: [L·D, N, H], of an sLSTM 3·H wide; `None` for cells without c.
    pub c: Option<Array3<F>>,
}

/// A layer's weights in the type of the computation.
struct Weights<F> {
    w: Array2<F>,
    r: Array2<F>,
    b_w: Array1<F>,
    b_r: Array1<F>,
    w_hr: Option<Array2<F>>,
    peepholes: Array1<F>,
    norm: Option<Norms<F>>,
}

/// The weights of layer norms: γ of W's products, R's and c', and β of c'.
struct Norms<F> {
    w: Array1<F>,
    r: Array1<F>,
    c: Array1<F>,
    b_c: Array1<F>,
}

/// A weight in the type of the computation: f32 fits into both.
fn real<F: Real>(weight: f32) -> F {
    F::from_f32(weight).unwrap_or_else(F::nan)
}

/// A weight as it comes out of memory.
fn stored<F: Real>(weight: f32, precision: Precision) -> F {
    real(if precision == Precision::Half { f16::from_f32(weight).to_f32() } else { weight })
}

impl<F: Real> Weights<F> {
    fn new(weights: &LayerWeights, precision: Precision, diagonal: bool) -> Self {
        let rows = weights.w.nrows();
        let bias = |b: &Option<Array1<f32>>| b.as_ref().map_or_else(|| Array1::zeros(rows), |b| b.mapv(real));
        Self {
            w: weights.w.mapv(|w| stored(w, precision)),
            // A diagonal is stored in 32 bits, as biases are.
            r: weights.r.mapv(|w| if diagonal { real(w) } else { stored(w, precision) }),
            b_w: bias(&weights.b_w),
            b_r: bias(&weights.b_r),
            w_hr: weights.w_hr.as_ref().map(|w| w.mapv(|w| stored(w, precision))),
            peepholes: bias(&weights.peepholes),
            norm: weights.norm.as_ref().map(|norm| {
                let vector =
                    |a: &Option<Array1<f32>>, len| a.as_ref().map_or_else(|| Array1::zeros(len), |a| a.mapv(real));
                let units = norm.c.as_ref().map_or(0, Array1::len);
                let [c, b_c] = [&norm.c, &norm.b_c].map(|a| vector(a, units));
                Norms { w: norm.w.mapv(real), r: norm.r.mapv(real), c, b_c }
            }),
        }
    }
}

/// The activation f of a number.
fn value<F: Real>(f: Activation, a: F) -> F {
    let (zero, one) = (F::zero(), F::one());
    let number = |c: Coefficient| real::<F>(c.get());
    match f {
        Activation::Tanh => a.tanh(),
        Activation::Sigmoid => one / (one + (-a).exp()),
        // NaN stays NaN.
        Activation::Relu if a < zero => zero,
        Activation::Relu => a,
        Activation::Affine { alpha, beta } => number(alpha) * a + number(beta),
        Activation::LeakyRelu { alpha } if a < zero => number(alpha) * a,
        Activation::LeakyRelu { .. } => a,
        Activation::ThresholdedRelu { alpha } if a <= number(alpha) => zero,
        Activation::ThresholdedRelu { .. } => a,
        Activation::ScaledTanh { alpha, beta } => number(alpha) * (number(beta) * a).tanh(),
        Activation::HardSigmoid { alpha, beta } => within(number(alpha) * a + number(beta), zero, one),
        Activation::Elu { alpha } if a < zero => number(alpha) * (a.exp() - one),
        Activation::Elu { .. } => a,
        Activation::Softsign if a.is_infinite() => a.signum(),
        Activation::Softsign => a / (one + a.abs()),
        // log(1 + e^a) without overflow.
        Activation::Softplus if a > zero => a + (one + (-a).exp()).ln(),
        Activation::Softplus => (one + a.exp()).ln(),
    }
}

/// a, or the bound that it is beyond; NaN stays NaN.
fn within<F: Real>(a: F, low: F, high: F) -> F {
    if a < low {
        low
    } else if a > high {
        high
    } else {
        a
    }
}

/// Deviations from the mean over their root mean square.
fn layer_norm<F: Real>(a: ArrayView1<'_, F>) -> Vec<F> {
    let mean = a.mean().unwrap_or_else(F::nan);
    let variance = a.mapv(|a| (a - mean) * (a - mean)).mean().unwrap_or_else(F::nan);
    a.iter().map(|&a| (a - mean) / (variance + real(1e-5)).sqrt()).collect()
}

/// One step of one sequence: the new h and c.
fn step<F: Real>(
    config: &RnnConfig,
    weights: &Weights<F>,
    x: ArrayView1<'_, F>,
    h: &Array1<F>,
    c: &Array1<F>,
) -> (Array1<F>, Array1<F>) {
    let units = config.hidden;
    let Options { activations: [f_gate, f_candidate, f_cell], clip, cell_clip, coupled, .. } = config.options;
    let apply = |f: Activation, a: Array1<F>| {
        let clipped = clip.map_or(a.clone(), |limit| a.mapv(|a| within(a, real(-limit.get()), real(limit.get()))));
        clipped.mapv(|a| value(f, a))
    };
    let seen =
        |gate: usize, c: &Array1<F>| weights.peepholes.slice(s![gate * units..(gate + 1) * units]).to_owned() * c;
    let gate = |a: &Array1<F>, i: usize| a.slice(s![i * units..(i + 1) * units]).to_owned();
    // A GRU's r and z are normed together, n apart; all gates of others together.
    let normed = |a: Array1<F>, gain: &Array1<F>, bias: &Array1<F>| {
        let apart = if matches!(config.cell, Cell::Gru(_)) { 2 * units } else { a.len() };
        let parts = [a.slice(s![..apart]), a.slice(s![apart..])];
        let all: Array1<F> = parts.into_iter().filter(|part| !part.is_empty()).flat_map(layer_norm).collect();
        all * gain + bias
    };
    let wx = weights.w.dot(&x);
    let mut wx = match &weights.norm {
        Some(norm) => normed(wx, &norm.w, &weights.b_w),
        None => wx + &weights.b_w,
    };
    if config.precision == Precision::Half && weights.norm.is_none() {
        wx.mapv_inplace(F::handed_on);
    }
    if let Cell::IndRnn(activation) = config.cell {
        let u = weights.r.column(0);
        return (apply(activation, wx + &u * h), c.clone());
    }
    if !config.cell.has_recurrent_weights() {
        return scan_step(config.cell, |i| gate(&wx, i), h, c);
    }
    let rh = match &weights.norm {
        Some(norm) => normed(weights.r.dot(h), &norm.r, &weights.b_r),
        None => weights.r.dot(h) + &weights.b_r,
    };
    match config.cell {
        Cell::Elman(activation) => (apply(activation, wx + rh), c.clone()),
        Cell::Lstm => {
            let a = wx + rh;
            let i = apply(f_gate, gate(&a, 0) + seen(0, c));
            let f = if coupled { i.mapv(|i| F::one() - i) } else { apply(f_gate, gate(&a, 1) + seen(1, c)) };
            let g = apply(f_candidate, gate(&a, 2));
            let c = (f * c + i * g).mapv(|c| match cell_clip {
                Some(CellClip { low, propagates_nan: false, .. }) if c.is_nan() => real(low.get()),
                Some(CellClip { low, high, .. }) => within(c, real(low.get()), real(high.get())),
                None => c,
            });
            let o = apply(f_gate, gate(&a, 3) + seen(3, &c));
            let seen = match &weights.norm {
                Some(norm) => Array1::from_iter(layer_norm(c.view())) * &norm.c + &norm.b_c,
                None => c.clone(),
            };
            let h = o * seen.mapv(|c| value(f_cell, c));
            (weights.w_hr.as_ref().map_or_else(|| h.clone(), |w| w.dot(&h)), c)
        }
        Cell::Gru(reset) => {
            let r = apply(f_gate, gate(&wx, 0) + gate(&rh, 0));
            let z = apply(f_gate, gate(&wx, 1) + gate(&rh, 1));
            let product = match reset {
                Reset::After => r * gate(&rh, 2),
                Reset::Before => {
                    let rows = s![2 * units..3 * units, ..];
                    weights.r.slice(rows).dot(&(r * h)) + gate(&weights.b_r, 2)
                }
            };
            let n = apply(f_candidate, gate(&wx, 2) + product);
            let one = Array1::from_elem(units, F::one());
            ((one - &z) * n + z * h, c.clone())
        }
        Cell::Slstm => slstm_step(|i| gate(&wx, i) + gate(&rh, i), c),
        Cell::MinGru | Cell::MinLstm | Cell::Sru | Cell::Qrnn | Cell::IndRnn(_) => (h.clone(), c.clone()),
    }
}

/// The same of an sLSTM, by its gates' sums.
fn slstm_step<F: Real>(gate: impl Fn(usize) -> Array1<F>, state: &Array1<F>) -> (Array1<F>, Array1<F>) {
    let units = state.len() / 3;
    let old = |slot: usize| state.slice(s![slot * units..(slot + 1) * units]).to_owned();
    let log_f = gate(1).mapv(|f| -value(Activation::Softplus, -f));
    let carried = log_f + old(2);
    let mut m = gate(0);
    // Nothing is carried where n is 0.
    Zip::from(&mut m).and(&carried).and(&old(1)).for_each(|m, &carried, &n| {
        *m = if n == F::zero() || *m > carried { *m } else { carried };
    });
    let [i, f] = [gate(0), carried].map(|exponent| {
        // One infinity less itself. Where nothing is carried, what it is multiplied with stays 0.
        Zip::from(&exponent)
            .and(&m)
            .map_collect(|&a, &m| if a == m { F::one() } else { within(a - m, F::neg_infinity(), real(80.0)).exp() })
    });
    let z = gate(2).mapv(|z| value(Activation::Tanh, z));
    let o = gate(3).mapv(|o| value(Activation::Sigmoid, o));
    let (c, n) = (&f * &old(0) + &i * &z, &f * &old(1) + &i);
    let h = o * &c / &n;
    let state = c.into_iter().chain(n).chain(m).collect();
    (h, state)
}

/// Zoneout without training: what it keeps of the old value on average.
fn mean<F: Real>(z: Probability, old: &Array1<F>, new: &Array1<F>) -> Array1<F> {
    let z = F::from_f64(z.get()).unwrap_or_else(F::nan);
    old.mapv(|old| z * old) + new.mapv(|new| (F::one() - z) * new)
}

/// The same of a cell without R, by its gates' sums.
fn scan_step<F: Real>(
    cell: Cell,
    gate: impl Fn(usize) -> Array1<F>,
    h: &Array1<F>,
    c: &Array1<F>,
) -> (Array1<F>, Array1<F>) {
    let sigmoid = |i: usize| gate(i).mapv(|a| value(Activation::Sigmoid, a));
    let tanh = |a: &Array1<F>| a.mapv(|a| a.tanh());
    let rest = |a: &Array1<F>| a.mapv(|a| F::one() - a);
    match cell {
        Cell::MinGru => {
            let z = sigmoid(0);
            (rest(&z) * h + &z * &gate(1), c.clone())
        }
        Cell::MinLstm => {
            // f / (f + i), which would be 0 / 0 where both are next to 0.
            let softplus = |i: usize| gate(i).mapv(|a| value(Activation::Softplus, -a));
            let a = (softplus(1) - softplus(0)).mapv(|a| value(Activation::Sigmoid, a));
            (&a * h + rest(&a) * gate(2), c.clone())
        }
        Cell::Sru => {
            let [f, r] = [sigmoid(1), sigmoid(2)];
            let c = &f * c + rest(&f) * gate(0);
            (&r * &tanh(&c) + rest(&r) * gate(3), c)
        }
        Cell::Qrnn => {
            let f = sigmoid(1);
            let c = &f * c + rest(&f) * tanh(&gate(0));
            (sigmoid(2) * &c, c)
        }
        Cell::Elman(_) | Cell::Lstm | Cell::Gru(_) | Cell::IndRnn(_) | Cell::Slstm => (h.clone(), c.clone()),
    }
}

/// Runs a stack of layers over whole sequences. `x` is [T, N, I], or [N, T, I] where the configuration is batch-first.
///
/// # Errors
/// As [`Rnn::forward_with`](crate::Rnn::forward_with): shapes, lengths or a state that do not fit.
pub fn forward<F: Real>(
    config: &RnnConfig,
    weights: &RnnWeights,
    x: ArrayView3<'_, F>,
    lengths: Option<&[usize]>,
    state: Option<&State>,
) -> Result<ReferenceOutput<F>> {
    config.validate()?;
    weights.check(config)?;
    let x = if config.batch_first { x.permuted_axes([1, 0, 2]) } else { x };
    let (steps, batch, features) = x.dim();
    if steps == 0 || batch == 0 || features != config.input {
        return Err(Error::shape("input", format!("[T, N, {}], none of them 0", config.input), x.shape()));
    }
    let lengths = check_lengths(steps, batch, lengths)?;
    if let Some(state) = state {
        state.check(config, batch)?;
    }
    let zeros = State::zeros(config, batch)?;
    let state = state.unwrap_or(&zeros);
    let mut h_all = state.h.mapv(real);
    let mut c_all = state.c.as_ref().map(|c| c.mapv(real));
    let mut input = x.to_owned();
    for (layer, directions) in weights.layers().iter().enumerate() {
        let mut outputs = Vec::new();
        for (direction, weights) in directions.iter().enumerate() {
            let weights = Weights::new(weights, config.precision, config.cell.has_diagonal());
            let row = layer * config.tracks() + direction;
            let mut y = Array3::zeros((steps, batch, config.state_size()));
            for (n, &length) in lengths.iter().enumerate() {
                let mut h = h_all.slice(s![row, n, ..]).to_owned();
                let mut c = c_all.as_ref().map_or_else(|| Array1::zeros(0), |c| c.slice(s![row, n, ..]).to_owned());
                for step_number in 0..length {
                    // The reverse direction begins with the last valid step.
                    let t = if config.is_reverse(direction) { length - 1 - step_number } else { step_number };
                    let (new_h, new_c) = step(config, &weights, input.slice(s![t, n, ..]), &h, &c);
                    (h, c) = match config.options.zoneout {
                        Some([z_h, z_c]) => (mean(z_h, &h, &new_h), mean(z_c, &c, &new_c)),
                        None => (new_h, new_c),
                    };
                    y.slice_mut(s![t, n, ..]).assign(&h);
                }
                h_all.slice_mut(s![row, n, ..]).assign(&h);
                if let Some(c_all) = &mut c_all {
                    c_all.slice_mut(s![row, n, ..]).assign(&c);
                }
            }
            outputs.push(y);
        }
        let views: Vec<_> = outputs.iter().map(|y| y.view()).collect();
        input = concatenate(Axis(2), &views).map_err(|error| Error::Plan(error.to_string()))?;
    }
    let y = if config.batch_first { input.permuted_axes([1, 0, 2]) } else { input };
    Ok(ReferenceOutput { y, h: h_all, c: c_all })
}
