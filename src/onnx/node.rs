//! Recurrent nodes: their attributes, and which tensor is which.

use super::proto::{self, attribute_type};
use super::values::{Held, Values, is_standard};
use crate::cells::{Activation, Cell, Coefficient, Equations, Reset};
use crate::config::Direction;
use crate::error::{Error, Result};
use std::collections::HashSet;

/// The operators that this library runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operator {
    /// The operator `RNN`.
    Rnn,
    /// The operator `LSTM`.
    Lstm,
    /// The operator `GRU`.
    Gru,
}

impl Operator {
    pub(super) fn named(name: &str, domain: &str) -> Option<Self> {
        [Self::Rnn, Self::Lstm, Self::Gru].into_iter().find(|own| own.name() == name && is_standard(domain))
    }

    /// How many inputs and outputs it has: `initial_c`, P and Y_c are an `LSTM`'s alone.
    const fn places(self) -> [usize; 2] {
        match self {
            Self::Rnn | Self::Gru => [6, 2],
            Self::Lstm => [8, 3],
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
const INPUTS: [&str; 8] = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"];

/// The largest hidden size: more units could not be indexed by the 32-bit words of a shader.
const MOST_UNITS: usize = 1 << 24;

/// A recurrent node of a model.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, which may be empty.
    pub name: String,
    /// What it computes.
    pub operator: Operator,
    /// H: the number of hidden units.
    pub hidden_size: usize,
    /// In which direction it reads.
    pub direction: Direction,
    /// Whether batches come first: X [N, T, I], Y [N, T, D, H], states [N, D, H]. Else X [T, N, I], Y [T, D, N, H], states
    /// [D, N, H].
    pub batch_first: bool,
    /// The activations of each direction: f of an `RNN`, f and g of a `GRU`, f, g and h of an `LSTM`. Places that an
    /// operator does not use hold the defaults.
    pub activations: Vec<[Activation; 3]>,
    /// Where a `GRU` applies its reset gate (`linear_before_reset`).
    pub reset: Reset,
    /// The bound on the sums that activations are applied to (`clip`).
    pub clip: Option<f32>,
    /// Whether the forget gate of an `LSTM` is 1 − i (`input_forget`).
    pub coupled: bool,
    /// The names of X, W, R, B, `sequence_lens`, `initial_h`, `initial_c` and P in the graph; `None` for those left
    /// out.
    pub inputs: [Option<String>; 8],
    /// The names of Y, Y_h and Y_c.
    pub outputs: [Option<String>; 3],
    /// What the model knows of each input but X that it had in the graph, by name.
    pub(super) held: Vec<(String, Held)>,
}

impl Node {
    /// The recurrent node that is a graph's `i`-th node.
    pub(super) fn new(values: &Values, i: usize) -> Result<Self> {
        let node = values.node(i)?;
        let operator = Operator::named(&node.op_type, &node.domain);
        let operator = operator.ok_or_else(|| Error::Onnx(format!("node {i} is no recurrent node")))?;
        let mut own = Self::of_operator(&node, operator)?;
        for name in own.inputs[1..].iter().flatten() {
            own.held.push((name.clone(), values.held(name)?));
        }
        Ok(own)
    }

    fn of_operator(node: &proto::Node, operator: Operator) -> Result<Self> {
        let attributes = Attributes { node, operator };
        attributes.check_names()?;
        let direction = match &*attributes.text("direction", "forward")? {
            "forward" => Direction::Forward,
            "reverse" => Direction::Reverse,
            "bidirectional" => Direction::Bidirectional,
            other => return Err(attributes.fault("direction", "forward, reverse or bidirectional", other)),
        };
        attributes.check_places()?;
        let activations = attributes.activations(direction.count())?;
        let after = attributes.integer("linear_before_reset", 0)? != 0;
        let clip = attributes.typed("clip", attribute_type::FLOAT)?.map(|attribute| attribute.f);
        if let Some(clip) = clip.filter(|clip| !(*clip > 0.0 && clip.is_finite())) {
            return Err(attributes.fault("clip", "a positive number", clip));
        }
        let hidden_size = match (attributes.find("hidden_size"), attributes.integer("hidden_size", 0)?) {
            (Some(_), size) => usize::try_from(size)
                .ok()
                .filter(|size| (1..=MOST_UNITS).contains(size))
                .ok_or_else(|| attributes.fault("hidden_size", "a number from 1 to 2²⁴", size))?,
            (None, _) => return Err(attributes.fault("hidden_size", "a positive number", "none")),
        };
        let batch_first = match attributes.integer("layout", 0)? {
            0 => false,
            1 => true,
            other => return Err(attributes.fault("layout", "0 or 1", other)),
        };
        let name = |names: &[String], i: usize| names.get(i).filter(|name| !name.is_empty()).cloned();
        Ok(Self {
            name: node.name.clone(),
            operator,
            hidden_size,
            direction,
            batch_first,
            activations,
            reset: if after { Reset::After } else { Reset::Before },
            clip,
            coupled: attributes.integer("input_forget", 0)? != 0,
            inputs: std::array::from_fn(|i| name(&node.input, i)),
            outputs: std::array::from_fn(|i| name(&node.output, i)),
            held: Vec::new(),
        })
    }

    /// The cell of a direction. The direction is 0, or 1 for the second one of a bidirectional node.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a direction that the node does not have, or one that has no activations.
    pub fn cell(&self, direction: usize) -> Result<Cell> {
        let count = self.direction.count();
        if direction >= count {
            let expected = if count == 1 { "0, the only one" } else { "0 or 1" };
            return Err(Error::value(format!("direction of {}", self.label()), expected, direction));
        }
        let activations = self.activations.get(direction).ok_or_else(|| self.activations_fault())?;
        Ok(match self.operator {
            Operator::Rnn => Cell::Elman(activations[0]),
            Operator::Lstm => Cell::Lstm,
            Operator::Gru => Cell::Gru(self.reset),
        })
    }

    /// Refuses sizes and inputs that a node of a file can't have: fields may have been written since.
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=MOST_UNITS).contains(&self.hidden_size) {
            let what = format!("hidden_size of {}", self.label());
            return Err(Error::value(what, "a number from 1 to 2²⁴", self.hidden_size));
        }
        if self.activations.len() != self.direction.count() {
            return Err(self.activations_fault());
        }
        match (self.operator.places()[0]..INPUTS.len()).find(|&input| self.inputs[input].is_some()) {
            Some(input) => Err(Error::unsupported(self.of(input), "only an LSTM has this input")),
            None => Ok(()),
        }
    }

