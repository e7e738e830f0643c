//! Conversion of weights between other systems' layouts and this library's. One table has all gate orders and forms of
//! biases:
//!
//! | system | LSTM | GRU | rows of a gate | biases |
//! | --- | --- | --- | --- | --- |
//! | this library, PyTorch | i, f, g, o | r, z, n | [G·H, ·] | none, or one beside W and one beside R |
//! | cuDNN | i, f, g, o | r, z, n | a matrix a gate | none, beside W, beside R, or both |
//! | ONNX | i, o, f, g | z, r, n | [G·H, ·] | none, or both in one vector |
//! | Keras | i, f, g, o | z, r, n | columns: [·, G·H] | none or one; a GRU with `reset_after`: two |
//!
//! [`keras`] and [`cudnn`] convert weights in both directions. [`pytorch`] reads and writes PyTorch's state dicts, and
//! [`onnx`](crate::onnx) reads the nodes of ONNX models.

pub mod cudnn;
pub mod keras;
pub mod pytorch;
mod system;

pub use system::{Biases, System};
