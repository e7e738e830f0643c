//! Operations with a backward pass: what the tape's own are made of, and the door for those of others.

use super::gradient_sums::Gradients;
use crate::error::Result;
use crate::kernels::{Expression, Folding, Formula};
use crate::layer::{Into, emit_fold, emit_map};
use crate::plan::{PlanBuilder, Value, broadcast};

/// An operation with a backward pass. [`Tape::apply`](crate::Tape::apply) puts it on a tape; the tape's own operations on values come by the same way.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::plan::Value;
/// use wgrnn::{Device, Differentiable, LossSlopes, PlanBuilder, Result, Tape, Tensor};
///
/// /// x·|x|.
/// struct SignedSquare;
///
/// impl Differentiable for SignedSquare {
///     fn name(&self) -> &'static str {
///         "signed_square"
///     }
///
///     fn forward(&self, plan: &mut PlanBuilder, inputs: &[Value]) -> Result<Value> {
///         plan.map([&inputs[0]], |[x]| x * x.abs())
///     }
///
///     fn backward(&self, plan: &mut PlanBuilder, slopes: &mut LossSlopes<'_>) -> Result<()> {
///         // 2·|x|·dy
///         let (x, dy) = (slopes.inputs()[0].clone(), slopes.output_gradient().clone());
///         slopes.add(plan, 0, [&x, &dy], |[x, dy]| 2.0 * x.abs() * dy)
///     }
/// }
///
/// let device = Device::cpu();
/// let x = Tensor::from_array(&device, array![-3.0_f32, 2.0].view())?;
/// let mut tape = Tape::evaluating(&device)?;
/// let input = tape.input(&x)?;
/// let y = tape.apply(SignedSquare, &[&input])?;
/// tape.loss(&y)?;
/// assert_eq!(tape.evaluation()?.run()?, -2.5);
/// # Ok(())
/// # }
/// ```
///
/// An operation whose passes are kernels of one's own runs them with [`PlanBuilder::own_kernel`].
pub trait Differentiable: Send + Sync {
    /// Its name in messages.
    fn name(&self) -> &'static str;

    /// Appends its forward pass to a plan, and gives its result: a value in memory of its own, or one that operations of the plan gave.
    ///
    /// # Errors
    /// Whatever is wrong with the inputs.
    fn forward(&self, plan: &mut PlanBuilder, inputs: &[Value]) -> Result<Value>;

    /// Appends its backward pass: adds to the gradients of its inputs. It may read the inputs, the result, and values that the forward
    /// pass put into the operation itself, such as into a [`OnceLock`](std::sync::OnceLock); what else it needs it computes again.
    ///
    /// # Errors
    /// As the operations of the plan that it appends.
    fn backward(&self, plan: &mut PlanBuilder, slopes: &mut LossSlopes<'_>) -> Result<()>;

    /// Whether the backward pass reads the inputs; the tape then refuses to let anything write over them.
    fn reads_inputs(&self) -> bool {
        true
    }
}

/// An operation on a tape with what it read and gave.
pub(super) struct Applied {
    pub operation: Box<dyn Differentiable>,
    pub inputs: Vec<Value>,
    pub out: Value,
}

/// The derivatives of a loss as an operation's backward pass sees them: by its result, and the sums by its inputs.
pub struct LossSlopes<'a> {
    applied: &'a Applied,
    gradient: &'a Value,
    needed: &'a [bool],
    gradients: &'a mut Gradients,
}

impl LossSlopes<'_> {
    /// The inputs of the forward pass.
    pub fn inputs(&self) -> &[Value] {
        &self.applied.inputs
    }

    /// The result of the forward pass.
    pub fn output(&self) -> &Value {
        &self.applied.out
    }

    /// The derivative of the loss by the result, of the result's shape.
    pub fn output_gradient(&self) -> &Value {
        self.gradient
    }

    /// Whether anyone needs the derivative by an input: parts of others are dropped.
    pub fn needs(&self, input: usize) -> bool {
        self.needed.get(input).copied().unwrap_or(false)
    }

    /// Adds a function of elements to the derivative by an input. The values are broadcast to one shape; along axes that the input
    /// lacks, or where it is 1 long, the function is summed.
    ///
    /// # Errors
    /// As [`PlanBuilder::map`].
    pub fn add<const N: usize>(
        &mut self,
        plan: &mut PlanBuilder,
        input: usize,
        values: [&Value; N],
        function: impl for<'t> FnOnce([Expression<'t>; N]) -> Expression<'t>,
    ) -> Result<()> {
        self.add_formula(plan, input, Formula::new(function)?, &values)
    }

    /// The derivative by an input so far, zeros at first: to be added to in parts.
    pub(super) fn added_to(&mut self, plan: &mut PlanBuilder, input: usize) -> Result<Value> {
        let (target, added) = self.gradients.target(plan, &self.applied.inputs[input]);
        if !added {
            let zero = Formula::new(|[x]| x.number(0.0))?;
            emit_map(plan, zero, &[&target], Into { value: &target, accumulate: false })?;
        }
        Ok(target)
    }

    /// [`add`](Self::add) of a formula.
    pub(super) fn add_formula(
        &mut self,
        plan: &mut PlanBuilder,
        input: usize,
        formula: Formula,
        values: &[&Value],
    ) -> Result<()> {
        if !self.needs(input) {
            return Ok(());
        }
        // The values may have fewer axes than the input: a sum gives each of its terms the same.
        let all: Vec<&Value> = values.iter().copied().chain([&self.applied.inputs[input]]).collect();
        let shape = broadcast("gradient", &all)?;
        let (target, accumulate) = self.gradients.target(plan, &self.applied.inputs[input]);
        let target = target.aligned(shape.len())?;
        let folded: Vec<usize> = (0..shape.len()).filter(|&axis| target.shape[axis] == 1 && shape[axis] != 1).collect();
        if folded.is_empty() {
            return emit_map(plan, formula, values, Into { value: &target, accumulate });
        }
        let mut kept = target.clone();
        for &axis in folded.iter().rev() {
            kept.shape.remove(axis);
            kept.strides.remove(axis);
        }
        emit_fold(plan, (formula, Folding::Sum), values, &folded, &shape, Into { value: &kept, accumulate })
    }
}

/// The backward pass of one.
pub(super) fn differentiate(
    plan: &mut PlanBuilder,
    applied: &Applied,
    gradient: &Value,
    needed: &[bool],
    gradients: &mut Gradients,
) -> Result<()> {
    applied.operation.backward(plan, &mut LossSlopes { applied, gradient, needed, gradients })
}
