//! Weights as other systems lay them out, and this library's: gate orders and forms of biases in one table.
//!
//! | system | LSTM | GRU | rows of a gate | biases |
//! | --- | --- | --- | --- | --- |
//! | this library, PyTorch | i, f, g, o | r, z, n | [G·H, ·] | none, or one beside W and one beside R |
//! | cuDNN | i, f, g, o | r, z, n | a matrix a gate | none, beside W, beside R, or both |
//! | ONNX | i, o, f, g | z, r, n | [G·H, ·] | none, or both in one vector |
//! | Keras | i, f, g, o | z, r, n | columns: [·, G·H] | none or one; a GRU with `reset_after`: two |
//!
//! [`keras`] and [`cudnn`] have their forms of weights with conversions there and back; ONNX's nodes are read by
//! [`onnx`](crate::onnx), PyTorch's state dicts by [`pytorch`].

pub mod cudnn;
pub mod keras;
pub mod pytorch;
mod system;

pub use system::{Biases, System};
