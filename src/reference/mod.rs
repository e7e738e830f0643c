//! The cells as the textbooks write them, in plain ndarray: slow, short, and the judge of everything else.
//!
//! [`forward`] computes in `f32` or `f64`, one sequence and one step after the other. In half precision weights are rounded
//! first; in `f32` the input part of the gates too, as kernels hand it on, so that the two differ by what that may cost. Nothing here is shared with the
//! kernels or their twins.
//!
//! σ is the logistic function, ⊙ the element-wise product; see [`Cell`](crate::Cell) for the equations' sources.

mod equations;
mod forward;
mod numbers;
mod weights;

pub use forward::{ReferenceOutput, forward};
pub use numbers::Real;
