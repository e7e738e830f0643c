//! What a plan's operations read and write, so that a tape can tell where gradients have to go.

use super::builder::{PlanBuilder, Value};
use super::commands::BufferId;
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
        Self { buffer: value.buffer, range: value.offset..value.offset + value.len() }
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

impl PlanBuilder {
    /// Remembers an operation that was just appended.
    pub(crate) fn record(&mut self, name: &'static str, reads: &[&Value], writes: &[&Value]) -> &mut Trace {
        let regions = |values: &[&Value]| values.iter().map(|&value| value.into()).collect();
        let (reads, discrete) = (regions(reads), !writes.is_empty() && writes.iter().all(|value| value.is_index));
        let trace = Trace { name, reads, beside: Vec::new(), writes: regions(writes), parameters: None, discrete };
        self.traces.push(trace);
        let last = self.traces.len() - 1;
        &mut self.traces[last]
    }
}
