//! A graph and the bodies of its `If`, `Loop` and `Scan` nodes: which nodes there are, and what each name means in each of them.

use super::external::{DataFiles, Source};
use super::memory::collect;
use super::proto::{self, Size};
use crate::error::{Error, Result};
use prost::Message as _;
use prost::bytes::Bytes;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Bodies within each other, at most.
const DEPTH: usize = 64;

/// The number of a scope: the graph itself is the first one.
pub(super) type ScopeId = usize;

/// What the names of a graph, or of a body, mean. A body sees what is around it, too.
pub(super) struct Scope {
    pub parent: Option<ScopeId>,
    /// The node whose body it is.
    pub of: Option<usize>,
    /// The nodes and attributes that lead to it, with `/` between and behind them; empty for the graph.
    pub path: String,
    pub inputs: Vec<GraphInput>,
    pub outputs: Vec<String>,
    places: HashMap<String, Place>,
    /// The first of its nodes, and how many there are.
    nodes: [usize; 2],
}

/// An input of a graph, as the graph describes it.
#[derive(Clone, Debug)]
pub(super) struct GraphInput {
    pub name: String,
    /// Of `TensorProto.DataType`; 0 where it is not said.
    pub element: i32,
    /// None for a size that is known when the model runs; no list where nothing is said.
    pub shape: Option<Vec<Option<usize>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// An initialiser, which may be the default of an input of the graph.
    Initializer(usize),
    Sparse,
    /// An output of a node.
    Node {
        node: usize,
        output: usize,
    },
    /// An input of the graph, or of a body, without a default.
    Input,
    /// Several of these: which of them is meant is not known.
    Several(&'static str, &'static str),
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::Initializer(_) => "an initialiser",
            Self::Sparse => "a sparse initialiser",
            Self::Node { .. } => "an output of a node",
            Self::Input => "an input of the graph",
            Self::Several(..) => "several values",
        }
    }
}

struct NodeOf {
    bytes: Bytes,
    scope: ScopeId,
}

/// All of a model's nodes and tensors, and what is called how where.
pub(super) struct Scopes {
    scopes: Vec<Scope>,
    nodes: Vec<NodeOf>,
    initializers: Vec<Bytes>,
    /// The body that an attribute of a node is.
    bodies: HashMap<(usize, String), ScopeId>,
    pub files: DataFiles,
}

/// A body that is still to be read.
struct Open {
    graph: proto::Graph,
    /// The scope and the node that it is a body of, and the attribute.
    parent: Option<(ScopeId, usize, String)>,
    path: String,
    depth: usize,
}

impl Scopes {
    pub fn new(graph: proto::Graph, source: &mut dyn Source) -> Result<Self> {
        let mut all = Self {
            scopes: Vec::new(),
            nodes: Vec::new(),
            initializers: Vec::new(),
            bodies: HashMap::new(),
            files: DataFiles::default(),
        };
        let mut open = vec![Open { graph, parent: None, path: String::new(), depth: 0 }];
        while let Some(next) = open.pop() {
            all.add(next, &mut open, source)?;
        }
        Ok(all)
    }

