//! A node as a layer on a device, with inputs and outputs as ONNX lays them out.

use super::node::{INPUTS, Operator};
use super::{Node, Tensor};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::layer::{Bias, Lengths, Rnn, RnnCall, RnnConfig, State};
use crate::weights::{LayerWeights, RnnWeights};
use ndarray::{Array2, Array3, Array4, ArrayView2, ArrayView3, ArrayViewD, Axis, Ix2, Ix3, s};

/// A recurrent node with its weights on a device.
pub struct Layer {
    rnn: Rnn,
    operator: Operator,
    batch_first: bool,
}

/// What a node is run on.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// X: [T, N, I], or [N, T, I] where batches come first.
    pub x: ArrayView3<'a, f32>,
    /// sequence_lens: the valid steps of each sequence, from 1 to T; none: all.
    pub lengths: Option<Vec<usize>>,
    /// initial_h: [D, N, H], or [N, D, H] where batches come first; none: zeros.
    pub h: Option<ArrayView3<'a, f32>>,
    /// initial_c, the same.
    pub c: Option<ArrayView3<'a, f32>>,
}

impl<'a> Inputs<'a> {
    /// Full sequences from zeros.
    pub const fn new(x: ArrayView3<'a, f32>) -> Self {
        Self { x, lengths: None, h: None, c: None }
    }
}

/// What a node computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    /// Y: [T, D, N, H], or [N, T, D, H] where batches come first; 0 beyond a sequence's length.
    pub y: Array4<f32>,
    /// Y_h: [D, N, H], or [N, D, H], after each sequence's last valid step.
    pub h: Array3<f32>,
    /// Y_c of an `LSTM`, the same.
    pub c: Option<Array3<f32>>,
}

impl Node {
    /// A layer on a device, with the weights that the model holds and those given by the names that they have in the graph.
    ///
    /// # Errors
    /// [`MissingWeight`](Error::MissingWeight) where neither has W or R, [`Shape`](Error::Shape) where one does not fit, and
    /// as [`Rnn::new`].
    pub fn layer(&self, device: &Device, given: &[(&str, &Tensor)]) -> Result<Layer> {
        let directions = self.direction.count();
        let find = |input: usize| -> Result<Option<ArrayViewD<'_, f32>>> {
            let Some(name) = &self.inputs[input] else { return Ok(None) };
            let held = self.constants.iter().find(|(held, _)| held == name).map(|(_, tensor)| tensor);
            match given.iter().find(|(given, _)| given == name).map(|(_, tensor)| *tensor).or(held) {
                Some(Tensor::Numbers(array)) => Ok(Some(array.view())),
                Some(Tensor::Integers(_)) => Err(Error::value(self.of(input), "floats", "integers")),
                None => Err(Error::MissingWeight(self.of(input))),
            }
        };
        let required = |input: usize| find(input)?.ok_or_else(|| Error::MissingWeight(self.of(input)));
        let rows = self.operator.gates().len() * self.hidden_size;
        let w = self.fitted::<Ix3>(1, required(1)?, [Some(directions), Some(rows), None])?;
        let r = self.fitted::<Ix3>(2, required(2)?, [Some(directions), Some(rows), Some(self.hidden_size)])?;
        let b = find(3)?.map(|b| self.fitted::<Ix2>(3, b, [Some(directions), Some(2 * rows)])).transpose()?;
        let config = RnnConfig::new(self.cell, w.shape()[2], self.hidden_size)
            .direction(self.direction)
            .bias(if b.is_some() { Bias::Two } else { Bias::None })
            .batch_first(self.batch_first);
        let weights = (0..directions).map(|d| {
            let bias = |half: usize| {
                let b = b.as_ref()?.slice(s![d, half * rows..(half + 1) * rows]).insert_axis(Axis(1));
                Some(self.in_order(b).remove_axis(Axis(1)))
            };
            LayerWeights {
                w: self.in_order(w.index_axis(Axis(0), d)),
                r: self.in_order(r.index_axis(Axis(0), d)),
                b_w: bias(0),
                b_r: bias(1),
                w_hr: None,
                peepholes: None,
            }
        });
        let weights = RnnWeights::new(vec![weights.collect()]);
        let rnn = Rnn::new(device, &config, weights)?;
        Ok(Layer { rnn, operator: self.operator, batch_first: self.batch_first })
    }

    /// Rows of ONNX's gates in this library's order.
    fn in_order(&self, rows: ArrayView2<'_, f32>) -> Array2<f32> {
        let gate = |&gate: &usize| rows.slice(s![gate * self.hidden_size..(gate + 1) * self.hidden_size, ..]);
        let gates: Vec<_> = self.operator.gates().iter().map(gate).collect();
        ndarray::concatenate(Axis(0), &gates).unwrap_or_default()
    }

    /// An input's name for errors.
    fn of(&self, input: usize) -> String {
        let name = self.inputs[input].as_deref().unwrap_or("left out");
        format!("{} ('{name}') of {} node '{}'", INPUTS[input], self.operator.name(), self.name)
    }

    /// A tensor with as many dimensions, and these sizes where they are known.
    fn fitted<'t, D: ndarray::Dimension>(
        &self,
        input: usize,
        tensor: ArrayViewD<'t, f32>,
        sizes: impl AsRef<[Option<usize>]>,
    ) -> Result<ndarray::ArrayView<'t, f32, D>> {
        let sizes = sizes.as_ref();
        let shape = tensor.shape().to_vec();
        let fits = shape.len() == sizes.len()
            && shape.iter().zip(sizes).all(|(&got, &expected)| expected.is_none_or(|expected| expected == got));
        let text = |size: &Option<usize>| size.map_or_else(|| "any".to_owned(), |size| size.to_string());
        let expected = || sizes.iter().map(text).collect::<Vec<_>>().join(", ");
        let fault = || Error::Shape {
            tensor: self.of(input),
            expected: format!("[{}]", expected()),
            got: format!("{shape:?}"),
        };
        if !fits {
            return Err(fault());
        }
        tensor.into_dimensionality::<D>().map_err(|_| fault())
    }
}

