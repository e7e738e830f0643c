//! Arrays inside of a plan.

use super::commands::BufferId;
use crate::error::{Error, Result};
use crate::tensor::elements;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells plans under construction apart, so that a value of one is refused in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlanId(u64);

impl PlanId {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// An array inside of a plan, which is part of one of its buffers. It can be used only with the [`PlanBuilder`](crate::PlanBuilder) or
/// [`Tape`](crate::Tape) that made it; others return [`OtherPlan`](Error::OtherPlan).
///
/// [`at`](Self::at), [`slice`](Self::slice), [`transpose`](Self::transpose), [`reshape`](Self::reshape) and [`insert_axis`](Self::insert_axis)
/// give views: they cost nothing when the plan runs, and gradients pass through them.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::{Device, PlanBuilder, Tensor};
/// let device = Device::cpu();
/// let x = Tensor::from_array(&device, array![[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]].view())?;
/// let y = Tensor::<f32>::zeros(&device, &[2, 2])?;
/// let mut plan = PlanBuilder::new(&device);
/// let (input, output) = (plan.tensor(&x)?, plan.tensor(&y)?);
/// let columns = input.slice(1, 1..3)?.transpose(0, 1)?;
/// plan.copy(&columns, &output)?;
/// plan.build()?.run()?;
/// assert_eq!(y.read()?, array![[2.0, 5.0], [3.0, 6.0]].into_dyn());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Value {
    pub(crate) plan: PlanId,
    pub(crate) buffer: BufferId,
    /// First element.
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    /// From one element to the next along each axis.
    pub(crate) strides: Vec<usize>,
    pub(crate) is_index: bool,
}

/// The strides of an array whose elements lie one after the other.
pub(crate) fn dense_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

