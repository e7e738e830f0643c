//! Recurrent nodes of ONNX models: `RNN`, `LSTM` and `GRU` with their weights, as layers.
//!
//! What a node asks for and no cell here has is an error that names the attribute.
//!
//! A model's initialisers and `Constant` nodes are its values: of W, R, B and P, and of `sequence_lens`, `initial_h` and
//! `initial_c`. What a caller gives for them comes first. A value that is an input of the graph without a default, or that
//! other nodes compute, has to be given; only zeros that nodes expand or reshape are known to be zeros.
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

mod formats;
mod inputs;
mod layer;
mod memory;
mod model;
mod node;
mod proto;
mod tensor;
mod values;

pub use inputs::{Inputs, lengths};
pub use layer::{Layer, Outputs};
pub use model::Model;
pub use node::{Node, Operator};
pub use tensor::Tensor;