    fn add(&mut self, next: Open, open: &mut Vec<Open>, source: &mut dyn Source) -> Result<()> {
        let Open { graph, parent, path, depth } = next;
        let id = self.scopes.len();
        let count = graph.node.len() + graph.initializer.len() + graph.input.len();
        let mut scope = Scope {
            parent: parent.as_ref().map(|&(scope, ..)| scope),
            of: parent.as_ref().map(|&(_, node, _)| node),
            path,
            inputs: Vec::new(),
            outputs: graph.output.into_iter().map(|output| output.name).collect(),
            places: HashMap::new(),
            nodes: [self.nodes.len(), graph.node.len()],
        };
        let what = "what a graph makes";
        let bytes = (count * size_of::<(String, Place)>()) as u64;
        scope.places.try_reserve(count).map_err(|_| Error::OutOfMemory { what: what.to_owned(), bytes })?;
        for (i, bytes) in graph.initializer.into_iter().enumerate() {
            let tensor = proto::TensorName::decode(bytes.clone())
                .map_err(|error| Error::Onnx(format!("initialiser {i}: {error}")))?;
            if tensor.data_location == proto::EXTERNAL {
                self.files.read(&tensor.external_data, &tensor.name, source)?;
            }
            scope.add(tensor.name, Place::Initializer(self.initializers.len()));
            self.initializers.push(bytes);
        }
        for tensor in graph.sparse_initializer {
            scope.add(tensor.values.map(|values| values.name).unwrap_or_default(), Place::Sparse);
        }
        let nodes = collect(what, graph.node.len(), graph.node.into_iter())?;
        let mut bodies = Vec::new();
        for bytes in nodes {
            let node = self.nodes.len();
            self.nodes.push(NodeOf { bytes, scope: id });
            let head = self.head(node)?;
            for (output, name) in head.output.iter().enumerate() {
                scope.add(name.clone(), Place::Node { node, output });
            }
            match &*head.op_type {
                "If" | "Loop" | "Scan" => self.find_bodies(node, &scope.path, [id, depth], &mut bodies)?,
                "Constant" => self.read_constant(node, source)?,
                _ => {}
            }
        }
        // The last one is taken first.
        open.extend(bodies.into_iter().rev());
        for input in graph.input {
            // An input's default comes before it.
            if !matches!(scope.places.get(&input.name), Some(Place::Initializer(_) | Place::Sparse)) {
                scope.add(input.name.clone(), Place::Input);
            }
            scope.inputs.push(GraphInput::new(input));
        }
        if let Some((_, node, attribute)) = parent {
            self.bodies.insert((node, attribute), id);
        }
        self.scopes.push(scope);
        Ok(())
    }

    fn find_bodies(&self, node: usize, path: &str, [scope, depth]: [usize; 2], open: &mut Vec<Open>) -> Result<()> {
        let decoded = self.node(node)?;
        for attribute in &decoded.attribute {
            let Some(bytes) = &attribute.g else { continue };
            let path = format!("{path}{}/{}/", own_name(&decoded.name, &decoded.output), attribute.name);
            if depth + 1 > DEPTH {
                return Err(Error::unsupported(
                    format!("body '{path}'"),
                    format!("more than {DEPTH} bodies within each other"),
                ));
            }
            let graph = proto::Graph::decode(bytes.clone());
            let graph = graph.map_err(|error| Error::Onnx(format!("body '{path}': {error}")))?;
            open.push(Open { graph, parent: Some((scope, node, attribute.name.clone())), path, depth: depth + 1 });
        }
        Ok(())
    }

    /// Reads the file that the tensor of a `Constant` lies in.
    fn read_constant(&mut self, node: usize, source: &mut dyn Source) -> Result<()> {
        let fault = |error| Error::Onnx(format!("node {node}: {error}"));
        let decoded = proto::NodeTensors::decode(self.nodes[node].bytes.clone()).map_err(fault)?;
        for tensor in decoded.attribute.into_iter().filter_map(|attribute| attribute.t) {
            if tensor.data_location == proto::EXTERNAL {
                self.files.read(&tensor.external_data, &tensor.name, source)?;
            }
        }
        Ok(())
    }

    /// A node without its attributes and inputs.
    pub fn head(&self, node: usize) -> Result<proto::NodeHead> {
        let bytes = self.nodes[node].bytes.clone();
        proto::NodeHead::decode(bytes).map_err(|error| Error::Onnx(format!("node {node}: {error}")))
    }

    pub fn node(&self, node: usize) -> Result<proto::Node> {
        let bytes = self.nodes[node].bytes.clone();
        proto::Node::decode(bytes).map_err(|error| Error::Onnx(format!("node {node}: {error}")))
    }

    pub fn initializer(&self, i: usize) -> Bytes {
        self.initializers[i].clone()
    }

    pub fn initializer_count(&self) -> usize {
        self.initializers.len()
    }

    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub fn scope_of(&self, node: usize) -> ScopeId {
        self.nodes[node].scope
    }

    /// How many graphs and bodies there are.
    pub fn count(&self) -> usize {
        self.scopes.len()
    }

    pub fn scope(&self, id: ScopeId) -> &Scope {
        &self.scopes[id]
    }

