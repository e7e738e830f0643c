//! Arithmetic of known arrays.

use super::super::memory::collect;
use super::super::rules::Call;
use super::super::tensor::Tensor;
use super::moves::{of_either, one, shaped};
use crate::error::Result;
use ndarray::{Array1, ArrayD, Axis, Ix2, IxDyn};

pub(super) fn unary(
    call: &Call<'_>,
    number: impl Fn(f32) -> f32,
    integer: impl Fn(i64) -> Result<i64>,
) -> Result<Vec<Tensor>> {
    one(call, |x| {
        Ok(match x {
            Tensor::Numbers(x) => Tensor::Numbers(x.mapv(&number)),
            Tensor::Integers(x) => {
                let values = x.iter().map(|&value| integer(value)).collect::<Result<Vec<_>>>()?;
                Tensor::Integers(shaped(call, x.shape(), values)?)
            }
        })
    })
}

/// A function of two arrays that are repeated to fit each other.
pub(super) fn zip<A, B, C>(
    call: &Call<'_>,
    a: &ArrayD<A>,
    b: &ArrayD<B>,
    of: impl Fn(&A, &B) -> C,
) -> Result<ArrayD<C>> {
    let shape = IxDyn(&call.broadcast(&[a.shape(), b.shape()])?);
    match (a.broadcast(shape.clone()), b.broadcast(shape)) {
        (Some(a), Some(b)) => Ok(ndarray::Zip::from(&a).and(&b).map_collect(of)),
        _ => Err(call.fault(format!("shapes {:?} and {:?}", a.shape(), b.shape()))),
    }
}

/// A function of two or more tensors of one kind, element by element.
pub(super) fn arithmetic(
    call: &Call<'_>,
    number: impl Fn(f32, f32) -> f32,
    integer: impl Fn(i64, i64) -> Option<i64>,
) -> Result<Vec<Tensor>> {
    let mut all = call.tensor(0)?.clone();
    for input in 1..call.node.input.len() {
        all = match (&all, call.tensor(input)?) {
            (Tensor::Numbers(a), Tensor::Numbers(b)) => Tensor::Numbers(zip(call, a, b, |&a, &b| number(a, b))?),
            (Tensor::Integers(a), Tensor::Integers(b)) => {
                let results = zip(call, a, b, |&a, &b| integer(a, b))?;
                if results.iter().any(Option::is_none) {
                    return Err(call.fault("a result that 64 bits can't hold, or a division by 0"));
                }
                Tensor::Integers(results.mapv(Option::unwrap_or_default))
            }
            _ => return Err(call.fault("floats beside integers")),
        };
    }
    Ok(vec![all])
}

/// A condition on two tensors of one kind, element by element.
pub(super) fn compare(
    call: &Call<'_>,
    numbers: impl Fn(f32, f32) -> bool,
    integers: impl Fn(i64, i64) -> bool,
) -> Result<Vec<Tensor>> {
    Ok(vec![Tensor::Integers(match (call.tensor(0)?, call.tensor(1)?) {
        (Tensor::Numbers(a), Tensor::Numbers(b)) => zip(call, a, b, |&a, &b| numbers(a, b).into())?,
        (Tensor::Integers(a), Tensor::Integers(b)) => zip(call, a, b, |&a, &b| integers(a, b).into())?,
        _ => return Err(call.fault("floats beside integers")),
    })])
}

