//! Layer normalisation over the last axis.

use super::differentiable::{Differentiable, LossSlopes};
use crate::error::{Error, Result};
use crate::kernels::{Folding, Formula};
use crate::layer::mean_of;
use crate::plan::{PlanBuilder, Value};
use std::sync::OnceLock;

/// n = (x − mean) / √(variance + ε), times gain, plus bias. The inputs after x are the gain and the bias, where there are any.
pub(super) struct LayerNorm {
    epsilon: f32,
    gain: bool,
    bias: bool,
    /// Mean and variance of each row, which the forward pass leaves for the backward one, with the last axis 1 long.
    rows: OnceLock<[Value; 2]>,
}

impl LayerNorm {
    pub fn new(epsilon: f32, gain: bool, bias: bool) -> Self {
        Self { epsilon, gain, bias, rows: OnceLock::new() }
    }

    /// The gain and the bias among the inputs.
    fn factors<'v>(&self, inputs: &'v [Value]) -> [Option<&'v Value>; 2] {
        let mut rest = inputs[1..].iter();
        let gain = if self.gain { rest.next() } else { None };
        [gain, if self.bias { rest.next() } else { None }]
    }
}

/// Sums of a formula along the last axis of x, with that axis 1 long.
fn row_sums(plan: &mut PlanBuilder, formula: Formula, values: &[&Value]) -> Result<Value> {
    let axis = values[0].shape().len() - 1;
    plan.fold_formula("layer_norm", (formula, Folding::Sum), values, &[axis])?.insert_axis(axis)
}

impl Differentiable for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn forward(&self, plan: &mut PlanBuilder, inputs: &[Value]) -> Result<Value> {
        let x = &inputs[0];
        let Some((&features, _)) = x.shape().split_last() else {
            return Err(Error::shape("input of a layer norm", "[..., features]", x.shape()));
        };
        let factors = self.factors(inputs);
        for (name, value) in ["gain", "bias"].into_iter().zip(factors).filter_map(|(name, value)| Some((name, value?)))
        {
            if value.shape() != [features] {
                return Err(Error::shape(format!("{name} of a layer norm"), [features], value.shape()));
            }
        }
        let epsilon = self.epsilon;
        let mean = row_sums(plan, mean_of(x, &[x.shape().len() - 1])?, &[x])?;
        let share = 1.0 / features as f32;
        let squares = Formula::new(|[x, mean]| (x - mean) * (x - mean) * share)?;
        let variance = row_sums(plan, squares, &[x, &mean])?;
        let norm = match factors {
            [Some(_), Some(_)] => {
                Formula::new(|[x, mean, variance, gain, bias]| (x - mean) / (variance + epsilon).sqrt() * gain + bias)
            }
            [Some(_), None] => {
                Formula::new(|[x, mean, variance, gain]| (x - mean) / (variance + epsilon).sqrt() * gain)
            }
            [None, Some(_)] => {
                Formula::new(|[x, mean, variance, bias]| (x - mean) / (variance + epsilon).sqrt() + bias)
            }
            [None, None] => Formula::new(|[x, mean, variance]| (x - mean) / (variance + epsilon).sqrt()),
        };
        let values: Vec<&Value> = [x, &mean, &variance].into_iter().chain(factors.into_iter().flatten()).collect();
        let out = plan.map_formula("layer_norm", norm?, &values)?;
        // An operation has one forward pass.
        let _ = self.rows.set([mean, variance]);
        Ok(out)
    }

    /// With g = dy · gain, the derivative by x is (g − mean(g) − n · mean(g · n)) / √(variance + ε).
    fn backward(&self, plan: &mut PlanBuilder, slopes: &mut LossSlopes<'_>) -> Result<()> {
        let Some([mean, variance]) = self.rows.get() else { return Ok(()) };
        let epsilon = self.epsilon;
        let (inputs, dy) = (slopes.inputs().to_vec(), slopes.output_gradient().clone());
        let (x, [gain, _]) = (&inputs[0], self.factors(&inputs));
        let share = 1.0 / x.shape()[x.shape().len() - 1] as f32;
        if slopes.needs(0) {
            let (of_g, of_g_n, part) = if gain.is_some() {
                (
                    Formula::new(|[dy, gain]| dy * gain * share)?,
                    Formula::new(|[dy, gain, x, mean, variance]| {
                        dy * gain * ((x - mean) / (variance + epsilon).sqrt()) * share
                    })?,
                    Formula::new(|[dy, gain, of_g, variance]| (dy * gain - of_g) / (variance + epsilon).sqrt())?,
                )
            } else {
                (
                    Formula::new(|[dy]| dy * share)?,
                    Formula::new(|[dy, x, mean, variance]| dy * ((x - mean) / (variance + epsilon).sqrt()) * share)?,
                    Formula::new(|[dy, of_g, variance]| (dy - of_g) / (variance + epsilon).sqrt())?,
                )
            };
            let g: Vec<&Value> = std::iter::once(&dy).chain(gain).collect();
            let with =
                |rest: &[&'_ Value]| -> Vec<Value> { g.iter().chain(rest).map(|&value| value.clone()).collect() };
            let of_g = row_sums(plan, of_g, &g)?;
            let of_g_n = row_sums(plan, of_g_n, &with(&[x, mean, variance]).iter().collect::<Vec<_>>())?;
            slopes.add_formula(plan, 0, part, &with(&[&of_g, variance]).iter().collect::<Vec<_>>())?;
            slopes.add(plan, 0, [x, mean, variance, &of_g_n], |[x, mean, variance, of_g_n]| {
                -((x - mean) / (variance + epsilon) * of_g_n)
            })?;
        }
        if self.gain {
            slopes.add(plan, 1, [&dy, x, mean, variance], |[dy, x, mean, variance]| {
                dy * ((x - mean) / (variance + epsilon).sqrt())
            })?;
        }
        if self.bias {
            slopes.add(plan, 1 + usize::from(self.gain), [&dy], |[dy]| dy)?;
        }
        Ok(())
    }
}
