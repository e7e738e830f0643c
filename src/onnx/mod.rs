//! Recurrent nodes of ONNX models: `RNN`, `LSTM` and `GRU` with their weights, as layers.
//!
//! What a node asks for and no cell here has is an error that names the attribute.
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

mod layer;
mod node;
mod proto;
mod tensor;

pub use layer::{Inputs, Layer, Outputs, lengths};
pub use node::{Node, Operator};
pub use tensor::Tensor;

use crate::error::{Error, Result};
use crate::weights::files::read_file;
use prost::Message;
use std::path::Path;

/// An ONNX model: its graph, and the values that it holds.
#[derive(Debug)]
pub struct Model {
    graph: proto::Graph,
}

impl Model {
    /// From a `.onnx` file.
    ///
    /// # Errors
    /// [`File`](Error::File), [`Onnx`](Error::Onnx) where it is damaged or holds no graph.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = read_file(path)?;
        Self::from_bytes(&bytes).map_err(|error| match error {
            Error::Onnx(reason) => Error::Onnx(format!("{}: {reason}", path.display())),
            other => other,
        })
    }

    /// From a file's bytes.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let model = proto::Model::decode(bytes).map_err(|error| Error::Onnx(error.to_string()))?;
        let graph = model.graph.ok_or_else(|| Error::Onnx("there is no graph in it".to_owned()))?;
        Ok(Self { graph })
    }

    /// All recurrent nodes, in the order of the graph; for each an error where it asks for what no cell here has.
    pub fn nodes(&self) -> Vec<Result<Node>> {
        self.graph.node.iter().filter_map(Node::new).map(|node| self.with_constants(node?)).collect()
    }

    /// The recurrent node with this name.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where there is none, or where it asks for what no cell here has; [`Onnx`](Error::Onnx) where
    /// its tensors are damaged.
    pub fn node(&self, name: &str) -> Result<Node> {
        let named = self.graph.node.iter().find(|node| node.name == name && Node::new(node).is_some());
        let node = named.and_then(Node::new).ok_or_else(|| {
            let nodes = self.graph.node.iter().filter(|node| Node::new(node).is_some());
            let names: Vec<_> = nodes.map(|node| format!("'{}'", node.name)).collect();
            Error::value("recurrent node", names.join(", "), format!("'{name}'"))
        })?;
        self.with_constants(node?)
    }

    /// The names of what a caller has to give, in the order of the graph.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        let is_held = |name: &str| self.graph.initializer.iter().any(|tensor| tensor.name == name);
        self.graph.input.iter().map(|input| &*input.name).filter(move |name| !is_held(name))
    }

    /// The names of what it computes.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.graph.output.iter().map(|output| &*output.name)
    }

    /// The node with the values of its inputs that are initialisers or `Constant` nodes.
    fn with_constants(&self, mut node: Node) -> Result<Node> {
        for name in node.inputs.iter().flatten() {
            if let Some(tensor) = self.constant(name) {
                node.constants.push((name.clone(), Tensor::new(tensor, name)?));
            }
        }
        Ok(node)
    }

    fn constant(&self, name: &str) -> Option<&proto::Tensor> {
        let initializer = self.graph.initializer.iter().find(|tensor| tensor.name == name);
        initializer.or_else(|| {
            let makes = |node: &&proto::Node| node.op_type == "Constant" && node.output.iter().any(|out| out == name);
            let node = self.graph.node.iter().find(makes)?;
            node.attribute.iter().find(|attribute| attribute.name == "value")?.t.as_ref()
        })
    }
}
