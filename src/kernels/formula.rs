//! Functions of single elements as kernels have them: a list of terms, with their derivatives, in WGSL.

use crate::cells::{Activation, Coefficient};
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Values that a formula takes: a kernel binds each, its result, and where they lie.
pub(crate) const MAX_INPUTS: usize = 6;
/// Terms that a formula may have.
const MAX_TERMS: usize = 256;

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unary {
    /// An activation.
    Activation(Activation),
    /// e to its power.
    Exp,
    /// The natural logarithm.
    Ln,
    /// The square root.
    Sqrt,
    /// The absolute value.
    Abs,
    /// The number with the other sign.
    Negate,
}

/// A function of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Binary {
    /// Their sum.
    Add,
    /// The first one minus the second.
    Subtract,
    /// Their product.
    Multiply,
    /// The first one divided by the second.
    Divide,
    /// The larger one.
    Max,
    /// The smaller one.
    Min,
    /// 1 if the first one is less, else 0.
    Less,
    /// 1 if they are equal, else 0.
    Equal,
}

/// A step of a formula; numbers are those of earlier steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Term {
    /// The element of a value.
    Input(u8),
    /// The index along an axis of the result.
    Coordinate(u8),
    /// A number.
    Constant(Coefficient),
    /// A function of an earlier term.
    Unary(Unary, u16),
    /// A function of two earlier terms.
    Binary(Binary, u16, u16),
    /// The second term where the first one is not 0, else the third.
    Select(u16, u16, u16),
}

/// The function of single elements that a kernel computes. Two are equal if they have the same terms.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Formula(&'static Code);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Code {
    inputs: usize,
    /// The last one is the result.
    terms: Vec<Term>,
}

/// All formulas of this process, each once: variants of kernels are copied often.
static FORMULAS: LazyLock<Mutex<HashSet<&'static Code>>> = LazyLock::new(Mutex::default);

/// The terms of one function, equal ones once.
#[derive(Default)]
pub(super) struct Terms {
    pub list: Vec<Term>,
    places: HashMap<Term, u16>,
    /// What went wrong while it was written, to be told when it is compiled.
    pub fault: Option<&'static str>,
}

impl Terms {
    pub fn push(&mut self, term: Term) -> u16 {
        if let Some(&at) = self.places.get(&term) {
            return at;
        }
        if self.list.len() == MAX_TERMS {
            self.fault = Some("more terms than one kernel may have: make several maps of it");
            return 0;
        }
        let at = self.list.len() as u16;
        self.list.push(term);
        self.places.insert(term, at);
        at
    }
}

impl Term {
    /// The same with places of other terms changed.
    pub(super) fn moved(self, place: impl Fn(u16) -> u16) -> Self {
        match self {
            Self::Input(_) | Self::Coordinate(_) | Self::Constant(_) => self,
            Self::Unary(function, a) => Self::Unary(function, place(a)),
            Self::Binary(function, a, b) => Self::Binary(function, place(a), place(b)),
            Self::Select(a, b, c) => Self::Select(place(a), place(b), place(c)),
        }
    }

    /// The terms that it is computed from.
    fn sources(self) -> impl Iterator<Item = u16> {
        let sources = match self {
            Self::Input(_) | Self::Coordinate(_) | Self::Constant(_) => [None, None, None],
            Self::Unary(_, a) => [Some(a), None, None],
            Self::Binary(_, a, b) => [Some(a), Some(b), None],
            Self::Select(a, b, c) => [Some(a), Some(b), Some(c)],
        };
        sources.into_iter().flatten()
    }
}

impl Formula {
    /// The value itself.
    pub(crate) fn identity() -> Self {
        Self::of_terms(1, &[Term::Input(0)], 0)
    }

    /// The formula of the terms that a result depends on.
    pub(super) fn of_terms(inputs: usize, terms: &[Term], result: u16) -> Self {
        let end = usize::from(result) + 1;
        let mut needed = vec![false; end];
        needed[end - 1] = true;
        for (i, term) in terms[..end].iter().enumerate().rev() {
            if needed[i] {
                term.sources().for_each(|source| needed[usize::from(source)] = true);
            }
        }
        let mut places = vec![0; end];
        let mut kept = Vec::new();
        for i in (0..end).filter(|&i| needed[i]) {
            places[i] = kept.len() as u16;
            kept.push(terms[i].moved(|place| places[usize::from(place)]));
        }
        let code = Code { inputs, terms: kept };
        let mut formulas = FORMULAS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = formulas.get(&code) {
            return Self(known);
        }
        let code: &'static Code = Box::leak(Box::new(code));
        formulas.insert(code);
        Self(code)
    }

