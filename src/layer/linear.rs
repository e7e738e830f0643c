//! A dense layer on the device: the head of a model.

use super::pack::{Matrix, PackedMatrices, pack};
use crate::config::Precision;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::memory;
use crate::parameters::Parameters;
use crate::plan::PlanBuilder;
use crate::storage::Storage;
use ndarray::{ArrayView1, ArrayView2};
use std::sync::Arc;

/// A dense layer y = x·Wᵀ + b, with W [outputs, inputs] as PyTorch stores it. Clones are handles of the same layer.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::{Device, Linear, PlanBuilder, Tensor};
/// let device = Device::auto();
/// let head = Linear::new(&device, array![[1., 2., 3.]].view(), Some(array![0.5].view()))?;
/// let x = Tensor::from_array(&device, array![[1., 1., 1.], [0., 0., 1.]].view())?;
/// let y = Tensor::<f32>::zeros(&device, &[2, 1])?;
/// let mut plan = PlanBuilder::new(&device);
/// let (input, output) = (plan.tensor(&x)?, plan.tensor(&y)?);
/// plan.linear_into(&head, &input, &output)?;
/// plan.build()?.run()?;
/// assert_eq!(y.read()?, array![[6.5], [3.5]].into_dyn());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Linear {
    pub(crate) device: Device,
    pub(crate) packed: Arc<PackedMatrices>,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) training: Option<LinearTraining>,
}

/// What a trainable layer has besides.
#[derive(Clone)]
pub(crate) struct LinearTraining {
    pub parameters: Parameters,
    /// Whether there is a bias, which follows W in the block.
    pub biased: bool,
    /// W as the gradient multiplies it.
    pub transposed: Arc<PackedMatrices>,
}

impl Linear {
    /// Makes a layer with fixed weights, which are copied to the device.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape), [`NotFinite`](Error::NotFinite), and the errors of allocating memory.
    pub fn new(device: &Device, weight: ArrayView2<'_, f32>, bias: Option<ArrayView1<'_, f32>>) -> Result<Self> {
        check(weight, bias)?;
        let count = weight.len() + bias.map_or(0, |bias| bias.len());
        let block = Storage::zeros(device, "linear weight", count as u64)?;
        let values = weight.iter().chain(bias.iter().flatten()).map(|value| value.to_bits());
        let words = memory::collected("linear weight", count, values)?;
        block.write(device, &words)?;
        let linear = Self::over(device, weight.dim(), bias.is_some())?;
        pack(device, &block, words.len(), [&*linear.packed])?;
        Ok(linear)
    }

    /// Makes a layer that can be trained. Its [`Parameters`] are `weight` and, if there is a bias, `bias`.
    ///
    /// # Errors
    /// As [`Linear::new`].
    pub fn trainable(device: &Device, weight: ArrayView2<'_, f32>, bias: Option<ArrayView1<'_, f32>>) -> Result<Self> {
        check(weight, bias)?;
        let arrays = [("weight".to_owned(), weight.into_dyn())].into_iter();
        let parameters = Parameters::new(device, arrays.chain(bias.map(|b| ("bias".to_owned(), b.into_dyn()))))?;
        Self::of_parameters(parameters, weight.dim(), bias.is_some())
    }

    /// Makes a layer whose W is the table of an embedding, [symbols, features], without a bias: it turns features into
    /// a score for each symbol.
    ///
    /// # Errors
    /// The errors of allocating memory.
    pub fn tied(embedding: &super::embedding::Embedding) -> Result<Self> {
        let shape = (embedding.symbols(), embedding.features());
        Self::of_parameters(embedding.parameters().clone(), shape, false)
    }

    fn of_parameters(parameters: Parameters, (outputs, inputs): (usize, usize), biased: bool) -> Result<Self> {
        let device = parameters.device().clone();
        let matrix = Matrix::transposed(0, outputs, inputs);
        let transposed =
            PackedMatrices::new(&device, "linear weight, transposed".to_owned(), vec![matrix], Precision::Single)?;
        let training = Some(LinearTraining { parameters, biased, transposed: Arc::new(transposed) });
        let linear = Self { training, ..Self::over(&device, (outputs, inputs), biased)? };
        linear.refresh()?;
        Ok(linear)
    }

    /// The same as commands of a plan.
    pub(crate) fn emit_refresh(&self, plan: &mut PlanBuilder) {
        if let Some(LinearTraining { parameters, transposed, .. }) = &self.training {
            let weights = plan.parts("parameters", parameters.values(), parameters.len());
            [&self.packed, transposed].into_iter().for_each(|matrices| matrices.emit_pack(plan, &weights));
        }
    }

    fn over(device: &Device, (outputs, inputs): (usize, usize), biased: bool) -> Result<Self> {
        let matrix = Matrix::of_weight(0, outputs, inputs, biased.then_some(outputs * inputs));
        let packed = PackedMatrices::new(device, "linear weight".to_owned(), vec![matrix], Precision::Single)?;
        Ok(Self { device: device.clone(), packed: Arc::new(packed), inputs, outputs, training: None })
    }

    /// Whether two handles are the same layer.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.packed, &other.packed)
    }

    /// Its trainable weights; `None` for a layer with fixed weights.
    pub fn parameters(&self) -> Option<&Parameters> {
        self.training.as_ref().map(|training| &training.parameters)
    }

    /// Makes the layer use the weights that were written into its [`Parameters`]. Does nothing for a layer with fixed
    /// weights.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu) where the driver fails.
    pub fn refresh(&self) -> Result<()> {
        if self.training.is_none() {
            return Ok(());
        }
        let mut plan = PlanBuilder::new(&self.device);
        self.emit_refresh(&mut plan);
        plan.build()?.run()
    }
}

fn check(weight: ArrayView2<'_, f32>, bias: Option<ArrayView1<'_, f32>>) -> Result<()> {
    let (outputs, inputs) = weight.dim();
    if outputs == 0 || inputs == 0 {
        return Err(Error::shape("linear weight", "[outputs, inputs], neither 0", weight.shape()));
    }
    crate::tensor::check_finite("linear weight", weight.iter())?;
    let Some(bias) = bias else { return Ok(()) };
    if bias.len() != outputs {
        return Err(Error::shape("linear bias", [outputs], bias.shape()));
    }
    crate::tensor::check_finite("linear bias", bias.iter())
}

impl std::fmt::Debug for Linear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linear").field("inputs", &self.inputs).field("outputs", &self.outputs).finish_non_exhaustive()
    }
}
