//! Whole sequences through a stack of layers.

use super::equations::step;
use super::numbers::{Real, real};
use super::weights::Weights;
use crate::cells::Probability;
use crate::config::RnnConfig;
use crate::error::{Error, Result};
use crate::layer::{State, check_lengths};
use crate::weights::RnnWeights;
use ndarray::{Array1, Array3, ArrayView3, Axis, concatenate, s};

/// The result of [`forward`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReferenceOutput<F> {
    /// The output y: [T, N, D·S·H] or [N, T, D·S·H], 0 beyond a sequence's length.
    pub y: Array3<F>,
    /// The final h: [L·D, N, H], or P in place of H with a projection.
    pub h: Array3<F>,
    /// The final c: [L·D, N, H], of an sLSTM 3·H wide; `None` for cells without c.
    pub c: Option<Array3<F>>,
}

/// Zoneout without training: what it keeps of the old value on average.
fn mean<F: Real>(z: Probability, old: &Array1<F>, new: &Array1<F>) -> Array1<F> {
    let z = F::from_f64(z.get()).unwrap_or_else(F::nan);
    old.mapv(|old| z * old) + new.mapv(|new| (F::one() - z) * new)
}

/// Runs a stack of layers over whole sequences, or as many steps of each as `lengths` says, from 0 to T. `x` is [T, N, I], or [N, T, I] where the configuration is batch-first.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::Array3;
/// use wgrnn::{Cell, RnnConfig, RnnWeights, reference};
/// let config = RnnConfig::new(Cell::Lstm, 3, 4);
/// let weights = RnnWeights::init(&config, 0)?;
/// let x = Array3::<f64>::ones((5, 2, 3)); // computed in float64
/// let output = reference::forward(&config, &weights, x.view(), None, None)?;
/// assert_eq!(output.y.dim(), (5, 2, 4));
/// # Ok(())
/// # }
/// ```
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
    if batch == 0 || features != config.input {
        return Err(Error::shape("input", format!("[T, N, {}] with N of at least 1", config.input), x.shape()));
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
                    (h, c) = match config.options.noise.zoneout {
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
