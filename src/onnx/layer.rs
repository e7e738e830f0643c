//! A node as a layer on a device, with inputs and outputs as ONNX lays them out.

use super::inputs::{Defaults, Inputs, Known, axes};
use super::memory::zeros;
use super::node::{Node, Operator};
use super::rules::Call;
use super::tensor::{Constant, Tensor};
use super::values::{Finder, Given};
use super::{fold, proto};
use crate::config::{Bias, Direction, RnnConfig};
use crate::device::{Device, block_on};
use crate::dialects::System;
use crate::error::{Error, Result};
use crate::layer::{Lengths, Rnn, RnnCall, RnnOutput, State};
use crate::tensor::check_finite;
use crate::weights::{LayerWeights, RnnWeights};
use ndarray::{Array1, Array3, Array4, ArrayView2, ArrayView3, ArrayViewD, Axis, Ix2, Ix3, Ix4, s};
use std::sync::Arc;

/// A recurrent node with its weights on a device.
pub struct Layer {
    parts: Vec<Rnn>,
    operator: Operator,
    batch_first: bool,
    defaults: Defaults,
}

/// The outputs of a node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outputs {
    /// Y: [T, D, N, H], or [N, T, D, H] where batches come first; 0 beyond a sequence's length.
    pub y: Array4<f32>,
    /// Y_h: [D, N, H], or [N, D, H], after each sequence's last valid step; 0 where it has none.
    pub h: Array3<f32>,
    /// Y_c of an `LSTM`: [D, N, H], or [N, D, H], after each sequence's last valid step; 0 where it has none.
    pub c: Option<Array3<f32>>,
}

/// What a node is weighted with: W [D, G·H, I], R [D, G·H, H], B [D, 2·G·H] and P [D, 3·H].
struct Tensors<'a> {
    w: ArrayView3<'a, f32>,
    r: ArrayView3<'a, f32>,
    b: Option<ArrayView2<'a, f32>>,
    p: Option<ArrayView2<'a, f32>>,
}

/// The places of W, R, B and P among a node's inputs.
const WEIGHTS: [usize; 4] = [1, 2, 3, 7];

impl Node {
    /// Makes a layer on a device from the weights that the model holds and those in `given`, which are found by the
    /// names that they have in the graph. Given tensors take precedence over those of the model, also for
    /// `sequence_lens`, `initial_h` and `initial_c`; [`Inputs`] take precedence over both when the layer runs. X comes
    /// only with [`Inputs`]. Tensors that this node does not read are ignored, so one list serves all nodes of a model.
    ///
    /// # Errors
    /// [`MissingWeight`](Error::MissingWeight) where the node has no W or R, [`Value`](Error::Value) where one is an input of
    /// the graph and is not given, [`Unsupported`](Error::Unsupported) where the graph computes it and it is not given,
    /// [`Shape`](Error::Shape) where one does not fit, [`NotFinite`](Error::NotFinite), and as [`Rnn::new`].
    pub fn layer(&self, device: &Device, given: &[(&str, &Tensor)]) -> Result<Layer> {
        self.layer_of(device, &Finder::new(&self.values, Given::new(given)?))
    }

    /// A layer of what is known of the node's inputs.
    pub(super) fn layer_of(&self, device: &Device, finder: &Finder<'_>) -> Result<Layer> {
        self.check()?;
        let weights = self.weights(finder)?;
        let tensors = self.tensors(&weights)?;
        let defaults = Defaults::new(self, finder, tensors.w.len_of(Axis(2)))?;
        // Two directions are one layer where they have the same activations.
        let alike = self.activations.windows(2).all(|pair| pair[0] == pair[1]);
        let parts = if alike {
            let weights = (0..self.direction.count()).map(|d| self.own_weights(&tensors, d)).collect::<Result<_>>()?;
            let config = self.config(&tensors, 0)?.direction(self.direction);
            vec![Rnn::new(device, &config, RnnWeights::new(vec![weights]))?]
        } else {
            let part = |(d, direction)| {
                let weights = RnnWeights::new(vec![vec![self.own_weights(&tensors, d)?]]);
                Rnn::new(device, &self.config(&tensors, d)?.direction(direction), weights)
            };
            [Direction::Forward, Direction::Reverse].into_iter().enumerate().map(part).collect::<Result<_>>()?
        };
        Ok(Layer { parts, operator: self.operator, batch_first: self.batch_first, defaults })
    }

