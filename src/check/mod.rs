//! Checks whether a device computes correctly: layers against the [reference](mod@crate::reference), every kernel against
//! its CPU twin. Drivers have bugs; these checks tell you whether yours has one that matters here.

mod cases;
mod comparison;
mod doctor;
mod kernel;
mod layer;

pub use cases::Case;
pub(crate) use cases::{cooperative_cases, timed, timed_half, timed_staged, timed_staged_outer};
pub use comparison::Comparison;
pub use doctor::{gradients, gradients_async, layer, layer_async, layers};
pub use kernel::{KernelReport, compare_case, kernel, kernel_async};
pub use layer::LayerReport;