    fn activations_fault(&self) -> Error {
        let what = format!("activations of {}", self.label());
        Error::value(what, format!("those of {} directions", self.direction.count()), self.activations.len())
    }

    /// The node for errors.
    fn label(&self) -> String {
        format!("{} node '{}'", self.operator.name(), self.name)
    }

    /// An input for errors.
    pub(super) fn of(&self, input: usize) -> String {
        let name = self.inputs[input].as_ref().map(|name| format!(" ('{name}')")).unwrap_or_default();
        format!("{}{name} of {}", INPUTS[input], self.label())
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

    /// An attribute, whose value is of this type.
    fn typed(&self, name: &str, kind: i32) -> Result<Option<&proto::Attribute>> {
        let Some(attribute) = self.find(name) else { return Ok(None) };
        attribute.check(kind).map_err(|got| self.fault(name, attribute_type::name(kind), got))?;
        Ok(Some(attribute))
    }

    fn integer(&self, name: &str, otherwise: i64) -> Result<i64> {
        Ok(self.typed(name, attribute_type::INT)?.map_or(otherwise, |attribute| attribute.i))
    }

    fn text(&self, name: &str, otherwise: &str) -> Result<String> {
        let Some(attribute) = self.typed(name, attribute_type::STRING)? else { return Ok(otherwise.to_owned()) };
        String::from_utf8(attribute.s.clone()).map_err(|_| self.fault(name, "text", "bytes that are none"))
    }

    /// The activations of each direction: f of an `RNN`, f and g of a `GRU`, f, g and h of an `LSTM`, and what is not there as
    /// it usually is.
    fn activations(&self, directions: usize) -> Result<Vec<[Activation; 3]>> {
        let names = self.typed("activations", attribute_type::STRINGS)?.map(|attribute| &attribute.strings);
        let names: Vec<_> = names.into_iter().flatten().map(|name| String::from_utf8_lossy(name)).collect();
        let usual = self.operator.activations();
        let count = usual.len() * directions;
        if !names.is_empty() && names.len() != count {
            return Err(self.fault("activations", format!("{count} names"), names.len()));
        }
        let mut constants = Constants::new(self)?;
        let mut named = names.iter().map(|name| self.activation(name, &mut constants));
        let mut directions: Vec<_> = (0..directions).map(|_| Equations::USUAL.activations).collect();
        for own in directions.iter_mut().flat_map(|own| own.iter_mut().zip(usual)) {
            let usual = if *own.1 == "Tanh" { Activation::Tanh } else { Activation::Sigmoid };
            *own.0 = named.next().unwrap_or(Ok(usual))?;
        }
        drop(named);
        constants.are_used()?;
        Ok(directions)
    }

    /// An activation by its name, with its constants or their defaults, those of the operators of these names.
    fn activation(&self, name: &str, constants: &mut Constants<'_>) -> Result<Activation> {
        let none = |which| move || self.fault(which, format!("a value for {name}, which has no default"), "none");
        Ok(match &*name.to_ascii_lowercase() {
            "tanh" => Activation::Tanh,
            "relu" => Activation::Relu,
            "sigmoid" => Activation::Sigmoid,
            "affine" => Activation::Affine {
                alpha: constants.alpha().ok_or_else(none("activation_alpha"))?,
                beta: constants.beta().ok_or_else(none("activation_beta"))?,
            },
            "leakyrelu" => Activation::LeakyRelu { alpha: constants.alpha().unwrap_or(0.01.into()) },
            "thresholdedrelu" => Activation::ThresholdedRelu { alpha: constants.alpha().unwrap_or(1.0.into()) },
            "scaledtanh" => Activation::ScaledTanh {
                alpha: constants.alpha().ok_or_else(none("activation_alpha"))?,
                beta: constants.beta().ok_or_else(none("activation_beta"))?,
            },
            "hardsigmoid" => Activation::HardSigmoid {
                alpha: constants.alpha().unwrap_or(0.2.into()),
                beta: constants.beta().unwrap_or(0.5.into()),
            },
            "elu" => Activation::Elu { alpha: constants.alpha().unwrap_or(1.0.into()) },
            "softsign" => Activation::Softsign,
            "softplus" => Activation::Softplus,
            _ => return Err(self.fault("activations", "names of the specification", name)),
        })
    }

    /// What can't be honoured is refused by name, and so is what is unknown or there twice.
    fn check_names(&self) -> Result<()> {
        let mut names = HashSet::new();
        for attribute in &self.node.attribute {
            let is_allowed = match (&*attribute.name, self.operator) {
                ("direction" | "hidden_size" | "layout" | "activations", _) => true,
                ("linear_before_reset", Operator::Gru) => true,
                ("input_forget", Operator::Lstm) => true,
                ("activation_alpha" | "activation_beta" | "clip", _) => true,
                // Before version 7 of the operators.
                ("output_sequence", _) => true,
                _ => false,
            };
            if !is_allowed {
                return Err(self.unsupported(&format!("attribute {}", attribute.name), "no cell here has it"));
            }
            if !names.insert(&*attribute.name) {
                return Err(self.fault(&format!("attribute {}", attribute.name), "it once", "it twice"));
            }
        }
        Ok(())
    }

    /// Refuses inputs and outputs that the operator does not have.
    fn check_places(&self) -> Result<()> {
        for (what, names, most) in [("inputs", &self.node.input, 0), ("outputs", &self.node.output, 1)]
            .map(|(what, names, place)| (what, names, self.operator.places()[place]))
        {
            if let Some(name) = names.iter().skip(most).find(|name| !name.is_empty()) {
                let reason = format!("{} has up to {most}", self.operator.name());
                return Err(self.unsupported(&format!("'{name}' among {} {what}", names.len()), &reason));
            }
        }
        Ok(())
    }

    fn unsupported(&self, what: &str, reason: &str) -> Error {
        Error::unsupported(format!("{what} of {} node '{}'", self.operator.name(), self.node.name), reason)
    }
}

/// The constants of activations, which take them in turn.
struct Constants<'a> {
    attributes: &'a Attributes<'a>,
    alpha: std::slice::Iter<'a, f32>,
    beta: std::slice::Iter<'a, f32>,
}

