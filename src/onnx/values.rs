//! Where the values of a graph come from: the model holds them, a node computes them, or the caller gives them.

use super::memory::collect;
use super::proto::{self, attribute_type};
use super::tensor::{Constant, Tensor};
use crate::error::{Error, Result};
use ndarray::{arr0, arr1};
use prost::Message as _;
use prost::bytes::Bytes;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, OnceLock};

/// Nodes between a state and the constant zeros that it comes from, at most. Exporters write some five.
const CHAIN: usize = 64;

/// The values of a graph by name. What is known of a tensor or a node is found out once, when it is first needed, and shared.
pub(super) struct Values {
    places: HashMap<String, Place>,
    nodes: Vec<Message>,
    initializers: Vec<Message>,
}

/// A message of the file, and what it says of the values that it makes.
struct Message {
    bytes: Bytes,
    held: OnceLock<Box<Result<Held>>>,
}

#[derive(Clone, Copy)]
enum Place {
    /// An initialiser, which may be the default of an input of the graph.
    Initializer(usize),
    Sparse,
    /// An output of a node.
    Node(usize),
    /// An input of the graph without a default.
    Input,
    /// Several of these: which of them is meant is not known.
    Several(&'static str, &'static str),
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::Initializer(_) => "an initialiser",
            Self::Sparse => "a sparse initialiser",
            Self::Node(_) => "an output of a node",
            Self::Input => "an input of the graph",
            Self::Several(..) => "several values",
        }
    }
}

/// What a model knows of an input of a node.
#[derive(Clone, Debug)]
pub(super) enum Held {
    /// Its value.
    Constant(Arc<Constant>),
    /// A node computes it, but it has no number other than 0, unless the caller gives one of the values that it is computed
    /// from.
    Zeros { by: Arc<str>, from: Arc<[String]> },
    /// A node computes it.
    Computed { by: Arc<str> },
    /// It is an input of the graph.
    Input,
    /// Nothing in the graph makes it.
    Unknown,
}

impl Values {
    pub fn new(graph: &mut proto::Graph) -> Result<Self> {
        let [nodes, initializers] = [&mut graph.node, &mut graph.initializer].map(std::mem::take);
        let count = nodes.len() + initializers.len() + graph.input.len();
        let what = "what a graph makes";
        let message = |bytes| Message { bytes, held: OnceLock::new() };
        let mut values = Self {
            places: HashMap::new(),
            nodes: collect(what, nodes.len(), nodes.into_iter().map(message))?,
            initializers: collect(what, initializers.len(), initializers.into_iter().map(message))?,
        };
        let bytes = (count * size_of::<(String, Place)>()) as u64;
        values.places.try_reserve(count).map_err(|_| Error::OutOfMemory { what: what.to_owned(), bytes })?;
        for i in 0..values.initializers.len() {
            let tensor = proto::TensorName::decode(values.initializers[i].bytes.clone())
                .map_err(|error| Error::Onnx(format!("initialiser {i}: {error}")))?;
            values.add(tensor.name, Place::Initializer(i));
        }
        for tensor in &graph.sparse_initializer {
            values.add(tensor.values.as_ref().map(|values| values.name.clone()).unwrap_or_default(), Place::Sparse);
        }
        for i in 0..values.nodes.len() {
            for output in values.head(i)?.output {
                values.add(output, Place::Node(i));
            }
        }
        for input in &graph.input {
            values.add(input.name.clone(), Place::Input);
        }
        Ok(values)
    }