    /// W, R, B and P; none of those that the node leaves out.
    fn weights(&self, finder: &Finder<'_>) -> Result<[Option<Arc<Constant>>; 4]> {
        let mut weights = [const { None }; 4];
        for (place, input) in WEIGHTS.into_iter().enumerate() {
            weights[place] = match self.weight(input, finder)? {
                None if place < 2 => return Err(Error::MissingWeight(self.of(input))),
                Some(weight) if self.quantized && place < 2 => Some(self.dequantized(place, weight, finder)?),
                other => other,
            };
        }
        Ok(weights)
    }

    /// W, R, B and P, with the sizes that they have to have.
    fn tensors<'a>(&self, weights: &'a [Option<Arc<Constant>>; 4]) -> Result<Tensors<'a>> {
        let directions = self.direction.count();
        let rows = self.cell(0)?.gates() * self.hidden_size;
        let array = |place: usize| -> Result<Option<ArrayViewD<'a, f32>>> {
            match weights[place].as_ref().map(|weight| &weight.tensor) {
                None => Ok(None),
                Some(Tensor::Numbers(array)) => Ok(Some(array.view())),
                Some(Tensor::Integers(_)) => Err(Error::value(self.of(WEIGHTS[place]), "floats", "integers")),
            }
        };
        let required = |place| array(place)?.ok_or_else(|| Error::MissingWeight(self.of(WEIGHTS[place])));
        let vectors = |place: usize, size: usize| {
            let fitted = |array| self.fitted::<Ix2>(WEIGHTS[place], array, [Some(directions), Some(size)]);
            array(place)?.map(fitted).transpose()
        };
        Ok(Tensors {
            w: self.fitted::<Ix3>(1, required(0)?, [Some(directions), Some(rows), None])?,
            r: self.fitted::<Ix3>(2, required(1)?, [Some(directions), Some(rows), Some(self.hidden_size)])?,
            b: vectors(2, 2 * rows)?,
            p: vectors(3, 3 * self.hidden_size)?,
        })
    }

    /// The weights of a direction as this library has them.
    fn own_weights(&self, tensors: &Tensors<'_>, d: usize) -> Result<LayerWeights> {
        let cell = self.cell(d)?;
        let rows = tensors.w.len_of(Axis(1));
        let bias = |half: usize| {
            let own =
                |b: &ArrayView2<'_, f32>| System::Onnx.to_own(cell, b.slice(s![d, half * rows..(half + 1) * rows]));
            tensors.b.as_ref().map(own).transpose()
        };
        let peepholes = |p: &ArrayView2<'_, f32>| {
            // Those of i, o and f; g sees nothing.
            let none = Array1::zeros(self.hidden_size);
            let all = ndarray::concatenate![Axis(0), p.index_axis(Axis(0), d), none];
            System::Onnx.to_own(cell, all.view())
        };
        Ok(LayerWeights {
            w: System::Onnx.to_own(cell, tensors.w.index_axis(Axis(0), d))?,
            r: System::Onnx.to_own(cell, tensors.r.index_axis(Axis(0), d))?,
            b_w: bias(0)?,
            b_r: bias(1)?,
            w_hr: None,
            peepholes: tensors.p.as_ref().map(peepholes).transpose()?,
            norm: None,
        })
    }

    /// The configuration of a direction.
    fn config(&self, tensors: &Tensors<'_>, d: usize) -> Result<RnnConfig> {
        let mut config = RnnConfig::new(self.cell(d)?, tensors.w.len_of(Axis(2)), self.hidden_size)
            .bias(if tensors.b.is_some() { Bias::Two } else { Bias::None })
            .batch_first(self.batch_first)
            .coupled(self.coupled)
            .peepholes(tensors.p.is_some());
        if self.operator != Operator::Rnn {
            let [f, g, h] = self.activations[d];
            config = config.activations(f, g, h);
        }
        Ok(match self.clip {
            Some(clip) => config.clip(clip),
            None => config,
        })
    }

    /// The value of W, R, B or P; none where the node leaves it out.
    fn weight(&self, input: usize, finder: &Finder<'_>) -> Result<Option<Arc<Constant>>> {
        match self.known(input, finder)? {
            None => Ok(None),
            Some(Known::Constant(constant)) => Ok(Some(constant)),
            // Biases and peepholes of 0 are as none.
            Some(Known::Zeros) if [3, 7].contains(&input) => Ok(None),
            Some(Known::Zeros) => {
                Err(self.computed(input, "the graph computes it as zeros of a shape that is not known"))
            }
            Some(Known::Not { since, is_computed: true }) => Err(self.computed(input, &since)),
            Some(Known::Not { since, .. }) => {
                let expected = format!("a value of that name given to `Node::layer`, since {since}");
                Err(Error::value(self.of(input), expected, "none"))
            }
        }
    }

    /// W or R of eight bits as floats, [D, 4·H, ·]: ONNX Runtime has them as [D, ·, 4·H].
    fn dequantized(&self, place: usize, weight: Arc<Constant>, finder: &Finder<'_>) -> Result<Arc<Constant>> {
        let what = self.of(WEIGHTS[place]);
        if matches!(weight.tensor, Tensor::Numbers(_)) {
            return Err(Error::value(what, "integers, with a scale", "floats"));
        }
        let mut known = vec![Some(weight.clone())];
        for name in &self.quantization[2 * place..2 * place + 2] {
            known.push(match name.as_deref().map(|name| self.known_by_name(name, finder)).transpose()? {
                Some(Known::Constant(constant)) => Some(constant),
                Some(Known::Not { since, .. }) => return Err(self.computed(WEIGHTS[place], &since)),
                None | Some(Known::Zeros) => None,
            });
        }
        let rows = 4 * self.hidden_size;
        // A number, one of each direction [D], or one of each row [D, 4·H]: of [D, 4·H, ·] or [D, ·, 4·H].
        let shape = weight.tensor.shape();
        let expected = || format!("[{}, ·, {rows}] or [{0}, {rows}, ·]", self.direction.count());
        let fault = || Error::Shape { tensor: what.clone(), expected: expected(), got: format!("{shape:?}") };
        let axis = match shape {
            [_, _, last] if *last == rows => 2,
            [_, middle, _] if *middle == rows => 1,
            _ => return Err(fault()),
        };
        for scale in known[1..].iter_mut().flatten() {
            *scale = Arc::new(Constant::new(spread(&scale.tensor, axis).ok_or_else(|| {
                let expected = format!("[], [D] or [D, {rows}]");
                Error::Shape {
                    tensor: format!("scale or zero point of {what}"),
                    expected,
                    got: format!("{:?}", scale.tensor.shape()),
                }
            })?));
        }
        let node = proto::Node {
            op_type: "DequantizeLinear".to_owned(),
            name: self.name.clone(),
            input: (0..known.len()).map(|i| known[i].as_ref().map_or_else(String::new, |_| i.to_string())).collect(),
            ..Default::default()
        };
        let limit = weight.tensor.len();
        let tensor = fold::dequantized_by(&Call { node: &node, known, opset: self.values.opset, limit })?;
        Ok(Arc::new(Constant::new(match tensor {
            Tensor::Numbers(array) if axis == 2 => {
                Tensor::Numbers(array.permuted_axes(ndarray::IxDyn(&[0, 2, 1])).as_standard_layout().into_owned())
            }
            other => other,
        })))
    }

    fn computed(&self, input: usize, since: &str) -> Error {
        let reason =
            format!("{since}, and it is not known before the model runs: give its value to `Node::layer` by that name");
        Error::unsupported(self.of(input), reason)
    }

    /// A tensor of finite numbers with as many dimensions, and these sizes where they are known.
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
        check_finite(&self.of(input), tensor.iter())?;
        tensor.into_dimensionality::<D>().map_err(|_| fault())
    }
}

