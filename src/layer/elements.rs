//! Functions of the elements of values, and sums of them along axes, as commands of a plan.

use super::contraction::Contraction;
use super::fusion::fuse;
use super::pack::row_lanes;
use super::schedule;
use crate::error::{Error, Result};
use crate::kernels::{
    Expression, FLAT, FoldParams, Folding, Formula, MAX_INPUTS, MapParams, Of, Operand, Tile, Variant, dense_operands,
    layout_words,
};
use crate::plan::{BufferId, Elements, Folded, PlanBuilder, Value, broadcast};

/// Where elements go, and whether they are added to what is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Into<'v> {
    pub value: &'v Value,
    pub accumulate: bool,
}

impl PlanBuilder {
    /// Applies a function to every element of up to six values: `out[i] = f(x0[i], x1[i], ...)`. Shapes are broadcast as NumPy does it:
    /// axes are counted from the last one, and those of size 1 are repeated. Indices count as numbers. Views are read where they
    /// lie. [`Tape::map`](crate::Tape::map) has a backward pass too.
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
        self.map_formula("map", formula, &values)
    }

    /// The same of a formula.
    pub(crate) fn map_formula(&mut self, name: &'static str, formula: Formula, values: &[&Value]) -> Result<Value> {
        for value in values {
            self.owns(value, name)?;
        }
        let shape = broadcast(name, values)?;
        check_coordinates(formula, &shape)?;
        let out = self.fresh(name, &shape)?;
        emit_map(self, formula, values, Into { value: &out, accumulate: false })?;
        self.record(name, values, &[&out]);
        Ok(out)
    }

    /// The same elements one after the other: the value itself where they lie so.
    ///
    /// # Errors
    /// [`OtherPlan`](Error::OtherPlan), and [`Value`](Error::Value) for a view of indices.
    pub fn contiguous(&mut self, value: &Value) -> Result<Value> {
        self.owns(value, "value")?;
        if value.is_dense() {
            return Ok(value.clone());
        }
        self.expect_view(value, "view", false)?;
        self.map_formula("contiguous", Formula::identity(), &[value])
    }

    /// Sums along axes, which the result lacks.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for an axis that the value lacks or that is named twice, and for indices.
    pub fn sum(&mut self, x: &Value, axes: &[usize]) -> Result<Value> {
        self.fold("sum", x, axes, (Formula::identity(), Folding::Sum))
    }

    /// Averages along axes, which the result lacks.
    ///
    /// # Errors
    /// As [`PlanBuilder::sum`].
    pub fn mean(&mut self, x: &Value, axes: &[usize]) -> Result<Value> {
        let formula = mean_of(x, axes)?;
        self.fold("mean", x, axes, (formula, Folding::Sum))
    }

    /// Finds the largest element along axes, which the result lacks; NaN where there is one.
    ///
    /// # Errors
    /// As [`PlanBuilder::sum`].
    pub fn max(&mut self, x: &Value, axes: &[usize]) -> Result<Value> {
        self.fold("max", x, axes, (Formula::identity(), Folding::Max))
    }

    fn fold(&mut self, name: &'static str, x: &Value, axes: &[usize], fold: (Formula, Folding)) -> Result<Value> {
        self.expect_view(x, name, false)?;
        self.fold_formula(name, fold, &[x], axes)
    }

    /// Sums a formula of the elements of values along axes of the shape to which they are broadcast, or finds the largest.
    pub(crate) fn fold_formula(
        &mut self,
        name: &'static str,
        fold: (Formula, Folding),
        values: &[&Value],
        axes: &[usize],
    ) -> Result<Value> {
        let shape = broadcast(name, values)?;
        check_axes(&shape, axes)?;
        let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect();
        let out = self.fresh(name, &kept)?;
        emit_fold(self, fold, values, axes, &shape, Into { value: &out, accumulate: false })?;
        self.record(name, values, &[&out]);
        Ok(out)
    }
}

/// x / n, where so many elements become one.
pub(crate) fn mean_of(x: &Value, axes: &[usize]) -> Result<Formula> {
    check_axes(&x.shape, axes)?;
    let count: usize = axes.iter().map(|&axis| x.shape[axis]).product();
    Formula::new(|[x]| x * (1.0 / count as f32))
}

/// Refuses axes that a shape lacks, and one that is named twice.
fn check_axes(shape: &[usize], axes: &[usize]) -> Result<()> {
    for (i, axis) in axes.iter().enumerate() {
        if *axis >= shape.len() || axes[..i].contains(axis) {
            return Err(Error::value("axes", format!("axes of {shape:?}, none of them twice"), format!("{axes:?}")));
        }
    }
    Ok(())
}

