//! Builds a model's plan from its outputs back: only what they need is computed.

use super::super::attributes::label;
use super::super::external::DataFiles;
use super::super::fold;
use super::super::proto;
use super::super::rules::Call;
use super::super::scopes::{Place, ScopeId, is, is_standard};
use super::super::tensor::{Constant, Tensor};
use super::super::values::{Finder, Given, Held, Values};
use super::item::{Integers, Item, Numbers, with_axes};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::layer::BatchLengths;
use crate::plan::Value;
use crate::tensor::Tensor as DeviceTensor;
use crate::train::Tape;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Elements that one node may make by repeating others, at most; and so many for each element of the inputs, where that is more.
const REPEATED: usize = 1 << 24;
const REPEATS: usize = 64;

/// An input of the model on the device.
pub(super) struct Input {
    pub name: String,
    pub shape: Vec<usize>,
    pub kind: InputKind,
}

pub(super) enum InputKind {
    Numbers(DeviceTensor),
    Integers {
        tensor: DeviceTensor<u32>,
        /// Rows of the tables that it is looked up in; its elements are less.
        tables: Vec<usize>,
        /// Whether it is also read as numbers, of which negative ones stand for no rows.
        is_number: bool,
        /// Whether it is an output too, whose numbers floats have to hold.
        is_output: bool,
        /// Lengths of recurrent layers that it is.
        lengths: Vec<BatchLengths>,
        /// Whether anything but lengths reads it.
        is_read: bool,
    },
}

impl InputKind {
    fn integers(tensor: DeviceTensor<u32>) -> Self {
        let [is_number, is_output, is_read] = [false; 3];
        Self::Integers { tensor, tables: Vec::new(), is_number, is_output, lengths: Vec::new(), is_read }
    }
}

/// Builds a node: gives its outputs.
pub(super) type Build = fn(&mut Builder<'_>, &Site<'_>) -> Result<Vec<Item>>;

/// What builds a node of an operator; none where nothing does.
pub(super) type Find = fn(&proto::Node) -> Option<Build>;

/// A plan under construction.
pub(super) struct Builder<'a> {
    pub values: &'a Arc<Values>,
    pub finder: Finder<'a>,
    pub tape: Tape,
    pub inputs: Vec<Input>,
    find: Find,
    items: HashMap<(ScopeId, String), Item>,
    computed: HashSet<usize>,
    constants: HashMap<usize, (Arc<Constant>, Value)>,
    /// Operators that can't be built: how many nodes have each, and why.
    lacking: BTreeMap<String, (usize, String)>,
    /// Elements of the inputs.
    elements: usize,
}

/// A node with its inputs.
pub(super) struct Site<'a> {
    pub node: &'a proto::Node,
    pub index: usize,
    pub call: Call<'a>,
    pub inputs: Vec<Option<Item>>,
}

impl<'a> Builder<'a> {
    pub fn new(values: &'a Arc<Values>, device: &Device, given: Given<'a>, find: Find) -> Result<Self> {
        Ok(Self {
            values,
            finder: Finder::new(values, given),
            tape: Tape::evaluating(device)?,
            inputs: Vec::new(),
            find,
            items: HashMap::new(),
            computed: HashSet::new(),
            constants: HashMap::new(),
            lacking: BTreeMap::new(),
            elements: 0,
        })
    }