pub(super) fn modulo(call: &Call<'_>) -> Result<Vec<Tensor>> {
    // With the sign of the dividend, as in C, or else of the divisor, as in Python.
    let of_dividend = call.attributes().integer("fmod", 0)? != 0;
    let integer = |a: i64, b: i64| {
        let rest = a.checked_rem(b)?;
        Some(if !of_dividend && rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
    };
    arithmetic(call, |a, b| a % b, integer)
}

pub(super) fn power(call: &Call<'_>) -> Result<Vec<Tensor>> {
    Ok(vec![match (call.tensor(0)?, call.tensor(1)?) {
        (Tensor::Numbers(a), Tensor::Numbers(b)) => Tensor::Numbers(zip(call, a, b, |a, b| a.powf(*b))?),
        (Tensor::Numbers(a), Tensor::Integers(b)) => Tensor::Numbers(zip(call, a, b, |a, &b| a.powf(b as f32))?),
        (Tensor::Integers(a), Tensor::Integers(b)) => {
            let of = |a: &i64, b: &i64| u32::try_from(*b).ok().and_then(|b| a.checked_pow(b));
            let results = zip(call, a, b, of)?;
            if results.iter().any(Option::is_none) {
                return Err(call.fault("a result that 64 bits can't hold"));
            }
            Tensor::Integers(results.mapv(Option::unwrap_or_default))
        }
        (Tensor::Integers(_), Tensor::Numbers(_)) => return Err(call.fault("integers to the power of floats")),
    }])
}

pub(super) fn clip(call: &Call<'_>) -> Result<Vec<Tensor>> {
    one(call, |x| {
        Ok(match x {
            Tensor::Numbers(x) => {
                let least = call.number("min", 1)?.unwrap_or(f32::NEG_INFINITY);
                let most = call.number("max", 2)?.unwrap_or(f32::INFINITY);
                Tensor::Numbers(x.mapv(|x| x.max(least).min(most)))
            }
            Tensor::Integers(x) => {
                let bound = |input| Ok(call.integers(input)?.and_then(|list| list.first().copied()));
                let (least, most) = (bound(1)?.unwrap_or(i64::MIN), bound(2)?.unwrap_or(i64::MAX));
                Tensor::Integers(x.mapv(|x| x.max(least).min(most)))
            }
        })
    })
}

pub(super) fn choose(call: &Call<'_>) -> Result<Vec<Tensor>> {
    let Tensor::Integers(condition) = call.tensor(0)? else { return Err(call.fault("a condition of floats")) };
    Ok(vec![match (call.tensor(1)?, call.tensor(2)?) {
        (Tensor::Numbers(a), Tensor::Numbers(b)) => {
            let both = zip(call, a, b, |a, b| [*a, *b])?;
            Tensor::Numbers(zip(call, condition, &both, |&c, &[a, b]| if c != 0 { a } else { b })?)
        }
        (Tensor::Integers(a), Tensor::Integers(b)) => {
            let both = zip(call, a, b, |a, b| [*a, *b])?;
            Tensor::Integers(zip(call, condition, &both, |&c, &[a, b]| if c != 0 { a } else { b })?)
        }
        _ => return Err(call.fault("floats beside integers")),
    }])
}

pub(super) fn range(call: &Call<'_>) -> Result<Vec<Tensor>> {
    let bounds = [call.tensor(0)?, call.tensor(1)?, call.tensor(2)?];
    let integers: Option<Vec<_>> = bounds.iter().map(|tensor| tensor.integers()?.first().copied()).collect();
    if let Some(bounds) = integers {
        let [start, end, step] = bounds[..] else { return Err(call.fault("bounds")) };
        if step == 0 {
            return Err(call.fault("a step of 0"));
        }
        let length = i128::from(end) - i128::from(start);
        let count =
            if (length > 0) == (step > 0) { length.unsigned_abs().div_ceil(step.unsigned_abs().into()) } else { 0 };
        let count = call.elements(&[usize::try_from(count).unwrap_or(usize::MAX)])?;
        let values = collect("a range", count, (0..).map(|i: i64| start.wrapping_add(i.wrapping_mul(step))))?;
        return Ok(vec![Tensor::Integers(Array1::from(values).into_dyn())]);
    }
    let numbers: Option<Vec<_>> = bounds.iter().map(|tensor| tensor.numbers()?.first().copied()).collect();
    let Some([start, end, step]) = numbers.as_deref() else { return Err(call.fault("floats beside integers")) };
    let count = ((end - start) / step).ceil().max(0.0);
    if !count.is_finite() {
        return Err(call.fault(format!("a range from {start} to {end} in steps of {step}")));
    }
    let count = call.elements(&[count as usize])?;
    let values = collect("a range", count, (0..).map(|i: u32| start + i as f32 * step))?;
    Ok(vec![Tensor::Numbers(Array1::from(values).into_dyn())])
}

pub(super) fn reduce(
    call: &Call<'_>,
    number: f32,
    numbers: impl Fn(f32, f32) -> f32,
    integer: i64,
    integers: impl Fn(i64, i64) -> Option<i64>,
) -> Result<Vec<Tensor>> {
    one(call, |x| {
        let (axes, keeps) = call.reduced(x.shape().len())?;
        let mut x = x.clone();
        for &axis in axes.iter().rev() {
            x = match &x {
                Tensor::Numbers(x) => Tensor::Numbers(x.fold_axis(Axis(axis), number, |a, b| numbers(*a, *b))),
                // The least of no integers depends on their type, which is not known.
                Tensor::Integers(x) if x.is_empty() && [i64::MIN, i64::MAX].contains(&integer) => {
                    return Err(call.attributes().unsupported("a largest or smallest integer", "there are none"));
                }
                Tensor::Integers(x) => {
                    let of = |a: &Option<i64>, b: &i64| a.and_then(|a| integers(a, *b));
                    let results = x.fold_axis(Axis(axis), Some(integer), of);
                    if results.iter().any(Option::is_none) {
                        return Err(call.fault("a result that 64 bits can't hold"));
                    }
                    Tensor::Integers(results.mapv(Option::unwrap_or_default))
                }
            };
            if keeps {
                x = of_either!(x, array => array.insert_axis(Axis(axis)));
            }
        }
        Ok(x)
    })
}

/// The last two axes of both as matrices; what stands before them is one matrix at most.
pub(super) fn matmul(call: &Call<'_>) -> Result<Vec<Tensor>> {
    let (Some(a), Some(b)) = (call.tensor(0)?.numbers(), call.tensor(1)?.numbers()) else {
        return Err(call.fault("integers, expected floats"));
    };
    let fault = || {
        call.attributes().unsupported(
            &format!("constants of shapes {:?} and {:?}", a.shape(), b.shape()),
            "only products of two matrices are evaluated before a model runs",
        )
    };
    let (Ok(a), Ok(b)) = (a.view().into_dimensionality::<Ix2>(), b.view().into_dimensionality::<Ix2>()) else {
        return Err(fault());
    };
    if a.ncols() != b.nrows() {
        return Err(fault());
    }
    call.elements(&[a.nrows(), b.ncols()])?;
    Ok(vec![Tensor::Numbers(a.dot(&b).into_dyn())])
}

pub(super) fn gemm(call: &Call<'_>) -> Result<Vec<Tensor>> {
    let matrix = |input: usize, transposed: &str| -> Result<ndarray::Array2<f32>> {
        let tensor = call.tensor(input)?;
        let array = tensor.numbers().and_then(|array| array.view().into_dimensionality::<Ix2>().ok());
        let array = array.ok_or_else(|| call.fault(format!("input {input} is no matrix of floats")))?;
        let is_transposed = call.attributes().integer(transposed, 0)? != 0;
        Ok(if is_transposed { array.reversed_axes().to_owned() } else { array.to_owned() })
    };
    let (a, b) = (matrix(0, "transA")?, matrix(1, "transB")?);
    if a.ncols() != b.nrows() {
        return Err(call.fault(format!("matrices of shapes {:?} and {:?}", a.shape(), b.shape())));
    }
    call.elements(&[a.nrows(), b.ncols()])?;
    let product = (a.dot(&b) * call.attributes().float("alpha", 1.0)?).into_dyn();
    let beta = call.attributes().float("beta", 1.0)?;
    Ok(vec![Tensor::Numbers(match call.optional(2)?.map(Tensor::numbers) {
        None => product,
        Some(Some(c)) => zip(call, &product, c, |p, c| p + beta * c)?,
        Some(None) => return Err(call.fault("integers, expected floats")),
    })])
}
