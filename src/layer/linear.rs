//! A dense layer on the device: the head of a model.

use super::pack::{Matrix, pack};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::tensor::Storage;
use ndarray::{ArrayView1, ArrayView2};

/// y = x·Wᵀ + b, with W [outputs, inputs] as PyTorch stores it.
pub struct Linear {
    pub(crate) device: Device,
    pub(crate) packed: Storage,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl Linear {
    /// Copies the weights to the device.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape), [`NotFinite`](Error::NotFinite), and what allocating memory may give.
    pub fn new(device: &Device, weight: ArrayView2<'_, f32>, bias: Option<ArrayView1<'_, f32>>) -> Result<Self> {
        let (outputs, inputs) = weight.dim();
        if outputs == 0 || inputs == 0 {
            return Err(Error::shape("linear weight", "[outputs, inputs], neither 0", weight.shape()));
        }
        crate::weights::check_finite("linear weight", weight.iter())?;
        if let Some(bias) = bias {
            if bias.len() != outputs {
                return Err(Error::shape("linear bias", [outputs], bias.shape()));
            }
            crate::weights::check_finite("linear bias", bias.iter())?;
        }
        let matrix = Matrix { name: "linear weight".to_owned(), weight, bias };
        let packed = pack(device, "linear", &[matrix])?;
        Ok(Self { device: device.clone(), packed, inputs, outputs })
    }
}

impl std::fmt::Debug for Linear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linear").field("inputs", &self.inputs).field("outputs", &self.outputs).finish_non_exhaustive()
    }
}
