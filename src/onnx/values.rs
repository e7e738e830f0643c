//! Where the values of a graph come from: the model holds them, nodes compute them from what it holds, or the caller gives them.

use super::attributes::label;
use super::fold;
use super::proto;
use super::rules::Call;
use super::scopes::{Place, ScopeId, Scopes, is};
use super::tensor::{Constant, Tensor};
use crate::error::{Error, Result};
use prost::Message as _;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// The values of a graph by name. What is known of a tensor or a node is found out once, when it is first needed, and shared.
pub(super) struct Values {
    pub scopes: Scopes,
    /// The version of the standard operators.
    pub opset: i64,
    initializers: Vec<OnceLock<Found>>,
    nodes: Vec<OnceLock<Found>>,
    /// Elements of computed constants that may still be made, all together: a file of a few bytes may ask for any number.
    budget: AtomicUsize,
}

/// What is known of each output of a node.
type Found = Box<Result<Arc<[Held]>>>;

/// What a model knows of a value.
#[derive(Clone, Debug)]
pub(super) enum Held {
    /// Its value.
    Constant(Arc<Constant>),
    /// A node computes it, and it has no number other than 0, whatever its shape.
    Zeros { by: Arc<str> },
    /// A node computes it, from what is known when the model runs, or by an operator that is not evaluated before.
    Computed { since: Arc<str> },
    /// It is an input of the graph, or of a body.
    Input,
    /// Nothing in the graph makes it.
    Unknown,
}

/// Tensors that a caller gives, by name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given<'a>(&'a [(&'a str, &'a Tensor)]);

impl<'a> Given<'a> {
    pub fn new(given: &'a [(&'a str, &'a Tensor)]) -> Result<Self> {
        let mut names: Vec<_> = given.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Error::value(format!("tensor '{}'", pair[0]), "to be given once", "it twice")),
            None => Ok(Self(given)),
        }
    }

    pub fn get(&self, name: &str) -> Option<&'a Tensor> {
        self.0.iter().find(|(given, _)| *given == name).map(|(_, tensor)| *tensor)
    }
}

/// What is known of values, with what a caller gives in place of what the model holds.
pub(super) struct Finder<'a> {
    values: &'a Values,
    given: Given<'a>,
    constants: RefCell<HashMap<String, Arc<Constant>>>,
    /// Of nodes, where something is given: their results may come from it.
    own: RefCell<HashMap<usize, Found>>,
}

/// Where a name leads to.
enum Way {
    Held(Held),
    Node { node: usize, output: usize },
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Values").field("opset", &self.opset).finish_non_exhaustive()
    }
}

impl Values {
    pub fn new(scopes: Scopes, opset: i64, file_size: usize) -> Self {
        let once = |count: usize| std::iter::repeat_with(OnceLock::new).take(count).collect();
        Self {
            initializers: once(scopes.initializer_count()),
            nodes: once(scopes.node_count()),
            scopes,
            opset,
            // Some steps between what a file holds and the weights fit, and a bomb does not.
            budget: AtomicUsize::new(file_size.saturating_mul(8).saturating_add(1 << 22)),
        }
    }

    /// Elements of computed constants that may still be made.
    pub fn remaining(&self) -> usize {
        self.budget.load(Ordering::Relaxed)
    }

    /// Notes that constants of so many elements were made.
    pub fn spend(&self, elements: usize) {
        let rest = |rest: usize| Some(rest.saturating_sub(elements));
        // It always succeeds.
        let _ = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
    }

    /// What the model knows of a value, as a scope names it.
    pub fn held(&self, name: &str, scope: ScopeId) -> Result<Held> {
        Finder::new(self, Given::default()).held(name, scope)
    }

    fn of_initializer(&self, i: usize, name: &str) -> Result<Held> {
        let found = self.initializers[i].get_or_init(|| {
            let find = || {
                let tensor = proto::Tensor::decode(self.scopes.initializer(i));
                let tensor = tensor.map_err(|error| Error::Onnx(format!("tensor '{name}': {error}")))?;
                let constant = Constant::new(Tensor::new(&tensor, name, &self.scopes.files)?);
                Ok([Held::Constant(Arc::new(constant))].into())
            };
            Box::new(find())
        });
        again(found).map(|held| held[0].clone())
    }
}

impl<'a> Finder<'a> {
    pub fn new(values: &'a Values, given: Given<'a>) -> Self {
        Self { values, given, constants: RefCell::default(), own: RefCell::default() }
    }

