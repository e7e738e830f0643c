//! The reference: the equations of the textbooks in plain ndarray. It is slow and short, and everything else is compared with
//! it.
//!
//! [`forward`] computes in `f32` or `f64`, one sequence and one step after the other. In half precision, weights are rounded
//! first. In `f32` the input part of the gates is rounded as well, as kernels do when they hand it on; the difference between
//! `f32` and `f64` then shows what that may cost. Nothing here is shared with the kernels or their twins.
//!
//! σ is the logistic function, ⊙ the element-wise product; see [`Cell`](crate::Cell) for the equations' sources.

mod equations;
mod forward;
mod numbers;
mod weights;

pub use forward::{ReferenceOutput, forward};
pub use numbers::Real;
