//! Recurrent nodes: their attributes, and which tensor is which.

use super::Tensor;
use super::proto;
use crate::cells::{Activation, Cell, Reset};
use crate::error::{Error, Result};
use crate::layer::Direction;

/// The operators that this library runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `RNN`
    Rnn,
    /// `LSTM`
    Lstm,
    /// `GRU`
    Gru,
}

impl Operator {
    fn named(name: &str, domain: &str) -> Option<Self> {
        let own = ["", "ai.onnx"].contains(&domain);
        match name {
            "RNN" if own => Some(Self::Rnn),
            "LSTM" if own => Some(Self::Lstm),
            "GRU" if own => Some(Self::Gru),
            _ => None,
        }
    }

    /// Its name in ONNX.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rnn => "RNN",
            Self::Lstm => "LSTM",
            Self::Gru => "GRU",
        }
    }

    /// Where this library's gates are among ONNX's: i, f, g, o in i, o, f, c; r, z, n in z, r, h.
    pub(super) const fn gates(self) -> &'static [usize] {
        match self {
            Self::Rnn => &[0],
            Self::Lstm => &[0, 2, 3, 1],
            Self::Gru => &[1, 0, 2],
        }
    }

    /// The activations of one direction where the node names none.
    const fn activations(self) -> &'static [&'static str] {
        match self {
            Self::Rnn => &["Tanh"],
            Self::Lstm => &["Sigmoid", "Tanh", "Tanh"],
            Self::Gru => &["Sigmoid", "Tanh"],
        }
    }
}

/// The inputs of a recurrent node, in ONNX's order.
pub(super) const INPUTS: [&str; 8] = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"];

/// A recurrent node of a model.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, which may be empty.
    pub name: String,
    /// What it computes.
    pub operator: Operator,
    /// H.
    pub hidden_size: usize,
    /// In which direction it reads.
    pub direction: Direction,
    /// Whether batches come first: X [N, T, I], Y [N, T, D, H], states [N, D, H]. Else X [T, N, I], Y [T, D, N, H], states
    /// [D, N, H].
    pub batch_first: bool,
    /// The cell.
    pub cell: Cell,
    /// The names of X, W, R, B, sequence_lens, initial_h, initial_c and P in the graph; none where one is left out.
    pub inputs: [Option<String>; 8],
    /// The names of Y, Y_h and Y_c.
    pub outputs: [Option<String>; 3],
    /// Those inputs whose values the model holds.
    pub(super) constants: Vec<(String, Tensor)>,
}

impl Node {
    /// None for other operators.
    pub(super) fn new(node: &proto::Node) -> Option<Result<Self>> {
        let operator = Operator::named(&node.op_type, &node.domain)?;
        Some(Self::of_operator(node, operator))
    }

    fn of_operator(node: &proto::Node, operator: Operator) -> Result<Self> {
        let attributes = Attributes { node, operator };
        let direction = match &*attributes.text("direction", "forward")? {
            "forward" => Direction::Forward,
            "reverse" => Direction::Reverse,
            "bidirectional" => Direction::Bidirectional,
            other => return Err(attributes.fault("direction", "forward, reverse or bidirectional", other)),
        };
        let activation = attributes.activations(direction.count())?;
        let after = attributes.integer("linear_before_reset", 0)? != 0;
        let cell = match operator {
            Operator::Rnn => Cell::Elman(activation),
            Operator::Lstm => Cell::Lstm,
            Operator::Gru => Cell::Gru(if after { Reset::After } else { Reset::Before }),
        };
        attributes.check()?;
        let hidden_size = match (attributes.find("hidden_size"), attributes.integer("hidden_size", 0)?) {
            (Some(_), size) => usize::try_from(size)
                .ok()
                .filter(|&size| size > 0)
                .ok_or_else(|| attributes.fault("hidden_size", "a positive number", size))?,
            (None, _) => return Err(attributes.fault("hidden_size", "a positive number", "none")),
        };
        let batch_first = match attributes.integer("layout", 0)? {
            0 => false,
            1 => true,
            other => return Err(attributes.fault("layout", "0 or 1", other)),
        };
        let name = |names: &[String], i: usize| names.get(i).filter(|name| !name.is_empty()).cloned();
        let node = Self {
            name: node.name.clone(),
            operator,
            hidden_size,
            direction,
            batch_first,
            cell,
            inputs: std::array::from_fn(|i| name(&node.input, i)),
            outputs: std::array::from_fn(|i| name(&node.output, i)),
            constants: Vec::new(),
        };
        if node.inputs[7].is_some() {
            return Err(attributes.fault("input P (peepholes)", "none: no cell here has them", "one"));
        }
        Ok(node)
    }
}

/// A node's attributes, by name.
struct Attributes<'a> {
    node: &'a proto::Node,
    operator: Operator,
}