impl Value {
    /// A value whose elements lie one after the other, from the first one of a buffer on.
    pub(super) fn dense(plan: PlanId, buffer: BufferId, shape: Vec<usize>, is_index: bool) -> Self {
        let strides = dense_strides(&shape);
        Self { plan, buffer, offset: 0, shape, strides, is_index }
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether its elements lie one after the other.
    pub(crate) fn is_dense(&self) -> bool {
        let mut expected = 1;
        self.len() == 0
            || self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
                let dense = size == 1 || stride == expected;
                expected *= size;
                dense
            })
    }

    /// The words of its buffer from its first to its last element.
    pub(crate) fn range(&self) -> Range<usize> {
        let reach = |(&size, &stride): (&usize, &usize)| size.saturating_sub(1) * stride;
        let last = self.shape.iter().zip(&self.strides).map(reach).sum::<usize>();
        self.offset..self.offset + if self.len() == 0 { 0 } else { last + 1 }
    }

    fn axis(&self, axis: usize) -> Result<usize> {
        let missing =
            || Error::value("axis", format!("one of the {} axes of {:?}", self.shape.len(), self.shape), axis);
        self.shape.get(axis).copied().ok_or_else(missing)
    }

    /// The part at this index of the first axis.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where the axis is shorter.
    pub fn at(&self, index: usize) -> Result<Self> {
        match self.shape.split_first() {
            Some((&first, rest)) if index < first && !rest.is_empty() => Ok(Self {
                offset: self.offset + index * self.strides[0],
                shape: rest.to_vec(),
                strides: self.strides[1..].to_vec(),
                ..self.clone()
            }),
            _ => Err(Error::value("index", format!("an index into the first axis of {:?}", self.shape), index)),
        }
    }

    /// The part at this index of the last axis.
    pub(crate) fn last_at(&self, index: usize) -> Self {
        let mut part = self.clone();
        part.shape.pop();
        part.offset += index * part.strides.pop().unwrap_or(0);
        part
    }

    /// The elements of a range along an axis.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where there is no such axis, or it has no such range.
    pub fn slice(&self, axis: usize, range: Range<usize>) -> Result<Self> {
        let size = self.axis(axis)?;
        if range.start >= range.end || range.end > size {
            let expected = format!("at least one element of the {size} of axis {axis} of {:?}", self.shape);
            return Err(Error::value("range of a slice", expected, format!("{range:?}")));
        }
        let mut part = self.clone();
        part.offset += range.start * self.strides[axis];
        part.shape[axis] = range.len();
        Ok(part)
    }

    /// The same elements with two axes exchanged.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where there is no such axis.
    pub fn transpose(&self, one: usize, other: usize) -> Result<Self> {
        self.axis(one)?;
        self.axis(other)?;
        let mut turned = self.clone();
        turned.shape.swap(one, other);
        turned.strides.swap(one, other);
        Ok(turned)
    }

    /// The same elements with an axis of size 1 before this one; after the last one for the number of axes.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where the value has fewer axes.
    pub fn insert_axis(&self, axis: usize) -> Result<Self> {
        if axis > self.shape.len() {
            return Err(Error::value("axis", format!("at most {}", self.shape.len()), axis));
        }
        let mut value = self.clone();
        value.shape.insert(axis, 1);
        value.strides.insert(axis, 1);
        Ok(value)
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where it has another number of elements, or needs elements in another order than those of a view have:
    /// [`PlanBuilder::contiguous`](crate::PlanBuilder::contiguous) and [`Tape::contiguous`](crate::Tape::contiguous) copy it.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        if elements(shape)? != self.len() {
            return Err(Error::shape("reshaped value", &self.shape, shape));
        }
        if self.is_dense() {
            return Ok(Self { shape: shape.to_vec(), strides: dense_strides(shape), ..self.clone() });
        }
        let strides = self.reshaped_strides(shape);
        let expected =
            || format!("elements one after the other, which Tape::contiguous makes of a view of {:?}", self.shape);
        let strides = strides.ok_or_else(|| Error::shape("reshaped value", expected(), shape))?;
        Ok(Self { shape: shape.to_vec(), strides, ..self.clone() })
    }

    /// The strides of another shape of the same elements; none where no strides give their order.
    fn reshaped_strides(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let own: Vec<(usize, usize)> =
            self.shape.iter().copied().zip(self.strides.iter().copied()).filter(|axis| axis.0 != 1).collect();
        let mut strides = vec![1; shape.len()];
        let (mut i, mut j) = (own.len(), shape.len());
        // Groups of axes with as many elements on either side, from the last one on.
        while i > 0 {
            let (mut product, mut wanted, start, end) = (own[i - 1].0, 1, i - 1, j);
            let mut first = start;
            while j > 0 && wanted < product || product < wanted {
                if wanted < product {
                    j -= 1;
                    wanted *= shape[j];
                } else {
                    first = first.checked_sub(1)?;
                    // Axes of one group have to follow one another in memory.
                    (own[first].1 == own[first + 1].1 * own[first + 1].0).then_some(())?;
                    product *= own[first].0;
                }
            }
            (wanted == product).then_some(())?;
            let mut stride = own[start].1;
            for axis in (j..end).rev() {
                strides[axis] = stride;
                stride *= shape[axis];
            }
            i = first;
        }
        Some(strides)
    }

    /// The same with axes of size 1 before its own, so that it has this many.
    pub(crate) fn aligned(&self, axes: usize) -> Result<Self> {
        let mut value = self.clone();
        while value.shape.len() < axes {
            value = value.insert_axis(0)?;
        }
        Ok(value)
    }

    /// The strides with which it is read as an array of another shape: 0 along the axes that it lacks or that are 1 long.
    pub(crate) fn broadcast_strides(&self, shape: &[usize]) -> Vec<usize> {
        let missing = shape.len().saturating_sub(self.shape.len());
        let own = self.shape.iter().zip(&self.strides).map(|(&size, &stride)| if size == 1 { 0 } else { stride });
        std::iter::repeat_n(0, missing).chain(own).collect()
    }
}

/// The shape that values have together, axes counted from the last one: each is as long as all others there, or 1 long.
///
/// # Errors
/// [`Shape`](Error::Shape) with the first value that does not fit.
pub(crate) fn broadcast(name: &str, values: &[&Value]) -> Result<Vec<usize>> {
    let mut shape: Vec<usize> = Vec::new();
    for value in values {
        if value.shape.len() > shape.len() {
            shape.splice(0..0, std::iter::repeat_n(1, value.shape.len() - shape.len()));
        }
        let skip = shape.len() - value.shape.len();
        let known = shape.clone();
        for (size, &own) in shape[skip..].iter_mut().zip(&value.shape) {
            if *size == 1 {
                *size = own;
            } else if own != 1 && own != *size {
                return Err(Error::shape(name, format!("one that broadcasts to {known:?}"), &value.shape));
            }
        }
    }
    Ok(shape)
}
