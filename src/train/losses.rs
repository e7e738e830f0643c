//! The losses of a tape: each adds to the loss, and keeps the gradient of its first argument for the backward pass.

use super::tape::{Operation, Tape};
use crate::error::{Error, Result};
use crate::kernels::{CrossEntropyParams, ElementLossParams, FLAT, Kernel, ReduceParams, Variant, row_tile};
use crate::layer::{self, At};
use crate::plan::{BufferId, PlanBuilder, Value};

/// A target that counts for nothing: [`Tape::cross_entropy`] leaves its position out of the mean.
pub const IGNORED: u32 = u32::MAX;

/// Losses that a tape may have.
const LOSSES: usize = 16;
/// Numbers of one block of a long sum.
const BLOCK: usize = 4096;

impl Tape {
    /// Adds to the loss the mean over targets of −log softmax(logits) at the target. Logits are [..., C], targets
    /// [...]; targets equal to [`IGNORED`] are left out. A target beyond C gives NaN, and so do targets that are all
    /// ignored.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes do not fit each other, [`Value`](Error::Value) where the tape has 16 losses
    /// already, or numbers come for indices.
    pub fn cross_entropy(&mut self, logits: &Value, targets: &Value) -> Result<()> {
        self.plan.expect(logits, "logits", false)?;
        self.plan.expect(targets, "targets", true)?;
        let (&columns, rest) = logits.shape().split_last().unwrap_or((&0, &[]));
        if rest.is_empty() || targets.shape() != rest {
            return Err(Error::shape("targets", rest, targets.shape()));
        }
        let m = rest.iter().product::<usize>();
        let (count, losses, gradient) = self.loss_buffers(targets, m, 2, logits)?;
        let row_groups = m.min(1 << 15);
        let params = CrossEntropyParams {
            m,
            columns,
            logits_offset: logits.offset,
            target_offset: targets.offset,
            nan: f32::NAN,
            row_groups,
            ..Default::default()
        };
        let bindings = vec![logits.buffer, targets.buffer, count, losses, gradient.buffer];
        let tile = row_tile(Kernel::CrossEntropy, columns, self.plan.device().plan_limits().trips);
        let variant = Variant { tile, ..self.variant(Kernel::CrossEntropy) };
        self.plan.draft.dispatch(variant, bindings, &params.words());
        self.plan.record("cross_entropy", &[logits], &[]).beside.push(targets.into());
        self.add_loss(logits, losses, m, count, gradient)
    }

    /// Adds to the loss the mean of (x − t)² over targets t that are not NaN. It is NaN if all are.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes differ, [`Value`](Error::Value) where the tape has 16 losses already, or
    /// indices come for numbers.
    pub fn mean_squared_error(&mut self, x: &Value, targets: &Value) -> Result<()> {
        self.element_loss(x, targets, false)
    }

    /// Adds to the loss the mean of −t·log σ(x) − (1 − t)·log(1 − σ(x)) over targets t that are not NaN. It is NaN if
    /// all are.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes differ, [`Value`](Error::Value) where the tape has 16 losses already, or
    /// indices come for numbers.
    pub fn binary_cross_entropy(&mut self, x: &Value, targets: &Value) -> Result<()> {
        self.element_loss(x, targets, true)
    }

    fn element_loss(&mut self, x: &Value, targets: &Value, binary: bool) -> Result<()> {
        self.plan.expect(x, "input of a loss", false)?;
        self.plan.expect(targets, "targets", false)?;
        if targets.shape() != x.shape() {
            return Err(Error::shape("targets", x.shape(), targets.shape()));
        }
        let count = x.shape().iter().product::<usize>();
        let (valid, losses, gradient) = self.loss_buffers(targets, count, 3, x)?;
        let params = ElementLossParams {
            count,
            binary,
            x_offset: x.offset,
            target_offset: targets.offset,
            row_lanes: layer::row_lanes(count),
            ..Default::default()
        };
        let bindings = vec![x.buffer, targets.buffer, valid, losses, gradient.buffer];
        self.plan.draft.dispatch(self.variant(Kernel::ElementLoss), bindings, &params.words());
        let name = if binary { "binary_cross_entropy" } else { "mean_squared_error" };
        self.plan.record(name, &[x], &[]).beside.push(targets.into());
        self.add_loss(x, losses, count, valid, gradient)
    }

    fn variant(&self, kernel: Kernel) -> Variant {
        Variant::plain(kernel, FLAT, self.plan.device().panel())
    }

    /// The number of valid targets, by the form in which `reduce` counts them; memory for losses and for the gradient.
    fn loss_buffers(
        &mut self,
        targets: &Value,
        count: usize,
        form: u32,
        input: &Value,
    ) -> Result<(BufferId, BufferId, Value)> {
        if self.losses == LOSSES {
            return Err(Error::value("losses of a tape", format!("at most {LOSSES}"), self.losses + 1));
        }
        let valid = self.plan.fresh("valid targets", &[1])?;
        emit_sum(&mut self.plan, targets.into(), count, form, None, At::from(&valid));
        let losses = self.plan.fresh("losses", &[count])?;
        let gradient = self.plan.fresh("gradient of a loss", input.shape())?;
        Ok((valid.buffer, losses.buffer, gradient))
    }

    fn add_loss(&mut self, of: &Value, losses: BufferId, count: usize, valid: BufferId, gradient: Value) -> Result<()> {
        let all = self.plan.workspace("all losses", LOSSES);
        let place = At { buffer: all, offset: self.losses };
        emit_sum(&mut self.plan, At::start_of(losses), count, 0, Some(valid), place);
        self.losses += 1;
        let total = self.plan.tensor(&self.loss)?;
        emit_sum(&mut self.plan, At::start_of(all), self.losses, 0, None, At::from(&total));
        self.remember(Operation::Gradient { of: of.clone(), gradient, given: false });
        Ok(())
    }
}

/// Σ of `count` numbers in one of `reduce`'s forms, divided by another where there is one; long ones in two stages.
pub(super) fn emit_sum(
    plan: &mut PlanBuilder,
    values: At,
    count: usize,
    form: u32,
    divisor: Option<BufferId>,
    out: At,
) {
    let none = plan.workspace("no divisor", 1);
    let variant = Variant::plain(Kernel::Reduce, FLAT, plan.device().panel());
    let params = ReduceParams {
        count,
        block: count,
        form,
        values_offset: values.offset,
        out_offset: out.offset,
        ..Default::default()
    };
    let emit = |plan: &mut PlanBuilder, values, params: ReduceParams, divisor: Option<BufferId>, out| {
        let params = ReduceParams { divided: divisor.is_some(), nan: f32::NAN, ..params };
        plan.draft.dispatch(variant.clone(), vec![values, divisor.unwrap_or(none), out], &params.words());
    };
    if count <= BLOCK {
        emit(plan, values.buffer, params, divisor, out.buffer);
        return;
    }
    // As many blocks as numbers in each, for very long sums.
    let block = BLOCK.max((count as f64).sqrt() as usize);
    let groups = count.div_ceil(block);
    let parts = plan.workspace("parts of a sum", groups);
    emit(plan, values.buffer, ReduceParams { block, out_offset: 0, ..params }, None, parts);
    let last = ReduceParams { count: groups, block: groups, form: 0, values_offset: 0, ..params };
    emit(plan, parts, last, divisor, out.buffer);
}