    /// The body that an attribute of a node is.
    pub fn body(&self, node: usize, attribute: &str) -> Option<ScopeId> {
        self.bodies.get(&(node, attribute.to_owned())).copied()
    }

    /// The nodes of a graph or body in their order, without those of bodies in it.
    pub fn nodes_of(&self, scope: ScopeId) -> std::ops::Range<usize> {
        let [first, count] = self.scopes[scope].nodes;
        first..first + count
    }

    /// All nodes: those of a body behind the node whose body it is.
    pub fn in_order(&self) -> Vec<usize> {
        let mut bodies: HashMap<usize, Vec<ScopeId>> = HashMap::new();
        for (id, scope) in self.scopes.iter().enumerate() {
            if let Some(node) = scope.of {
                bodies.entry(node).or_default().push(id);
            }
        }
        let mut order = Vec::new();
        let mut open = vec![self.nodes_of(0)];
        while let Some(top) = open.last_mut() {
            match top.next() {
                None => {
                    open.pop();
                }
                Some(node) => {
                    order.push(node);
                    let own = bodies.get(&node).into_iter().flatten().rev();
                    open.extend(own.map(|&body| self.nodes_of(body)));
                }
            }
        }
        order
    }

    /// What a name means in a scope: there, or around it. Also the scope that it belongs to.
    pub fn place(&self, name: &str, scope: ScopeId) -> Option<(Place, ScopeId)> {
        let mut at = Some(scope);
        while let Some(id) = at {
            if let Some(&place) = self.scopes[id].places.get(name) {
                return Some((place, id));
            }
            at = self.scopes[id].parent;
        }
        None
    }

    /// The path of a node: its name behind those of the nodes and attributes that lead to it.
    pub fn path(&self, node: usize, head: &proto::NodeHead) -> String {
        format!("{}{}", self.scopes[self.nodes[node].scope].path, head.name)
    }

    /// The names of values that the model holds: initialisers, `Constant` and `DequantizeLinear` nodes, in the graph and in bodies.
    pub fn held_names(&self) -> Result<Vec<(String, ScopeId)>> {
        let mut names = Vec::new();
        for (id, scope) in self.scopes.iter().enumerate() {
            let mut own = Vec::new();
            for (name, place) in &scope.places {
                let order = match *place {
                    Place::Initializer(i) => (0, i),
                    Place::Node { node, .. }
                        if matches!(&*self.head(node)?.op_type, "Constant" | "DequantizeLinear") =>
                    {
                        (1, node)
                    }
                    _ => continue,
                };
                own.push((order, name.clone()));
            }
            own.sort_unstable();
            names.extend(own.into_iter().map(|(_, name)| (name, id)));
        }
        Ok(names)
    }
}

impl Scope {
    fn add(&mut self, name: String, place: Place) {
        // Outputs that are left out have no name.
        if name.is_empty() {
            return;
        }
        match self.places.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(place);
            }
            Entry::Occupied(mut entry) => match entry.get() {
                Place::Several(..) => {}
                first => {
                    let several = Place::Several(first.name(), place.name());
                    entry.insert(several);
                }
            },
        }
    }
}

impl GraphInput {
    fn new(input: proto::ValueInfo) -> Self {
        let tensor = input.kind.and_then(|kind| kind.tensor);
        let size = |dimension: proto::Dimension| match dimension.size {
            Some(Size::Value(size)) => usize::try_from(size).ok(),
            Some(Size::Name(_)) | None => None,
        };
        let element = tensor.as_ref().map_or(0, |tensor| tensor.element);
        let shape = tensor.and_then(|tensor| tensor.shape);
        let shape = shape.map(|shape| shape.dimensions.into_iter().map(size).collect());
        Self { name: input.name, element, shape }
    }
}

/// The name of a node, or of the first value that it computes.
fn own_name<'a>(name: &'a str, outputs: &'a [String]) -> &'a str {
    if name.is_empty() { outputs.iter().find(|name| !name.is_empty()).map_or("", |name| name) } else { name }
}

/// Whether this is the domain of ONNX's own operators.
pub(super) fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// Whether a node has this standard operator.
pub(super) fn is(node: &proto::Node, operator: &str) -> bool {
    node.op_type == operator && is_standard(&node.domain)
}
