//! What a value of a model is while its plan is built.

use super::super::tensor::{Constant, Tensor};
use crate::plan::Value;
use std::sync::Arc;

/// A value of a model.
#[derive(Clone)]
pub(super) enum Item {
    /// Known when the plan is built.
    Known(Arc<Constant>),
    /// Floats on the device.
    Numbers(Numbers),
    /// Integers on the device: an input of the model, or what `ArgMax` finds.
    Integers(Integers),
    /// It comes from an operator that can't be built, which is reported when all are known.
    Lacking,
}

/// Floats on the device, with the shape that the model gives them.
#[derive(Clone)]
pub(super) struct Numbers {
    pub value: Value,
    pub shape: Vec<usize>,
}

/// Integers on the device.
#[derive(Clone)]
pub(super) struct Integers {
    pub value: Value,
    pub shape: Vec<usize>,
    /// The input of the model that they are, element by element.
    pub input: Option<usize>,
}

impl Item {
    pub fn known(tensor: Tensor) -> Self {
        Self::Known(Arc::new(Constant::new(tensor)))
    }

    /// Floats whose shape is that of the value.
    pub fn numbers(value: Value) -> Self {
        Self::Numbers(Numbers { shape: value.shape().to_vec(), value })
    }

    /// The shape; none of what is lacking.
    pub fn shape(&self) -> Option<&[usize]> {
        match self {
            Self::Known(constant) => Some(constant.tensor.shape()),
            Self::Numbers(numbers) => Some(&numbers.shape),
            Self::Integers(integers) => Some(&integers.shape),
            Self::Lacking => None,
        }
    }

    /// The one number of a known value.
    pub fn scalar(&self) -> Option<f32> {
        match self {
            Self::Known(constant) => match &constant.tensor {
                Tensor::Numbers(array) if array.len() == 1 => array.iter().next().copied(),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The shape of a value of a plan, which has at least one axis.
pub(super) fn with_axes(shape: &[usize]) -> Vec<usize> {
    if shape.is_empty() { vec![1] } else { shape.to_vec() }
}
