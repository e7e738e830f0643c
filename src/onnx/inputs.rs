//! What a layer is run on: what its caller gives, and else what the model holds.

use super::node::{Node, Operator};
use super::tensor::{Constant, Tensor};
use super::values::{Finder, Held};
use crate::error::{Error, Result};
use ndarray::{ArrayView3, Axis, Ix3};
use std::sync::Arc;

/// The inputs of a node. A field that is `None` takes the value that the model holds. If the node leaves the input out,
/// it takes the value stated at the field.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inputs<'a> {
    /// X: [T, N, I], or [N, T, I] where batches come first.
    pub x: ArrayView3<'a, f32>,
    /// `sequence_lens`: the valid steps of each sequence, from 0 to T. Left out by the node: T for all.
    pub lengths: Option<Vec<usize>>,
    /// `initial_h`: [D, N, H], or [N, D, H] where batches come first. Left out by the node: zeros.
    pub h: Option<ArrayView3<'a, f32>>,
    /// `initial_c` of an `LSTM`: [D, N, H], or [N, D, H] where batches come first. Left out by the node: zeros.
    pub c: Option<ArrayView3<'a, f32>>,
}

impl<'a> Inputs<'a> {
    /// Only X. Lengths and states are those that the model holds, or else full sequences from zeros.
    pub const fn new(x: ArrayView3<'a, f32>) -> Self {
        Self { x, lengths: None, h: None, c: None }
    }

    /// Sets `sequence_lens`.
    pub fn lengths(self, lengths: impl Into<Option<Vec<usize>>>) -> Self {
        Self { lengths: lengths.into(), ..self }
    }

    /// Sets `initial_h`.
    pub fn h(self, h: impl Into<Option<ArrayView3<'a, f32>>>) -> Self {
        Self { h: h.into(), ..self }
    }

    /// Sets `initial_c` of an `LSTM`.
    pub fn c(self, c: impl Into<Option<ArrayView3<'a, f32>>>) -> Self {
        Self { c: c.into(), ..self }
    }
}

/// Takes the lengths of sequences out of a tensor of integers.
///
/// # Errors
/// [`Value`](Error::Value) for floats, another number of dimensions than one, or a negative length.
pub fn lengths(tensor: &Tensor) -> Result<Vec<usize>> {
    lengths_of(tensor, "sequence_lens")
}

fn lengths_of(tensor: &Tensor, what: &str) -> Result<Vec<usize>> {
    let Tensor::Integers(array) = tensor else { return Err(Error::value(what, "integers", "floats")) };
    if array.ndim() != 1 {
        return Err(Error::value(what, "one dimension", format!("shape {:?}", array.shape())));
    }
    let length = |&length: &i64| usize::try_from(length).map_err(|_| Error::value(what, "numbers from 0 on", length));
    array.iter().map(length).collect()
}

/// The places of the inputs that a layer has values of its own for, and the fields of [`Inputs`] for them.
const LENGTHS: (usize, &str) = (4, "lengths");
const H: (usize, &str) = (5, "h");
const C: (usize, &str) = (6, "c");

/// An input that a caller need not give.
struct Optional<T> {
    /// The input, for errors.
    what: String,
    /// What it is where the caller gives none.
    otherwise: Otherwise<T>,
}

enum Otherwise<T> {
    /// Zeros, or full sequences.
    Usual,
    Held(T),
    /// The caller has to give it, since ...
    Required(String),
}

impl<T> Optional<T> {
    /// None for the usual one.
    fn held(&self, (_, field): (usize, &str)) -> Result<Option<&T>> {
        match &self.otherwise {
            Otherwise::Usual => Ok(None),
            Otherwise::Held(held) => Ok(Some(held)),
            Otherwise::Required(since) => {
                Err(Error::value(&self.what, format!("a value in `Inputs::{field}`, since {since}"), "none"))
            }
        }
    }
}

/// A value of a node, of those that are known when its layer is made.
pub(super) enum Known {
    Constant(Arc<Constant>),
    /// Nothing but zeros, of whatever shape.
    Zeros,
    /// It is not known, since ...; and whether that is because a node computes it.
    Not {
        since: String,
        is_computed: bool,
    },
}

