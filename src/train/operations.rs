//! The tape's operations on values: functions of elements, sums along axes, and what is made of them.

use super::differentiable::{Applied, Differentiable, LossSlopes};
use super::layer_norm::LayerNorm;
use super::softmax::Softmax;
use super::tape::{Operation, Tape};
use crate::cells::Activation;
use crate::error::{Error, Result};
use crate::kernels::{Expression, Folding, Formula};
use crate::layer::{Into, emit_fold, emit_map, mean_of};
use crate::parameters::Parameters;
use crate::plan::{PlanBuilder, Value, broadcast};
use std::ops::Range;

/// A function of the elements of several values.
struct Map(&'static str, Formula);

impl Differentiable for Map {
    fn name(&self) -> &'static str {
        self.0
    }

    fn forward(&self, plan: &mut PlanBuilder, inputs: &[Value]) -> Result<Value> {
        plan.map_formula(self.0, self.1, &inputs.iter().collect::<Vec<_>>())
    }

    fn backward(&self, plan: &mut PlanBuilder, slopes: &mut LossSlopes<'_>) -> Result<()> {
        let mut values = slopes.inputs().to_vec();
        values.push(slopes.output_gradient().clone());
        let values: Vec<&Value> = values.iter().collect();
        for input in 0..values.len() - 1 {
            if let Some(slope) = self.1.derivative(input).filter(|_| slopes.needs(input)) {
                slopes.add_formula(plan, input, slope, &values)?;
            }
        }
        Ok(())
    }
}

/// A function of the elements of several values, broadcast to one shape, summed or searched along axes, which the result lacks.
struct Fold {
    name: &'static str,
    formula: Formula,
    folding: Folding,
    axes: Vec<usize>,
}

impl Fold {
    /// A value of the result's shape with the folded axes, 1 long.
    fn widened(&self, value: &Value) -> Result<Value> {
        let mut axes = self.axes.clone();
        axes.sort_unstable();
        axes.into_iter().try_fold(value.clone(), |value, axis| value.insert_axis(axis))
    }
}

impl Differentiable for Fold {
    fn name(&self) -> &'static str {
        self.name
    }

    fn forward(&self, plan: &mut PlanBuilder, inputs: &[Value]) -> Result<Value> {
        plan.fold_formula(self.name, (self.formula, self.folding), &inputs.iter().collect::<Vec<_>>(), &self.axes)
    }

    fn backward(&self, plan: &mut PlanBuilder, slopes: &mut LossSlopes<'_>) -> Result<()> {
        let mut values = slopes.inputs().to_vec();
        let gradient = self.widened(slopes.output_gradient())?;
        let gradient = match self.folding {
            Folding::Sum => gradient,
            Folding::Max => {
                // Those that are the largest share the gradient.
                let out = self.widened(slopes.output())?;
                let equal = self.formula.followed_by(|[value, out]| value.equal(out))?;
                let with_out: Vec<&Value> = values.iter().chain([&out]).collect();
                let shape = broadcast(self.name, &with_out)?;
                let count = plan.fresh("how many are the largest", slopes.output().shape())?;
                let into = Into { value: &count, accumulate: false };
                emit_fold(plan, (equal, Folding::Sum), &with_out, &self.axes, &shape, into)?;
                let share = self.formula.followed_by(|[value, out, gradient, count]| {
                    value.equal(out).choose(gradient / count, value.number(0.0))
                })?;
                let count = self.widened(&count)?;
                let all: Vec<&Value> = with_out.iter().copied().chain([&gradient, &count]).collect();
                let shares = plan.fresh("shares of a gradient", &shape)?;
                emit_map(plan, share, &all, Into { value: &shares, accumulate: false })?;
                shares
            }
        };
        values.push(gradient);
        let values: Vec<&Value> = values.iter().collect();
        for input in 0..values.len() - 1 {
            if let Some(slope) = self.formula.derivative(input).filter(|_| slopes.needs(input)) {
                slopes.add_formula(plan, input, slope, &values)?;
            }
        }
        Ok(())
    }
}

/// Values one after the other along an axis.
struct Concat(usize);

