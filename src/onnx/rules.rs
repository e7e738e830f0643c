//! What operators that move elements say of shapes: for arrays that are known and for those of a plan alike.

use super::attributes::{Attributes, label};
use super::proto;
use super::tensor::{Constant, Tensor};
use crate::error::{Error, Result};
use std::fmt::Display;
use std::sync::Arc;

/// A node with the values of its inputs that are known.
pub(super) struct Call<'a> {
    pub node: &'a proto::Node,
    pub known: Vec<Option<Arc<Constant>>>,
    /// The version of the standard operators.
    pub opset: i64,
    /// Elements of a result, at most: a file of a few bytes may ask for any number.
    pub limit: usize,
}

/// A part of an axis: `count` elements from `start` on, `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub start: usize,
    pub count: usize,
    pub step: i64,
}

impl<'a> Call<'a> {
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes { node: self.node }
    }

    /// An error that names the node.
    pub fn fault(&self, reason: impl Display) -> Error {
        Error::Onnx(format!("{}: {reason}", label(self.node)))
    }

    /// Whether an input is there, known or not.
    pub fn has(&self, input: usize) -> bool {
        self.node.input.get(input).is_some_and(|name| !name.is_empty())
    }

    /// The known value of an input that has to be there.
    pub fn tensor(&self, input: usize) -> Result<&Tensor> {
        self.optional(input)?.ok_or_else(|| self.fault(format!("input {input} is left out")))
    }

    /// The known value of an input that may be left out. One that is there and not known is an error.
    pub fn optional(&self, input: usize) -> Result<Option<&Tensor>> {
        if !self.has(input) {
            return Ok(None);
        }
        match self.known.get(input) {
            Some(Some(constant)) => Ok(Some(&constant.tensor)),
            _ => {
                let name = &self.node.input[input];
                let what = format!("input {input} ('{name}') of {}", label(self.node));
                Err(Error::unsupported(what, "it has to be known before the model runs, and other nodes compute it"))
            }
        }
    }

    /// The integers of an input, in a list.
    pub fn integers(&self, input: usize) -> Result<Option<Vec<i64>>> {
        match self.optional(input)? {
            None => Ok(None),
            Some(Tensor::Integers(array)) => Ok(Some(array.iter().copied().collect())),
            Some(Tensor::Numbers(_)) => Err(self.fault(format!("input {input} has floats, expected integers"))),
        }
    }

    /// A list that older versions have as an attribute and newer ones as an input.
    pub fn list(&self, attribute: &str, input: usize) -> Result<Option<Vec<i64>>> {
        match self.attributes().integers(attribute)? {
            Some(list) => Ok(Some(list.to_vec())),
            None => self.integers(input),
        }
    }

    /// A number that older versions have as an attribute and newer ones as an input.
    pub fn number(&self, attribute: &str, input: usize) -> Result<Option<f32>> {
        if self.attributes().find(attribute).is_some() {
            return self.attributes().float(attribute, 0.0).map(Some);
        }
        let number = |tensor: &Tensor| match tensor {
            Tensor::Numbers(array) if array.len() == 1 => Ok(array.iter().copied().next().unwrap_or_default()),
            Tensor::Integers(array) if array.len() == 1 => Ok(array.iter().copied().next().unwrap_or_default() as f32),
            other => Err(self.fault(format!("{attribute} of shape {:?}, expected one number", other.shape()))),
        };
        self.optional(input)?.map(number).transpose()
    }

    /// An axis, which may be counted from the end.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize> {
        let from_start = if axis < 0 { axis + rank as i64 } else { axis };
        let found = usize::try_from(from_start).ok().filter(|&axis| axis < rank);
        found.ok_or_else(|| self.fault(format!("axis {axis} of {rank} axes")))
    }

    /// Axes, each once.
    pub fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>> {
        let mut found = axes.iter().map(|&axis| self.axis(axis, rank)).collect::<Result<Vec<_>>>()?;
        found.sort_unstable();
        match found.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(self.fault(format!("axis {} is there twice", pair[0]))),
            None => Ok(found),
        }
    }

    /// How many elements a result has.
    pub fn elements(&self, shape: &[usize]) -> Result<usize> {
        let elements = shape.iter().try_fold(1_usize, |all, &size| all.checked_mul(size));
        elements.filter(|&elements| elements <= self.limit).ok_or_else(|| {
            self.fault(format!("a result of shape {shape:?}, at most {} elements are computed", self.limit))
        })
    }

    fn sizes(&self, sizes: &[i64]) -> Result<Vec<usize>> {
        let size = |&size: &i64| usize::try_from(size).map_err(|_| self.fault(format!("shape {sizes:?}")));
        sizes.iter().map(size).collect()
    }

    /// The shape that the second input of `ConstantOfShape` or the like gives.
    pub fn shape(&self, input: usize) -> Result<Vec<usize>> {
        let sizes = self.integers(input)?.ok_or_else(|| self.fault("no shape"))?;
        let shape = self.sizes(&sizes)?;
        self.elements(&shape)?;
        Ok(shape)
    }

    /// `Reshape`.
    pub fn reshaped(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let target = self.list("shape", 1)?.ok_or_else(|| self.fault("no shape"))?;
        let keeps_zeros = self.attributes().integer("allowzero", 0)? != 0;
        let fault = || self.fault(format!("shape {shape:?} as {target:?}"));
        let mut sizes = Vec::new();
        let mut open = None;
        for (axis, &size) in target.iter().enumerate() {
            sizes.push(match size {
                -1 if open.is_some() => return Err(fault()),
                -1 => {
                    open = Some(axis);
                    1
                }
                0 if !keeps_zeros => *shape.get(axis).ok_or_else(fault)?,
                size => usize::try_from(size).map_err(|_| fault())?,
            });
        }
        let count = |sizes: &[usize]| sizes.iter().try_fold(1_usize, |all, &size| all.checked_mul(size));
        let (elements, others) = (count(shape).ok_or_else(fault)?, count(&sizes).ok_or_else(fault)?);
        if let Some(axis) = open {
            if others == 0 || !elements.is_multiple_of(others) {
                return Err(fault());
            }
            sizes[axis] = elements / others;
        }
        if count(&sizes) == Some(elements) { Ok(sizes) } else { Err(fault()) }
    }

    /// `Flatten`.
    pub fn flattened(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let axis = self.attributes().integer("axis", 1)?;
        let axis = if axis == shape.len() as i64 { shape.len() } else { self.axis(axis, shape.len().max(1))? };
        let (rows, columns) = shape.split_at(axis.min(shape.len()));
        Ok(vec![rows.iter().product(), columns.iter().product()])
    }

    /// `Squeeze`.
    pub fn squeezed(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let axes = match self.list("axes", 1)? {
            Some(axes) => self.axes(&axes, shape.len())?,
            None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
        };
        if let Some(axis) = axes.iter().find(|&&axis| shape[axis] != 1) {
            return Err(self.fault(format!("axis {axis} of shape {shape:?} has not one element")));
        }
        Ok((0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect())
    }

    /// `Unsqueeze`.
    pub fn unsqueezed(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let axes = self.list("axes", 1)?.ok_or_else(|| self.fault("no axes"))?;
        let rank = shape.len() + axes.len();
        // More axes than a tensor can have.
        if axes.len() > 64 {
            return Err(self.fault(format!("{} axes", axes.len())));
        }
        let axes = self.axes(&axes, rank)?;
        let mut rest = shape.iter().copied();
        Ok((0..rank).map(|axis| if axes.contains(&axis) { 1 } else { rest.next().unwrap_or(1) }).collect())
    }

    /// `Transpose`: which axis of the input each axis of the output is.
    pub fn permutation(&self, rank: usize) -> Result<Vec<usize>> {
        let Some(permutation) = self.attributes().integers("perm")? else { return Ok((0..rank).rev().collect()) };
        let axes = permutation.iter().map(|&axis| self.axis(axis, rank)).collect::<Result<Vec<_>>>()?;
        if self.axes(permutation, rank)?.len() != rank {
            return Err(self.fault(format!("perm {permutation:?} of {rank} axes")));
        }
        Ok(axes)
    }

    /// `Slice`: a part of each axis.
    pub fn slices(&self, shape: &[usize]) -> Result<Vec<Range>> {
        let starts = self.list("starts", 1)?.ok_or_else(|| self.fault("no starts"))?;
        let ends = self.list("ends", 2)?.ok_or_else(|| self.fault("no ends"))?;
        let axes = self.list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self.integers(4)?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err(self.fault("lists of different lengths of starts, ends, axes and steps"));
        }
        self.axes(&axes, shape.len())?;
        let mut ranges: Vec<_> = shape.iter().map(|&count| Range { start: 0, count, step: 1 }).collect();
        for (i, &axis) in axes.iter().enumerate() {
            let axis = self.axis(axis, shape.len())?;
            ranges[axis] = self.range(shape[axis] as i64, starts[i], ends[i], steps[i])?;
        }
        Ok(ranges)
    }

    fn range(&self, size: i64, start: i64, end: i64, step: i64) -> Result<Range> {
        if step == 0 {
            return Err(self.fault("a step of 0"));
        }
        let from_start = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        // A step backwards ends before the first element.
        let bounds = if step > 0 { (0, size) } else { (-1, size - 1) };
        let start = from_start(start).clamp(bounds.0.max(0), bounds.1.max(0));
        let end = from_start(end).clamp(bounds.0, bounds.1);
        let length = if step > 0 { end - start } else { start - end };
        let count = if size == 0 { 0 } else { (length.max(0) as u64).div_ceil(step.unsigned_abs()) as usize };
        Ok(Range { start: start as usize, count, step })
    }

    /// `Split`: the axis, and how much of it each output has.
    pub fn splits(&self, shape: &[usize]) -> Result<(usize, Vec<usize>)> {
        let axis = self.axis(self.attributes().integer("axis", 0)?, shape.len())?;
        let size = shape[axis];
        let sizes = match self.list("split", 1)? {
            Some(sizes) => self.sizes(&sizes)?,
            None => {
                let count = self.node.output.len().max(1);
                let part = size.div_ceil(count);
                let part = |i: usize| part.min(size.saturating_sub(i * part));
                (0..count).map(part).collect()
            }
        };
        let all = sizes.iter().try_fold(0_usize, |all, &size| all.checked_add(size));
        if sizes.len() != self.node.output.len() || all != Some(size) {
            let outputs = self.node.output.len();
            return Err(self.fault(format!("parts {sizes:?} of {size} for {outputs} outputs")));
        }
        Ok((axis, sizes))
    }

    /// `Concat`: the axis, and the shape of all.
    pub fn concatenated(&self, shapes: &[&[usize]]) -> Result<(usize, Vec<usize>)> {
        let Some(first) = shapes.first() else { return Err(self.fault("no inputs")) };
        let axis = self
            .attributes()
            .find("axis")
            .ok_or_else(|| self.fault("no axis"))
            .and(self.attributes().integer("axis", 0))?;
        let axis = self.axis(axis, first.len())?;
        let mut all = first.to_vec();
        all[axis] = 0;
        for shape in shapes {
            let fits = shape.len() == all.len() && (0..all.len()).all(|at| at == axis || shape[at] == all[at]);
            let size = if fits { all[axis].checked_add(shape[axis]) } else { None };
            all[axis] = size.ok_or_else(|| self.fault(format!("shapes {shapes:?} along axis {axis}")))?;
        }
        self.elements(&all)?;
        Ok((axis, all))
    }

    /// The shape of several arrays that are repeated to fit each other, as NumPy does.
    pub fn broadcast(&self, shapes: &[&[usize]]) -> Result<Vec<usize>> {
        let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
        let mut all = vec![1; rank];
        for shape in shapes {
            for (at, &size) in all[rank - shape.len()..].iter_mut().zip(*shape) {
                *at = match (*at, size) {
                    (have, 1) => have,
                    (1, size) => size,
                    (have, size) if have == size => have,
                    _ => return Err(self.fault(format!("shapes {shapes:?} do not fit each other"))),
                };
            }
        }
        self.elements(&all)?;
        Ok(all)
    }

    /// `Expand`.
    pub fn expanded(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let target = self.shape(1)?;
        self.broadcast(&[shape, &target])
    }

    /// `Tile`: how often each axis is repeated.
    pub fn repeats(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let repeats = self.integers(1)?.ok_or_else(|| self.fault("no repeats"))?;
        let repeats = self.sizes(&repeats)?;
        if repeats.len() != shape.len() {
            return Err(self.fault(format!("{} repeats of {} axes", repeats.len(), shape.len())));
        }
        let sizes = shape.iter().zip(&repeats).map(|(size, repeats)| size.checked_mul(*repeats));
        let sizes = sizes.collect::<Option<Vec<_>>>().ok_or_else(|| self.fault(format!("repeats {repeats:?}")))?;
        self.elements(&sizes)?;
        Ok(repeats)
    }

    /// The axes that a reduction runs over, and whether they stay with one element.
    pub fn reduced(&self, rank: usize) -> Result<(Vec<usize>, bool)> {
        let keeps = self.attributes().integer("keepdims", 1)? != 0;
        let axes = match self.list("axes", 1)? {
            Some(axes) if !axes.is_empty() => self.axes(&axes, rank)?,
            _ if self.attributes().integer("noop_with_empty_axes", 0)? != 0 => Vec::new(),
            _ => (0..rank).collect(),
        };
        Ok((axes, keeps))
    }

    /// Indices into an axis, which may be counted from the end.
    pub fn indices(&self, indices: impl Iterator<Item = i64>, size: usize) -> Result<Vec<usize>> {
        let index = |index: i64| {
            let from_start = if index < 0 { index.saturating_add(size as i64) } else { index };
            let found = usize::try_from(from_start).ok().filter(|&index| index < size);
            found.ok_or_else(|| self.fault(format!("index {index} into {size} elements")))
        };
        indices.map(index).collect()
    }
}
