//! The losses of a tape: each adds to the loss, and keeps the gradient of its first argument for the backward pass.

use super::tape::{Operation, Tape};
use crate::error::{Error, Result};
use crate::kernels::{
    CrossEntropyParams, ElementLossForm, ElementLossParams, FLAT, GatherParams, Kernel, ReduceParams, Variant, row_tile,
};
use crate::layer::{self, At};
use crate::plan::{BufferId, PlanBuilder, Value};
use crate::tensor::Tensor;

/// A target that counts for nothing: [`Tape::cross_entropy`] leaves its position out of the mean.
pub const IGNORED: u32 = u32::MAX;

/// How [`Tape::cross_entropy_with`] computes a cross-entropy. By default there are no class weights and no label smoothing.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CrossEntropy {
    /// The part of each target that is spread evenly over all classes, from 0 to 1 (Szegedy et al. 2016).
    pub label_smoothing: f32,
    /// What the loss of each class is multiplied by, `[C]`; none for 1 everywhere. The tensor may be written between steps.
    pub class_weights: Option<Tensor>,
}

impl CrossEntropy {
    /// Sets the part of each target that is spread evenly over all classes.
    #[must_use]
    pub fn label_smoothing(self, label_smoothing: f32) -> Self {
        Self { label_smoothing, ..self }
    }