    /// How many values it takes.
    pub const fn inputs(self) -> usize {
        self.0.inputs
    }

    /// Its terms; the last one is the result.
    pub fn terms(self) -> &'static [Term] {
        &self.0.terms
    }

    /// Whether its result depends on a value.
    pub(crate) fn reads(self, input: usize) -> bool {
        self.terms().contains(&Term::Input(input as u8))
    }

    /// Whether it depends on where its element lies, along which axis at most.
    pub(crate) fn coordinates(self) -> Option<usize> {
        let axis = |term: &Term| if let Term::Coordinate(axis) = term { Some(usize::from(*axis)) } else { None };
        self.terms().iter().filter_map(axis).max()
    }

    /// The activations that it applies.
    pub(super) fn activations(self) -> impl Iterator<Item = Activation> {
        let activation = |term: &Term| match term {
            Term::Unary(Unary::Activation(activation), _) => Some(*activation),
            _ => None,
        };
        self.terms().iter().filter_map(activation)
    }

    /// The same of no more values than it reads, and which of its values these are.
    pub(crate) fn compact(self) -> (Self, Vec<usize>) {
        let read: Vec<usize> = (0..self.inputs()).filter(|&k| self.reads(k)).collect();
        let place = |k: u8| read.iter().position(|&other| other == usize::from(k)).unwrap_or(0) as u8;
        let terms: Vec<Term> = self
            .terms()
            .iter()
            .map(|&term| if let Term::Input(k) = term { Term::Input(place(k)) } else { term })
            .collect();
        let result = terms.len().saturating_sub(1) as u16;
        (Self::of_terms(read.len(), &terms, result), read)
    }

    /// The same for a result whose axes stand in another order: where each of them was before.
    pub(crate) fn with_axes(self, order: &[usize]) -> Self {
        let place = |axis: u8| order.iter().position(|&old| old == usize::from(axis)).unwrap_or(0) as u8;
        let moved = |&term: &Term| if let Term::Coordinate(axis) = term { Term::Coordinate(place(axis)) } else { term };
        let terms: Vec<Term> = self.terms().iter().map(moved).collect();
        Self::of_terms(self.inputs(), &terms, terms.len().saturating_sub(1) as u16)
    }

    /// Its derivative by one of its values times the derivative of a loss by its result, which is one more value after the others.
    /// None if its result does not depend on that value smoothly.
    pub(crate) fn derivative(self, input: usize) -> Option<Self> {
        let mut terms = Terms::default();
        // Terms keep their places: they are pushed in order, and none of them twice.
        let given = self.terms().iter().map(|&term| terms.push(term)).collect::<Vec<_>>();
        let mut slopes: Vec<Option<u16>> = vec![None; given.len()];
        let last = given.len().checked_sub(1)?;
        slopes[last] = Some(terms.push(Term::Input(self.inputs() as u8)));
        let mut result = None;
        for i in (0..given.len()).rev() {
            let Some(slope) = slopes[i] else { continue };
            if self.terms()[i] == Term::Input(input as u8) {
                result = Some(slope);
                continue;
            }
            for (source, part) in parts(&mut terms, i as u16, self.terms()[i], slope) {
                let known = &mut slopes[usize::from(source)];
                *known = Some(match *known {
                    None => part,
                    Some(other) => terms.push(Term::Binary(Binary::Add, other, part)),
                });
            }
        }
        Some(Self::of_terms(self.inputs() + 1, &terms.list, result?))
    }

    /// Its terms as WGSL: `t0`, `t1` and so on, from elements `e0`, `e1` and coordinates `c0`, `c1`.
    pub(super) fn wgsl(self) -> String {
        let mut text = String::new();
        for (i, &term) in self.terms().iter().enumerate() {
            let value = match term {
                Term::Input(k) => format!("e{k}"),
                Term::Coordinate(axis) => format!("f32(c{axis})"),
                Term::Constant(number) => constant(number.get()),
                Term::Unary(function, a) => unary(function, a),
                Term::Binary(function, a, b) => binary(function, a, b),
                Term::Select(a, b, c) => format!("select(t{c}, t{b}, t{a} != 0.0)"),
            };
            let _ = writeln!(text, "    let t{i} = {value};");
        }
        text
    }
}

fn number(value: f32) -> Term {
    Term::Constant(Coefficient::new(value))
}

