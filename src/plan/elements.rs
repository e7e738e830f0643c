//! What element-wise commands of a plan compute, so that chains of them can be made one before the plan is built.

use super::value::Value;
use crate::kernels::{Folding, Formula};
use std::ops::Range;

/// A `map`, or a `fold`, of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Elements {
    /// Its commands.
    pub commands: Range<usize>,
    /// Of the values.
    pub formula: Formula,
    /// What the formula reads, all of them.
    pub values: Vec<Value>,
    pub out: Value,
    pub accumulate: bool,
    /// Of a `fold`.
    pub fold: Option<Folded>,
}

/// What is folded.
#[derive(Clone, Debug)]
pub(crate) struct Folded {
    pub folding: Folding,
    pub axes: Vec<usize>,
    /// The shape to which the values are broadcast.
    pub shape: Vec<usize>,
}

impl Elements {
    /// The shape over which its formula is computed.
    pub fn shape(&self) -> &[usize] {
        self.fold.as_ref().map_or(&self.out.shape, |fold| &fold.shape)
    }
}