    fn add(&mut self, name: String, place: Place) {
        // Outputs that are left out have no name.
        if name.is_empty() {
            return;
        }
        match self.places.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(place);
            }
            Entry::Occupied(mut entry) => match (*entry.get(), place) {
                // An input's default.
                (Place::Initializer(_) | Place::Sparse, Place::Input) | (Place::Several(..), _) => {}
                (first, second) => {
                    entry.insert(Place::Several(first.name(), second.name()));
                }
            },
        }
    }

    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// A node without its attributes and inputs.
    pub fn head(&self, i: usize) -> Result<proto::NodeHead> {
        let bytes = self.nodes[i].bytes.clone();
        proto::NodeHead::decode(bytes).map_err(|error| Error::Onnx(format!("node {i}: {error}")))
    }

    pub fn node(&self, i: usize) -> Result<proto::Node> {
        let bytes = self.nodes[i].bytes.clone();
        proto::Node::decode(bytes).map_err(|error| Error::Onnx(format!("node {i}: {error}")))
    }

    /// Whether the caller need not give the value of an input of the graph.
    pub fn has_default(&self, input: &str) -> bool {
        self.places.get(input).is_some_and(|place| !matches!(place, Place::Input))
    }

    /// What the model knows of a value.
    pub fn held(&self, name: &str) -> Result<Held> {
        match self.places.get(name) {
            None => Ok(Held::Unknown),
            Some(Place::Input) => Ok(Held::Input),
            Some(Place::Sparse) => Err(Error::unsupported(
                format!("sparse tensor '{name}'"),
                "weights, states and lengths are dense tensors",
            )),
            Some(Place::Several(first, second)) => {
                let reason = format!("'{name}' is the name of {first} and of {second}, expected one value of a name");
                Err(Error::Onnx(reason))
            }
            Some(&Place::Initializer(i)) => self.of_initializer(i, name).map(Held::Constant),
            Some(&Place::Node(i)) => self.of_node(i, CHAIN),
        }
    }

    fn of_initializer(&self, i: usize, name: &str) -> Result<Arc<Constant>> {
        let held = self.initializers[i].once(|bytes| {
            let tensor = proto::Tensor::decode(bytes);
            let tensor = tensor.map_err(|error| Error::Onnx(format!("tensor '{name}': {error}")))?;
            Ok(Held::Constant(Arc::new(Constant::new(Tensor::new(&tensor, name)?))))
        })?;
        match held {
            Held::Constant(constant) => Ok(constant),
            other => Err(Error::Plan(format!("an initialiser is {other:?}"))),
        }
    }

    /// What is known of a node's outputs; of those before it, as many as `chain` in a row are looked at.
    fn of_node(&self, i: usize, chain: usize) -> Result<Held> {
        self.nodes[i].once(|_| {
            let node = self.node(i)?;
            if is(&node, "Constant") {
                return Ok(Held::Constant(Arc::new(Constant::new(of_constant_node(&node)?))));
            }
            let by = format!("{} node '{}'", node.op_type, node.name).into();
            Ok(match self.zeros(i, &node, chain) {
                Some(from) => Held::Zeros { by, from: from.into() },
                None => Held::Computed { by },
            })
        })
    }

    /// The names of what a node's outputs come from, where all numbers in them are constants of 0. Operators that move or
    /// repeat elements keep that, whatever the shapes are.
    fn zeros(&self, i: usize, node: &proto::Node, chain: usize) -> Option<Vec<String>> {
        let inputs = match () {
            () if is(node, "ConstantOfShape") => return fills_with_zero(node).then(Vec::new),
            () if is(node, "Concat") => &node.input[..],
            () if MOVES.iter().any(|&moves| is(node, moves)) => node.input.get(..1)?,
            () => return None,
        };
        let mut from = Vec::new();
        for input in inputs {
            if from.len() >= CHAIN || chain == 0 {
                return None;
            }
            let held = match *self.places.get(input)? {
                Place::Initializer(tensor) => Held::Constant(self.of_initializer(tensor, input).ok()?),
                // Nodes come in order, so that there is no circle.
                Place::Node(before) if before < i => self.of_node(before, chain - 1).ok()?,
                _ => return None,
            };
            match held {
                Held::Constant(constant) if constant.is_zero() => {}
                Held::Zeros { from: before, .. } => from.extend(before.iter().cloned()),
                _ => return None,
            }
            from.push(input.clone());
        }
        (!from.is_empty()).then_some(from)
    }
}

impl Message {
    /// What `find` finds, now or when it was asked for first: many nodes may read one value. An error is the same again.
    fn once(&self, find: impl FnOnce(Bytes) -> Result<Held>) -> Result<Held> {
        match &**self.held.get_or_init(|| Box::new(find(self.bytes.clone()))) {
            Ok(held) => Ok(held.clone()),
            Err(Error::Unsupported { what, reason }) => Err(Error::unsupported(what, reason)),
            Err(Error::OutOfMemory { what, bytes }) => Err(Error::OutOfMemory { what: what.clone(), bytes: *bytes }),
            Err(Error::Onnx(reason)) => Err(Error::Onnx(reason.clone())),
            Err(other) => Err(Error::Onnx(other.to_string())),
        }
    }
}

