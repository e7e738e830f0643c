//! Operators that compute element by element.

use super::super::tensor::Tensor;
use super::builder::{Builder, Site};
use super::item::{Item, Numbers};
use super::moves::permuted;
use crate::cells::Activation;
use crate::error::Result;
use crate::kernels::Expression;
use crate::plan::Value;

/// A function of one element.
pub(super) type Unary = for<'t> fn(Expression<'t>) -> Expression<'t>;

/// A function of two elements.
pub(super) type Binary = for<'t> fn(Expression<'t>, Expression<'t>) -> Expression<'t>;

/// The functions of one element without parameters.
pub(super) const UNARY: &[(&str, Unary)] = &[
    ("Abs", |x| x.abs()),
    ("Erf", erf),
    ("Exp", |x| x.exp()),
    ("HardSwish", |x| x * (x / 6.0 + 0.5).max(x.number(0.0)).min(x.number(1.0))),
    ("Log", |x| x.ln()),
    ("Mish", |x| x * softplus(x).tanh()),
    ("Neg", |x| -x),
    ("Reciprocal", |x| 1.0 / x),
    ("Relu", |x| x.relu()),
    ("Sigmoid", |x| x.sigmoid()),
    ("Softplus", softplus),
    ("Softsign", |x| x.activation(Activation::Softsign)),
    ("Sqrt", |x| x.sqrt()),
    ("Tanh", |x| x.tanh()),
];

/// The functions of two elements.
pub(super) const BINARY: &[(&str, Binary)] = &[
    ("Add", |a, b| a + b),
    ("Div", |a, b| a / b),
    ("Max", |a, b| a.max(b)),
    ("Min", |a, b| a.min(b)),
    ("Mul", |a, b| a * b),
    ("PRelu", |a, slope| a.less(a.number(0.0)).choose(a * slope, a)),
    ("Sub", |a, b| a - b),
    ("Sum", |a, b| a + b),
];

fn softplus(x: Expression<'_>) -> Expression<'_> {
    x.activation(Activation::Softplus)
}

/// The error function, by the rational approximation 7.1.26 of Abramowitz and Stegun (1964), whose error is below 1.5e-7.
fn erf(x: Expression<'_>) -> Expression<'_> {
    let t = 1.0 / (1.0 + x.abs() * 0.327_591_1);
    let sum = [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6];
    let polynomial = sum.into_iter().fold(t * 1.061_405_4, |sum, next| (sum + next) * t);
    let y = 1.0 - polynomial * (-(x * x)).exp();
    x.less(x.number(0.0)).choose(-y, y)
}

pub(super) fn unary(builder: &mut Builder<'_>, site: &Site<'_>, function: Unary) -> Result<Vec<Item>> {
    let x = site.numbers(builder, 0)?;
    mapped(builder, &x, function)
}

/// A function of every element.
fn mapped(
    builder: &mut Builder<'_>,
    x: &Numbers,
    function: impl for<'t> FnOnce(Expression<'t>) -> Expression<'t>,
) -> Result<Vec<Item>> {
    let order = in_memory(&x.value);
    let value = builder.tape.map([&permuted(&x.value, &order)?], |[x]| function(x))?;
    let value = permuted(&value, &inverse(&order))?;
    Ok(vec![Item::Numbers(Numbers { value, shape: x.shape.clone() })])
}

/// A function of two arrays that are repeated to fit each other, or of several in turn.
pub(super) fn binary(builder: &mut Builder<'_>, site: &Site<'_>, function: Binary) -> Result<Vec<Item>> {
    let mut all = site.item(0)?.clone();
    if site.inputs.len() == 1 {
        return Ok(vec![all]);
    }
    for input in 1..site.inputs.len() {
        let next = site.item(input)?;
        let shapes = [&all, next].map(|item| item.shape().unwrap_or_default());
        let shape = site.call.broadcast(&shapes)?;
        let value = match (all.scalar(), next.scalar()) {
            (Some(a), None) => {
                let b = site.numbers(builder, input)?.value;
                let order = in_memory(&b);
                let value = builder.tape.map([&permuted(&b, &order)?], |[b]| function(b.number(a), b))?;
                permuted(&value, &inverse(&order))?
            }
            (None, Some(b)) => {
                let a = numbers_of(builder, site, &all)?.value;
                let order = in_memory(&a);
                let value = builder.tape.map([&permuted(&a, &order)?], |[a]| function(a, a.number(b)))?;
                permuted(&value, &inverse(&order))?
            }
            _ => {
                let rank = shape.len().max(1);
                let a = aligned(&numbers_of(builder, site, &all)?.value, rank)?;
                let b = aligned(&site.numbers(builder, input)?.value, rank)?;
                let order = in_memory(if a.shape().iter().product::<usize>() > 1 { &a } else { &b });
                let (a, b) = (permuted(&a, &order)?, permuted(&b, &order)?);
                let value = builder.tape.map([&a, &b], |[a, b]| function(a, b))?;
                permuted(&value, &inverse(&order))?
            }
        };
        let value = builder.reshaped(&value, &shape)?;
        all = Item::Numbers(Numbers { value, shape });
    }
    Ok(vec![all])
}

/// The axes of a value from the widest stride to the narrowest: results that lie in the order of what they come from are computed in
/// long rows.
fn in_memory(value: &Value) -> Vec<usize> {
    let mut order: Vec<usize> = (0..value.shape().len()).collect();
    // Axes of one element lie anywhere.
    let stride = |axis: usize| if value.shape()[axis] == 1 { usize::MAX } else { value.strides[axis] };
    if !value.is_dense() {
        order.sort_by_key(|&axis| std::cmp::Reverse(stride(axis)));
    }
    order
}

fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    for (at, &axis) in order.iter().enumerate() {
        inverse[axis] = at;
    }
    inverse
}