    pub fn files(&self) -> &'a DataFiles {
        &self.values.scopes.files
    }

    pub fn device(&self) -> &Device {
        self.tape.device()
    }

    /// Makes an input of the model a value.
    pub fn add_input(&mut self, name: &str, shape: &[usize], is_integer: bool) -> Result<()> {
        if shape.contains(&0) {
            let what = format!("input '{name}' of shape {shape:?}");
            return Err(Error::unsupported(what, "arrays on a device have elements"));
        }
        let size = with_axes(shape);
        self.elements = self.elements.saturating_add(crate::tensor::elements(&size)?);
        let device = self.tape.device().clone();
        let input = self.inputs.len();
        let shape = shape.to_vec();
        let (item, kind) = if is_integer {
            let tensor = DeviceTensor::zeros(&device, &size)?;
            let value = self.tape.input(&tensor)?;
            let item = Item::Integers(Integers { value, shape: shape.clone(), input: Some(input) });
            (item, InputKind::integers(tensor))
        } else {
            let tensor = DeviceTensor::zeros(&device, &size)?;
            let value = self.tape.input(&tensor)?;
            (Item::Numbers(Numbers { value, shape: shape.clone() }), InputKind::Numbers(tensor))
        };
        self.items.insert((0, name.to_owned()), item);
        self.inputs.push(Input { name: name.to_owned(), shape, kind });
        Ok(())
    }

    /// A value by the name that a scope has for it, computed if need be.
    pub fn item(&mut self, name: &str, scope: ScopeId) -> Result<Item> {
        let mut open = Vec::new();
        if let Some(node) = self.missing(name, scope)? {
            open.push(node);
        }
        let mut on_the_way: HashSet<usize> = open.iter().copied().collect();
        // A chain of any length takes no stack.
        while let Some(&next) = open.last() {
            match self.step(next)? {
                Some(before) if !on_the_way.insert(before) => {
                    let node = self.values.scopes.node(before)?;
                    return Err(Error::Onnx(format!("{} computes what it is computed from", label(&node))));
                }
                Some(before) => open.push(before),
                None => {
                    open.pop();
                    on_the_way.remove(&next);
                }
            }
        }
        self.have(name, scope)
    }

    /// The node that has to be computed before a value is there.
    fn missing(&mut self, name: &str, scope: ScopeId) -> Result<Option<usize>> {
        let Some((Place::Node { node, .. }, owner)) = self.values.scopes.place(name, scope) else { return Ok(None) };
        let key = (owner, name.to_owned());
        if self.items.contains_key(&key) || self.computed.contains(&node) || self.is_given(name, scope) {
            return Ok(None);
        }
        // What follows from constants alone is known once for all plans.
        if let Held::Constant(constant) = self.finder.held(name, scope)? {
            self.items.insert(key, Item::Known(constant));
            return Ok(None);
        }
        Ok(Some(node))
    }

    fn is_given(&self, name: &str, scope: ScopeId) -> bool {
        let owner = self.values.scopes.place(name, scope).map(|(_, owner)| owner);
        owner == Some(0) && self.finder.given().get(name).is_some()
    }

    /// A value that was computed, or that the model or the caller holds.
    fn have(&self, name: &str, scope: ScopeId) -> Result<Item> {
        let Some((place, owner)) = self.values.scopes.place(name, scope) else {
            return Err(Error::Onnx(format!("nothing in the graph makes '{name}'")));
        };
        if let Some(item) = self.items.get(&(owner, name.to_owned())) {
            return Ok(item.clone());
        }
        match (place, self.is_given(name, scope)) {
            (Place::Node { .. }, false) => Err(Error::Onnx(format!("'{name}' is not computed"))),
            _ => match self.finder.held(name, scope)? {
                Held::Constant(constant) => Ok(Item::Known(constant)),
                _ if owner == 0 => {
                    let expected = "its shape among the shapes, or its value among the tensors that are given";
                    Err(Error::value(format!("input '{name}' of the model"), expected, "neither"))
                }
                _ => Ok(Item::Lacking),
            },
        }
    }

    /// Computes a node, or says which one has to be computed before.
    fn step(&mut self, index: usize) -> Result<Option<usize>> {
        let values = self.values;
        let scope = values.scopes.scope_of(index);
        let node = values.scopes.node(index)?;
        if is(&node, "If") {
            return self.branch(index, &node, scope);
        }
        for name in node.input.iter().filter(|name| !name.is_empty()) {
            if let Some(before) = self.missing(name, scope)? {
                return Ok(Some(before));
            }
        }
        let mut inputs = Vec::new();
        for name in &node.input {
            inputs.push(if name.is_empty() { None } else { Some(self.have(name, scope)?) });
        }
        let known = inputs.iter().map(|item| match item {
            Some(Item::Known(constant)) => Some(constant.clone()),
            _ => None,
        });
        let known: Vec<_> = known.collect();
        let all_known = node.input.iter().zip(&known).all(|(name, known)| name.is_empty() || known.is_some());
        let limit = if all_known { values.remaining() } else { REPEATED.max(REPEATS.saturating_mul(self.elements)) };
        let call = Call { node: &node, known, opset: values.opset, limit };
        let outputs = self.compute(&Site { node: &node, index, call, inputs })?;
        self.keep(index, &node, scope, outputs)?;
        Ok(None)
    }

    fn keep(&mut self, index: usize, node: &proto::Node, scope: ScopeId, outputs: Vec<Item>) -> Result<()> {
        self.computed.insert(index);
        if let Some(name) = node.output.iter().skip(outputs.len()).find(|name| !name.is_empty()) {
            let what = format!("output '{name}' of {}", label(node));
            return Err(Error::unsupported(what, "it is not computed here"));
        }
        for (name, item) in node.output.iter().zip(outputs).filter(|(name, _)| !name.is_empty()) {
            self.items.entry((scope, name.clone())).or_insert(item);
        }
        Ok(())
    }

    fn compute(&mut self, site: &Site<'_>) -> Result<Vec<Item>> {
        let count = site.node.output.len();
        if site.inputs.iter().flatten().any(|item| matches!(item, Item::Lacking)) {
            return Ok(vec![Item::Lacking; count]);
        }
        let all_known = site.inputs.iter().flatten().all(|item| matches!(item, Item::Known(_)));
        if all_known && fold::is_known(site.node) {
            let tensors = fold::evaluate(&site.call, self.files())?;
            self.values.spend(tensors.iter().map(Tensor::len).sum());
            return Ok(tensors.into_iter().map(Item::known).collect());
        }
        let Some(build) = (self.find)(site.node) else {
            self.lack(site, "no operation of this library computes it");
            return Ok(vec![Item::Lacking; count]);
        };
        match build(self, site) {
            // What an operator asks for and can't have is reported with all others.
            Err(Error::Unsupported { what, reason }) => {
                self.lack(site, &format!("{what} {reason}"));
                Ok(vec![Item::Lacking; count])
            }
            other => other,
        }
    }

    fn lack(&mut self, site: &Site<'_>, reason: &str) {
        let node = site.node;
        let name =
            if is_standard(&node.domain) { node.op_type.clone() } else { format!("{}.{}", node.domain, node.op_type) };
        self.lacking.entry(name).or_insert_with(|| (0, format!("{}: {reason}", label(node)))).0 += 1;
    }

    /// Refuses a model with operators that can't be built; the error lists all of them.
    pub fn check_lacking(&self) -> Result<()> {
        if self.lacking.is_empty() {
            return Ok(());
        }
        let entry = |(name, (count, reason)): (&String, &(usize, String))| format!("{name} ({count} nodes; {reason})");
        let list: Vec<_> = self.lacking.iter().map(entry).collect();
        let what = "a plan of the whole model";
        Err(Error::unsupported(what, format!("these operators are lacking: {}", list.join("; "))))
    }

    /// An `If` whose condition is known is the branch that it takes.
    fn branch(&mut self, index: usize, node: &proto::Node, scope: ScopeId) -> Result<Option<usize>> {
        let condition = node.input.first().ok_or_else(|| Error::Onnx(format!("{} has no condition", label(node))))?;
        if let Some(before) = self.missing(condition, scope)? {
            return Ok(Some(before));
        }
        let taken = match self.have(condition, scope)? {
            Item::Known(constant) => fold::truth(&constant.tensor),
            _ => None,
        };
        let Some(taken) = taken else {
            let call = Call { node, known: Vec::new(), opset: self.values.opset, limit: 0 };
            let site = Site { node, index, call, inputs: Vec::new() };
            self.lack(&site, "its condition is known only when the model runs");
            self.keep(index, node, scope, vec![Item::Lacking; node.output.len()])?;
            return Ok(None);
        };
        let attribute = if taken { "then_branch" } else { "else_branch" };
        let values = self.values;
        let body = values.scopes.body(index, attribute);
        let body = body.ok_or_else(|| Error::Onnx(format!("{} has no {attribute}", label(node))))?;
        let names = &values.scopes.scope(body).outputs;
        for name in names {
            if let Some(before) = self.missing(name, body)? {
                return Ok(Some(before));
            }
        }
        let outputs = names.iter().map(|name| self.have(name, body)).collect::<Result<Vec<_>>>()?;
        self.keep(index, node, scope, outputs)?;
        Ok(None)
    }

    /// A known array of floats as a value of the plan.
    pub fn constant(&mut self, constant: &Arc<Constant>, call: &Call<'_>) -> Result<Value> {
        let key = Arc::as_ptr(constant) as usize;
        if let Some((_, value)) = self.constants.get(&key) {
            return Ok(value.clone());
        }
        let Tensor::Numbers(array) = &constant.tensor else {
            return Err(call.fault("integers beside floats"));
        };
        if array.is_empty() {
            return Err(call.attributes().unsupported("an array without elements", "arrays on a device have some"));
        }
        let tensor = DeviceTensor::zeros(self.tape.device(), &with_axes(array.shape()))?;
        tensor.write(array.to_shape(with_axes(array.shape())).map_err(|error| call.fault(error))?.view())?;
        let value = self.tape.input(&tensor)?;
        self.constants.insert(key, (constant.clone(), value.clone()));
        Ok(value)
    }

    /// Known indices as a value of the plan.
    pub fn indices(&mut self, indices: &[usize]) -> Result<Value> {
        let indices: ndarray::Array1<u32> = indices.iter().map(|&index| index as u32).collect();
        let tensor = DeviceTensor::from_array(self.tape.device(), indices.view())?;
        self.tape.input(&tensor)
    }

    /// Another shape of the same elements, which are copied where they lie in another order.
    pub fn reshaped(&mut self, value: &Value, shape: &[usize]) -> Result<Value> {
        let shape = with_axes(shape);
        match value.reshape(&shape) {
            Ok(value) => Ok(value),
            Err(_) => self.tape.contiguous(value)?.reshape(&shape),
        }
    }
}

