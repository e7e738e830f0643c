//! What a model gives for arrays of the host's.

use super::evaluation::Evaluation;
use crate::device::block_on;
use crate::error::{Error, Result};
use crate::layer::{DeviceState, SessionOptions};
use crate::tensor::Tensor;
use ndarray::{ArrayD, ArrayView, ArrayViewD, Dimension};

/// What a [`Model`](crate::Model) reads, on the host: views of `u32` are tokens, views of `f32` are features.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ModelInput<'a> {
    /// Symbols, [T, N] or [N, T].
    Tokens(ArrayViewD<'a, u32>),
    /// Vectors, [T, N, I] or [N, T, I].
    Features(ArrayViewD<'a, f32>),
}

impl<'a, D: Dimension> From<ArrayView<'a, u32, D>> for ModelInput<'a> {
    fn from(tokens: ArrayView<'a, u32, D>) -> Self {
        Self::Tokens(tokens.into_dyn())
    }
}

impl<'a, D: Dimension> From<ArrayView<'a, f32, D>> for ModelInput<'a> {
    fn from(features: ArrayView<'a, f32, D>) -> Self {
        Self::Features(features.into_dyn())
    }
}

impl ModelInput<'_> {
    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Tokens(tokens) => tokens.shape(),
            Self::Features(features) => features.shape(),
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Tokens(_) => "tokens (u32)",
            Self::Features(_) => "features (f32)",
        }
    }
}

/// A predictor's input on the device.
pub(super) enum InputTensor {
    Tokens { tensor: Tensor<u32>, symbols: usize },
    Features(Tensor),
}

impl InputTensor {
    fn write(&self, x: &ModelInput<'_>) -> Result<()> {
        match (self, x) {
            (Self::Tokens { tensor, symbols }, ModelInput::Tokens(tokens)) => {
                if let Some((i, token)) = tokens.iter().enumerate().find(|(_, token)| **token as usize >= *symbols) {
                    return Err(Error::value(format!("token {i}"), format!("less than {symbols}"), token));
                }
                tensor.write(tokens.view())
            }
            (Self::Features(tensor), ModelInput::Features(features)) => tensor.write(features.view()),
            (Self::Tokens { .. }, _) => Err(Error::value("input of the model", "tokens (u32)", x.kind())),
            (Self::Features(_), _) => Err(Error::value("input of the model", "features (f32)", x.kind())),
        }
    }
}

/// A model's program for one shape, made by [`Model::predictor`](crate::Model::predictor): host arrays in, a host array out. The
/// state stays on the device from call to call.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::{Cell, Device, Model, ModelConfig, RnnConfig, SessionOptions};
/// let config = ModelConfig::language(5, RnnConfig::new(Cell::Lstm, 3, 4));
/// let model = Model::new(&Device::auto(), &config, 0)?;
/// let predictor = model.predictor(SessionOptions::new(1, 1))?; // one step of one sequence
/// for token in [0, 3, 1] {
///     let scores = predictor.predict(array![[token]].view())?; // goes on from the last state
///     assert_eq!(scores.shape(), [1, 1, 5]);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Predictor {
    pub(super) options: SessionOptions,
    pub(super) input: InputTensor,
    pub(super) output: Tensor,
    pub(super) state: DeviceState,
    pub(super) evaluation: Evaluation,
}

impl Predictor {
    /// Shape and call.
    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// The model's outputs for `x`: [T, N, outputs] or [N, T, outputs]; [N, outputs] with
    /// [`Output::Last`](crate::Output::Last).
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where `x` has another shape than the predictor, [`Value`](Error::Value) for tokens where features
    /// are read or the other way around, and for a token that is not less than the number of symbols, [`Gpu`](Error::Gpu).
    pub fn predict<'a>(&self, x: impl Into<ModelInput<'a>>) -> Result<ArrayD<f32>> {
        block_on(self.predict_async(x))
    }

    /// The asynchronous form of [`Predictor::predict`].
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub async fn predict_async<'a>(&self, x: impl Into<ModelInput<'a>>) -> Result<ArrayD<f32>> {
        self.input.write(&x.into())?;
        self.evaluation.start().await?;
        self.output.read_async().await
    }

    /// The state: read by a call with `carry`, final after each call.
    pub fn state(&self) -> &DeviceState {
        &self.state
    }
}

impl std::fmt::Debug for Predictor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Predictor").field("options", &self.options).finish_non_exhaustive()
    }
}
