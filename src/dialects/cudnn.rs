//! cuDNN's weights: a matrix and a bias for each gate and product, numbered as `cudnnGetRNNWeightParams` numbers them.
//!
//! Of G gates, matrices 0 to G − 1 multiply the input and matrices G to 2·G − 1 the state. The projection of an LSTM is number
//! 8. cuDNN's cell clip is [`RnnConfig::cell_clip`](crate::RnnConfig::cell_clip).

use super::system::{Biases, System};
use crate::cells::Cell;
use crate::config::Bias;
use crate::error::{Error, Result};
use crate::weights::LayerWeights;
use ndarray::{Array1, Array2, Axis, Slice};

/// How the input enters the gates (`cudnnRNNInputMode_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InputMode {
    /// Through a matrix for each gate (`CUDNN_LINEAR_INPUT`).
    Linear,
    /// Directly: every gate gets the input itself, of H features (`CUDNN_SKIP_INPUT`). Here W is the identity for each
    /// gate, which gives the same numbers for finite inputs.
    Skip,
}

/// Which biases there are (`cudnnRNNBiasMode_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BiasMode {
    /// No biases (`CUDNN_RNN_NO_BIAS`).
    None,
    /// A bias beside the input matrix (`CUDNN_RNN_SINGLE_INP_BIAS`).
    SingleInput,
    /// A bias beside the recurrent matrix (`CUDNN_RNN_SINGLE_REC_BIAS`).
    SingleRecurrent,
    /// A bias beside either matrix (`CUDNN_RNN_DOUBLE_BIAS`).
    Double,
}

/// The weights of one direction of one layer, which cuDNN calls a pseudo-layer.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::dialects::cudnn::{BiasMode, InputMode, Weights};
/// use wgrnn::{Cell, RnnConfig, RnnWeights};
/// let config = RnnConfig::new(Cell::Lstm, 3, 4);
/// let weights = RnnWeights::init(&config, 0)?;
/// let own = &weights.layers()[0][0];
/// let theirs = Weights::of_own(Cell::Lstm, own, InputMode::Linear, BiasMode::Double)?;
/// assert_eq!((theirs.input.len(), theirs.recurrent[0].dim()), (4, (4, 4)));
/// let (_, back) = theirs.to_own(Cell::Lstm, InputMode::Linear, BiasMode::Double)?;
/// assert_eq!(&back, own);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The input matrix of each gate, [H, I]; empty where the input is skipped.
    pub input: Vec<Array2<f32>>,
    /// The recurrent matrix of each gate, [H, H], or [H, P] with a projection.
    pub recurrent: Vec<Array2<f32>>,
    /// The projection, [P, H], of an LSTM that has one.
    pub projection: Option<Array2<f32>>,
    /// The bias beside each gate's input matrix, `[H]`; empty where the bias mode has none.
    pub input_bias: Vec<Array1<f32>>,
    /// The bias beside each gate's recurrent matrix, `[H]`; empty where the bias mode has none.
    pub recurrent_bias: Vec<Array1<f32>>,
}

impl Weights {
    /// Converts them to this library's layout. Also gives the number of biases, for
    /// [`RnnConfig::bias`](crate::RnnConfig::bias).
    ///
    /// # Errors
    /// [`Value`](Error::Value) for another number of matrices or biases than the modes have, [`Shape`](Error::Shape) where
    /// gates have different sizes.
    pub fn to_own(&self, cell: Cell, input: InputMode, bias: BiasMode) -> Result<(Bias, LayerWeights)> {
        System::Cudnn.check(cell)?;
        let gates = cell.gates();
        let has_input = input == InputMode::Linear;
        let [has_first, has_second] = bias.sides();
        let counts = [
            ("input matrices", self.input.len(), has_input),
            ("recurrent matrices", self.recurrent.len(), true),
            ("input biases", self.input_bias.len(), has_first),
            ("recurrent biases", self.recurrent_bias.len(), has_second),
        ];
        for (what, count, has) in counts {
            let expected = if has { gates } else { 0 };
            if count != expected {
                return Err(Error::value(
                    format!("cuDNN's {what}"),
                    format!("{expected} for {input:?}, {bias:?}"),
                    count,
                ));
            }
        }
        let r = stacked("recurrent matrices", &self.recurrent)?;
        let w = match input {
            InputMode::Linear => stacked("input matrices", &self.input)?,
            InputMode::Skip => skipping(gates, r.nrows() / gates)?,
        };
        let some = |what, biases: &[Array1<f32>], has: bool| has.then(|| stacked(what, biases)).transpose();
        let biases = Biases {
            input: some("input biases", &self.input_bias, has_first)?,
            recurrent: some("recurrent biases", &self.recurrent_bias, has_second)?,
        };
        let (bias, b_w, b_r) = biases.own();
        Ok((bias, LayerWeights { w, r, b_w, b_r, w_hr: self.projection.clone(), peepholes: None, norm: None }))
    }