impl Differentiable for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn forward(&self, plan: &mut PlanBuilder, inputs: &[Value]) -> Result<Value> {
        let Some(first) = inputs.first() else {
            return Err(Error::value("values to concatenate", "at least one", "none"));
        };
        let mut shape = first.shape().to_vec();
        if self.0 >= shape.len() {
            return Err(Error::value("axis", format!("one of the axes of {shape:?}"), self.0));
        }
        shape[self.0] = 0;
        for value in inputs {
            plan.expect_view(value, "value to concatenate", false)?;
            let fits = value.shape().len() == shape.len()
                && (0..shape.len()).all(|axis| axis == self.0 || value.shape()[axis] == shape[axis]);
            if !fits {
                let expected = format!("that of the first one, {:?}, but for axis {}", first.shape(), self.0);
                return Err(Error::shape("value to concatenate", expected, value.shape()));
            }
            shape[self.0] += value.shape()[self.0];
        }
        let out = plan.fresh("values side by side", &shape)?;
        for (value, part) in inputs.iter().zip(parts(self.0, inputs, &out)?) {
            emit_map(plan, Formula::identity(), &[value], Into { value: &part, accumulate: false })?;
        }
        Ok(out)
    }

    fn backward(&self, plan: &mut PlanBuilder, slopes: &mut LossSlopes<'_>) -> Result<()> {
        let parts = parts(self.0, slopes.inputs(), slopes.output_gradient())?;
        for (input, part) in parts.iter().enumerate() {
            slopes.add_formula(plan, input, Formula::identity(), &[part])?;
        }
        Ok(())
    }

    fn reads_inputs(&self) -> bool {
        false
    }
}

/// The part of a value that each of the inputs takes along an axis.
fn parts(axis: usize, inputs: &[Value], of: &Value) -> Result<Vec<Value>> {
    let mut start = 0;
    let part = |input: &Value| {
        let range: Range<usize> = start..start + input.shape()[axis];
        start = range.end;
        of.slice(axis, range)
    };
    inputs.iter().map(part).collect()
}

impl Tape {
    /// Runs an operation that has a backward pass.
    ///
    /// # Errors
    /// [`OtherPlan`](crate::Error::OtherPlan), and what its forward pass gives.
    pub fn apply(&mut self, operation: impl Differentiable + 'static, inputs: &[&Value]) -> Result<Value> {
        for input in inputs {
            self.plan.owns(input, operation.name())?;
        }
        let values: Vec<Value> = inputs.iter().map(|&input| input.clone()).collect();
        let before = self.plan.traces.len();
        let out = operation.forward(&mut self.plan, &values)?;
        self.plan.owns(&out, operation.name())?;
        // However many operations of the plan it is made of, it is one of the tape.
        self.plan.traces.truncate(before);
        self.plan.record(operation.name(), inputs, &[&out]);
        if self.training {
            let applied = Applied { operation: Box::new(operation), inputs: values, out: out.clone() };
            self.remember(Operation::Applied(Box::new(applied)));
        }
        Ok(out)
    }