/// Operators whose every output has no elements but those of the first input, or those as another type.
const MOVES: [&str; 15] = [
    "Cast",
    "CastLike",
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "GatherND",
    "Identity",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

fn is(node: &proto::Node, operator: &str) -> bool {
    node.op_type == operator && is_standard(&node.domain)
}

/// Whether this is the domain of ONNX's own operators.
pub(super) fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// Of a `ConstantOfShape`, whose value is 0 where the attribute is left out.
fn fills_with_zero(node: &proto::Node) -> bool {
    match &node.attribute[..] {
        [] => true,
        [only] if only.name == "value" => {
            let tensor = only.t.as_ref().and_then(|tensor| Tensor::new(tensor, "value").ok());
            tensor.is_some_and(|tensor| Constant::new(tensor).is_zero())
        }
        _ => false,
    }
}

/// The value of a `Constant` node, in any of its forms.
fn of_constant_node(node: &proto::Node) -> Result<Tensor> {
    let name = node.output.first().map_or("", |name| name);
    let fault = |reason: &str| Error::Onnx(format!("Constant node that makes '{name}': {reason}"));
    if node.output.len() != 1 {
        return Err(fault(&format!("{} outputs, expected one", node.output.len())));
    }
    let [attribute] = &node.attribute[..] else {
        return Err(fault(&format!("{} attributes, expected one, its value", node.attribute.len())));
    };
    let kind = match &*attribute.name {
        "value" => attribute_type::TENSOR,
        "value_float" => attribute_type::FLOAT,
        "value_floats" => attribute_type::FLOATS,
        "value_int" => attribute_type::INT,
        "value_ints" => attribute_type::INTS,
        other @ ("sparse_value" | "value_string" | "value_strings") => {
            let what = format!("{other} of the Constant node that makes '{name}'");
            return Err(Error::unsupported(what, "weights, states and lengths are dense tensors of numbers"));
        }
        other => return Err(fault(&format!("an attribute '{other}', expected its value"))),
    };
    attribute.check(kind).map_err(|got| fault(&format!("{} is {got}", attribute.name)))?;
    Ok(match kind {
        attribute_type::FLOAT => Tensor::Numbers(arr0(attribute.f).into_dyn()),
        attribute_type::FLOATS => Tensor::Numbers(arr1(&attribute.floats).into_dyn()),
        attribute_type::INT => Tensor::Integers(arr0(attribute.i).into_dyn()),
        attribute_type::INTS => Tensor::Integers(arr1(&attribute.ints).into_dyn()),
        _ => Tensor::new(attribute.t.as_ref().ok_or_else(|| fault("its value is no tensor"))?, name)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(name: &str, values: &[f32]) -> proto::Tensor {
        let dims = vec![values.len() as i64];
        proto::Tensor { name: name.to_owned(), dims, data_type: 1, float_data: values.to_vec(), ..Default::default() }
    }

    fn node(op_type: &str, input: &[&str], output: &str, attribute: Vec<proto::Attribute>) -> Bytes {
        let input = input.iter().map(|name| (*name).to_owned()).collect();
        let (op_type, output) = (op_type.to_owned(), vec![output.to_owned()]);
        proto::Node { op_type, input, output, attribute, ..Default::default() }.encode_to_vec().into()
    }

    fn values(initializers: &[proto::Tensor], node: Vec<Bytes>) -> Values {
        let initializer = initializers.iter().map(|tensor| tensor.encode_to_vec().into()).collect();
        Values::new(&mut proto::Graph { node, initializer, ..Default::default() }).unwrap()
    }

    fn constant(values: &Values, name: &str) -> Arc<Constant> {
        match values.held(name).unwrap() {
            Held::Constant(constant) => constant,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_constant_is_decoded_once_and_shared() {
        let value =
            proto::Attribute { name: "value".to_owned(), t: Some(floats("", &[2.0]).into()), ..Default::default() };
        let values = values(&[floats("a", &[1.0])], vec![node("Constant", &[], "b", vec![value])]);
        for name in ["a", "b"] {
            assert!(Arc::ptr_eq(&constant(&values, name), &constant(&values, name)), "{name}");
        }
        assert!(matches!(values.held("c").unwrap(), Held::Unknown));
    }

    /// No more than the names is read of what no recurrent node needs.
    #[test]
    fn what_is_not_asked_for_is_not_decoded() {
        let values = values(&[floats("a", &[1.0]), floats("b", &[1.0])], vec![node("Exp", &["a"], "c", Vec::new())]);
        constant(&values, "a");
        assert!(values.initializers[0].held.get().is_some());
        assert!(values.initializers[1].held.get().is_none() && values.nodes[0].held.get().is_none());
    }

    /// Such a chain would take a stack as deep, and a look at each of its nodes for each value.
    #[test]
    fn a_chain_of_any_length_ends_the_search_for_zeros() {
        let names: Vec<String> = (0..50_000).map(|i| i.to_string()).collect();
        let mut nodes = vec![node("ConstantOfShape", &["shape"], "0", Vec::new())];
        nodes.extend(names.windows(2).map(|pair| node("Identity", &[&pair[0]], &pair[1], Vec::new())));
        let values = values(&[], nodes);
        assert!(matches!(values.held("50").unwrap(), Held::Zeros { .. }));
        assert!(matches!(values.held(names.last().unwrap()).unwrap(), Held::Computed { .. }));
    }
}
