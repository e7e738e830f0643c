//! A file with its recurrent nodes.

use super::external::{Callback, Folder, Nothing, Source};
use super::node::{Node, Operator};
use super::scopes::{ScopeId, Scopes};
use super::tensor::Tensor;
use super::values::{Held, Values};
use super::{formats, memory, proto, unrolled};
use crate::error::{Error, Result};
use crate::weights::files::read_file;
use prost::Message;
use prost::bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

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
    pub(super) values: Arc<Values>,
    /// Names of inputs and outputs of the graph.
    inputs: Vec<String>,
    outputs: Vec<String>,
    /// Which nodes are recurrent, in order, and by name.
    recurrent: Vec<usize>,
    named: HashMap<String, Named>,
    /// Names of functions that the model defines.
    functions: Vec<String>,
}

/// The recurrent nodes of one name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    first: usize,
    count: usize,
}

impl Model {
    /// Reads a model from a `.onnx` file, and the files with data that it names out of the same folder, such as the
    /// `.onnx.data` that `torch.onnx.export` writes.
    ///
    /// # Errors
    /// [`File`](Error::File) for it or its data files, [`Value`](Error::Value) where it names a data file outside of its
    /// folder, [`Onnx`](Error::Onnx) where it is damaged or holds no graph, which says what it is where it is a file of another
    /// known format, [`OutOfMemory`](Error::OutOfMemory).
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::decode(read_file(path)?.into(), &mut Folder(path)).map_err(|error| match error {
            Error::Onnx(reason) => Error::Onnx(format!("{}: {reason}", path.display())),
            other => other,
        })
    }

    /// Reads a model from the bytes of a `.onnx` file.
    ///
    /// # Errors
    /// As [`Model::load`]; [`Value`](Error::Value) where it names data files, which [`Model::from_bytes_with`] takes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::of_bytes(bytes, &mut Nothing)
    }

    /// Reads a model from the bytes of a `.onnx` file, whose data lie in other files: `data` gives the bytes of each by the name
    /// that the model has for it. It is asked once for each.
    ///
    /// ```no_run
    /// # fn main() -> wgrnn::Result<()> {
    /// use wgrnn::onnx::Model;
    /// let [model, data] = [Vec::new(), Vec::new()]; // from the network, or compiled into the program
    /// let model = Model::from_bytes_with(&model, |_name| Ok(data.clone()))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Model::load`], and those of `data`.
    pub fn from_bytes_with(bytes: &[u8], data: impl FnMut(&str) -> Result<Vec<u8>>) -> Result<Self> {
        Self::of_bytes(bytes, &mut Callback(data))
    }

    fn of_bytes(bytes: &[u8], source: &mut dyn Source) -> Result<Self> {
        Self::decode(memory::collect("an ONNX file", bytes.len(), bytes.iter().copied())?.into(), source)
    }

    fn decode(bytes: Bytes, source: &mut dyn Source) -> Result<Self> {
        // What a file of another format is says more than where it is no protobuf.
        let fault = |reason: &str| Error::Onnx(formats::recognize(&bytes).unwrap_or(reason).to_owned());
        let model = proto::Model::decode(bytes.clone()).map_err(|error| fault(&error.to_string()))?;
        let graph = model.graph.ok_or_else(|| fault("there is no graph in it"))?;
        // Every writer puts them behind the graph.
        if model.ir_version >= 3 && model.opset_import.is_empty() {
            return Err(fault("it ends before its operator sets (opset_import): was it read or downloaded whole?"));
        }
        let standard = model.opset_import.iter().filter(|set| super::scopes::is_standard(&set.domain));
        let opset = standard.map(|set| set.version).max().unwrap_or(1);
        let values = Arc::new(Values::new(Scopes::new(graph, source)?, opset, bytes.len()));
        let scopes = &values.scopes;
        let mut recurrent = Vec::new();
        let mut named: HashMap<String, Named> = HashMap::new();
        for i in scopes.in_order() {
            let head = scopes.head(i)?;
            if Operator::named(&head.op_type, &head.domain).is_some() {
                recurrent.push(i);
                let path = scopes.path(i, &head);
                // Also without those that lead to it, where it is the only one.
                let names = if path == head.name { vec![path] } else { vec![path, head.name] };
                for name in names {
                    named.entry(name).or_insert(Named { first: i, count: 0 }).count += 1;
                }
            }
        }
        // Inputs with a default need not be given.
        let graph = scopes.scope(0);
        let is_required = |name: &String| matches!(scopes.place(name, 0), Some((super::scopes::Place::Input, 0)));
        let inputs = graph.inputs.iter().map(|input| input.name.clone()).filter(is_required).collect();
        let outputs = graph.outputs.clone();
        let functions = model.functions.into_iter().map(|function| function.name).collect();
        Ok(Self { inputs, outputs, recurrent, named, functions, values })
    }

    /// All recurrent nodes, in the order of the graph; those in bodies of `If`, `Loop` and `Scan` stand behind the node whose
    /// body it is. A node that asks for something unsupported, or whose tensors are damaged, is an error. Nodes share the values
    /// that they read. Where the model has no recurrent node, the list is one error that says what it is made of instead.
    pub fn nodes(&self) -> Vec<Result<Node>> {
        if self.recurrent.is_empty() {
            return vec![Err(self.without_nodes())];
        }
        self.recurrent.iter().map(|&i| Node::new(&self.values, i)).collect()
    }

    /// The recurrent node with this name. One in a body of an `If`, `Loop` or `Scan` has those before it that lead to it, as
    /// in `if/then_branch/lstm`, and is found by its own name alone where no other node has that.
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
            None if self.recurrent.is_empty() => Err(self.without_nodes()),
            None => Err(Error::value("recurrent node", self.listed(), format!("'{name}'"))),
        }
    }

    /// The names of the recurrent nodes, for an error.
    fn listed(&self) -> String {
        let scopes = &self.values.scopes;
        let path =
            |i: &usize| scopes.head(*i).map_or_else(|_| String::new(), |head| format!("'{}'", scopes.path(*i, &head)));
        let mut names: Vec<_> = self.recurrent.iter().take(LISTED).map(path).collect();
        if self.recurrent.len() > LISTED {
            names.push(format!("or one of {} more", self.recurrent.len() - LISTED));
        }
        names.join(", ")
    }

    /// Why there is no recurrent node: what the model is made of.
    fn without_nodes(&self) -> Error {
        let operators: Vec<_> = self.operators().into_iter().map(|(name, count)| format!("{name} ({count})")).collect();
        let mut reason = format!("its operators are {}", listed(&operators));
        if !self.functions.is_empty() {
            reason += &format!(", and it defines the functions {}, whose nodes are not read", listed(&self.functions));
        }
        let mut cells = Vec::new();
        for scope in 0..self.values.scopes.count() {
            // A damaged node is reported where it is needed.
            cells.extend(unrolled::find(&self.values.scopes, scope).unwrap_or_default());
        }
        if let Some(first) = cells.first() {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            cells.iter().for_each(|found| *counts.entry(found.cell).or_default() += 1);
            let counts: Vec<_> = counts.into_iter().map(|(cell, count)| format!("{cell} ({count})")).collect();
            let weights: Vec<_> = first.weights.iter().map(|name| format!("'{name}'")).collect();
            reason += &format!(
                "; likely cells that are written out in it as products and functions: {}, the first up to {} with the weights {}",
                listed(&counts),
                first.node,
                listed(&weights)
            );
        }
        let expected = "an RNN, LSTM or GRU node in the model (`Model::graph` runs whole models)";
        Error::value("recurrent nodes", expected, format!("none: {reason}"))
    }

    /// The operators of the graph and of the bodies in it, and how many nodes have each.
    pub fn operators(&self) -> BTreeMap<String, usize> {
        let mut operators = BTreeMap::new();
        for i in 0..self.values.scopes.node_count() {
            let Ok(head) = self.values.scopes.head(i) else { continue };
            let is_standard = super::scopes::is_standard(&head.domain);
            let name = if is_standard { head.op_type } else { format!("{}.{}", head.domain, head.op_type) };
            *operators.entry(name).or_default() += 1;
        }
        operators
    }

    /// The names of the tensors that the model holds: initialisers, `Constant` nodes, and what `DequantizeLinear` nodes make of
    /// them. Those of bodies have the names of nodes and attributes that lead to them before their own.
    ///
    /// # Errors
    /// [`Onnx`](Error::Onnx) where a node is damaged.
    pub fn tensor_names(&self) -> Result<Vec<String>> {
        let scopes = &self.values.scopes;
        Ok(scopes
            .held_names()?
            .into_iter()
            .map(|(name, scope)| format!("{}{name}", scopes.scope(scope).path))
            .collect())
    }

    /// A tensor by its name in the graph: one that the model holds, or one that nodes compute from such ones. With it come the
    /// weights of the layers around the recurrent ones.
    ///
    /// ```no_run
    /// # fn main() -> wgrnn::Result<()> {
    /// use wgrnn::onnx::{Model, Tensor};
    /// let model = Model::load("model.onnx")?;
    /// for name in model.tensor_names()? {
    ///     println!("{name}: {:?}", model.tensor(&name)?.shape());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Value`](Error::Value) where nothing in the model has this name, or where it is known only when the model runs;
    /// [`Onnx`](Error::Onnx) and [`Unsupported`](Error::Unsupported) where its data are damaged or of a type that is not read.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let (own, scope) = self.scope_of(name).ok_or_else(|| {
            let names = self.tensor_names().unwrap_or_default();
            Error::value("tensor", listed(&names), format!("'{name}'"))
        })?;
        let since = match self.values.held(own, scope)? {
            Held::Constant(constant) => return Ok(constant.tensor.clone()),
            Held::Zeros { by } => format!("{by} computes it: zeros of a shape that is known when the model runs"),
            Held::Computed { since } => since.to_string(),
            Held::Input => "it is an input of the graph".to_owned(),
            Held::Unknown => "nothing in the graph makes it".to_owned(),
        };
        Err(Error::value(format!("tensor '{name}'"), "one that is known before the model runs", since))
    }

    /// The scope that a name belongs to, and the name there.
    fn scope_of<'a>(&self, name: &'a str) -> Option<(&'a str, ScopeId)> {
        let scopes = &self.values.scopes;
        if scopes.place(name, 0).is_some() {
            return Some((name, 0));
        }
        (1..scopes.count()).find_map(|scope| {
            let own = name.strip_prefix(&*scopes.scope(scope).path)?;
            scopes.place(own, scope).map(|_| (own, scope))
        })
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

/// Some of a list, for an error.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > LISTED { format!("{shown} and {} more", names.len() - LISTED) } else { shown }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Model");
        debug.field("inputs", &self.inputs).field("outputs", &self.outputs);
        debug.field("recurrent_nodes", &self.recurrent.len()).finish_non_exhaustive()
    }
}