/// What the derivative by a term adds to those by its sources.
fn parts(terms: &mut Terms, at: u16, term: Term, slope: u16) -> Vec<(u16, u16)> {
    let mut push = |term| terms.push(term);
    match term {
        Term::Input(_) | Term::Coordinate(_) | Term::Constant(_) => vec![],
        Term::Unary(function, a) => {
            let by = match function {
                Unary::Activation(activation) => {
                    let by = activation_slope(&mut push, activation, a, at);
                    return vec![(a, push(Term::Binary(Binary::Multiply, slope, by)))];
                }
                Unary::Exp => Term::Binary(Binary::Multiply, slope, at),
                Unary::Ln => Term::Binary(Binary::Divide, slope, a),
                Unary::Sqrt => {
                    let two = push(number(2.0));
                    let twice = push(Term::Binary(Binary::Multiply, two, at));
                    Term::Binary(Binary::Divide, slope, twice)
                }
                Unary::Abs => {
                    let zero = push(number(0.0));
                    let [below, above] = [(a, zero), (zero, a)].map(|(a, b)| push(Term::Binary(Binary::Less, a, b)));
                    let sign = push(Term::Binary(Binary::Subtract, above, below));
                    Term::Binary(Binary::Multiply, slope, sign)
                }
                Unary::Negate => Term::Unary(Unary::Negate, slope),
            };
            vec![(a, push(by))]
        }
        Term::Binary(function, a, b) => match function {
            Binary::Add => vec![(a, slope), (b, slope)],
            Binary::Subtract => vec![(a, slope), (b, push(Term::Unary(Unary::Negate, slope)))],
            Binary::Multiply => [(a, b), (b, a)]
                .into_iter()
                .map(|(of, by)| (of, push(Term::Binary(Binary::Multiply, slope, by))))
                .collect(),
            Binary::Divide => {
                let first = push(Term::Binary(Binary::Divide, slope, b));
                let product = push(Term::Binary(Binary::Multiply, first, at));
                vec![(a, first), (b, push(Term::Unary(Unary::Negate, product)))]
            }
            Binary::Max | Binary::Min => {
                let (zero, half) = (push(number(0.0)), push(number(0.5)));
                let part = push(Term::Binary(Binary::Multiply, slope, half));
                let equal = push(Term::Binary(Binary::Equal, a, b));
                let shared = push(Term::Select(equal, part, zero));
                let mut share = |less, more| {
                    let is = push(Term::Binary(Binary::Less, less, more));
                    push(Term::Select(is, slope, shared))
                };
                let [a_less, b_less] = [share(a, b), share(b, a)];
                if function == Binary::Max { vec![(a, b_less), (b, a_less)] } else { vec![(a, a_less), (b, b_less)] }
            }
            Binary::Less | Binary::Equal => vec![],
        },
        Term::Select(a, b, c) => {
            let zero = push(number(0.0));
            vec![(b, push(Term::Select(a, slope, zero))), (c, push(Term::Select(a, zero, slope)))]
        }
    }
}

/// The derivative of an activation at `a`, where it gave `y`.
fn activation_slope(push: &mut impl FnMut(Term) -> u16, activation: Activation, a: u16, y: u16) -> u16 {
    let [zero, one] = [0.0, 1.0].map(|value| push(number(value)));
    let mut binary = |function, a, b| push(Term::Binary(function, a, b));
    match activation {
        Activation::Tanh => {
            let square = binary(Binary::Multiply, y, y);
            binary(Binary::Subtract, one, square)
        }
        Activation::Sigmoid => {
            let rest = binary(Binary::Subtract, one, y);
            binary(Binary::Multiply, y, rest)
        }
        Activation::Relu => binary(Binary::Less, zero, a),
        Activation::Affine { alpha, .. } => push(Term::Constant(alpha)),
        Activation::LeakyRelu { alpha } => {
            let above = binary(Binary::Less, zero, a);
            let alpha = push(Term::Constant(alpha));
            push(Term::Select(above, one, alpha))
        }
        Activation::ThresholdedRelu { alpha } => {
            let alpha = push(Term::Constant(alpha));
            push(Term::Binary(Binary::Less, alpha, a))
        }
        // αβ·(1 − tanh²(βa))
        Activation::ScaledTanh { alpha, beta } => {
            let factor = push(number(alpha.get() * beta.get()));
            let beta = push(Term::Constant(beta));
            let inner = push(Term::Binary(Binary::Multiply, beta, a));
            let tanh = push(Term::Unary(Unary::Activation(Activation::Tanh), inner));
            let square = push(Term::Binary(Binary::Multiply, tanh, tanh));
            let rest = push(Term::Binary(Binary::Subtract, one, square));
            push(Term::Binary(Binary::Multiply, factor, rest))
        }
        Activation::HardSigmoid { alpha, .. } => {
            let above = binary(Binary::Less, zero, y);
            let below = binary(Binary::Less, y, one);
            let inside = binary(Binary::Multiply, above, below);
            let alpha = push(Term::Constant(alpha));
            push(Term::Binary(Binary::Multiply, inside, alpha))
        }
        // α·eᵃ is y + α below 0.
        Activation::Elu { alpha } => {
            let above = binary(Binary::Less, zero, a);
            let alpha = push(Term::Constant(alpha));
            let below = push(Term::Binary(Binary::Add, y, alpha));
            push(Term::Select(above, one, below))
        }
        Activation::Softsign => {
            let size = push(Term::Unary(Unary::Abs, a));
            let sum = push(Term::Binary(Binary::Add, one, size));
            let part = push(Term::Binary(Binary::Divide, one, sum));
            push(Term::Binary(Binary::Multiply, part, part))
        }
        Activation::Softplus => push(Term::Unary(Unary::Activation(Activation::Sigmoid), a)),
    }
}