impl Node {
    /// The value of an input; none where the node leaves it out.
    pub(super) fn known(&self, input: usize, finder: &Finder<'_>) -> Result<Option<Known>> {
        self.inputs[input].as_deref().map(|name| self.known_by_name(name, finder)).transpose()
    }

    pub(super) fn known_by_name(&self, name: &str, finder: &Finder<'_>) -> Result<Known> {
        Ok(match finder.held(name, self.scope)? {
            Held::Constant(constant) => Known::Constant(constant),
            Held::Zeros { .. } => Known::Zeros,
            Held::Computed { since } => Known::Not { since: since.to_string(), is_computed: true },
            Held::Input => Known::Not { since: "it is an input of the graph".to_owned(), is_computed: false },
            Held::Unknown => Known::Not { since: "nothing in the graph makes it".to_owned(), is_computed: false },
        })
    }
}

/// What a layer runs on where its caller gives nothing, and the sizes that all of it has to have.
pub(super) struct Defaults {
    x: String,
    lengths: Optional<Vec<usize>>,
    /// As ONNX lays them out; of the right size but for N.
    states: [Optional<Arc<Constant>>; 2],
    operator: Operator,
    sizes: Sizes,
}

struct Sizes {
    input: usize,
    directions: usize,
    hidden: usize,
    batch_first: bool,
}

impl Defaults {
    /// `input` is I, as W has it.
    pub fn new(node: &Node, finder: &Finder<'_>, input: usize) -> Result<Self> {
        let (directions, hidden) = (node.direction.count(), node.hidden_size);
        let sizes = Sizes { input, directions, hidden, batch_first: node.batch_first };
        Ok(Self {
            x: node.of(0),
            lengths: held_lengths(node, finder)?,
            states: [held_state(node, H.0, finder, &sizes)?, held_state(node, C.0, finder, &sizes)?],
            operator: node.operator,
            sizes,
        })
    }

    /// All inputs, with what the model holds in place of what the caller leaves out.
    pub fn resolve<'a>(&'a self, inputs: &'a Inputs<'_>) -> Result<Inputs<'a>> {
        let [steps, batch] = self.sizes.check_x(&self.x, inputs.x.shape())?;
        if self.operator != Operator::Lstm && inputs.c.is_some() {
            let reason = format!("a node of {} has no cell state: leave `Inputs::c` out", self.operator.name());
            return Err(Error::unsupported(&self.states[1].what, reason));
        }
        Ok(Inputs {
            x: inputs.x.view(),
            lengths: self.lengths(&inputs.lengths, steps, batch)?,
            h: self.state(0, H, &inputs.h, batch)?,
            c: self.state(1, C, &inputs.c, batch)?,
        })
    }

    fn lengths(&self, given: &Option<Vec<usize>>, steps: usize, batch: usize) -> Result<Option<Vec<usize>>> {
        let what = &self.lengths.what;
        let (lengths, source) = match given {
            Some(given) => (given, ""),
            None => match self.lengths.held(LENGTHS)? {
                None => return Ok(None),
                Some(held) => (held, ", which the model holds: give `Inputs::lengths` in their place"),
            },
        };
        if lengths.len() != batch {
            let expected = format!("[{batch}], one for each sequence of x");
            let got = format!("[{}]{source}", lengths.len());
            return Err(Error::Shape { tensor: what.clone(), expected, got });
        }
        match lengths.iter().position(|&length| length > steps) {
            Some(n) => {
                let got = format!("{} for sequence {n}{source}", lengths[n]);
                Err(Error::value(what, format!("lengths from 0 to {steps}, the steps of x"), got))
            }
            None => Ok(Some(lengths.clone())),
        }
    }

    fn state<'a>(
        &'a self,
        i: usize,
        input: (usize, &str),
        given: &'a Option<ArrayView3<'_, f32>>,
        batch: usize,
    ) -> Result<Option<ArrayView3<'a, f32>>> {
        let what = &self.states[i].what;
        let expected = self.sizes.state(batch);
        if let Some(given) = given {
            let fits = given.shape() == expected;
            return if fits { Ok(Some(given.view())) } else { Err(Error::shape(what, expected, given.shape())) };
        }
        let Some(held) = self.states[i].held(input)? else { return Ok(None) };
        let fault = |got: &[usize]| Error::Shape {
            tensor: what.clone(),
            expected: format!("{expected:?} for the {batch} sequences of x"),
            got: format!("{got:?}, which the model holds: give `Inputs::{}` in its place", input.1),
        };
        match &held.tensor {
            Tensor::Numbers(array) if array.shape() == expected => {
                array.view().into_dimensionality::<Ix3>().map(Some).map_err(|_| fault(array.shape()))
            }
            other => Err(fault(other.shape())),
        }
    }
}

