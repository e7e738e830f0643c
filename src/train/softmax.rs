//! Softmax and its logarithm, along an axis, over as many elements as count.

use super::differentiable::{Differentiable, LossSlopes};
use crate::error::{Error, Result};
use crate::kernels::{Expression, Folding, Formula};
use crate::plan::{PlanBuilder, Value, broadcast};

/// Softmax along an axis, or its logarithm. The second input, where there is one, tells how many elements along the axis count.
pub(super) struct Softmax {
    pub axis: usize,
    pub logarithm: bool,
}

impl Softmax {
    /// Whether an element counts, as a number.
    fn counts<'t>(&self, length: Expression<'t>) -> Expression<'t> {
        length.coordinate(self.axis).less(length)
    }

    /// Sums of a function along the axis, with the axis 1 long.
    fn folded(&self, plan: &mut PlanBuilder, fold: (Formula, Folding), values: &[&Value]) -> Result<Value> {
        plan.fold_formula(self.name(), fold, values, &[self.axis])?.insert_axis(self.axis)
    }
}

impl Differentiable for Softmax {
    fn name(&self) -> &'static str {
        if self.logarithm { "log_softmax" } else { "softmax" }
    }

    fn forward(&self, plan: &mut PlanBuilder, inputs: &[Value]) -> Result<Value> {
        let x = &inputs[0];
        if self.axis >= x.shape().len() {
            return Err(Error::value("axis of softmax", format!("one of the axes of {:?}", x.shape()), self.axis));
        }
        let shape = x.shape().to_vec();
        // Without lengths all elements count.
        let all = plan.constant_value("length", shape[self.axis]);
        let length = inputs.get(1).unwrap_or(&all);
        if broadcast("lengths of softmax", &[x, length])? != shape
            || length.aligned(shape.len())?.shape()[self.axis] != 1
        {
            let expected = format!("one that broadcasts to {shape:?}, 1 long along axis {}", self.axis);
            return Err(Error::shape("lengths of softmax", expected, length.shape()));
        }
        let most = Formula::new(|[x, length]| self.counts(length).choose(x, x.number(f32::NEG_INFINITY)))?;
        let most = self.folded(plan, (most, Folding::Max), &[x, length])?;
        let sum = Formula::new(|[x, length, most]| self.counts(length).choose((x - most).exp(), x.number(0.0)))?;
        let sum = self.folded(plan, (sum, Folding::Sum), &[x, length, &most])?;
        let result = if self.logarithm {
            Formula::new(|[x, length, most, sum]| {
                self.counts(length).choose(x - most - sum.ln(), x.number(f32::NEG_INFINITY))
            })
        } else {
            Formula::new(|[x, length, most, sum]| self.counts(length).choose((x - most).exp() / sum, x.number(0.0)))
        };
        plan.map_formula(self.name(), result?, &[x, length, &most, &sum])
    }

    fn backward(&self, plan: &mut PlanBuilder, slopes: &mut LossSlopes<'_>) -> Result<()> {
        let (y, dy) = (slopes.output().clone(), slopes.output_gradient().clone());
        let sum = if self.logarithm {
            // Elements that do not count have a logarithm of minus infinity.
            Formula::new(|[y, dy]| y.equal(y.number(f32::NEG_INFINITY)).choose(y.number(0.0), dy))?
        } else {
            Formula::new(|[y, dy]| y * dy)?
        };
        let sum = self.folded(plan, (sum, Folding::Sum), &[&y, &dy])?;
        if self.logarithm {
            slopes.add(plan, 0, [&y, &dy, &sum], |[y, dy, sum]| {
                y.equal(y.number(f32::NEG_INFINITY)).choose(y.number(0.0), dy - y.exp() * sum)
            })
        } else {
            slopes.add(plan, 0, [&y, &dy, &sum], |[y, dy, sum]| y * (dy - sum))
        }
    }

    fn reads_inputs(&self) -> bool {
        false
    }
}
