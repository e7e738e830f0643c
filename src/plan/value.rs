//! Arrays inside of a plan.

use super::commands::BufferId;
use crate::error::{Error, Result};
use crate::tensor::elements;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells plans under construction apart, so that a value of one is refused in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlanId(u64);

impl PlanId {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// An array inside of a plan, which is part of one of its buffers. It can be used only with the [`PlanBuilder`](crate::PlanBuilder) or
/// [`Tape`](crate::Tape) that made it; others return [`OtherPlan`](Error::OtherPlan).
#[derive(Clone, Debug)]
pub struct Value {
    pub(crate) plan: PlanId,
    pub(crate) buffer: BufferId,
    /// First element.
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) is_index: bool,
}

impl Value {
    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The part at this index of the first axis.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where the axis is shorter.
    pub fn at(&self, index: usize) -> Result<Self> {
        match self.shape.split_first() {
            Some((&first, rest)) if index < first && !rest.is_empty() => {
                let offset = self.offset + index * rest.iter().product::<usize>();
                Ok(Self { offset, shape: rest.to_vec(), ..self.clone() })
            }
            _ => Err(Error::value("index", format!("an index into the first axis of {:?}", self.shape), index)),
        }
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where it has another number of elements.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        if elements(shape)? == self.len() {
            Ok(Self { shape: shape.to_vec(), ..self.clone() })
        } else {
            Err(Error::shape("reshaped value", &self.shape, shape))
        }
    }
}