/// A value with as many axes as another one, by axes of one element before its own.
fn aligned(value: &Value, rank: usize) -> Result<Value> {
    let mut value = value.clone();
    while value.shape().len() < rank {
        value = value.insert_axis(0)?;
    }
    Ok(value)
}

fn numbers_of(builder: &mut Builder<'_>, site: &Site<'_>, item: &Item) -> Result<Numbers> {
    match item {
        Item::Numbers(numbers) => Ok(numbers.clone()),
        // The first input.
        _ => site.numbers(builder, 0),
    }
}

/// `Pow` with a known exponent.
pub(super) fn power(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let Some(exponent) = (match site.item(1)? {
        Item::Known(constant) => constant.one_number(),
        _ => None,
    }) else {
        return Err(site.call.attributes().unsupported("an exponent", "it has to be one number that is known"));
    };
    let x = site.numbers(builder, 0)?;
    if exponent == 0.5 {
        return mapped(builder, &x, |x| x.sqrt());
    }
    if exponent == exponent.trunc() && exponent.abs() <= 8.0 {
        return mapped(builder, &x, |x| {
            let product = (1..exponent.abs() as usize).fold(x, |product, _| product * x);
            let product = if exponent == 0.0 { x.number(1.0) } else { product };
            if exponent < 0.0 { 1.0 / product } else { product }
        });
    }
    if exponent != exponent.trunc() {
        return mapped(builder, &x, |x| (x.ln() * exponent).exp());
    }
    // Of a negative number a whole power is defined, too.
    let is_odd = exponent % 2.0 != 0.0;
    mapped(builder, &x, |x| {
        let size = (x.abs().ln() * exponent).exp();
        if is_odd { x.less(x.number(0.0)).choose(-size, size) } else { size }
    })
}

/// Functions with parameters.
pub(super) fn with_parameters(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let attributes = site.call.attributes();
    let x = site.numbers(builder, 0)?;
    let alpha = |otherwise| attributes.float("alpha", otherwise);
    match &*site.node.op_type {
        "Clip" => {
            let [least, most] = [site.call.number("min", 1)?, site.call.number("max", 2)?];
            mapped(builder, &x, |x| {
                let x = least.map_or(x, |least| x.max(x.number(least)));
                most.map_or(x, |most| x.min(x.number(most)))
            })
        }
        "LeakyRelu" => {
            let alpha = alpha(0.01)?;
            mapped(builder, &x, |x| x.less(x.number(0.0)).choose(x * alpha, x))
        }
        "Elu" => {
            let alpha = alpha(1.0)?;
            mapped(builder, &x, |x| x.activation(Activation::Elu { alpha: alpha.into() }))
        }
        "Celu" => {
            let alpha = alpha(1.0)?;
            mapped(builder, &x, |x| x.less(x.number(0.0)).choose(((x / alpha).exp() - 1.0) * alpha, x))
        }
        "Selu" => {
            let (alpha, gamma) = (alpha(1.673_263_2)?, attributes.float("gamma", 1.050_701)?);
            mapped(builder, &x, |x| x.activation(Activation::Elu { alpha: alpha.into() }) * gamma)
        }
        "ThresholdedRelu" => {
            let alpha = alpha(1.0)?;
            mapped(builder, &x, |x| x.activation(Activation::ThresholdedRelu { alpha: alpha.into() }))
        }
        "HardSigmoid" => {
            let (alpha, beta) = (alpha(0.2)?, attributes.float("beta", 0.5)?);
            mapped(builder, &x, |x| (x * alpha + beta).max(x.number(0.0)).min(x.number(1.0)))
        }
        "Gelu" => match &*attributes.text("approximate", "none")? {
            "tanh" => mapped(builder, &x, |x| {
                let inner = (x + x * x * x * 0.044_715) * (2.0 / std::f32::consts::PI).sqrt();
                x * 0.5 * (1.0 + inner.tanh())
            }),
            _ => mapped(builder, &x, |x| x * 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))),
        },
        other => Err(attributes.unsupported(other, "it is not computed here")),
    }
}

/// `Where` with a known condition.
pub(super) fn choose(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let shapes = [site.shape(0)?, site.shape(1)?, site.shape(2)?];
    let shape = site.call.broadcast(&shapes)?;
    let Tensor::Integers(condition) = site.call.tensor(0)? else {
        return Err(site.call.fault("a condition of floats"));
    };
    let condition = Item::known(Tensor::Numbers(condition.mapv(|value| f32::from(value != 0))));
    let Item::Known(condition) = &condition else { return Err(site.call.fault("no condition")) };
    let condition = builder.constant(condition, &site.call)?;
    let (a, b) = (site.numbers(builder, 1)?.value, site.numbers(builder, 2)?.value);
    let value = builder.tape.map([&condition, &a, &b], |[condition, a, b]| condition.choose(a, b))?;
    let value = builder.reshaped(&value, &shape)?;
    Ok(vec![Item::Numbers(Numbers { value, shape })])
}