    /// What the caller gives.
    pub fn given(&self) -> Given<'a> {
        self.given
    }

    /// What is known of a value, as a scope names it.
    pub fn held(&self, name: &str, scope: ScopeId) -> Result<Held> {
        match self.way(name, scope)? {
            Way::Held(held) => Ok(held),
            Way::Node { node, output } => {
                self.find(node)?;
                Ok(self.found(node)?.and_then(|held| held.get(output).cloned()).unwrap_or(Held::Unknown))
            }
        }
    }

    fn way(&self, name: &str, scope: ScopeId) -> Result<Way> {
        let place = self.values.scopes.place(name, scope);
        // What a caller names are values of the graph itself.
        if place.is_none_or(|(_, owner)| owner == 0)
            && let Some(tensor) = self.given.get(name)
        {
            let mut constants = self.constants.borrow_mut();
            let constant = constants.entry(name.to_owned()).or_insert_with(|| Arc::new(Constant::new(tensor.clone())));
            return Ok(Way::Held(Held::Constant(constant.clone())));
        }
        Ok(Way::Held(match place.map(|(place, _)| place) {
            None => Held::Unknown,
            Some(Place::Input) => Held::Input,
            Some(Place::Sparse) => {
                let reason = "weights, states and lengths are dense tensors";
                return Err(Error::unsupported(format!("sparse tensor '{name}'"), reason));
            }
            Some(Place::Several(first, second)) => {
                let reason = format!("'{name}' is the name of {first} and of {second}, expected one value of a name");
                return Err(Error::Onnx(reason));
            }
            Some(Place::Initializer(i)) => self.values.of_initializer(i, name)?,
            Some(Place::Node { node, output }) => return Ok(Way::Node { node, output }),
        }))
    }

    /// What was found of a node's outputs.
    fn found(&self, node: usize) -> Result<Option<Arc<[Held]>>> {
        if self.given.0.is_empty() {
            return self.values.nodes[node].get().map(again).transpose();
        }
        self.own.borrow().get(&node).map(again).transpose()
    }

    fn keep(&self, node: usize, found: Result<Arc<[Held]>>) {
        if self.given.0.is_empty() {
            // Another thread may have been first: it found the same.
            let _ = self.values.nodes[node].set(Box::new(found));
        } else {
            self.own.borrow_mut().insert(node, Box::new(found));
        }
    }

    /// Finds what is known of a node's outputs, after those that they come from: a chain of any length takes no stack.
    fn find(&self, node: usize) -> Result<()> {
        let mut open = vec![node];
        let mut on_the_way = HashSet::from([node]);
        while let Some(&next) = open.last() {
            let missing = match self.found(next) {
                Ok(None) => self.step(next),
                // An error is kept for who asks for it.
                Ok(Some(_)) | Err(_) => Ok(None),
            };
            match missing {
                Ok(Some(before)) => {
                    if !on_the_way.insert(before) {
                        let node = self.values.scopes.node(before)?;
                        return Err(Error::Onnx(format!("{} computes what it is computed from", label(&node))));
                    }
                    open.push(before);
                    continue;
                }
                Ok(None) => {}
                Err(error) => self.keep(next, Err(error)),
            }
            open.pop();
            on_the_way.remove(&next);
        }
        Ok(())
    }

    /// Keeps what is known of a node's outputs, or says which node has to be looked at before.
    fn step(&self, node: usize) -> Result<Option<usize>> {
        let scope = self.values.scopes.scope_of(node);
        let decoded = self.values.scopes.node(node)?;
        let by: Arc<str> = label(&decoded).into();
        let all = |held: Held| -> Arc<[Held]> { vec![held; decoded.output.len()].into() };
        if is(&decoded, "If") {
            return self.branch(node, &decoded);
        }
        if let ("Shape", Some(name)) = (&*decoded.op_type, decoded.input.first())
            && let Some(shape) = self.declared_shape(name, scope)
        {
            let call =
                Call { node: &decoded, known: Vec::new(), opset: self.values.opset, limit: self.values.remaining() };
            let constant = Constant::new(fold::shape(&call, &shape)?);
            self.keep(node, Ok(all(Held::Constant(Arc::new(constant)))));
            return Ok(None);
        }
        let computed = |way: String| Held::Computed { since: format!("{by} computes it{way}").into() };
        let moves = moves(&decoded);
        if moves.is_none() && !fold::is_known(&decoded) {
            self.keep(node, Ok(all(computed(String::new()))));
            return Ok(None);
        }
        let mut inputs = Vec::new();
        let mut unknown = None;
        for (i, name) in decoded.input.iter().enumerate() {
            if name.is_empty() {
                inputs.push(None);
                continue;
            }
            let held = match self.way(name, scope)? {
                Way::Held(held) => held,
                Way::Node { node: before, output } => match self.found(before)? {
                    Some(held) => held.get(output).cloned().unwrap_or(Held::Unknown),
                    None => return Ok(Some(before)),
                },
            };
            let mut is_zeros = false;
            let (constant, reason) = match held {
                Held::Constant(constant) => (Some(constant), String::new()),
                Held::Zeros { by } => {
                    is_zeros = true;
                    (None, format!("{by} computes it"))
                }
                Held::Computed { since } => (None, since.to_string()),
                Held::Input => (None, "an input of the graph".to_owned()),
                Held::Unknown => (None, "which nothing in the graph makes".to_owned()),
            };
            inputs.push(constant);
            if reason.is_empty() {
                continue;
            }
            unknown.get_or_insert_with(|| format!(" from '{name}', {reason}"));
            // Nothing follows from what is not constant, but that zeros remain zeros wherever they are moved.
            if moves.is_none_or(|count| i < count && !is_zeros) {
                self.keep(node, Ok(all(computed(unknown.unwrap_or_default()))));
                return Ok(None);
            }
        }
        let unknown = unknown.unwrap_or_default();
        self.keep(node, self.evaluate(&decoded, inputs, moves, &by, &unknown));
        Ok(None)
    }

    /// The shape of an input of the graph, where the graph says all of it.
    fn declared_shape(&self, name: &str, scope: ScopeId) -> Option<Vec<usize>> {
        let (place, owner) = self.values.scopes.place(name, scope)?;
        let inputs = &self.values.scopes.scope(owner).inputs;
        let input = inputs.iter().find(|input| input.name == name && place == Place::Input)?;
        input.shape.as_ref()?.iter().copied().collect()
    }

    /// What is known of the outputs of a node whose inputs are known, or whose moved inputs are constants or zeros.
    fn evaluate(
        &self,
        node: &proto::Node,
        known: Vec<Option<Arc<Constant>>>,
        moves: Option<usize>,
        by: &Arc<str>,
        unknown: &str,
    ) -> Result<Arc<[Held]>> {
        let is_known = node.input.iter().zip(&known).all(|(name, constant)| name.is_empty() || constant.is_some());
        if is_known && fold::is_known(node) {
            let call = Call { node, known, opset: self.values.opset, limit: self.values.remaining() };
            let tensors = fold::evaluate(&call, &self.values.scopes.files)?;
            self.values.spend(tensors.iter().map(Tensor::len).sum());
            return Ok(tensors.into_iter().map(|tensor| Held::Constant(Arc::new(Constant::new(tensor)))).collect());
        }
        // Those that are not known are zeros, or say only how these are moved.
        let moved = &known[..moves.unwrap_or(0).min(known.len())];
        let is_zero = moved.iter().all(|constant| constant.as_ref().is_none_or(|constant| constant.is_zero()));
        let is_zero =
            is_zero && (node.op_type != "ConstantOfShape" || fold::fills_with_zero(node, &self.values.scopes.files)?);
        let held = if is_zero {
            Held::Zeros { by: by.clone() }
        } else {
            let since = format!("{by} computes it{unknown}");
            Held::Computed { since: since.into() }
        };
        Ok(vec![held; node.output.len()].into())
    }

    /// An `If` whose condition is known is the branch that it takes.
    fn branch(&self, node: usize, decoded: &proto::Node) -> Result<Option<usize>> {
        let by = label(decoded);
        let scopes = &self.values.scopes;
        let condition = match decoded.input.first().map(|name| self.way(name, scopes.scope_of(node))).transpose()? {
            Some(Way::Node { node: before, output }) => match self.found(before)? {
                Some(held) => held.get(output).cloned(),
                None => return Ok(Some(before)),
            },
            Some(Way::Held(held)) => Some(held),
            None => None,
        };
        let taken = match condition {
            Some(Held::Constant(constant)) => fold::truth(&constant.tensor),
            _ => None,
        };
        let Some(taken) = taken else {
            let since = format!("{by} computes it, whose condition is known when the model runs");
            self.keep(node, Ok(vec![Held::Computed { since: since.into() }; decoded.output.len()].into()));
            return Ok(None);
        };
        let attribute = if taken { "then_branch" } else { "else_branch" };
        let Some(body) = scopes.body(node, attribute) else {
            return Err(Error::Onnx(format!("{by} has no {attribute}")));
        };
        let mut held = Vec::new();
        for name in &scopes.scope(body).outputs {
            held.push(match self.way(name, body)? {
                Way::Held(held) => held,
                Way::Node { node: before, output } => match self.found(before)? {
                    Some(found) => found.get(output).cloned().unwrap_or(Held::Unknown),
                    None => return Ok(Some(before)),
                },
            });
        }
        if held.len() != decoded.output.len() {
            let got = held.len();
            return Err(Error::Onnx(format!("{by}: {got} values of {attribute} for {} outputs", decoded.output.len())));
        }
        self.keep(node, Ok(held.into()));
        Ok(None)
    }
}

/// What was found, again: many nodes may read one value.
fn again(found: &Found) -> Result<Arc<[Held]>> {
    match &**found {
        Ok(held) => Ok(held.clone()),
        Err(Error::Unsupported { what, reason }) => Err(Error::unsupported(what, reason)),
        Err(Error::OutOfMemory { what, bytes }) => Err(Error::OutOfMemory { what: what.clone(), bytes: *bytes }),
        Err(Error::Onnx(reason)) => Err(Error::Onnx(reason.clone())),
        Err(other) => Err(Error::Onnx(other.to_string())),
    }
}

/// How many of a node's inputs hold the elements of its outputs; none where it computes others.
fn moves(node: &proto::Node) -> Option<usize> {
    /// Operators whose every output has no elements but those of the first input, or those as another type.
    const OF_THE_FIRST: [&str; 15] = [
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
    match () {
        () if is(node, "ConstantOfShape") => Some(0),
        () if is(node, "Concat") => Some(node.input.len()),
        () if OF_THE_FIRST.iter().any(|operator| is(node, operator)) => Some(1),
        () => None,
    }
}