/// Refuses coordinates along an axis that a result lacks.
fn check_coordinates(formula: Formula, shape: &[usize]) -> Result<()> {
    match formula.coordinates() {
        Some(axis) if axis >= shape.len() => {
            Err(Error::value("coordinate", format!("along one of the axes of {shape:?}"), format!("axis {axis}")))
        }
        _ => Ok(()),
    }
}

/// `out[i] (+)= f(x0[i], ...)` over the shape of the result, to which the values are broadcast.
///
/// # Errors
/// [`Value`](Error::Value) where the formula reads too many values.
pub(crate) fn emit_map(plan: &mut PlanBuilder, formula: Formula, values: &[&Value], out: Into<'_>) -> Result<()> {
    let (shape, given) = (&out.value.shape, formula);
    let operands = Operands::new(formula, values, shape, operand(out.value, shape))?;
    let Operands { formula, sizes, operands, buffers, integers } =
        if formula.coordinates().is_some() { operands } else { operands.merged(shape.len()).0 };
    let count = out.value.len();
    if count == 0 {
        return Ok(());
    }
    let params = MapParams {
        count,
        accumulate: out.accumulate,
        nan: f32::NAN,
        infinity: f32::INFINITY,
        row_lanes: row_lanes(count),
    };
    let before = plan.plan().commands().len();
    let dense = dense_operands(&sizes, &operands);
    let of = Of::Map { formula, axes: sizes.len() as u32, integers, dense };
    let variant = Variant::new(of, FLAT, plan.device().panel());
    let bindings = bindings(plan, &sizes, &operands, &buffers, out.value.buffer);
    plan.draft.dispatch(variant, bindings, &params.words());
    remember(plan, before, (given, values), out, None);
    Ok(())
}

/// `out[i] (+)= Σ f(x0, ...)` along axes of a shape to which the values are broadcast; the result has the other ones, or is
/// broadcast to them.
///
/// # Errors
/// As [`emit_map`].
pub(crate) fn emit_fold(
    plan: &mut PlanBuilder,
    (given, folding): (Formula, Folding),
    values: &[&Value],
    axes: &[usize],
    shape: &[usize],
    out: Into<'_>,
) -> Result<()> {
    let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
    let kept_shape: Vec<usize> = kept.iter().map(|&axis| shape[axis]).collect();
    let mut result = operand(out.value, &kept_shape);
    result.strides.resize(shape.len(), 0);
    // The folded axes last.
    let order: Vec<usize> = kept.iter().chain(axes).copied().collect();
    let sizes: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
    let mut operands = Operands::new(given, values, shape, result)?;
    for operand in &mut operands.operands[1..] {
        operand.strides = order.iter().map(|&axis| operand.strides[axis]).collect();
    }
    operands.sizes.clone_from(&sizes);
    let (Operands { formula, sizes, operands, buffers, integers }, kept) = if given.coordinates().is_some() {
        (operands.with_axes(&order), kept.len())
    } else {
        operands.merged(kept.len())
    };
    let [count, terms] = [&sizes[..kept], &sizes[kept..]].map(|sizes| sizes.iter().product::<usize>());
    if count == 0 {
        return Ok(());
    }
    let contiguous = operands[1..].iter().any(|operand| operand.strides.last() == Some(&1));
    let shared = schedule::shares_folds(plan.device(), [count, terms], contiguous);
    if folding == Folding::Sum && is_product(formula)? && integers == 0 {
        let all = [out.value.buffer, buffers[0], buffers[1]];
        if let Some(contraction) = Contraction::new(&sizes, kept, &operands, all) {
            contraction.emit(plan, out.accumulate);
            return Ok(());
        }
    }
    let folded = (sizes.len() - kept) as u32;
    let of = Of::Fold { formula, folding, axes: kept as u32, folded, integers, shared };
    let tile = if shared { Tile { lanes: 64, ..FLAT } } else { FLAT };
    let variant = Variant::new(of, tile, plan.device().panel());
    let lanes = if shared { tile.lanes as usize } else { 1 };
    let bindings = bindings(plan, &sizes, &operands, &buffers, out.value.buffer);
    let most = (plan.device().plan_limits().trips.saturating_sub(16) as usize).max(1).saturating_mul(lanes);
    let before = plan.plan().commands().len();
    let mut start = 0_usize;
    loop {
        let end = terms.min(start.saturating_add(most));
        let params = FoldParams {
            count,
            start,
            end,
            accumulate: out.accumulate || start > 0,
            nan: f32::NAN,
            infinity: f32::INFINITY,
            row_lanes: row_lanes(count.saturating_mul(lanes)),
        };
        plan.draft.dispatch(variant.clone(), bindings.clone(), &params.words());
        start = end;
        if start >= terms {
            break;
        }
    }
    let fold = Folded { folding, axes: axes.to_vec(), shape: shape.to_vec() };
    remember(plan, before, (given, values), out, Some(fold));
    Ok(())
}