impl Site<'_> {
    /// The number of inputs that are there.
    pub fn item(&self, input: usize) -> Result<&Item> {
        let item = self.inputs.get(input).and_then(Option::as_ref);
        item.ok_or_else(|| self.call.fault(format!("input {input} is left out")))
    }

    pub fn shape(&self, input: usize) -> Result<&[usize]> {
        self.item(input)?.shape().ok_or_else(|| self.call.fault("a value that is lacking"))
    }

    /// Floats of an input, on the device.
    pub fn numbers(&self, builder: &mut Builder<'_>, input: usize) -> Result<Numbers> {
        match self.item(input)? {
            Item::Numbers(numbers) => Ok(numbers.clone()),
            Item::Known(constant) => {
                let value = builder.constant(constant, &self.call)?;
                Ok(Numbers { value, shape: constant.tensor.shape().to_vec() })
            }
            Item::Integers(_) | Item::Lacking => {
                let what = format!("input {input}, integers that are known when the model runs,");
                Err(self
                    .call
                    .attributes()
                    .unsupported(&what, "they can be looked up in a table, cast to floats, or be lengths"))
            }
        }
    }

    /// An input that may be left out.
    pub fn optional_numbers(&self, builder: &mut Builder<'_>, input: usize) -> Result<Option<Numbers>> {
        if self.call.has(input) { self.numbers(builder, input).map(Some) } else { Ok(None) }
    }
}
