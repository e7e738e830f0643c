//! The recurrent cells: their equations, and how each is cut into phases.
//!
//! Letters: x input, h hidden state, c cell state, y output; W input weights [G·H, I], R recurrent weights [G·H, H],
//! b biases; σ the logistic function, ⊙ the element-wise product. A cell is a file here with its [`Spec`] and its equations for the
//! CPU, forward and their derivative, one or two templates in `shaders/cells` with the same in WGSL, and a line in [`Cell`]'s
//! list. `docs/adding-a-cell.md` adds one.

mod activation;
mod cell;
pub(crate) mod derivative;
mod elman;
mod form;
pub(crate) mod forward;
mod gru_reset_after;
mod gru_reset_before;
mod ind_rnn;
mod li_gru;
pub(crate) mod linear;
mod lstm;
pub(crate) mod math;
mod mgu;
mod min_gru;
mod min_lstm;
mod norm;
mod options;
mod phase;
mod projection;
mod qrnn;
mod scan;
mod slstm;
mod spec;
mod sru;

pub use activation::{Activation, Coefficient};
pub use cell::{Cell, Reset};
pub use form::Form;
pub use norm::{EPSILON, Norm};
pub use options::{CellClip, Equations, Noise, Options, Probability};
pub use phase::{Phase, Width};
pub use scan::Scan;
pub use spec::{Recurrence, Spec};