impl<'a> Constants<'a> {
    fn new(attributes: &'a Attributes<'a>) -> Result<Self> {
        let list = |name| -> Result<_> {
            let list = attributes.typed(name, attribute_type::FLOATS)?;
            Ok(list.map_or(&[][..], |attribute| &attribute.floats).iter())
        };
        Ok(Self { attributes, alpha: list("activation_alpha")?, beta: list("activation_beta")? })
    }

    fn alpha(&mut self) -> Option<Coefficient> {
        self.alpha.next().map(|&alpha| alpha.into())
    }

    fn beta(&mut self) -> Option<Coefficient> {
        self.beta.next().map(|&beta| beta.into())
    }

    /// Refuses those that no activation takes: which of them are meant is not known.
    fn are_used(&self) -> Result<()> {
        for (name, left) in [("activation_alpha", self.alpha.len()), ("activation_beta", self.beta.len())] {
            if left > 0 {
                let got = format!("{left} more");
                return Err(self.attributes.fault(name, "a value for each activation that takes one", got));
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
        Node::of_operator(&node, Operator::named(operator, "").unwrap())
    }

    fn numbers(name: &str, floats: &[f32]) -> proto::Attribute {
        proto::Attribute { floats: floats.to_vec(), ..attribute(name) }
    }

    #[test]
    fn cells_follow_from_operator_and_attributes() {
        assert_eq!(node("RNN", &[]).unwrap().cell(0).unwrap(), Cell::Elman(Activation::Tanh));
        assert_eq!(node("RNN", &[names(&["relu"])]).unwrap().cell(0).unwrap(), Cell::Elman(Activation::Relu));
        assert_eq!(node("LSTM", &[]).unwrap().activations, [Equations::USUAL.activations]);
        assert_eq!(node("GRU", &[]).unwrap().cell(0).unwrap(), Cell::Gru(Reset::Before));
        let after = proto::Attribute { i: 1, ..attribute("linear_before_reset") };
        assert_eq!(node("GRU", &[after]).unwrap().cell(0).unwrap(), Cell::Gru(Reset::After));
        assert_eq!([Operator::named("Gemm", ""), Operator::named("LSTM", "com.microsoft")], [None, None]);
    }

    /// Each takes the constants that it has, in turn, over both directions.
    #[test]
    fn activations_take_their_constants_in_turn() {
        let both = proto::Attribute { s: b"bidirectional".to_vec(), ..attribute("direction") };
        let names = names(&["HardSigmoid", "Affine", "Sigmoid", "LeakyRelu"]);
        let [alpha, beta] = [numbers("activation_alpha", &[0.1, 0.2, 0.3]), numbers("activation_beta", &[0.4, 0.5])];
        let hard = |alpha: f32, beta: f32| Activation::HardSigmoid { alpha: alpha.into(), beta: beta.into() };
        let leaky = |alpha: f32| Activation::LeakyRelu { alpha: alpha.into() };
        let affine = Activation::Affine { alpha: 0.2.into(), beta: 0.5.into() };
        let of = |attributes: &[_]| node("GRU", attributes).unwrap().activations;
        assert_eq!(
            of(&[both.clone(), names, alpha, beta]),
            [[hard(0.1, 0.4), affine, Activation::Tanh], [Activation::Sigmoid, leaky(0.3), Activation::Tanh]]
        );
        let defaults = super::tests::names(&["HardSigmoid", "Elu", "ThresholdedRelu", "LeakyRelu"]);
        let [elu, threshold] =
            [Activation::Elu { alpha: 1.0.into() }, Activation::ThresholdedRelu { alpha: 1.0.into() }];
        assert_eq!(
            of(&[both, defaults]),
            [[hard(0.2, 0.5), elu, Activation::Tanh], [threshold, leaky(0.01), Activation::Tanh]]
        );
    }

    /// Peers leave such attributes out silently, and give other numbers.
    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        let fault = |operator: &str, attributes: &[proto::Attribute], part: &str| {
            let error = node(operator, attributes).unwrap_err().to_string();
            assert!(error.contains("cell") && error.contains(operator) && error.contains(part), "{error}");
        };
        fault("LSTM", &[proto::Attribute { f: -3.0, ..attribute("clip") }], "clip");
        fault("GRU", &[proto::Attribute { i: 1, ..attribute("input_forget") }], "input_forget");
        fault("LSTM", &[names(&["Sigmoid", "Gelu", "Tanh"])], "Gelu");
        fault("LSTM", &[names(&["Sigmoid"])], "3 names");
        fault("RNN", &[names(&["Affine"])], "activation_alpha");
        fault("RNN", &[names(&["ScaledTanh"]), numbers("activation_alpha", &[1.0])], "activation_beta");
        fault("RNN", &[numbers("activation_alpha", &[0.1])], "activation_alpha");
        fault("RNN", &[names(&["Elu"]), numbers("activation_alpha", &[0.1, 0.2])], "1 more");
        fault("RNN", &[attribute("linear_before_reset")], "linear_before_reset");
        fault("GRU", &[proto::Attribute { s: b"sideways".to_vec(), ..attribute("direction") }], "sideways");
        fault("GRU", &[proto::Attribute { i: 2, ..attribute("layout") }], "layout");
        fault("GRU", &[attribute("new_one")], "new_one");
        let sizeless = proto::Node { op_type: "GRU".to_owned(), ..Default::default() };
        let error = Node::of_operator(&sizeless, Operator::Gru).unwrap_err().to_string();
        assert!(error.contains("hidden_size"), "{error}");
    }
}
