//! Known arrays whose elements are moved, repeated or left out.

use super::super::rules::{Call, Range};
use super::super::tensor::Tensor;
use crate::error::Result;
use ndarray::{Array1, ArrayD, Axis, IxDyn, Slice};

/// Runs a function on whichever kind of elements a tensor has.
macro_rules! of_either {
    ($tensor:expr, $array:ident => $result:expr) => {
        match $tensor {
            Tensor::Numbers($array) => Tensor::Numbers($result),
            Tensor::Integers($array) => Tensor::Integers($result),
        }
    };
}

pub(super) use of_either;

/// An operator of one tensor.
pub(super) fn one(call: &Call<'_>, of: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    Ok(vec![of(call.tensor(0)?)?])
}

pub(in super::super) fn reshape(call: &Call<'_>, tensor: &Tensor, shape: &[usize]) -> Result<Tensor> {
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

pub(super) fn split(call: &Call<'_>) -> Result<Vec<Tensor>> {
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

pub(super) fn transpose(call: &Call<'_>) -> Result<Vec<Tensor>> {
    let x = call.tensor(0)?;
    let axes = call.permutation(x.shape().len())?;
    let of = IxDyn(&axes);
    Ok(vec![of_either!(x, array => array.view().permuted_axes(of).as_standard_layout().into_owned())])
}

pub(super) fn concat(call: &Call<'_>) -> Result<Vec<Tensor>> {
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

pub(super) fn expand(call: &Call<'_>) -> Result<Vec<Tensor>> {
    one(call, |x| repeated(call, x, &call.expanded(x.shape())?))
}

/// A tensor that is repeated to a shape which it fits.
pub(super) fn repeated(call: &Call<'_>, tensor: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let fault = || call.fault(format!("shape {:?} as {shape:?}", tensor.shape()));
    Ok(of_either!(tensor, array => array.broadcast(IxDyn(shape)).ok_or_else(fault)?.to_owned()))
}

pub(super) fn tile(call: &Call<'_>) -> Result<Vec<Tensor>> {
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

pub(super) fn gather(call: &Call<'_>) -> Result<Vec<Tensor>> {
    let x = call.tensor(0)?;
    let axis = call.axis(call.attributes().integer("axis", 0)?, x.shape().len())?;
    let Tensor::Integers(indices) = call.tensor(1)? else { return Err(call.fault("indices are floats")) };
    let places = call.indices(indices.iter().copied(), x.shape()[axis])?;
    let shape = [&x.shape()[..axis], indices.shape(), &x.shape()[axis + 1..]].concat();
    call.elements(&shape)?;
    let picked = of_either!(x, array => array.select(Axis(axis), &places));
    Ok(vec![reshape(call, &picked, &shape)?])
}

/// `ScatterElements`: elements at these indices along an axis become others.
pub(super) fn scatter(call: &Call<'_>) -> Result<Vec<Tensor>> {
    fn of<T: Clone>(x: &ArrayD<T>, places: &ArrayD<usize>, updates: &ArrayD<T>, axis: usize) -> Option<ArrayD<T>> {
        let mut x = x.clone();
        for ((at, &place), update) in places.indexed_iter().zip(updates) {
            let mut at = at;
            at[axis] = place;
            *x.get_mut(at)? = update.clone();
        }
        Some(x)
    }
    let x = call.tensor(0)?;
    let axis = call.axis(call.attributes().integer("axis", 0)?, x.shape().len())?;
    let Tensor::Integers(indices) = call.tensor(1)? else { return Err(call.fault("indices are floats")) };
    if call.attributes().text("reduction", "none")? != "none" {
        return Err(call.attributes().unsupported("reduction", "elements are replaced"));
    }
    let fault = || call.fault(format!("shapes {:?} and {:?}", x.shape(), indices.shape()));
    if indices.ndim() != x.shape().len() || call.tensor(2)?.shape() != indices.shape() {
        return Err(fault());
    }
    let places = call.indices(indices.iter().copied(), x.shape()[axis])?;
    let places = shaped(call, indices.shape(), places)?;
    Ok(vec![match (x, call.tensor(2)?) {
        (Tensor::Numbers(x), Tensor::Numbers(updates)) => {
            Tensor::Numbers(of(x, &places, updates, axis).ok_or_else(fault)?)
        }
        (Tensor::Integers(x), Tensor::Integers(updates)) => {
            Tensor::Integers(of(x, &places, updates, axis).ok_or_else(fault)?)
        }
        _ => return Err(call.fault("floats beside integers")),
    }])
}

/// `TopK`: the largest or smallest elements along an axis in order, and where they are.
pub(super) fn largest(call: &Call<'_>) -> Result<Vec<Tensor>> {
    fn of<T: Clone + PartialOrd>(
        x: &ArrayD<T>,
        axis: usize,
        count: usize,
        of_largest: bool,
    ) -> (ArrayD<T>, ArrayD<i64>) {
        let mut shape = x.raw_dim();
        shape[axis] = count;
        let mut places = ArrayD::zeros(shape);
        for (lane, mut to) in x.lanes(Axis(axis)).into_iter().zip(places.lanes_mut(Axis(axis))) {
            let mut order: Vec<usize> = (0..lane.len()).collect();
            // Of equal elements the first one comes first.
            order.sort_by(|&a, &b| {
                let order = lane[a].partial_cmp(&lane[b]).unwrap_or(std::cmp::Ordering::Equal);
                if of_largest { order.reverse() } else { order }
            });
            to.iter_mut().zip(order).for_each(|(to, place)| *to = place as i64);
        }
        let values = ArrayD::from_shape_fn(places.raw_dim(), |mut at| {
            at[axis] = places[&at] as usize;
            x[&at].clone()
        });
        (values, places)
    }
    let x = call.tensor(0)?;
    let axis = call.axis(call.attributes().integer("axis", -1)?, x.shape().len())?;
    let count = match call.attributes().find("k") {
        Some(_) => call.attributes().integer("k", 0)?,
        None => call.integers(1)?.and_then(|list| list.first().copied()).unwrap_or_default(),
    };
    let count = usize::try_from(count).ok().filter(|&count| count <= x.shape()[axis]);
    let count = count.ok_or_else(|| call.fault(format!("more elements than axis {axis} of {:?} has", x.shape())))?;
    let of_largest = call.attributes().integer("largest", 1)? != 0;
    let (values, places) = match x {
        Tensor::Numbers(x) => {
            let (values, places) = of(x, axis, count, of_largest);
            (Tensor::Numbers(values), places)
        }
        Tensor::Integers(x) => {
            let (values, places) = of(x, axis, count, of_largest);
            (Tensor::Integers(values), places)
        }
    };
    Ok(vec![values, Tensor::Integers(places)])
}

/// `Shape` of an array of this shape.
pub(in super::super) fn shape(call: &Call<'_>, shape: &[usize]) -> Result<Tensor> {
    let rank = shape.len() as i64;
    let end = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let (start, end) = (end(call.attributes().integer("start", 0)?), end(call.attributes().integer("end", rank)?));
    let sizes = shape.get(start..end).unwrap_or_default();
    Ok(Tensor::Integers(sizes.iter().map(|&size| size as i64).collect::<Array1<_>>().into_dyn()))
}

pub(super) fn shaped<T>(call: &Call<'_>, shape: &[usize], values: Vec<T>) -> Result<ArrayD<T>> {
    ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|error| call.fault(error))
}
