//! Places in a plan's memory, buffers that take turns, and steps whose rows lie in memory.

use crate::plan::{BufferId, Value};
use std::ops::Range;

/// A buffer from some word on.
#[derive(Clone, Copy)]
pub(crate) struct At {
    pub buffer: BufferId,
    pub offset: usize,
}

impl At {
    /// A buffer from its first word on.
    pub const fn start_of(buffer: BufferId) -> Self {
        Self { buffer, offset: 0 }
    }
}

impl From<&Value> for At {
    fn from(value: &Value) -> Self {
        Self { buffer: value.buffer, offset: value.offset }
    }
}

/// Where a gradient goes.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub at: At,
    /// Whether it is added to what is there.
    pub accumulate: bool,
}

/// Two buffers that take turns: a dispatch reads one and writes the other.
#[derive(Clone, Copy)]
pub(super) struct Turns {
    /// What is read next.
    pub now: BufferId,
    /// What is written next.
    pub next: BufferId,
}

impl Turns {
    /// After a dispatch.
    pub const fn swapped(self) -> Self {
        Self { now: self.next, next: self.now }
    }
}

/// Some steps of a layer.
#[derive(Clone)]
pub(super) struct Steps {
    /// The step whose rows are the first ones in memory.
    pub chunk: usize,
    pub range: Range<usize>,
}

/// Where random numbers come from: a seed on the device, and which of its streams.
#[derive(Clone, Copy)]
pub(super) struct Draw {
    pub seed: BufferId,
    pub stream: u32,
}