impl Attributes<'_> {
    fn find(&self, name: &str) -> Option<&proto::Attribute> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// An error that names node and attribute.
    fn fault(&self, what: &str, expected: impl std::fmt::Display, got: impl std::fmt::Display) -> Error {
        Error::value(format!("{what} of {} node '{}'", self.operator.name(), self.node.name), expected, got)
    }

    fn integer(&self, name: &str, otherwise: i64) -> Result<i64> {
        Ok(self.find(name).map_or(otherwise, |attribute| attribute.i))
    }

    fn text(&self, name: &str, otherwise: &str) -> Result<String> {
        let Some(attribute) = self.find(name) else { return Ok(otherwise.to_owned()) };
        String::from_utf8(attribute.s.clone()).map_err(|_| self.fault(name, "text", "bytes that are none"))
    }

    /// The activation of an `RNN` node; other operators have theirs, which must be named as they are.
    fn activations(&self, directions: usize) -> Result<Activation> {
        let names = self.find("activations").map(|attribute| &attribute.strings);
        let names: Vec<_> = names.into_iter().flatten().map(|name| String::from_utf8_lossy(name)).collect();
        let default = self.operator.activations();
        let count = default.len() * directions;
        if !names.is_empty() && names.len() != count {
            return Err(self.fault("activations", format!("{count} names"), names.len()));
        }
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        if self.operator != Operator::Rnn {
            return match names.iter().zip(default.iter().cycle()).find(|(name, default)| !same(name, default)) {
                Some((name, default)) => {
                    Err(self.fault("activations", format!("{default}: no cell here has others"), name))
                }
                None => Ok(Activation::Tanh),
            };
        }
        let known = [("Tanh", Activation::Tanh), ("Relu", Activation::Relu), ("Sigmoid", Activation::Sigmoid)];
        let first = names.first().map_or(default[0], |name| name);
        if let Some(other) = names.iter().find(|name| !same(name, first)) {
            return Err(self.fault("activations", format!("{first} in both directions"), other));
        }
        let found = known.into_iter().find(|(name, _)| same(name, first));
        found.map(|found| found.1).ok_or_else(|| self.fault("activations", "Tanh, Relu or Sigmoid", first))
    }

    /// What can't be honoured is refused by name, and so is what is unknown.
    fn check(&self) -> Result<()> {
        for attribute in &self.node.attribute {
            let is_allowed = match (&*attribute.name, self.operator) {
                ("direction" | "hidden_size" | "layout" | "activations", _) => true,
                ("linear_before_reset", Operator::Gru) => true,
                ("input_forget", Operator::Lstm) => attribute.i == 0,
                // Without effect on the activations that are left.
                ("activation_alpha" | "activation_beta", _) => attribute.floats.is_empty(),
                // Before version 7 of the operators.
                ("output_sequence", _) => true,
                _ => false,
            };
            if !is_allowed {
                return Err(self.fault(&format!("attribute {}", attribute.name), "none: no cell here has it", "one"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(name: &str) -> proto::Attribute {
        proto::Attribute { name: name.to_owned(), ..Default::default() }
    }

    fn names(of: &[&str]) -> proto::Attribute {
        let strings = of.iter().map(|name| name.as_bytes().to_vec()).collect();
        proto::Attribute { strings, ..attribute("activations") }
    }

    fn node(operator: &str, attributes: &[proto::Attribute]) -> Result<Node> {
        let hidden_size = proto::Attribute { i: 3, ..attribute("hidden_size") };
        let node = proto::Node {
            op_type: operator.to_owned(),
            name: "cell".to_owned(),
            attribute: [&[hidden_size], attributes].concat(),
            ..Default::default()
        };
        Node::new(&node).unwrap()
    }

    #[test]
    fn cells_follow_from_operator_and_attributes() {
        assert_eq!(node("RNN", &[]).unwrap().cell, Cell::Elman(Activation::Tanh));
        assert_eq!(node("RNN", &[names(&["relu"])]).unwrap().cell, Cell::Elman(Activation::Relu));
        assert_eq!(node("LSTM", &[names(&["Sigmoid", "Tanh", "Tanh"])]).unwrap().cell, Cell::Lstm);
        assert_eq!(node("GRU", &[]).unwrap().cell, Cell::Gru(Reset::Before));
        let after = proto::Attribute { i: 1, ..attribute("linear_before_reset") };
        assert_eq!(node("GRU", &[after]).unwrap().cell, Cell::Gru(Reset::After));
        assert!(Node::new(&proto::Node { op_type: "Gemm".to_owned(), ..Default::default() }).is_none());
    }

    /// Peers leave such attributes out silently, and give other numbers.
    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        let fault = |operator: &str, attribute: proto::Attribute, part: &str| {
            let error = node(operator, &[attribute]).unwrap_err().to_string();
            assert!(error.contains("cell") && error.contains(operator) && error.contains(part), "{error}");
        };
        fault("LSTM", proto::Attribute { f: 3.0, ..attribute("clip") }, "clip");
        fault("LSTM", proto::Attribute { i: 1, ..attribute("input_forget") }, "input_forget");
        fault("LSTM", names(&["Sigmoid", "Relu", "Tanh"]), "Relu");
        fault("LSTM", names(&["Sigmoid"]), "3 names");
        fault("RNN", names(&["Softplus"]), "Softplus");
        fault("RNN", proto::Attribute { floats: vec![0.1], ..attribute("activation_alpha") }, "activation_alpha");
        fault("RNN", attribute("linear_before_reset"), "linear_before_reset");
        fault("GRU", proto::Attribute { s: b"sideways".to_vec(), ..attribute("direction") }, "sideways");
        fault("GRU", proto::Attribute { i: 2, ..attribute("layout") }, "layout");
        fault("GRU", attribute("new_one"), "new_one");
        let sizeless = proto::Node { op_type: "GRU".to_owned(), ..Default::default() };
        assert!(Node::new(&sizeless).unwrap().unwrap_err().to_string().contains("hidden_size"));
    }
}
