//! The recurrent cells: their equations, and how each is cut into phases.
//!
//! Letters: x input, h hidden state, c cell state, y output; W input weights [G·H, I], R recurrent weights [G·H, H],
//! b biases; σ the logistic function, ⊙ the element-wise product. A cell is a WGSL file in `shaders/cells`, and a Rust file
//! of the same name here, which mirrors it. Each has the step forward and its derivative. [`Cell::phases`] lists them.

mod activation;
mod cell;
pub(crate) mod derivative;
mod elman;
mod elman_general;
pub(crate) mod forward;
mod gru_general;
mod gru_reset_after;
mod gru_reset_before;
mod ind_rnn;
pub(crate) mod linear;
mod lstm;
mod lstm_general;
pub(crate) mod math;
mod min_gru;
mod min_lstm;
mod norm;
mod options;
mod projection;
mod qrnn;
mod slstm;
mod sru;

pub use activation::{Activation, Coefficient};
pub use cell::{Cell, Phase, Reset, Scan, Width};
pub use norm::{EPSILON, Norm};
pub use options::{CellClip, Form, Options, Probability};