fn held_lengths(node: &Node, finder: &Finder<'_>) -> Result<Optional<Vec<usize>>> {
    let what = node.of(LENGTHS.0);
    let held = |tensor: &Tensor| lengths_of(tensor, &what).map(Otherwise::Held);
    let otherwise = match node.known(LENGTHS.0, finder)? {
        None => Otherwise::Usual,
        Some(Known::Constant(constant)) => held(&constant.tensor)?,
        // Lengths of 0, but of how many sequences?
        Some(Known::Zeros) => Otherwise::Required("the graph computes it".to_owned()),
        Some(Known::Not { since, .. }) => Otherwise::Required(since),
    };
    Ok(Optional { what, otherwise })
}

fn held_state(node: &Node, input: usize, finder: &Finder<'_>, sizes: &Sizes) -> Result<Optional<Arc<Constant>>> {
    let what = node.of(input);
    let constant = match node.known(input, finder)? {
        None | Some(Known::Zeros) => return Ok(Optional { what, otherwise: Otherwise::Usual }),
        Some(Known::Not { since, .. }) => return Ok(Optional { what, otherwise: Otherwise::Required(since) }),
        Some(Known::Constant(constant)) => constant,
    };
    match &constant.tensor {
        Tensor::Numbers(array) => sizes.check_state(&what, array.shape())?,
        Tensor::Integers(_) => return Err(Error::value(what, "floats", "integers")),
    }
    // PyTorch writes zeros for as many sequences as there were when the model was traced: they are zeros for any number.
    let otherwise = if constant.is_zero() { Otherwise::Usual } else { Otherwise::Held(constant) };
    Ok(Optional { what, otherwise })
}

impl Sizes {
    /// The shape of X, which says T and N.
    fn check_x(&self, what: &str, x: &[usize]) -> Result<[usize; 2]> {
        let [steps, batch] = if self.batch_first { [x[1], x[0]] } else { [x[0], x[1]] };
        if x[2] == self.input && steps > 0 && batch > 0 {
            return Ok([steps, batch]);
        }
        let order = if self.batch_first { "N, T" } else { "T, N" };
        let expected = format!("[{order}, {}] with at least one step and one sequence", self.input);
        Err(Error::Shape { tensor: what.to_owned(), expected, got: format!("{x:?}") })
    }

    /// Refuses a state of other sizes, whatever N is.
    fn check_state(&self, what: &str, shape: &[usize]) -> Result<()> {
        let batch = shape.get(usize::from(!self.batch_first)).copied().unwrap_or(0);
        if batch > 0 && shape == self.state(batch) {
            return Ok(());
        }
        let Self { directions, hidden, .. } = self;
        let expected = if self.batch_first {
            format!("[N, {directions}, {hidden}]")
        } else {
            format!("[{directions}, N, {hidden}]")
        };
        Err(Error::Shape { tensor: what.to_owned(), expected, got: format!("{shape:?}") })
    }

    /// The shape of a state.
    fn state(&self, batch: usize) -> [usize; 3] {
        let directions = self.directions;
        if self.batch_first { [batch, directions, self.hidden] } else { [directions, batch, self.hidden] }
    }
}

/// The axis of the steps of X, and that of its sequences.
pub(super) fn axes(batch_first: bool) -> [Axis; 2] {
    let steps = usize::from(batch_first);
    [Axis(steps), Axis(1 - steps)]
}