/// Whether it is the product of two values.
fn is_product(formula: Formula) -> Result<bool> {
    Ok(formula == Formula::new(|[a, b]| a * b)? || formula == Formula::new(|[a, b]| b * a)?)
}

/// Appends an operation again.
fn emit(plan: &mut PlanBuilder, elements: &Elements) -> Result<()> {
    let values: Vec<&Value> = elements.values.iter().collect();
    let into = Into { value: &elements.out, accumulate: elements.accumulate };
    match &elements.fold {
        None => emit_map(plan, elements.formula, &values, into),
        Some(fold) => emit_fold(plan, (elements.formula, fold.folding), &values, &fold.axes, &fold.shape, into),
    }
}

/// Lets chains of element-wise operations become one when the plan is built.
fn remember(
    plan: &mut PlanBuilder,
    before: usize,
    (formula, values): (Formula, &[&Value]),
    out: Into<'_>,
    fold: Option<Folded>,
) {
    let commands = before..plan.plan().commands().len();
    let values = values.iter().map(|&value| value.clone()).collect();
    let Into { value, accumulate } = out;
    plan.draft.elements.push(Elements { commands, formula, values, out: value.clone(), accumulate, fold });
    plan.finish = Some((fuse, emit));
}

fn operand(value: &Value, shape: &[usize]) -> Operand {
    Operand { offset: value.offset, strides: value.broadcast_strides(shape) }
}

/// What a dispatch is made of.
struct Operands {
    formula: Formula,
    sizes: Vec<usize>,
    /// The result's first.
    operands: Vec<Operand>,
    /// Of the values.
    buffers: Vec<BufferId>,
    integers: u32,
}

impl Operands {
    /// Those of the values that the formula reads.
    fn new(formula: Formula, values: &[&Value], shape: &[usize], result: Operand) -> Result<Self> {
        let (formula, read) = formula.compact();
        if read.len() > MAX_INPUTS {
            return Err(Error::value("values that a function reads", format!("at most {MAX_INPUTS}"), read.len()));
        }
        let read = read.into_iter().map(|k| values[k]);
        let mut this =
            Self { formula, sizes: shape.to_vec(), operands: vec![result], buffers: Vec::new(), integers: 0 };
        for (k, value) in read.enumerate() {
            this.operands.push(operand(value, shape));
            this.buffers.push(value.buffer);
            this.integers |= u32::from(value.is_index) << k;
        }
        Ok(this)
    }

    /// The same with fewer axes where neighbours are one for all operands, and how many of them are among the first `kept`. At
    /// least one on either side is left.
    fn merged(self, kept: usize) -> (Self, usize) {
        let total = self.sizes.len();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut left = 0;
        for side in [0..kept, kept..total] {
            let before = groups.len();
            for axis in side.clone().filter(|&axis| self.sizes[axis] != 1) {
                let joins = |group: &Vec<usize>| {
                    let last = group[group.len() - 1];
                    self.operands
                        .iter()
                        .all(|operand| operand.strides[last] == operand.strides[axis] * self.sizes[axis])
                };
                match groups[before..].last_mut() {
                    Some(group) if joins(group) => group.push(axis),
                    _ => groups.push(vec![axis]),
                }
            }
            // A side without axes has one of size 1; but there may be none that are folded.
            if groups.len() == before && (groups.is_empty() || kept < total) {
                groups.push(Vec::new());
            }
            if before == 0 {
                left = groups.len();
            }
        }
        let sizes = groups.iter().map(|group| group.iter().map(|&axis| self.sizes[axis]).product()).collect();
        let operands = self.operands.iter().map(|operand| Operand {
            offset: operand.offset,
            strides: groups.iter().map(|group| group.last().map_or(0, |&axis| operand.strides[axis])).collect(),
        });
        let operands = operands.collect();
        (Self { sizes, operands, ..self }, left)
    }

    /// The same, whose coordinates are still those along the axes before they were put in order.
    fn with_axes(self, order: &[usize]) -> Self {
        Self { formula: self.formula.with_axes(order), ..self }
    }
}

/// The buffers of a dispatch: where values lie, the values, the result. The words of the layout stand for values that there are not.
fn bindings(
    plan: &mut PlanBuilder,
    sizes: &[usize],
    operands: &[Operand],
    values: &[BufferId],
    out: BufferId,
) -> Vec<BufferId> {
    let layout = plan.constant("places", &layout_words(sizes, operands));
    let mut all = vec![layout];
    all.extend(values);
    all.resize(1 + MAX_INPUTS, layout);
    all.push(out);
    all
}
