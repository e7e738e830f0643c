//! Recurrent nodes: their attributes, and which tensor is which.

use super::attributes::Attributes;
use super::proto::{self, attribute_type};
use super::scopes::{ScopeId, is_standard};
use super::values::Values;
use crate::cells::{Activation, Cell, Coefficient, Equations, Reset};
use crate::config::Direction;
use crate::error::{Error, Result};
use std::sync::Arc;

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
        if is_quantized(name, domain) {
            return Some(Self::Lstm);
        }
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

/// Whether this is ONNX Runtime's LSTM with weights of eight bits.
fn is_quantized(name: &str, domain: &str) -> bool {
    name == "DynamicQuantizeLSTM" && domain == "com.microsoft"
}

/// The inputs of a recurrent node, in ONNX's order.
const INPUTS: [&str; 8] = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"];

/// Those that a `DynamicQuantizeLSTM` has behind them: scales and zero points of W and R.
const QUANTIZATION: usize = 4;

/// The largest hidden size: more units could not be indexed by the 32-bit words of a shader.
const MOST_UNITS: usize = 1 << 24;

/// A recurrent node of a model.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, which may be empty. That of a node in a body of an `If`, `Loop` or `Scan` begins with the names of the nodes
    /// and attributes that lead to it: `if/then_branch/lstm`.
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
    /// Whether it is a `DynamicQuantizeLSTM` (com.microsoft), whose weights have eight bits. It runs with their values as
    /// floats, and X and h are not rounded to eight bits as ONNX Runtime does: results are nearer to those of the model before it
    /// was quantised.
    pub quantized: bool,
    /// The names of X, W, R, B, `sequence_lens`, `initial_h`, `initial_c` and P in the graph; `None` for those left
    /// out.
    pub inputs: [Option<String>; 8],
    /// The names of Y, Y_h and Y_c.
    pub outputs: [Option<String>; 3],
    /// Scales and zero points: W's scale, W's zero point, and those of R.
    pub(super) quantization: [Option<String>; QUANTIZATION],
    /// The model's values, and the graph or body whose names the inputs are.
    pub(super) values: Arc<Values>,
    pub(super) scope: ScopeId,
}

impl Node {
    /// The recurrent node that is a model's `i`-th node.
    pub(super) fn new(values: &Arc<Values>, i: usize) -> Result<Self> {
        let mut node = values.scopes.node(i)?;
        node.name = values.scopes.path(i, &values.scopes.head(i)?);
        let operator = Operator::named(&node.op_type, &node.domain);
        let operator = operator.ok_or_else(|| Error::Onnx(format!("node {i} is no recurrent node")))?;
        Self::of_operator(&node, operator, values.clone(), values.scopes.scope_of(i))
    }

    fn of_operator(node: &proto::Node, operator: Operator, values: Arc<Values>, scope: ScopeId) -> Result<Self> {
        let attributes = RecurrentAttributes { of: Attributes { node }, operator };
        let quantized = is_quantized(&node.op_type, &node.domain);
        attributes.check_allowed()?;
        let direction = match &*attributes.text("direction", "forward")? {
            "forward" => Direction::Forward,
            "reverse" => Direction::Reverse,
            "bidirectional" => Direction::Bidirectional,
            other => return Err(attributes.fault("direction", "forward, reverse or bidirectional", other)),
        };
        attributes.check_places(quantized)?;
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
            quantized,
            inputs: std::array::from_fn(|i| name(&node.input, i)),
            outputs: std::array::from_fn(|i| name(&node.output, i)),
            quantization: std::array::from_fn(|i| name(&node.input, INPUTS.len() + i)),
            values,
            scope,
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
    pub(super) fn label(&self) -> String {
        let operator = if self.quantized { "DynamicQuantizeLSTM" } else { self.operator.name() };
        format!("{operator} node '{}'", self.name)
    }

    /// An input for errors.
    pub(super) fn of(&self, input: usize) -> String {
        let name = self.inputs[input].as_ref().map(|name| format!(" ('{name}')")).unwrap_or_default();
        format!("{}{name} of {}", INPUTS[input], self.label())
    }
}

/// The attributes of a recurrent node.
struct RecurrentAttributes<'a> {
    of: Attributes<'a>,
    operator: Operator,
}

impl<'a> std::ops::Deref for RecurrentAttributes<'a> {
    type Target = Attributes<'a>;

    fn deref(&self) -> &Attributes<'a> {
        &self.of
    }
}

impl RecurrentAttributes<'_> {
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

    /// Refuses attributes that the operator does not have.
    fn check_allowed(&self) -> Result<()> {
        self.check_names(|name| match (name, self.operator) {
            ("direction" | "hidden_size" | "layout" | "activations", _) => true,
            ("linear_before_reset", Operator::Gru) => true,
            ("input_forget", Operator::Lstm) => true,
            ("activation_alpha" | "activation_beta" | "clip", _) => true,
            // Before version 7 of the operators.
            ("output_sequence", _) => true,
            _ => false,
        })
    }

    /// Refuses inputs and outputs that the operator does not have.
    fn check_places(&self, quantized: bool) -> Result<()> {
        let [inputs, outputs] = self.operator.places();
        let places = [inputs + if quantized { QUANTIZATION } else { 0 }, outputs];
        for (what, names, most) in [("inputs", &self.node.input, 0), ("outputs", &self.node.output, 1)]
            .map(|(what, names, place)| (what, names, places[place]))
        {
            if let Some(name) = names.iter().skip(most).find(|name| !name.is_empty()) {
                let reason = format!("{} has up to {most}", self.operator.name());
                return Err(self.unsupported(&format!("'{name}' among {} {what}", names.len()), &reason));
            }
        }
        Ok(())
    }
}

/// The constants of activations, which take them in turn.
struct Constants<'a> {
    attributes: &'a RecurrentAttributes<'a>,
    alpha: std::slice::Iter<'a, f32>,
    beta: std::slice::Iter<'a, f32>,
}

impl<'a> Constants<'a> {
    fn new(attributes: &'a RecurrentAttributes<'a>) -> Result<Self> {
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
    use super::super::external::Nothing;
    use super::super::scopes::Scopes;
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
        of_operator(&node, Operator::named(operator, "").unwrap())
    }

    fn of_operator(node: &proto::Node, operator: Operator) -> Result<Node> {
        let scopes = Scopes::new(proto::Graph::default(), &mut Nothing).unwrap();
        Node::of_operator(node, operator, Arc::new(Values::new(scopes, 1, 0)), 0)
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
        let error = of_operator(&sizeless, Operator::Gru).unwrap_err().to_string();
        assert!(error.contains("hidden_size"), "{error}");
    }
}