/// The shortest text that is this number; what WGSL has no literal for is put together when the shader runs.
fn constant(value: f32) -> String {
    match value {
        _ if value.is_nan() => "bitcast<f32>(p.nan)".to_owned(),
        f32::INFINITY => "bitcast<f32>(p.infinity)".to_owned(),
        f32::NEG_INFINITY => "-bitcast<f32>(p.infinity)".to_owned(),
        _ => format!("f32({value:?})"),
    }
}

fn unary(function: Unary, a: u16) -> String {
    match function {
        Unary::Activation(activation) => {
            let (name, constants) = activation.parts();
            let constants = constants.into_iter().flatten();
            let constants: String = constants.map(|constant| format!(", {:?}", constant.get())).collect();
            format!("{name}(t{a}{constants})")
        }
        Unary::Exp => format!("exp_(t{a})"),
        Unary::Ln => format!("log_(t{a})"),
        Unary::Sqrt => format!("sqrt_(t{a})"),
        Unary::Abs => format!("abs(t{a})"),
        Unary::Negate => format!("-t{a}"),
    }
}

fn binary(function: Binary, a: u16, b: u16) -> String {
    match function {
        Binary::Add => format!("t{a} + t{b}"),
        Binary::Subtract => format!("t{a} - t{b}"),
        Binary::Multiply => format!("t{a} * t{b}"),
        Binary::Divide => format!("t{a} / t{b}"),
        Binary::Max => format!("larger(t{a}, t{b})"),
        Binary::Min => format!("-larger(-t{a}, -t{b})"),
        Binary::Less => format!("select(0.0, 1.0, t{a} < t{b})"),
        Binary::Equal => format!("select(0.0, 1.0, t{a} == t{b})"),
    }
}

impl std::fmt::Debug for Formula {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.terms()).finish()
    }
}

/// As one writes it: `(x0 + x1) * 2`. Of a long one, how many terms it has.
impl std::fmt::Display for Formula {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHORT: usize = 12;
        let terms = self.terms();
        if terms.len() > SHORT {
            // Equal lengths are told apart by what they hold.
            let hash = format!("{terms:?}")
                .bytes()
                .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
            return write!(f, "{} terms {hash:08x}", terms.len());
        }
        let mut texts: Vec<String> = Vec::new();
        for &term in terms {
            let text = |at: u16| texts[usize::from(at)].as_str();
            texts.push(match term {
                Term::Input(k) => format!("x{k}"),
                Term::Coordinate(axis) => format!("i{axis}"),
                Term::Constant(number) => format!("{}", number.get()),
                Term::Unary(Unary::Activation(activation), a) => format!("{activation}({})", text(a)),
                Term::Unary(Unary::Negate, a) => format!("-{}", text(a)),
                Term::Unary(function, a) => format!("{}({})", format!("{function:?}").to_lowercase(), text(a)),
                Term::Binary(function, a, b) => {
                    let sign = match function {
                        Binary::Add => "+",
                        Binary::Subtract => "-",
                        Binary::Multiply => "*",
                        Binary::Divide => "/",
                        Binary::Max => "max",
                        Binary::Min => "min",
                        Binary::Less => "<",
                        Binary::Equal => "=",
                    };
                    format!("({} {sign} {})", text(a), text(b))
                }
                Term::Select(a, b, c) => format!("({} ? {} : {})", text(a), text(b), text(c)),
            });
        }
        f.write_str(texts.last().map_or("", String::as_str))
    }
}
