//! What a plan's operations read and write, so that a tape can tell where gradients have to go.

use super::commands::BufferId;
use super::value::Value;
use crate::parameters::Parameters;
use std::ops::Range;

/// Part of a buffer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Region {
    pub buffer: BufferId,
    /// Its elements.
    pub range: Range<usize>,
}

impl Region {
    pub fn overlaps(&self, other: &Self) -> bool {
        self.buffer == other.buffer && self.range.start < other.range.end && other.range.start < self.range.end
    }
}

impl From<&Value> for Region {
    fn from(value: &Value) -> Self {
        Self { buffer: value.buffer, range: value.range() }
    }
}

/// An operation of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    /// The method that appended it.
    pub name: &'static str,
    /// What the result is computed from.
    pub reads: Vec<Region>,
    /// What else it reads: targets of a loss, a gradient given from outside.
    pub beside: Vec<Region>,
    pub writes: Vec<Region>,
    /// Trainable weights that it computes with.
    pub parameters: Option<Parameters>,
    /// Whether it writes indices: small changes of what it reads don't change them, so that their gradient is zero.
    pub discrete: bool,
}