/// A scale or zero point, one number or [D] or [D, rows], with three axes: those of weights with `rows` at this axis.
fn spread(tensor: &Tensor, axis: usize) -> Option<Tensor> {
    let shape = match *tensor.shape() {
        [] => [1; 3],
        [directions] => [directions, 1, 1],
        [directions, rows] if axis == 1 => [directions, rows, 1],
        [directions, rows] => [directions, 1, rows],
        _ => return None,
    };
    let shape = ndarray::IxDyn(&shape);
    Some(match tensor {
        Tensor::Numbers(array) => Tensor::Numbers(array.to_shape(shape).ok()?.into_owned()),
        Tensor::Integers(array) => Tensor::Integers(array.to_shape(shape).ok()?.into_owned()),
    })
}

impl Layer {
    /// The layers that compute this node: one, or two of one direction each if the directions have different
    /// activations.
    pub fn parts(&self) -> &[Rnn] {
        &self.parts
    }

    /// The configuration of the first of its [`parts`](Self::parts).
    pub fn config(&self) -> &RnnConfig {
        self.parts[0].config()
    }

    /// Runs the node. A sequence without a step has a Y, Y_h and Y_c of 0, as in ONNX Runtime.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) and [`Value`](Error::Value) for inputs, given or held by the model, that do not fit those
    /// sizes of X, for lengths beyond T, and where `initial_h`, `initial_c` or `sequence_lens` is neither given nor held by
    /// the model although the node reads it; [`OutOfMemory`](Error::OutOfMemory); and as [`Rnn::forward_with`].
    pub fn run(&self, inputs: &Inputs<'_>) -> Result<Outputs> {
        block_on(self.run_async(inputs))
    }

