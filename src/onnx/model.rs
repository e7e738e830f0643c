//! A file with its recurrent nodes.

use super::node::{Node, Operator};
use super::values::Values;
use super::{formats, memory, proto};
use crate::error::{Error, Result};
use crate::weights::files::read_file;
use prost::Message;
use prost::bytes::Bytes;
use std::collections::HashMap;
use std::path::Path;

/// Names that an error lists, at most.
pub(super) const LISTED: usize = 20;

/// An ONNX model: its graph, and the values that it holds, which its nodes share.
///
/// ```no_run
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::Array3;
/// use wgrnn::{Device, onnx::{Inputs, Model}};
/// let model = Model::load("model.onnx")?;
/// for node in model.nodes() {
///     let node = node?;
///     println!("{} computes {}", node.name, node.operator.name());
///     let layer = node.layer(&Device::auto(), &[])?;
///     let x = Array3::ones((10, 1, layer.config().input_size())); // [T, N, I]
///     println!("{}", layer.run(&Inputs::new(x.view()))?.y);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Model {
    values: Values,
    /// Names of inputs and outputs of the graph.
    inputs: Vec<String>,
    outputs: Vec<String>,
    /// Which nodes are recurrent, in order, and by name.
    recurrent: Vec<usize>,
    named: HashMap<String, Named>,
}

/// The recurrent nodes of one name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    first: usize,
    count: usize,
}

impl Model {
    /// Reads a model from a `.onnx` file.
    ///
    /// # Errors
    /// [`File`](Error::File), [`Onnx`](Error::Onnx) where it is damaged or holds no graph, which says what it is where it is
    /// a file of another known format, [`OutOfMemory`](Error::OutOfMemory).
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::decode(read_file(path)?.into()).map_err(|error| match error {
            Error::Onnx(reason) => Error::Onnx(format!("{}: {reason}", path.display())),
            other => other,
        })
    }

    /// Reads a model from the bytes of a `.onnx` file.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::decode(memory::collect("an ONNX file", bytes.len(), bytes.iter().copied())?.into())
    }

    fn decode(bytes: Bytes) -> Result<Self> {
        // What a file of another format is says more than where it is no protobuf.
        let fault = |reason: &str| Error::Onnx(formats::recognize(&bytes).unwrap_or(reason).to_owned());
        let model = proto::Model::decode(bytes.clone()).map_err(|error| fault(&error.to_string()))?;
        let mut graph = model.graph.ok_or_else(|| fault("there is no graph in it"))?;
        // Every writer puts them behind the graph.
        if model.ir_version >= 3 && model.opset_import.is_empty() {
            return Err(fault("it ends before its operator sets (opset_import): was it read or downloaded whole?"));
        }
        let values = Values::new(&mut graph)?;
        let mut recurrent = Vec::new();
        let mut named: HashMap<String, Named> = HashMap::new();
        for i in 0..values.node_count() {
            let head = values.head(i)?;
            if Operator::named(&head.op_type, &head.domain).is_some() {
                recurrent.push(i);
                named.entry(head.name).or_insert(Named { first: i, count: 0 }).count += 1;
            }
        }
        // Inputs with a default need not be given.
        let inputs = graph.input.into_iter().map(|input| input.name);
        let inputs = inputs.filter(|name| !values.has_default(name)).collect();
        let outputs = graph.output.into_iter().map(|output| output.name).collect();
        Ok(Self { values, inputs, outputs, recurrent, named })
    }

    /// All recurrent nodes, in the order of the graph. A node that asks for something unsupported, or whose tensors are
    /// damaged, is an error. Nodes share the values that they read.
    pub fn nodes(&self) -> Vec<Result<Node>> {
        self.recurrent.iter().map(|&i| Node::new(&self.values, i)).collect()
    }

    /// The recurrent node with this name.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where there is none or more than one, or where it asks for what no cell here has;
    /// [`Unsupported`](Error::Unsupported) for an attribute that no cell here has; [`Onnx`](Error::Onnx) where its tensors
    /// are damaged.
    pub fn node(&self, name: &str) -> Result<Node> {
        match self.named.get(name) {
            Some(&Named { first, count: 1 }) => Node::new(&self.values, first),
            Some(Named { count, .. }) => {
                let expected = "one node of that name (`Model::nodes` gives all of them in order)";
                Err(Error::value(format!("recurrent node '{name}'"), expected, count))
            }
            None => Err(Error::value("recurrent node", self.listed(), format!("'{name}'"))),
        }
    }

    /// The names of the recurrent nodes, for an error.
    fn listed(&self) -> String {
        if self.recurrent.is_empty() {
            return "a name in a graph with an RNN, LSTM or GRU node, of which this one has none outside of subgraphs"
                .to_owned();
        }
        let head = |i: &usize| self.values.head(*i).map_or_else(|_| String::new(), |head| format!("'{}'", head.name));
        let mut names: Vec<_> = self.recurrent.iter().take(LISTED).map(head).collect();
        if self.recurrent.len() > LISTED {
            names.push(format!("or one of {} more", self.recurrent.len() - LISTED));
        }
        names.join(", ")
    }

    /// The names of the inputs that a caller has to give, in the order of the graph. Inputs that the model holds a
    /// value for are not among them.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(String::as_str)
    }

    /// The names of the graph's outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(String::as_str)
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Model");
        debug.field("inputs", &self.inputs).field("outputs", &self.outputs);
        debug.field("recurrent_nodes", &self.recurrent.len()).finish_non_exhaustive()
    }
}