    /// Converts this library's weights to cuDNN's layout.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) for rows that are not those of the cell's gates, [`Unsupported`](Error::Unsupported) for a cell
    /// that cuDNN does not have, a W that is no identity where the input is skipped, a bias that the mode does not have,
    /// peepholes or layer norms.
    pub fn of_own(cell: Cell, weights: &LayerWeights, input: InputMode, bias: BiasMode) -> Result<Self> {
        System::Cudnn.check(cell)?;
        let gates = cell.gates();
        for (name, bias) in [("b_w", &weights.b_w), ("b_r", &weights.b_r)] {
            if let Some(bias) = bias.as_ref().filter(|bias| bias.len() != weights.r.nrows()) {
                return Err(Error::shape(name, [weights.r.nrows()], bias.shape()));
            }
        }
        for (name, has) in [("peepholes", weights.peepholes.is_some()), ("layer norms", weights.norm.is_some())] {
            if has {
                return Err(Error::unsupported(name, "cuDNN has none"));
            }
        }
        for (name, matrix) in [("W", &weights.w), ("R", &weights.r)] {
            if matrix.is_empty() {
                return Err(Error::shape(name, "at least one row and one column", matrix.shape()));
            }
        }
        let units = weights.r.nrows() / gates;
        if input == InputMode::Skip && !is_skipping(gates, units, &weights.w) {
            let reason = "its W would be lost, for it is no identity for each gate; use InputMode::Linear";
            return Err(Error::unsupported("cuDNN's skipped input", reason));
        }
        let [first, second] = [&weights.b_w, &weights.b_r];
        let zeros = || Array1::zeros(gates * units);
        let is_zero = |b: &Option<Array1<f32>>| b.as_ref().is_none_or(|b| b.iter().all(|&b| b == 0.0));
        let sides = bias.sides();
        for (name, has, b) in [("b_w", sides[0], first), ("b_r", sides[1], second)] {
            if !has && !is_zero(b) {
                let reason = "that mode has no place for it, and it is not zero; choose another bias mode";
                return Err(Error::unsupported(format!("{name} in cuDNN's {bias:?}"), reason));
            }
        }
        let biases = |has: bool, b: &Option<Array1<f32>>| {
            if has { split(gates, b.as_ref().unwrap_or(&zeros())) } else { Ok(Vec::new()) }
        };
        Ok(Self {
            input: if input == InputMode::Linear { split(gates, &weights.w)? } else { Vec::new() },
            recurrent: split(gates, &weights.r)?,
            projection: weights.w_hr.clone(),
            input_bias: biases(sides[0], first)?,
            recurrent_bias: biases(sides[1], second)?,
        })
    }
}

impl BiasMode {
    /// Whether there are biases beside the input, and beside the state.
    const fn sides(self) -> [bool; 2] {
        match self {
            Self::None => [false, false],
            Self::SingleInput => [true, false],
            Self::SingleRecurrent => [false, true],
            Self::Double => [true, true],
        }
    }
}

/// The identity for each gate.
fn skipping(gates: usize, units: usize) -> Result<Array2<f32>> {
    let rows = gates * units;
    let mut values = Vec::new();
    let count = rows.checked_mul(units);
    if count.is_none_or(|count| values.try_reserve_exact(count).is_err()) {
        let bytes = (rows as u64).saturating_mul(4 * units as u64);
        return Err(Error::OutOfMemory { what: "W of a skipped input".to_owned(), bytes });
    }
    values.extend((0..rows).flat_map(|i| (0..units).map(move |j| identity(units, i, j))));
    Array2::from_shape_vec((rows, units), values).map_err(|error| Error::Plan(format!("W of a skipped input: {error}")))
}

fn is_skipping(gates: usize, units: usize, w: &Array2<f32>) -> bool {
    w.dim() == (gates * units, units) && w.indexed_iter().all(|((i, j), &value)| value == identity(units, i, j))
}

fn identity(units: usize, i: usize, j: usize) -> f32 {
    f32::from(u8::from(i % units == j))
}

/// Gates in one array; all of one size.
fn stacked<D: ndarray::Dimension + ndarray::RemoveAxis>(
    what: &str,
    gates: &[ndarray::Array<f32, D>],
) -> Result<ndarray::Array<f32, D>> {
    let shapes: Vec<_> = gates.iter().map(|gate| gate.shape().to_vec()).collect();
    if let Some(empty) = shapes.iter().find(|shape| shape.contains(&0)) {
        return Err(Error::shape(format!("cuDNN's {what}"), "at least one number along each axis", empty));
    }
    if let Some(other) = shapes.iter().find(|shape| Some(*shape) != shapes.first()) {
        return Err(Error::shape(format!("cuDNN's {what}"), &shapes[0], other));
    }
    let views: Vec<_> = gates.iter().map(|gate| gate.view()).collect();
    ndarray::concatenate(Axis(0), &views).map_err(|error| Error::Plan(format!("cuDNN's {what}: {error}")))
}

/// An array for each gate.
fn split<D: ndarray::Dimension>(gates: usize, rows: &ndarray::Array<f32, D>) -> Result<Vec<ndarray::Array<f32, D>>> {
    let count = rows.len_of(Axis(0));
    if count == 0 || !count.is_multiple_of(gates) {
        return Err(Error::shape("rows of gates", format!("a multiple of {gates} rows"), rows.shape()));
    }
    let units = count / gates;
    let gate = |gate: usize| rows.slice_axis(Axis(0), Slice::from(gate * units..(gate + 1) * units)).to_owned();
    Ok((0..gates).map(gate).collect())
}