    /// Sets what the loss of each class is multiplied by.
    #[must_use]
    pub fn class_weights(self, class_weights: &Tensor) -> Self {
        Self { class_weights: Some(class_weights.clone()), ..self }
    }
}

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
        self.plan.expect(targets, "targets", true)?;
        self.cross_entropy_with(logits, targets, &CrossEntropy::default())
    }

    /// Adds to the loss the cross-entropy of targets and logits [..., C] with weights of classes and label smoothing, as
    /// PyTorch's `cross_entropy` with its arguments `weight` and `label_smoothing` defines it. With log p = log
    /// softmax(logits), M positions that count, smoothing ε and class weights w (1 if there are none), it is
    ///
    /// - for classes y as targets, indices [...]:
    ///   Σₘ (−(1 − ε)·w\[yₘ\]·log pₘ\[yₘ\] − ε/C·Σⱼ w\[j\]·log pₘ\[j\]) / Σₘ w\[yₘ\];
    /// - for probabilities t as targets, numbers [..., C]: −Σₘ Σⱼ w\[j\]·((1 − ε)·tₘ\[j\] + ε/C)·log pₘ\[j\] / M.
    ///
    /// Left out are classes equal to [`IGNORED`], and rows of probabilities that begin with NaN. Other NaNs, a class
    /// beyond C, targets that are all left out, and weights of all targets that sum to 0 give NaN. A class of
    /// probability 0 counts for nothing even where its logit is −∞. Probabilities need not sum to 1. Whether class
    /// weights are finite is not checked.
    ///
    /// ```
    /// # fn main() -> wgrnn::Result<()> {
    /// use ndarray::array;
    /// use wgrnn::{CrossEntropy, Device, Tape, Tensor};
    /// let device = Device::auto();
    /// let logits = Tensor::from_array(&device, array![[0., 0.], [0., 0.]].view())?;
    /// let targets = Tensor::from_array(&device, array![0_u32, 1].view())?;
    /// let weights = Tensor::from_array(&device, array![1., 3.].view())?;
    /// let mut tape = Tape::evaluating(&device)?;
    /// let (x, t) = (tape.input(&logits)?, tape.input(&targets)?);
    /// let options = CrossEntropy::default().class_weights(&weights).label_smoothing(0.1);
    /// tape.cross_entropy_with(&x, &t, &options)?;
    /// let loss = tape.evaluation()?.run()?;
    /// assert!((loss - 2_f32.ln()).abs() < 1e-6);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes do not fit each other, [`Value`](Error::Value) for a label smoothing that
    /// is not from 0 to 1, or where the tape has 16 losses already, [`OtherDevice`](Error::OtherDevice).
    pub fn cross_entropy_with(&mut self, logits: &Value, targets: &Value, options: &CrossEntropy) -> Result<()> {
        self.plan.expect(logits, "logits", false)?;
        self.plan.owns(targets, "targets")?;
        let probabilities = !targets.is_index;
        let (&columns, rest) = logits.shape().split_last().unwrap_or((&0, &[]));
        let expected = if probabilities { logits.shape() } else { rest };
        if rest.is_empty() || targets.shape() != expected {
            return Err(Error::shape("targets", expected, targets.shape()));
        }
        let smoothing = options.label_smoothing;
        if !(0.0..=1.0).contains(&smoothing) {
            return Err(Error::value("label smoothing", "a number from 0 to 1", smoothing));
        }
        let weights = options.class_weights.as_ref().map(|weights| self.plan.tensor(weights)).transpose()?;
        if let Some(weights) = weights.as_ref().filter(|weights| weights.shape() != [columns]) {
            return Err(Error::shape("class weights", [columns], weights.shape()));
        }
        let m = rest.iter().product::<usize>();
        let divisor = match &weights {
            _ if probabilities => self.divisor(targets.into(), (m, columns), 3)?,
            Some(weights) => {
                let of_targets = self.weights_of(weights, targets)?;
                self.divisor(At::from(&of_targets), (m, 1), 4)?
            }
            None => self.divisor(targets.into(), (m, 1), 2)?,
        };
        let losses = self.plan.fresh("losses", &[m])?.buffer;
        let gradient = self.plan.fresh("gradient of a loss", logits.shape())?;
        let params = CrossEntropyParams {
            m,
            columns,
            logits_offset: logits.offset,
            target_offset: targets.offset,
            weighted: weights.is_some(),
            probabilities,
            smoothing,
            nan: f32::NAN,
            row_groups: m.min(1 << 15),
            ..Default::default()
        };
        let class_weights = match &weights {
            Some(weights) => weights.buffer,
            None => self.plan.workspace("no class weights", 1),
        };
        let bindings = vec![logits.buffer, targets.buffer, class_weights, divisor, losses, gradient.buffer];
        let tile = row_tile(Kernel::CrossEntropy, columns, self.plan.device().plan_limits().trips);
        let variant = Variant { tile, ..self.variant(Kernel::CrossEntropy) };
        self.plan.draft.dispatch(variant, bindings, &params.words());
        let beside = &mut self.plan.record("cross_entropy", &[logits], &[]).beside;
        beside.extend([targets].into_iter().chain(&weights).map(Into::into));
        self.add_loss(logits, losses, m, divisor, gradient)
    }

    /// The weights of targets that are classes; NaN for those that are none.
    fn weights_of(&mut self, weights: &Value, targets: &Value) -> Result<Value> {
        let out = self.plan.fresh("weights of targets", targets.shape())?;
        let params = GatherParams {
            m: targets.len(),
            columns: 1,
            table_rows: weights.len(),
            table_offset: weights.offset,
            table_row: 1,
            indexed: true,
            index_offset: targets.offset,
            out_row: 1,
            nan: f32::NAN,
            row_lanes: layer::row_lanes(targets.len()),
            ..Default::default()
        };
        let bindings = vec![weights.buffer, targets.buffer, out.buffer];
        self.plan.draft.dispatch(self.variant(Kernel::Gather), bindings, &params.words());
        Ok(out)
    }

    /// Adds to the loss the mean of (x − t)² over targets t that are not NaN. It is NaN if all are.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes differ, [`Value`](Error::Value) where the tape has 16 losses already, or
    /// indices come for numbers.
    pub fn mean_squared_error(&mut self, x: &Value, targets: &Value) -> Result<()> {
        self.element_loss("mean_squared_error", x, targets, ElementLossForm::Squared, 0.0)
    }

    /// Adds to the loss the mean of −t·log σ(x) − (1 − t)·log(1 − σ(x)) over targets t that are not NaN. It is NaN if
    /// all are.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes differ, [`Value`](Error::Value) where the tape has 16 losses already, or
    /// indices come for numbers.
    pub fn binary_cross_entropy(&mut self, x: &Value, targets: &Value) -> Result<()> {
        self.element_loss("binary_cross_entropy", x, targets, ElementLossForm::Binary, 0.0)
    }

    /// Adds to the loss the mean of |x − t| over targets t that are not NaN: PyTorch's `l1_loss`. It is NaN if all are.
    /// The derivative at x = t is 0.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes differ, [`Value`](Error::Value) where the tape has 16 losses already, or
    /// indices come for numbers.
    pub fn mean_absolute_error(&mut self, x: &Value, targets: &Value) -> Result<()> {
        self.element_loss("mean_absolute_error", x, targets, ElementLossForm::Absolute, 0.0)
    }

    /// Adds to the loss the mean of Huber's loss of d = x − t over targets t that are not NaN: d²/2 where |d| ≤ δ, else
    /// δ·(|d| − δ/2) (Huber, "Robust estimation of a location parameter", 1964). It is NaN if all targets are.
    ///
    /// This is PyTorch's `huber_loss`. Its `smooth_l1_loss` with `beta` is this loss with δ = beta, divided by beta:
    /// `tape.weighted(1.0 / beta, |tape| tape.huber(&x, &t, beta))`.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes differ, [`Value`](Error::Value) where δ is not positive and finite, where
    /// the tape has 16 losses already, or indices come for numbers.
    pub fn huber(&mut self, x: &Value, targets: &Value, delta: f32) -> Result<()> {
        if !(delta > 0.0 && delta.is_finite()) {
            return Err(Error::value("delta of a Huber loss", "a positive number", delta));
        }
        self.element_loss("huber", x, targets, ElementLossForm::Huber, delta)
    }

    fn element_loss(
        &mut self,
        name: &'static str,
        x: &Value,
        targets: &Value,
        form: ElementLossForm,
        delta: f32,
    ) -> Result<()> {
        self.plan.expect(x, "input of a loss", false)?;
        self.plan.expect(targets, "targets", false)?;
        if targets.shape() != x.shape() {
            return Err(Error::shape("targets", x.shape(), targets.shape()));
        }
        let count = x.len();
        let (valid, losses, gradient) = self.loss_buffers(targets, count, 3, x)?;
        let params = ElementLossParams {
            count,
            form,
            delta,
            x_offset: x.offset,
            target_offset: targets.offset,
            row_lanes: layer::row_lanes(count),
            ..Default::default()
        };
        let bindings = vec![x.buffer, targets.buffer, valid, losses, gradient.buffer];
        self.plan.draft.dispatch(self.variant(Kernel::ElementLoss), bindings, &params.words());
        self.plan.record(name, &[x], &[]).beside.push(targets.into());
        self.add_loss(x, losses, count, valid, gradient)
    }

    /// Adds the mean of a value's numbers to the loss: a loss of one's own, which operations of the tape computed. Of one
    /// number it is the number itself; [`Tape::weighted`] with the count of numbers gives their sum.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where the tape has 16 losses already, or for indices.
    pub fn loss(&mut self, value: &Value) -> Result<()> {
        self.plan.expect(value, "loss", false)?;
        self.check_losses()?;
        let count = value.len();
        let weight = if self.weight == 0.0 { 1.0 } else { f64::from(self.weight) };
        let divisor = (count as f64 / weight) as f32;
        let divisor = self.plan.constant("divisor of a loss", &[divisor.to_bits()]);
        let losses = self.plan.fresh("losses", &[count])?.buffer;
        let gradient = self.plan.fresh("gradient of a loss", value.shape())?;
        let params = ElementLossParams {
            count,
            form: ElementLossForm::Itself,
            x_offset: value.offset,
            target_offset: value.offset,
            row_lanes: layer::row_lanes(count),
            ..Default::default()
        };
        let bindings = vec![value.buffer, value.buffer, divisor, losses, gradient.buffer];
        self.plan.draft.dispatch(self.variant(Kernel::ElementLoss), bindings, &params.words());
        self.plan.record("loss", &[value], &[]);
        self.add_loss(value, losses, count, divisor, gradient)
    }

    /// Adds a number, `[1]`, to the loss that [`Progress`](crate::Progress) and [`Evaluation`](crate::Evaluation) report,
    /// without a gradient: the loss whose gradient [`Tape::give_gradient`] takes, which reports none by itself. The number
    /// may be computed on the tape, or be a tensor that the host writes before each step. A step where it is not finite
    /// is not taken.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) for more than one number, [`Value`](Error::Value) where the tape has 16 losses already, or
    /// for an index.
    pub fn give_loss(&mut self, loss: &Value) -> Result<()> {
        self.plan.expect(loss, "loss given", false)?;
        if loss.len() != 1 {
            return Err(Error::shape("loss given", [1], loss.shape()));
        }
        self.check_losses()?;
        let divisor = (self.weight != 0.0).then(|| 1.0 / self.weight);
        let divisor = divisor.map(|divisor| self.plan.constant("divisor of a loss", &[divisor.to_bits()]));
        self.plan.record("give_loss", &[], &[]).beside.push(loss.into());
        self.add_to_total(loss.into(), 1, divisor)
    }

    /// Multiplies losses by a number: what `losses` adds to the loss, and its gradient. So
    ///
    /// ```
    /// # fn main() -> wgrnn::Result<()> {
    /// # use ndarray::array;
    /// # use wgrnn::{Device, Tape, Tensor};
    /// # let device = Device::cpu();
    /// # let x = Tensor::from_array(&device, array![3.].view())?;
    /// # let t = Tensor::from_array(&device, array![1.].view())?;
    /// # let mut tape = Tape::evaluating(&device)?;
    /// # let (x, t) = (tape.input(&x)?, tape.input(&t)?);
    /// tape.weighted(0.5, |tape| tape.mean_squared_error(&x, &t))?;
    /// tape.weighted(2.0, |tape| tape.mean_absolute_error(&x, &t))?;
    /// # assert_eq!(tape.evaluation()?.run()?, 0.5 * 4.0 + 2.0 * 2.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// adds half of one loss and twice the other one. Weights within weights are multiplied. A negative weight makes
    /// training maximise the loss. With weight 0 a loss and its gradient are 0, even where the loss is infinite or NaN;
    /// layers that only such losses depend on are trained with gradients of 0.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a weight, or a product of weights, that is not finite; what `losses` gives.
    pub fn weighted<T>(&mut self, weight: f32, losses: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outer = self.weight;
        if !(outer * weight).is_finite() {
            return Err(Error::value("weight of a loss", "a finite number, also times the weights around it", weight));
        }
        self.weight = outer * weight;
        let result = losses(self);
        self.weight = outer;
        result
    }

    pub(super) fn variant(&self, kernel: Kernel) -> Variant {
        Variant::plain(kernel, FLAT, self.plan.device().panel())
    }

    /// What a sum is divided by, so that it counts with the weight of the loss. One that counts for nothing is cleared later.
    pub(super) fn inverse_weight(&self) -> f32 {
        if self.weight == 0.0 { 1.0 } else { 1.0 / self.weight }
    }

    fn check_losses(&self) -> Result<()> {
        if self.losses == LOSSES {
            return Err(Error::value("losses of a tape", format!("at most {LOSSES}"), self.losses + 1));
        }
        Ok(())
    }

    /// What a loss and its gradient are divided by, so that they are means times the weight of the loss: the number of
    /// valid targets, or the sum of their weights, by one of the forms of `reduce`, divided by the weight. Of the targets
    /// every `stride`-th word counts.
    fn divisor(&mut self, targets: At, (count, stride): (usize, usize), form: u32) -> Result<BufferId> {
        self.check_losses()?;
        let valid = self.plan.fresh("valid targets", &[1])?;
        let is_plain = self.weight == 1.0 || self.weight == 0.0;
        let weight = (!is_plain).then(|| self.plan.constant("weight of a loss", &[self.weight.to_bits()]));
        emit_strided_sum(&mut self.plan, targets, (count, stride), form, weight, At::from(&valid));
        Ok(valid.buffer)
    }

    /// What a loss and its gradient are divided by, from the number of valid targets, by the form in which `reduce` counts
    /// them; memory for losses and for the gradient.
    pub(super) fn loss_buffers(
        &mut self,
        targets: &Value,
        count: usize,
        form: u32,
        input: &Value,
    ) -> Result<(BufferId, BufferId, Value)> {
        let divisor = self.divisor(targets.into(), (count, 1), form)?;
        let losses = self.plan.fresh("losses", &[count])?;
        let gradient = self.plan.fresh("gradient of a loss", input.shape())?;
        Ok((divisor, losses.buffer, gradient))
    }

    /// Adds Σ losses / divisor to the loss of the tape, and takes its gradient, which is already divided.
    pub(super) fn add_loss(
        &mut self,
        of: &Value,
        losses: BufferId,
        count: usize,
        divisor: BufferId,
        gradient: Value,
    ) -> Result<()> {
        if self.weight == 0.0 {
            self.plan.draft.clear(gradient.buffer, 0, gradient.len() as u64);
        }
        self.add_to_total(At::start_of(losses), count, Some(divisor))?;
        self.remember(Operation::Gradient { of: of.clone(), gradient, given: false });
        Ok(())
    }

    /// Memory with each of the losses.
    pub(super) fn all_losses(&mut self) -> BufferId {
        self.plan.workspace("all losses", LOSSES)
    }

    fn add_to_total(&mut self, losses: At, count: usize, divisor: Option<BufferId>) -> Result<()> {
        let all = self.all_losses();
        // The mean over batches counts each by what its loss was divided by, or all alike.
        let batch = divisor.filter(|_| self.weight != 0.0);
        let batch = batch.unwrap_or_else(|| self.plan.constant("one", &[1.0_f32.to_bits()]));
        self.counts.push(batch);
        if self.weight == 0.0 {
            self.plan.draft.clear(all, self.losses as u64, 1);
        } else {
            emit_sum(&mut self.plan, losses, count, 0, divisor, At { buffer: all, offset: self.losses });
        }
        self.losses += 1;
        let total = self.plan.tensor(&self.loss)?;
        emit_sum(&mut self.plan, At::start_of(all), self.losses, 0, None, At::from(&total));
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
    emit_strided_sum(plan, values, (count, 1), form, divisor, out);
}

/// The same of every `stride`-th number.
fn emit_strided_sum(
    plan: &mut PlanBuilder,
    values: At,
    (count, stride): (usize, usize),
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
        stride,
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
    let last = ReduceParams { count: groups, block: groups, form: 0, stride: 1, values_offset: 0, ..params };
    emit(plan, parts, last, divisor, out.buffer);
}
