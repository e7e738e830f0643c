//! Nodes that are evaluated when a model is read: those that compute weights, states, lengths and shapes from constants.

use super::attributes::label;
use super::external::DataFiles;
use super::memory::collect;
use super::proto::{self, attribute_type, data_type};
use super::rules::{Call, Range};
use super::scopes::is_standard;
use super::tensor::Tensor;
use crate::error::{Error, Result};
use half::{bf16, f16};
use ndarray::{Array1, ArrayD, Axis, Ix2, IxDyn, Slice, arr0, arr1};

/// Computes the outputs of a node whose inputs are all known.
type Evaluate = fn(&Call<'_>, &DataFiles) -> Result<Vec<Tensor>>;

/// The operators that are evaluated.
const OPERATORS: &[(&str, Evaluate)] = &[
    ("Abs", |call, _| unary(call, f32::abs, |x| Ok(x.wrapping_abs()))),
    ("Add", |call, _| arithmetic(call, |a, b| a + b, |a, b| a.checked_add(b))),
    ("And", |call, _| compare(call, |a, b| a != 0.0 && b != 0.0, |a, b| a != 0 && b != 0)),
    ("Cast", |call, _| cast(call)),
    ("Ceil", |call, _| unary(call, f32::ceil, Ok)),
    ("Clip", |call, _| clip(call)),
    ("Concat", |call, _| concat(call)),
    ("Constant", |call, files| Ok(vec![constant(call.node, files)?])),
    ("ConstantOfShape", constant_of_shape),
    ("DequantizeLinear", |call, _| Ok(vec![dequantized(call)?])),
    ("Div", |call, _| arithmetic(call, |a, b| a / b, i64::checked_div)),
    ("Dropout", |call, _| Ok(vec![call.tensor(0)?.clone(); call.node.output.len().min(1)])),
    ("Equal", |call, _| compare(call, |a, b| a == b, |a, b| a == b)),
    ("Exp", |call, _| unary(call, f32::exp, |_| Err(call.fault("integers, expected floats")))),
    ("Expand", |call, _| expand(call)),
    ("Flatten", |call, _| one(call, |x| reshape(call, x, &call.flattened(x.shape())?))),
    ("Floor", |call, _| unary(call, f32::floor, Ok)),
    ("Gather", |call, _| gather(call)),
    ("Gemm", |call, _| gemm(call)),
    ("Greater", |call, _| compare(call, |a, b| a > b, |a, b| a > b)),
    ("GreaterOrEqual", |call, _| compare(call, |a, b| a >= b, |a, b| a >= b)),
    ("Identity", |call, _| Ok(vec![call.tensor(0)?.clone()])),
    ("Less", |call, _| compare(call, |a, b| a < b, |a, b| a < b)),
    ("LessOrEqual", |call, _| compare(call, |a, b| a <= b, |a, b| a <= b)),
    ("Log", |call, _| unary(call, f32::ln, |_| Err(call.fault("integers, expected floats")))),
    ("MatMul", |call, _| matmul(call)),
    ("Max", |call, _| arithmetic(call, f32::max, |a, b| Some(a.max(b)))),
    ("Min", |call, _| arithmetic(call, f32::min, |a, b| Some(a.min(b)))),
    ("Mod", |call, _| modulo(call)),
    ("Mul", |call, _| arithmetic(call, |a, b| a * b, |a, b| a.checked_mul(b))),
    ("Neg", |call, _| unary(call, |x| -x, |x| Ok(x.wrapping_neg()))),
    ("Not", |call, _| unary(call, |x| f32::from(x == 0.0), |x| Ok(i64::from(x == 0)))),
    ("Or", |call, _| compare(call, |a, b| a != 0.0 || b != 0.0, |a, b| a != 0 || b != 0)),
    ("Pow", |call, _| power(call)),
    ("Range", |call, _| range(call)),
    ("Reciprocal", |call, _| unary(call, f32::recip, |_| Err(call.fault("integers, expected floats")))),
    ("ReduceMax", |call, _| reduce(call, f32::NEG_INFINITY, f32::max, i64::MIN, |a, b| Some(a.max(b)))),
    ("ReduceMin", |call, _| reduce(call, f32::INFINITY, f32::min, i64::MAX, |a, b| Some(a.min(b)))),
    ("ReduceProd", |call, _| reduce(call, 1.0, |a, b| a * b, 1, |a, b| a.checked_mul(b))),
    ("ReduceSum", |call, _| reduce(call, 0.0, |a, b| a + b, 0, |a, b| a.checked_add(b))),
    ("Relu", |call, _| unary(call, |x| x.max(0.0), |x| Ok(x.max(0)))),
    ("Reshape", |call, _| one(call, |x| reshape(call, x, &call.reshaped(x.shape())?))),
    ("Shape", |call, _| Ok(vec![shape(call, call.tensor(0)?.shape())?])),
    ("Sigmoid", |call, _| unary(call, |x| 1.0 / (1.0 + (-x).exp()), |_| Err(call.fault("integers, expected floats")))),
    ("Size", |call, _| Ok(vec![Tensor::Integers(arr0(call.tensor(0)?.len() as i64).into_dyn())])),
    ("Slice", |call, _| one(call, |x| slice(x, &call.slices(x.shape())?))),
    ("Split", |call, _| split(call)),
    ("Sqrt", |call, _| unary(call, f32::sqrt, |_| Err(call.fault("integers, expected floats")))),
    ("Squeeze", |call, _| one(call, |x| reshape(call, x, &call.squeezed(x.shape())?))),
    ("Sub", |call, _| arithmetic(call, |a, b| a - b, |a, b| a.checked_sub(b))),
    ("Sum", |call, _| arithmetic(call, |a, b| a + b, |a, b| a.checked_add(b))),
    ("Tanh", |call, _| unary(call, f32::tanh, |_| Err(call.fault("integers, expected floats")))),
    ("Tile", |call, _| tile(call)),
    ("Transpose", |call, _| transpose(call)),
    ("Unsqueeze", |call, _| one(call, |x| reshape(call, x, &call.unsqueezed(x.shape())?))),
    ("Where", |call, _| choose(call)),
];

/// Whether nodes of this operator are evaluated.
pub(super) fn is_known(node: &proto::Node) -> bool {
    find(node).is_some()
}

fn find(node: &proto::Node) -> Option<Evaluate> {
    // ONNX Runtime's own domain repeats some standard operators.
    let is_known = is_standard(&node.domain) || (node.domain == "com.microsoft" && node.op_type == "DequantizeLinear");
    let found = OPERATORS.iter().find(|(name, _)| *name == node.op_type && is_known);
    found.map(|(_, evaluate)| *evaluate)
}

/// The outputs of a node whose inputs are all known.
pub(super) fn evaluate(call: &Call<'_>, files: &DataFiles) -> Result<Vec<Tensor>> {
    let Some(evaluate) = find(call.node) else {
        return Err(Error::Plan(format!("{} is evaluated", label(call.node))));
    };
    let outputs = evaluate(call, files)?;
    match call.node.output.iter().skip(outputs.len()).find(|name| !name.is_empty()) {
        Some(name) => Err(call.fault(format!("an output '{name}' beyond the {} that are computed", outputs.len()))),
        None => Ok(outputs),
    }
}

/// A known condition.
pub(super) fn truth(tensor: &Tensor) -> Option<bool> {
    match tensor {
        Tensor::Integers(array) if array.len() == 1 => array.iter().next().map(|&value| value != 0),
        Tensor::Numbers(array) if array.len() == 1 => array.iter().next().map(|&value| value != 0.0),
        _ => None,
    }
}

/// Runs a function on whichever kind of elements a tensor has.
macro_rules! of_either {
    ($tensor:expr, $array:ident => $result:expr) => {
        match $tensor {
            Tensor::Numbers($array) => Tensor::Numbers($result),
            Tensor::Integers($array) => Tensor::Integers($result),
        }
    };
}

/// An operator of one tensor.
fn one(call: &Call<'_>, of: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    Ok(vec![of(call.tensor(0)?)?])
}

pub(super) fn reshape(call: &Call<'_>, tensor: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let fault = |_| call.fault(format!("shape {:?} as {shape:?}", tensor.shape()));
    Ok(of_either!(tensor, array => array.to_shape(IxDyn(shape)).map_err(fault)?.into_owned()))
}

pub(super) fn slice(tensor: &Tensor, ranges: &[Range]) -> Result<Tensor> {
    fn of<T: Clone>(array: &ArrayD<T>, ranges: &[Range]) -> ArrayD<T> {
        let mut view = array.view();
        for (axis, &Range { start, count, step }) in ranges.iter().enumerate() {
            // From its first element on in the direction of its step.
            let reach = count.saturating_sub(1) * step.unsigned_abs() as usize;
            let (first, last) = if step > 0 { (start, start + reach) } else { (start.saturating_sub(reach), start) };
            let part =
                if count == 0 { Slice::from(0..0) } else { Slice::new(first as isize, Some(last as isize + 1), 1) };
            view.slice_axis_inplace(Axis(axis), part);
            view.slice_axis_inplace(Axis(axis), Slice::new(0, None, isize::try_from(step).unwrap_or(isize::MAX)));
        }
        view.as_standard_layout().into_owned()
    }
    Ok(of_either!(tensor, array => of(array, ranges)))
}

fn split(call: &Call<'_>) -> Result<Vec<Tensor>> {
    let x = call.tensor(0)?;
    let (axis, sizes) = call.splits(x.shape())?;
    let mut parts = Vec::new();
    let mut start = 0;
    for count in sizes {
        let mut ranges: Vec<_> = x.shape().iter().map(|&count| Range { start: 0, count, step: 1 }).collect();
        ranges[axis] = Range { start, count, step: 1 };
        parts.push(slice(x, &ranges)?);
        start += count;
    }
    Ok(parts)
}

fn transpose(call: &Call<'_>) -> Result<Vec<Tensor>> {
    let x = call.tensor(0)?;
    let axes = call.permutation(x.shape().len())?;
    let of = IxDyn(&axes);
    Ok(vec![of_either!(x, array => array.view().permuted_axes(of).as_standard_layout().into_owned())])
}

fn concat(call: &Call<'_>) -> Result<Vec<Tensor>> {
    let tensors = (0..call.node.input.len()).map(|input| call.tensor(input)).collect::<Result<Vec<_>>>()?;
    let shapes: Vec<_> = tensors.iter().map(|tensor| tensor.shape()).collect();
    let (axis, _) = call.concatenated(&shapes)?;
    let fault = |error| call.fault(error);
    let numbers: Option<Vec<_>> = tensors.iter().map(|tensor| Some(tensor.numbers()?.view())).collect();
    let integers: Option<Vec<_>> = tensors.iter().map(|tensor| Some(tensor.integers()?.view())).collect();
    Ok(vec![match (numbers, integers) {
        (Some(views), _) => Tensor::Numbers(ndarray::concatenate(Axis(axis), &views).map_err(fault)?),
        (_, Some(views)) => Tensor::Integers(ndarray::concatenate(Axis(axis), &views).map_err(fault)?),
        _ => return Err(call.fault("floats beside integers")),
    }])
}

fn expand(call: &Call<'_>) -> Result<Vec<Tensor>> {
    one(call, |x| repeated(call, x, &call.expanded(x.shape())?))
}

/// A tensor that is repeated to a shape which it fits.
fn repeated(call: &Call<'_>, tensor: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let fault = || call.fault(format!("shape {:?} as {shape:?}", tensor.shape()));
    Ok(of_either!(tensor, array => array.broadcast(IxDyn(shape)).ok_or_else(fault)?.to_owned()))
}

fn tile(call: &Call<'_>) -> Result<Vec<Tensor>> {
    let x = call.tensor(0)?;
    let repeats = call.repeats(x.shape())?;
    // [a, b] that is repeated r and s times is [r, a, s, b].
    let pairs = |of: &dyn Fn(usize) -> [usize; 2]| (0..repeats.len()).flat_map(of).collect::<Vec<_>>();
    let x = reshape(call, x, &pairs(&|axis| [1, x.shape()[axis]]))?;
    let sizes: Vec<_> = x.shape().iter().skip(1).step_by(2).copied().collect();
    let all = repeated(call, &x, &pairs(&|axis| [repeats[axis], sizes[axis]]))?;
    let shape: Vec<_> = sizes.iter().zip(&repeats).map(|(size, repeats)| size * repeats).collect();
    Ok(vec![reshape(call, &all, &shape)?])
}

fn gather(call: &Call<'_>) -> Result<Vec<Tensor>> {
    let x = call.tensor(0)?;
    let axis = call.axis(call.attributes().integer("axis", 0)?, x.shape().len())?;
    let Tensor::Integers(indices) = call.tensor(1)? else { return Err(call.fault("indices are floats")) };
    let places = call.indices(indices.iter().copied(), x.shape()[axis])?;
    let shape = [&x.shape()[..axis], indices.shape(), &x.shape()[axis + 1..]].concat();
    call.elements(&shape)?;
    let picked = of_either!(x, array => array.select(Axis(axis), &places));
    Ok(vec![reshape(call, &picked, &shape)?])
}

/// `Shape` of an array of this shape.
pub(super) fn shape(call: &Call<'_>, shape: &[usize]) -> Result<Tensor> {
    let rank = shape.len() as i64;
    let end = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let (start, end) = (end(call.attributes().integer("start", 0)?), end(call.attributes().integer("end", rank)?));
    let sizes = shape.get(start..end).unwrap_or_default();
    Ok(Tensor::Integers(sizes.iter().map(|&size| size as i64).collect::<Array1<_>>().into_dyn()))
}

fn cast(call: &Call<'_>) -> Result<Vec<Tensor>> {
    let to = call.attributes().integer("to", 0)?;
    let to = i32::try_from(to).map_err(|_| call.fault(format!("a type {to}")))?;
    let integer = |value: i64| match to {
        data_type::UINT8 => (value as u8).into(),
        data_type::INT8 => (value as i8).into(),
        data_type::UINT16 => (value as u16).into(),
        data_type::INT16 => (value as i16).into(),
        data_type::INT32 => (value as i32).into(),
        data_type::UINT32 => (value as u32).into(),
        data_type::BOOL => (value != 0).into(),
        _ => value,
    };
    let number = |value: f32| match to {
        data_type::FLOAT16 => f16::from_f32(value).to_f32(),
        data_type::BFLOAT16 => bf16::from_f32(value).to_f32(),
        _ => value,
    };
    one(call, |x| {
        Ok(match (is_float(to), is_integer(to), x) {
            (true, _, Tensor::Numbers(x)) => Tensor::Numbers(x.mapv(number)),
            (true, _, Tensor::Integers(x)) => Tensor::Numbers(x.mapv(|value| number(value as f32))),
            (_, true, Tensor::Integers(x)) => Tensor::Integers(x.mapv(integer)),
            (_, true, Tensor::Numbers(x)) if to == data_type::BOOL => Tensor::Integers(x.mapv(|x| (x != 0.0).into())),
            (_, true, Tensor::Numbers(x)) => Tensor::Integers(x.mapv(|value| integer(value as i64))),
            _ => {
                return Err(call
                    .attributes()
                    .unsupported(&format!("a cast to {}", data_type::name(to)), "floats and integers are computed"));
            }
        })
    })
}

pub(super) const fn is_float(kind: i32) -> bool {
    matches!(kind, data_type::FLOAT | data_type::FLOAT16 | data_type::BFLOAT16 | data_type::DOUBLE)
}

pub(super) const fn is_integer(kind: i32) -> bool {
    use data_type as t;
    matches!(kind, t::UINT8 | t::INT8 | t::UINT16 | t::INT16 | t::INT32 | t::INT64 | t::UINT32 | t::UINT64 | t::BOOL)
}

/// `DequantizeLinear`: (x − zero point) · scale, with one scale for all elements, for each along an axis, or for each block of an
/// axis.
fn dequantized(call: &Call<'_>) -> Result<Tensor> {
    let shape = call.tensor(0)?.shape();
    let rank = shape.len();
    let block = usize::try_from(call.attributes().integer("block_size", 0)?);
    let block = block.map_err(|_| call.fault("a negative block_size"))?;
    let mut spread = Vec::new();
    for input in [1, 2] {
        let Some(scale) = call.optional(input)? else {
            spread.push(None);
            continue;
        };
        let fault = || call.fault(format!("input {input} of shape {:?} for {shape:?}", scale.shape()));
        let axis = || call.axis(call.attributes().integer("axis", 1)?, rank);
        let one_each = |axis: usize| (0..rank).map(|at| if at == axis { shape[at] } else { 1 }).collect::<Vec<_>>();
        spread.push(Some(match scale.shape() {
            of if of.iter().product::<usize>() == 1 => reshape(call, scale, &vec![1; rank])?,
            &[count] if block == 0 && shape.get(axis()?) == Some(&count) => reshape(call, scale, &one_each(axis()?))?,
            of if block > 0 && of.len() == rank && shape[axis()?].div_ceil(block) == of[axis()?] => {
                let indices: Vec<_> = (0..shape[axis()?]).map(|i| i / block).collect();
                let axis = Axis(axis()?);
                of_either!(scale, array => array.select(axis, &indices))
            }
            _ => return Err(fault()),
        }));
    }
    let zero = spread.pop().flatten();
    match spread.pop().flatten() {
        Some(scale) => scaled(call, call.tensor(0)?, &scale, zero.as_ref()),
        None => Err(call.fault("no scale")),
    }
}

/// The same with a scale and a zero point that have as many axes as the values.
pub(super) fn dequantized_by(call: &Call<'_>) -> Result<Tensor> {
    scaled(call, call.tensor(0)?, call.tensor(1)?, call.optional(2)?)
}

fn scaled(call: &Call<'_>, values: &Tensor, scale: &Tensor, zero: Option<&Tensor>) -> Result<Tensor> {
    let (Some(values), Some(scale)) = (values.integers(), scale.numbers()) else {
        return Err(call.fault("expected integers with a scale of floats"));
    };
    let shifted = match zero.map(Tensor::integers) {
        None => values.mapv(|value| value as f32),
        Some(Some(zero)) => zip(call, values, zero, |value, zero| (value - zero) as f32)?,
        Some(None) => return Err(call.fault("a zero point of floats")),
    };
    Ok(Tensor::Numbers(zip(call, &shifted, scale, |value, scale| value * scale)?))
}

fn constant_of_shape(call: &Call<'_>, files: &DataFiles) -> Result<Vec<Tensor>> {
    let shape = call.shape(0)?;
    let value = call.attributes().tensor("value", files)?;
    let value = value.unwrap_or_else(|| Tensor::Numbers(arr0(0.0).into_dyn()));
    let value = reshape(call, &value, &vec![1; shape.len()])?;
    Ok(vec![repeated(call, &value, &shape)?])
}

/// Whether a `ConstantOfShape` gives zeros, as it does where it says no value.
pub(super) fn fills_with_zero(node: &proto::Node, files: &DataFiles) -> Result<bool> {
    let value = super::attributes::Attributes { node }.tensor("value", files)?;
    Ok(match value {
        None => true,
        Some(Tensor::Numbers(array)) => array.iter().all(|&value| value == 0.0),
        Some(Tensor::Integers(array)) => array.iter().all(|&value| value == 0),
    })
}

fn unary(call: &Call<'_>, number: impl Fn(f32) -> f32, integer: impl Fn(i64) -> Result<i64>) -> Result<Vec<Tensor>> {
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

fn shaped<T>(call: &Call<'_>, shape: &[usize], values: Vec<T>) -> Result<ArrayD<T>> {
    ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|error| call.fault(error))
}

/// A function of two arrays that are repeated to fit each other.
fn zip<A, B, C>(call: &Call<'_>, a: &ArrayD<A>, b: &ArrayD<B>, of: impl Fn(&A, &B) -> C) -> Result<ArrayD<C>> {
    let shape = IxDyn(&call.broadcast(&[a.shape(), b.shape()])?);
    match (a.broadcast(shape.clone()), b.broadcast(shape)) {
        (Some(a), Some(b)) => Ok(ndarray::Zip::from(&a).and(&b).map_collect(of)),
        _ => Err(call.fault(format!("shapes {:?} and {:?}", a.shape(), b.shape()))),
    }
}

/// A function of two or more tensors of one kind, element by element.
fn arithmetic(
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
fn compare(
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

fn modulo(call: &Call<'_>) -> Result<Vec<Tensor>> {
    // With the sign of the dividend, as in C, or else of the divisor, as in Python.
    let of_dividend = call.attributes().integer("fmod", 0)? != 0;
    let integer = |a: i64, b: i64| {
        let rest = a.checked_rem(b)?;
        Some(if !of_dividend && rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
    };
    arithmetic(call, |a, b| a % b, integer)
}

fn power(call: &Call<'_>) -> Result<Vec<Tensor>> {
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

fn clip(call: &Call<'_>) -> Result<Vec<Tensor>> {
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

fn choose(call: &Call<'_>) -> Result<Vec<Tensor>> {
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

fn range(call: &Call<'_>) -> Result<Vec<Tensor>> {
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

fn reduce(
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
fn matmul(call: &Call<'_>) -> Result<Vec<Tensor>> {
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

fn gemm(call: &Call<'_>) -> Result<Vec<Tensor>> {
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

/// The value of a `Constant` node, in any of its forms.
fn constant(node: &proto::Node, files: &DataFiles) -> Result<Tensor> {
    let name = node.output.first().map_or("", |name| name);
    let fault = |reason: &str| Error::Onnx(format!("Constant node that makes '{name}': {reason}"));
    if node.output.len() != 1 {
        return Err(fault(&format!("{} outputs, expected one", node.output.len())));
    }
    let [attribute] = &node.attribute[..] else {
        return Err(fault(&format!("{} attributes, expected one, its value", node.attribute.len())));
    };
    let kind = match &*attribute.name {
        "value" => attribute_type::TENSOR,
        "value_float" => attribute_type::FLOAT,
        "value_floats" => attribute_type::FLOATS,
        "value_int" => attribute_type::INT,
        "value_ints" => attribute_type::INTS,
        other @ ("sparse_value" | "value_string" | "value_strings") => {
            let what = format!("{other} of the Constant node that makes '{name}'");
            return Err(Error::unsupported(what, "weights, states and lengths are dense tensors of numbers"));
        }
        other => return Err(fault(&format!("an attribute '{other}', expected its value"))),
    };
    attribute.check(kind).map_err(|got| fault(&format!("{} is {got}", attribute.name)))?;
    Ok(match kind {
        attribute_type::FLOAT => Tensor::Numbers(arr0(attribute.f).into_dyn()),
        attribute_type::FLOATS => Tensor::Numbers(arr1(&attribute.floats).into_dyn()),
        attribute_type::INT => Tensor::Integers(arr0(attribute.i).into_dyn()),
        attribute_type::INTS => Tensor::Integers(arr1(&attribute.ints).into_dyn()),
        _ => Tensor::new(attribute.t.as_ref().ok_or_else(|| fault("its value is no tensor"))?, name, files)?,
    })
}