    /// The asynchronous form of [`Layer::run`].
    ///
    /// # Errors
    /// As [`Layer::run`].
    pub async fn run_async(&self, inputs: &Inputs<'_>) -> Result<Outputs> {
        let inputs = self.defaults.resolve(inputs)?;
        match inputs.lengths.as_ref().filter(|lengths| lengths.contains(&0)) {
            Some(lengths) => self.run_nonempty(&inputs, lengths).await,
            None => self.run_resolved(&inputs).await,
        }
    }

    /// Runs sequences that have a step each.
    async fn run_resolved(&self, inputs: &Inputs<'_>) -> Result<Outputs> {
        let [time, sequences] = axes(self.batch_first);
        let batch = inputs.x.len_of(sequences);
        let directions: usize = self.parts.iter().map(|part| part.config().directions()).sum();
        let state = self.initial_state(inputs, Ix3(directions, batch, self.config().hidden_size()))?;
        let call =
            RnnCall { lengths: inputs.lengths.clone().map_or(Lengths::Full, Lengths::Fixed), ..RnnCall::default() };
        let mut outputs = Vec::new();
        for (i, part) in self.parts.iter().enumerate() {
            let own = |all: &Array3<f32>| {
                let first = i * part.config().directions();
                all.slice(s![first..first + part.config().directions(), .., ..]).to_owned()
            };
            let state = state.as_ref().map(|State { h, c }| State { h: own(h), c: c.as_ref().map(own) });
            outputs.push(self.outputs(part, part.forward_with_async(inputs.x, state.as_ref(), &call).await?)?);
        }
        let outputs = match <[Outputs; 1]>::try_from(outputs) {
            Ok([only]) => return Ok(only),
            Err(outputs) => outputs,
        };
        let fault = |error| Error::Plan(format!("directions side by side: {error}"));
        let state = |of: &dyn Fn(&Outputs) -> Option<ArrayView3<'_, f32>>| {
            let views: Vec<_> = outputs.iter().filter_map(of).collect();
            ndarray::concatenate(time, &views).map_err(fault)
        };
        let y: Vec<_> = outputs.iter().map(|outputs| outputs.y.view()).collect();
        let has_c = outputs.iter().all(|outputs| outputs.c.is_some());
        Ok(Outputs {
            y: ndarray::concatenate(Axis(1 + time.index()), &y).map_err(fault)?,
            h: state(&|outputs| Some(outputs.h.view()))?,
            c: if has_c { Some(state(&|outputs| outputs.c.as_ref().map(|c| c.view()))?) } else { None },
        })
    }

    /// The outputs of a part as ONNX lays them out.
    fn outputs(&self, part: &Rnn, output: RnnOutput) -> Result<Outputs> {
        let config = part.config();
        let shape = output.y.shape().to_vec();
        let [directions, hidden] = [config.directions(), config.hidden_size()];
        let y = output.y.into_shape_with_order((shape[0], shape[1], directions, hidden)).map_err(|error| {
            Error::Plan(format!("an output of shape {shape:?} in {directions} directions: {error}"))
        })?;
        // [T, N, D, H] to [T, D, N, H].
        let y = if self.batch_first { y } else { y.permuted_axes([0, 2, 1, 3]) };
        Ok(Outputs {
            y: y.as_standard_layout().into_owned(),
            h: self.laid_out(output.state.h),
            c: output.state.c.filter(|_| self.operator == Operator::Lstm).map(|c| self.laid_out(c)),
        })
    }

    /// Runs the sequences that have a step; the others' outputs are 0.
    async fn run_nonempty(&self, inputs: &Inputs<'_>, lengths: &[usize]) -> Result<Outputs> {
        let [time, axis] = axes(self.batch_first);
        let (steps, batch) = (inputs.x.len_of(time), lengths.len());
        let some: Vec<usize> = (0..batch).filter(|&n| lengths[n] > 0).collect();
        let [directions, hidden] =
            [self.parts.iter().map(|part| part.config().directions()).sum(), self.config().hidden_size()];
        let (y, h) = if self.batch_first {
            (Ix4(batch, steps, directions, hidden), Ix3(batch, directions, hidden))
        } else {
            (Ix4(steps, directions, batch, hidden), Ix3(directions, batch, hidden))
        };
        let c = (self.operator == Operator::Lstm).then(|| zeros("Y_c", h)).transpose()?;
        let mut all = Outputs { y: zeros("Y", y)?, h: zeros("Y_h", h)?, c };
        if some.is_empty() {
            return Ok(all);
        }
        let select = |array: ArrayView3<'_, f32>| array.select(axis, &some);
        let (x, h, c) = (select(inputs.x), inputs.h.map(select), inputs.c.map(select));
        let nonempty = Inputs {
            x: x.view(),
            lengths: Some(some.iter().map(|&n| lengths[n]).collect()),
            h: h.as_ref().map(|h| h.view()),
            c: c.as_ref().map(|c| c.view()),
        };
        let part = self.run_resolved(&nonempty).await?;
        let y_axis = Axis(if self.batch_first { 0 } else { 2 });
        for (i, &n) in some.iter().enumerate() {
            all.y.index_axis_mut(y_axis, n).assign(&part.y.index_axis(y_axis, i));
            all.h.index_axis_mut(axis, n).assign(&part.h.index_axis(axis, i));
            if let (Some(all), Some(part)) = (&mut all.c, &part.c) {
                all.index_axis_mut(axis, n).assign(&part.index_axis(axis, i));
            }
        }
        Ok(all)
    }

    /// The state that the inputs give, [D, N, H]; none for zeros.
    fn initial_state(&self, inputs: &Inputs<'_>, shape: Ix3) -> Result<Option<State>> {
        if inputs.h.is_none() && inputs.c.is_none() {
            return Ok(None);
        }
        let part = |name: &str, given: &Option<ArrayView3<'_, f32>>| match given {
            None => zeros(name, shape),
            Some(given) => Ok(self.laid_out(given.to_owned())),
        };
        let c = (self.operator == Operator::Lstm).then(|| part("initial_c", &inputs.c)).transpose()?;
        Ok(Some(State { h: part("initial_h", &inputs.h)?, c }))
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
        f.debug_struct("Layer").field("parts", &self.parts).finish_non_exhaustive()
    }
}