impl Layer {
    /// The layer that this node is.
    pub fn rnn(&self) -> &Rnn {
        &self.rnn
    }

    /// Its configuration.
    pub fn config(&self) -> &RnnConfig {
        self.rnn.config()
    }

    /// Runs it.
    ///
    /// # Errors
    /// As [`Rnn::forward_with`].
    pub fn run(&self, inputs: &Inputs<'_>) -> Result<Outputs> {
        let config = self.rnn.config();
        let (directions, hidden) = (config.directions(), config.hidden_size());
        let batch = inputs.x.shape()[if self.batch_first { 0 } else { 1 }];
        let state = self.initial_state(inputs, [directions, batch, hidden])?;
        let call =
            RnnCall { lengths: inputs.lengths.clone().map_or(Lengths::Full, Lengths::Fixed), ..RnnCall::default() };
        let output = self.rnn.forward_with(inputs.x, state.as_ref(), &call)?;
        let shape = output.y.shape();
        let y = output.y.to_shape((shape[0], shape[1], directions, hidden)).map_err(|error| {
            Error::Plan(format!("an output of shape {shape:?} in {directions} directions: {error}"))
        })?;
        // [T, N, D, H] to [T, D, N, H].
        let y = if self.batch_first { y.to_owned() } else { y.permuted_axes([0, 2, 1, 3]).to_owned() };
        Ok(Outputs {
            y: y.as_standard_layout().into_owned(),
            h: self.laid_out(output.state.h),
            c: output.state.c.filter(|_| self.operator == Operator::Lstm).map(|c| self.laid_out(c)),
        })
    }

    /// The state that the inputs give, [D, N, H]; none for zeros.
    fn initial_state(&self, inputs: &Inputs<'_>, [directions, batch, hidden]: [usize; 3]) -> Result<Option<State>> {
        let expected = if self.batch_first { [batch, directions, hidden] } else { [directions, batch, hidden] };
        let part = |name: &str, given: &Option<ArrayView3<'_, f32>>| match given {
            None => Ok(Array3::zeros([directions, batch, hidden])),
            Some(given) if given.shape() != expected => Err(Error::shape(name, expected, given.shape())),
            Some(given) => Ok(self.laid_out(given.to_owned())),
        };
        if self.operator != Operator::Lstm && inputs.c.is_some() {
            return Err(Error::value("initial_c", format!("none for an {}", self.operator.name()), "one"));
        }
        if inputs.h.is_none() && inputs.c.is_none() {
            return Ok(None);
        }
        let (h, c) = (part("initial_h", &inputs.h)?, part("initial_c", &inputs.c)?);
        Ok(Some(State { h, c: (self.operator == Operator::Lstm).then_some(c) }))
    }

    /// States of one layout in the other one, if it is batches first.
    fn laid_out(&self, states: Array3<f32>) -> Array3<f32> {
        if !self.batch_first {
            return states;
        }
        states.permuted_axes([1, 0, 2]).as_standard_layout().into_owned()
    }
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layer").field("config", self.config()).finish_non_exhaustive()
    }
}

/// The lengths of sequences out of a tensor of integers.
///
/// # Errors
/// [`Value`](Error::Value) for floats, another number of dimensions than one, or a negative length.
pub fn lengths(tensor: &Tensor) -> Result<Vec<usize>> {
    let Tensor::Integers(array) = tensor else { return Err(Error::value("sequence_lens", "integers", "floats")) };
    if array.ndim() != 1 {
        return Err(Error::value("sequence_lens", "one dimension", format!("shape {:?}", array.shape())));
    }
    let length =
        |&length: &i64| usize::try_from(length).map_err(|_| Error::value("sequence_lens", "numbers from 1 on", length));
    array.iter().map(length).collect()
}
