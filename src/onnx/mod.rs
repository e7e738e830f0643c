//! Recurrent nodes of ONNX models: `RNN`, `LSTM` and `GRU` with their weights, as layers.
//!
//! Unsupported attributes are rejected with an error that names them; they are never ignored.
//!
//! Initialisers and `Constant` nodes give the values of W, R, B and P, and of `sequence_lens`, `initial_h` and `initial_c`.
//! Values that the caller gives take precedence. A value that is an input of the graph without a default, or that other nodes
//! compute, has to be given. Zeros that nodes only expand or reshape are the exception.
//!
//! ```no_run
//! # fn main() -> wgrnn::Result<()> {
//! use wgrnn::{Device, onnx};
//! let model = onnx::Model::load("model.onnx")?;
//! let node = model.node("/lstm/LSTM")?;
//! let layer = node.layer(&Device::auto(), &[])?;
//! let x = ndarray::Array3::zeros((10, 1, layer.config().input_size()));
//! let outputs = layer.run(&onnx::Inputs::new(x.view()))?;
//! println!("{:?}", outputs.y.shape()); // [T, D, N, H]
//! # Ok(())
//! # }
//! ```

mod attributes;
mod external;
mod fold;
mod formats;
mod graph;
mod inputs;
mod layer;
mod memory;
mod model;
mod node;
mod proto;
mod rules;
mod scopes;
mod tensor;
mod unrolled;
mod values;

pub use graph::Graph;
pub use inputs::{Inputs, lengths};
pub use layer::{Layer, Outputs};
pub use model::Model;
pub use node::{Node, Operator};
pub use tensor::Tensor;
