//! Plans: a pass is written down before it runs, as plain data, with its buffers and the commands over them.
//!
//! A [`Plan`] is made once for a configuration and a shape, and can then run any number of times. The GPU records it into a
//! compute pass; the CPU device runs the kernels' twins in the same order. Its `Display` lists kernels, sizes, FLOP and bytes.

mod builder;
mod check;
mod commands;
mod cpu;
mod difference;
mod display;
mod draft;
mod elements;
mod gpu;
mod parts;
mod profile;
mod program;
mod rounding;
mod sharing;
mod trace;
mod value;

pub(crate) use builder::Emit;
pub use builder::PlanBuilder;
pub use commands::{Buffer, BufferId, Command, Dispatch, Plan, Role};
pub use difference::Difference;
pub(crate) use draft::Draft;
pub(crate) use elements::{Elements, Folded};
pub(crate) use parts::Parts;
pub use profile::{KernelTime, Profile};
pub use program::Program;
pub(crate) use rounding::distance;
pub(crate) use trace::{Region, Trace};
pub use value::Value;
pub(crate) use value::broadcast;