    /// Applies a function to every element of up to five values, with a backward pass. Shapes are broadcast as NumPy does it: axes are counted
    /// from the last one, and those of size 1 are repeated; their gradients are summed. A chain of functions written as one is
    /// one kernel.
    ///
    /// ```
    /// # fn main() -> wgrnn::Result<()> {
    /// # use ndarray::array;
    /// # use wgrnn::{Device, Tape, Tensor};
    /// # let device = Device::cpu();
    /// # let mut tape = Tape::evaluating(&device)?;
    /// # let x = Tensor::from_array(&device, array![[1.0_f32, 2.0], [3.0, 4.0]].view())?;
    /// # let gate = Tensor::from_array(&device, array![0.0_f32, 1.0].view())?;
    /// let (x, gate) = (tape.input(&x)?, tape.input(&gate)?);
    /// // A gated residual: x + tanh(x)·σ(gate).
    /// let y = tape.map([&x, &gate], |[x, gate]| x + x.tanh() * gate.sigmoid())?;
    /// assert_eq!(y.shape(), [2, 2]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes do not broadcast, [`Value`](Error::Value) where the function takes too many values
    /// or has too many terms.
    pub fn map<const N: usize>(
        &mut self,
        values: [&Value; N],
        function: impl for<'t> FnOnce([Expression<'t>; N]) -> Expression<'t>,
    ) -> Result<Value> {
        let formula = Formula::new(function)?;
        if self.training && N > MAX_MAPPED {
            // The derivative by the result is one more.
            return Err(Error::value("values of a map on a tape for training", format!("at most {MAX_MAPPED}"), N));
        }
        self.apply(Map("map", formula), &values)
    }

    /// a + b, with shapes broadcast as in [`map`](Self::map), as in the operations that follow.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes do not broadcast.
    pub fn add(&mut self, a: &Value, b: &Value) -> Result<Value> {
        self.apply(Map("add", Formula::new(|[a, b]| a + b)?), &[a, b])
    }

    /// a − b.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn sub(&mut self, a: &Value, b: &Value) -> Result<Value> {
        self.apply(Map("sub", Formula::new(|[a, b]| a - b)?), &[a, b])
    }

    /// a · b, element by element.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn mul(&mut self, a: &Value, b: &Value) -> Result<Value> {
        self.apply(Map("mul", Formula::new(|[a, b]| a * b)?), &[a, b])
    }

    /// a / b, element by element.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn div(&mut self, a: &Value, b: &Value) -> Result<Value> {
        self.apply(Map("div", Formula::new(|[a, b]| a / b)?), &[a, b])
    }

    /// factor · x.
    ///
    /// # Errors
    /// [`OtherPlan`](Error::OtherPlan).
    pub fn scale(&mut self, x: &Value, factor: f32) -> Result<Value> {
        self.apply(Map("scale", Formula::new(|[x]| x * factor)?), &[x])
    }

    /// An activation of every element.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a constant that is not finite.
    pub fn activate(&mut self, x: &Value, activation: Activation) -> Result<Value> {
        activation.check()?;
        self.apply(Map("activate", Formula::new(|[x]| x.activation(activation))?), &[x])
    }

    /// The gated linear unit (Dauphin et al. 2017): the first half of an axis times σ of the second.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where there is no such axis, or it is odd.
    pub fn glu(&mut self, x: &Value, axis: usize) -> Result<Value> {
        let size = x.shape().get(axis).copied().unwrap_or(1);
        if size % 2 == 1 {
            return Err(Error::value("axis of a gated linear unit", format!("an even one of {:?}", x.shape()), axis));
        }
        let (a, b) = (x.slice(axis, 0..size / 2)?, x.slice(axis, size / 2..size)?);
        self.apply(Map("glu", Formula::new(|[a, b]| a * b.sigmoid())?), &[&a, &b])
    }

    /// The same elements one after the other: the value itself where they lie so, else a copy. Operations that multiply matrices
    /// need it of views.
    ///
    /// # Errors
    /// [`OtherPlan`](Error::OtherPlan), and [`Value`](Error::Value) for a view of indices.
    pub fn contiguous(&mut self, x: &Value) -> Result<Value> {
        self.plan.owns(x, "value")?;
        if x.is_dense() {
            return Ok(x.clone());
        }
        self.plan.expect_view(x, "view", false)?;
        self.apply(Map("contiguous", Formula::identity()), &[x])
    }

    /// Sums along axes, which the result lacks.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for an axis that the value lacks or that is named twice.
    pub fn sum(&mut self, x: &Value, axes: &[usize]) -> Result<Value> {
        self.fold("sum", Formula::identity(), Folding::Sum, axes, &[x])
    }

    /// Averages along axes, which the result lacks.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn mean(&mut self, x: &Value, axes: &[usize]) -> Result<Value> {
        let formula = mean_of(x, axes)?;
        self.fold("mean", formula, Folding::Sum, axes, &[x])
    }

    /// Finds the largest element along axes, which the result lacks. Equal ones share the gradient, as in PyTorch's `amax`.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn max(&mut self, x: &Value, axes: &[usize]) -> Result<Value> {
        self.fold("max", Formula::identity(), Folding::Max, axes, &[x])
    }

    /// Sums along an axis over as many elements as a length says, u32; others count for nothing, whatever they are. `lengths` is
    /// broadcast to the value, and is 1 long along the axis: [T, N, F] with lengths [N, 1] is summed over its steps.
    ///
    /// # Errors
    /// As [`sum`](Self::sum), and [`Shape`](Error::Shape) where lengths do not fit.
    pub fn sum_valid(&mut self, x: &Value, axis: usize, lengths: &Value) -> Result<Value> {
        self.check_lengths(x, axis, lengths)?;
        let formula = Formula::new(|[x, length]| length.coordinate(axis).less(length).choose(x, x.number(0.0)))?;
        self.fold("sum_valid", formula, Folding::Sum, &[axis], &[x, lengths])
    }

    /// Averages along an axis over as many elements as a length says: as [`sum_valid`](Self::sum_valid). A length of 0 gives 0.
    ///
    /// # Errors
    /// As [`sum_valid`](Self::sum_valid).
    pub fn mean_valid(&mut self, x: &Value, axis: usize, lengths: &Value) -> Result<Value> {
        self.check_lengths(x, axis, lengths)?;
        let formula = Formula::new(|[x, length]| {
            length.coordinate(axis).less(length).choose(x / length.max(length.number(1.0)), x.number(0.0))
        })?;
        self.fold("mean_valid", formula, Folding::Sum, &[axis], &[x, lengths])
    }

    /// Finds the largest element along an axis among as many as a length says: as [`sum_valid`](Self::sum_valid). A length of 0 gives
    /// minus infinity.
    ///
    /// # Errors
    /// As [`sum_valid`](Self::sum_valid).
    pub fn max_valid(&mut self, x: &Value, axis: usize, lengths: &Value) -> Result<Value> {
        self.check_lengths(x, axis, lengths)?;
        let formula =
            Formula::new(|[x, length]| length.coordinate(axis).less(length).choose(x, x.number(f32::NEG_INFINITY)))?;
        self.fold("max_valid", formula, Folding::Max, &[axis], &[x, lengths])
    }

    /// Takes the element of an index along an axis, which the result lacks: u32, broadcast to the value, 1 long along the axis. With
    /// lengths minus 1 these are the last valid steps. An index beyond the axis gives 0.
    ///
    /// # Errors
    /// As [`sum_valid`](Self::sum_valid).
    pub fn take(&mut self, x: &Value, axis: usize, indices: &Value) -> Result<Value> {
        self.check_lengths(x, axis, indices)?;
        let formula = Formula::new(|[x, index]| index.coordinate(axis).equal(index).choose(x, x.number(0.0)))?;
        self.fold("take", formula, Folding::Sum, &[axis], &[x, indices])
    }

    fn check_lengths(&self, x: &Value, axis: usize, lengths: &Value) -> Result<()> {
        self.plan.expect_view(x, "value", false)?;
        self.plan.expect_view(lengths, "lengths", true)?;
        let size = x.shape().len();
        if axis >= size {
            return Err(Error::value("axis", format!("one of the axes of {:?}", x.shape()), axis));
        }
        let fits = lengths.shape().len() <= size
            && lengths.aligned(size)?.shape()[axis] == 1
            && broadcast("lengths", &[x, lengths])? == x.shape();
        let expected = || format!("one that broadcasts to {:?}, 1 long along axis {axis}", x.shape());
        if fits { Ok(()) } else { Err(Error::shape("lengths", expected(), lengths.shape())) }
    }

    /// The softmax along an axis: exp(x) / Σ exp(x). With `lengths`, u32, 1 long along the axis and broadcast to `x`, only so many elements
    /// count, and the others are 0; if none counts, all are 0.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where there is no such axis, [`Shape`](Error::Shape) where lengths do not fit.
    pub fn softmax(&mut self, x: &Value, axis: usize, lengths: Option<&Value>) -> Result<Value> {
        self.softmax_of(x, axis, lengths, false)
    }

    /// The logarithm of the [`softmax`](Self::softmax): minus infinity for elements that do not count, through which no gradient passes.
    ///
    /// # Errors
    /// As [`softmax`](Self::softmax).
    pub fn log_softmax(&mut self, x: &Value, axis: usize, lengths: Option<&Value>) -> Result<Value> {
        self.softmax_of(x, axis, lengths, true)
    }

    fn softmax_of(&mut self, x: &Value, axis: usize, lengths: Option<&Value>, logarithm: bool) -> Result<Value> {
        self.plan.expect_view(x, "input of softmax", false)?;
        if let Some(lengths) = lengths {
            self.check_lengths(x, axis, lengths)?;
        }
        let inputs: Vec<&Value> = std::iter::once(x).chain(lengths).collect();
        self.apply(Softmax { axis, logarithm }, &inputs)
    }

    /// Puts values one after the other along an axis.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the other axes differ, [`Value`](Error::Value) where there is no such axis, or no value.
    pub fn concat(&mut self, values: &[&Value], axis: usize) -> Result<Value> {
        self.apply(Concat(axis), values)
    }

    /// The product of matrices, [..., M, K] · [..., K, N] = [..., M, N]; the axes before are broadcast. Transposes of either are
    /// views: `a.transpose(0, 1)?`.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where one has fewer than two axes, or they do not fit each other.
    pub fn matmul(&mut self, a: &Value, b: &Value) -> Result<Value> {
        for (name, value) in [("left matrix", a), ("right matrix", b)] {
            self.plan.expect_view(value, name, false)?;
            if value.shape().len() < 2 {
                return Err(Error::shape(name, "[..., rows, columns]", value.shape()));
            }
        }
        let (left, right) = (a.shape().len(), b.shape().len());
        if a.shape()[left - 1] != b.shape()[right - 2] {
            let expected = format!("[..., {}, N]", a.shape()[left - 1]);
            return Err(Error::shape("right matrix", expected, b.shape()));
        }
        // [..., M, 1, K] and [..., 1, N, K].
        let rows = a.insert_axis(left - 1)?;
        let columns = b.transpose(right - 2, right - 1)?.insert_axis(right - 2)?;
        let axis = rows.shape().len().max(columns.shape().len()) - 1;
        self.fold("matmul", Formula::new(|[a, b]| a * b)?, Folding::Sum, &[axis], &[&rows, &columns])
    }

    /// Layer normalisation over the last axis (Ba et al. 2016): (x − mean) / √(variance + ε), times `gain` and plus `bias`, `[features]`,
    /// where there are any.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where gain or bias do not fit, [`Value`](Error::Value) where ε is not positive or `x` has no axis.
    pub fn layer_norm(&mut self, x: &Value, gain: Option<&Value>, bias: Option<&Value>, epsilon: f32) -> Result<Value> {
        if !(epsilon > 0.0 && epsilon.is_finite()) {
            return Err(Error::value("epsilon of a layer norm", "a positive number", epsilon));
        }
        let inputs: Vec<&Value> = std::iter::once(x).chain(gain).chain(bias).collect();
        self.apply(LayerNorm::new(epsilon, gain.is_some(), bias.is_some()), &inputs)
    }

    fn fold(
        &mut self,
        name: &'static str,
        formula: Formula,
        folding: Folding,
        axes: &[usize],
        values: &[&Value],
    ) -> Result<Value> {
        self.apply(Fold { name, formula, folding, axes: axes.to_vec() }, values)
    }

    /// An array of a block of parameters as a value, which is trained: for layers of one's own.
    ///
    /// # Errors
    /// [`OtherDevice`](Error::OtherDevice), and [`Value`](Error::Value) where the block has no array of this name.
    pub fn parameter(&mut self, parameters: &Parameters, name: &str) -> Result<Value> {
        let mut offset = 0;
        let mut found = None;
        for (array, shape) in parameters.names() {
            if array == name {
                found = Some(shape.to_vec());
                break;
            }
            offset += shape.iter().product::<usize>();
        }
        let names = || parameters.names().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
        let shape = found.ok_or_else(|| Error::value("name of a parameter", format!("one of {}", names()), name))?;
        let value = self.plan.parameters_at(parameters, offset, &shape)?;
        let out = self.plan.copy_of(&value)?;
        if let Some(trace) = self.plan.traces.last_mut() {
            (trace.name, trace.parameters) = ("parameter", Some(parameters.clone()));
        }
        self.remember(Operation::Parameters { parameters: parameters.clone(), offset, out: out.clone() });
        Ok(out)
    }
}

/// Values of a map that is differentiated.
const MAX_MAPPED: usize = crate::kernels::MAX_INPUTS - 1;
