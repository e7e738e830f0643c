//! The loss of connectionist temporal classification.

use super::tape::Tape;
use crate::error::{Error, Result};
use crate::kernels::{
    CTC_LABELS, CtcGradientParams, CtcLabelsParams, CtcLatticeParams, FLAT, Kernel, LogSumExpParams, SCALED_STEPS,
    SEQUENCE_HEAD, Tile, Variant, ctc_tile,
};
use crate::plan::{BufferId, Value};

#[cfg(doc)]
use super::losses::IGNORED;

/// How the losses of sequences become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reduction {
    /// Each loss is divided by its number of labels (by 1 if there are none); then the mean over the sequences.
    #[default]
    Mean,
    /// The sum over the sequences.
    Sum,
}

/// Options of [`Tape::ctc`]. The default is that of PyTorch's `CTCLoss`: class 0 is the blank, the mean is taken, and infinite
/// losses stay infinite.
///
/// ```
/// use wgrnn::{CtcOptions, Reduction};
/// let options = CtcOptions::default().blank(28).reduction(Reduction::Sum).zero_infinity(true);
/// assert_eq!(options.blank, 28);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CtcOptions {
    /// The class that stands for no label.
    pub blank: u32,
    /// How the losses of sequences become one number.
    pub reduction: Reduction,
    /// Whether a sequence that no alignment fits has the loss 0 and the gradient 0, in place of an infinite loss.
    pub zero_infinity: bool,
}

impl CtcOptions {
    /// Sets the class that stands for no label.
    #[must_use]
    pub const fn blank(self, blank: u32) -> Self {
        Self { blank, ..self }
    }

    /// Sets how the losses of sequences become one number.
    #[must_use]
    pub const fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// Sets whether a sequence that no alignment fits has the loss 0 and the gradient 0.
    #[must_use]
    pub const fn zero_infinity(self, zero_infinity: bool) -> Self {
        Self { zero_infinity, ..self }
    }

    /// Whether the blank is one of so many classes.
    pub(super) fn check_blank(&self, classes: usize) -> Result<()> {
        if (self.blank as usize) < classes {
            return Ok(());
        }
        Err(Error::value("blank of CTC", format!("a class, less than {classes}"), self.blank))
    }
}

/// Bytes of the sums over alignments that the CPU device keeps at a time: about what its caches hold.
const CPU_LATTICE: u64 = 8 << 20;

/// The sizes of a loss, and what all its dispatches read.
struct Lattice {
    steps: usize,
    batch: usize,
    classes: usize,
    labels: usize,
    options: CtcOptions,
    logits: Value,
    norms: BufferId,
    sequences: BufferId,
    carry: BufferId,
    lattice: BufferId,
    tile: Tile,
}

impl Tape {
    /// Adds to the loss that of connectionist temporal classification (Graves et al. 2006), which learns to write sequences of
    /// labels where nobody knows at which steps they belong: −log of the probability of all alignments that give the labels.
    ///
    /// An alignment has a class for each step. Without repetitions, and then without blanks, it is the sequence of labels. Its
    /// probability is the product of y\[t, n, c\] = softmax(logits\[t, n\])\[c\] over its steps. The sum over all alignments, and its
    /// gradient, come from forward and backward variables α and β in log space. They are added in one order: results are the
    /// same to the last bit from run to run. This is PyTorch's `CTCLoss` of `log_softmax(logits)`.
    ///
    /// | argument | shape | meaning |
    /// | --- | --- | --- |
    /// | `logits` | \[T, N, C\] | scores of the C classes, one of which is the blank |
    /// | `labels` | u32 \[N, S\] | the labels of each sequence; what follows its last one is not read |
    /// | `input_lengths` | u32 \[N\] | steps of each sequence, from 0 to T; the logits of later steps have no effect |
    /// | `label_lengths` | u32 \[N\] | labels of each sequence, from 0 to S; [`IGNORED`] leaves a sequence out |
    ///
    /// Labels and lengths may change from run to run. A sequence that is left out counts in no mean, so that the last batch may
    /// have fewer sequences than others; the mean is NaN if all are left out.
    ///
    /// | a sequence | has the loss | and the gradient |
    /// | --- | --- | --- |
    /// | that no alignment fits, for example with more labels than steps | ∞, or 0 by [`CtcOptions::zero_infinity`] | NaN, or 0 |
    /// | without steps and labels | 0 | 0 |
    /// | whose input length is beyond T, or label length beyond S | NaN | NaN |
    /// | with a label that is the blank or beyond C | NaN | NaN |
    /// | with a logit that is NaN or ∞, or a step where all are −∞ | NaN | NaN |
    ///
    /// A [`Trainer`](crate::Trainer) does not take a step whose loss is infinite or NaN:
    /// [`progress`](crate::Trainer::progress) returns [`Diverged`](Error::Diverged). Log probabilities of alignments below −10²⁹
    /// count as −∞. A logit of −∞ is a probability of 0 with the gradient 0, where PyTorch's gradient is NaN.
    ///
    /// ```
    /// # fn main() -> wgrnn::Result<()> {
    /// use ndarray::{Array3, array};
    /// use wgrnn::{CtcOptions, Device, Tape, Tensor};
    /// let device = Device::cpu();
    /// let logits = Tensor::from_array(&device, Array3::<f32>::zeros((4, 1, 3)).view())?;
    /// let labels = Tensor::from_array(&device, array![[1, 2]].view())?;
    /// let steps = Tensor::from_array(&device, array![4].view())?;
    /// let counts = Tensor::from_array(&device, array![2].view())?;
    /// let mut tape = Tape::evaluating(&device)?;
    /// let (logits, labels) = (tape.input(&logits)?, tape.input(&labels)?);
    /// let (steps, counts) = (tape.input(&steps)?, tape.input(&counts)?);
    /// tape.ctc(&logits, &labels, &steps, &counts, &CtcOptions::default())?;
    /// // 15 of the 3⁴ alignments of 4 steps give "1 2"; there are two labels.
    /// let expected = (81_f32 / 15.0).ln() / 2.0;
    /// assert!((tape.evaluation()?.run()? - expected).abs() < 1e-6);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes do not fit each other; [`Value`](Error::Value) where the blank is beyond C, S is
    /// beyond 895, the tape has 16 losses already, or numbers come for indices; what the plan's check gives where one sequence's
    /// 2·T·(2·S + 1) sums are more than a buffer of the adapter holds.
    pub fn ctc(
        &mut self,
        logits: &Value,
        labels: &Value,
        input_lengths: &Value,
        label_lengths: &Value,
        options: &CtcOptions,
    ) -> Result<()> {
        self.check_ctc(logits, [labels, input_lengths, label_lengths], options)?;
        let [steps, batch, classes] = [0, 1, 2].map(|axis| logits.shape()[axis]);
        let (count, losses, gradient) = self.loss_buffers(label_lengths, batch, 2, logits)?;
        let most = labels.shape()[1];
        let states = 2 * most + 1;
        // Sequences that are worked on together. Without gradients nothing is kept.
        let each = 8 * steps as u64 * states as u64;
        let limits = self.plan.device().plan_limits();
        let bytes = if self.plan.device().is_cpu() { CPU_LATTICE } else { limits.binding_bytes };
        let together = if self.training { (bytes / each.max(1)).clamp(1, batch as u64) as usize } else { batch };
        let kept = if self.training { 2 * together * steps * states } else { 1 };
        let lattice = Lattice {
            steps,
            batch,
            classes,
            labels: most,
            options: *options,
            logits: logits.clone(),
            norms: self.plan.workspace("norms of CTC", steps * batch),
            sequences: self.plan.workspace("sequences of CTC", batch * (SEQUENCE_HEAD + 2 * most)),
            carry: self.plan.workspace("carry of CTC", 2 * batch * (states + 2)),
            lattice: self.plan.workspace("lattice of CTC", kept),
            tile: ctc_tile(most),
        };
        self.prepare_ctc(&lattice, [labels, input_lengths, label_lengths]);
        // The weight of the loss is in the number of sequences already.
        let divisor = match options.reduction {
            Reduction::Mean => count,
            Reduction::Sum => self.plan.constant("divisor of a sum", &[self.inverse_weight().to_bits()]),
        };
        for first in (0..batch).step_by(together) {
            let sequences = (first, together.min(batch - first));
            self.sum_ctc(&lattice, sequences, losses);
            if self.training {
                self.differentiate_ctc(&lattice, sequences, divisor, gradient.buffer);
            }
        }
        let trace = self.plan.record("ctc", &[logits], &[]);
        trace.beside.extend([labels, input_lengths, label_lengths].map(Into::into));
        self.add_loss(logits, losses, batch, divisor, gradient)
    }

    fn check_ctc(
        &self,
        logits: &Value,
        [labels, input_lengths, label_lengths]: [&Value; 3],
        options: &CtcOptions,
    ) -> Result<()> {
        self.plan.expect(logits, "logits", false)?;
        let &[_, batch, classes] = logits.shape() else {
            return Err(Error::value("logits of CTC", "the shape [T, N, C]", format!("{:?}", logits.shape())));
        };
        self.plan.expect(labels, "labels", true)?;
        let &[rows, most] = labels.shape() else {
            return Err(Error::value("labels of CTC", "the shape [N, S]", format!("{:?}", labels.shape())));
        };
        if rows != batch {
            return Err(Error::shape("labels of CTC", [batch, most], [rows, most]));
        }
        for (name, lengths) in [("input lengths", input_lengths), ("label lengths", label_lengths)] {
            self.plan.expect(lengths, name, true)?;
            if lengths.shape() != [batch] {
                return Err(Error::shape(format!("{name} of CTC"), [batch], lengths.shape()));
            }
        }
        if most > CTC_LABELS {
            return Err(Error::value("labels of a sequence of CTC", format!("at most {CTC_LABELS}"), most));
        }
        options.check_blank(classes)
    }

    /// Checks the sequences, and computes log Σ exp of the logits of each step.
    fn prepare_ctc(&mut self, lattice: &Lattice, [labels, input_lengths, label_lengths]: [&Value; 3]) {
        let &Lattice { steps, batch, classes, norms, sequences, .. } = lattice;
        let params = CtcLabelsParams {
            steps,
            labels: lattice.labels,
            classes,
            blank: lattice.options.blank as usize,
            labels_offset: labels.offset,
            input_lengths_offset: input_lengths.offset,
            label_lengths_offset: label_lengths.offset,
            batch,
        };
        let lanes = lattice.labels.next_power_of_two().clamp(64, 256) as u32;
        let variant = Variant { tile: Tile { lanes, ..FLAT }, ..self.variant(Kernel::CtcLabels) };
        let bindings = vec![labels.buffer, input_lengths.buffer, label_lengths.buffer, sequences];
        self.plan.draft.dispatch(variant, bindings, &params.words());
        let m = steps * batch;
        let params = LogSumExpParams {
            m,
            columns: classes,
            x_offset: lattice.logits.offset,
            nan: f32::NAN,
            row_groups: m.min(1 << 15),
        };
        let bindings = vec![lattice.logits.buffer, norms];
        self.plan.draft.dispatch(self.variant(Kernel::LogSumExp), bindings, &params.words());
    }

    /// The losses of some sequences, and in training the sums over their alignments in both directions.
    fn sum_ctc(&mut self, lattice: &Lattice, (first, count): (usize, usize), losses: BufferId) {
        let &Lattice { steps, norms, sequences, carry, tile, .. } = lattice;
        let variant = Variant { tile, ..self.variant(Kernel::CtcLattice) };
        let at_once = steps_at_once(tile, self.plan.device().plan_limits().trips);
        for start in (0..steps).step_by(at_once) {
            let params = CtcLatticeParams {
                first,
                count,
                batch: lattice.batch,
                steps,
                classes: lattice.classes,
                labels: lattice.labels,
                blank: lattice.options.blank as usize,
                start,
                end: steps.min(start.saturating_add(at_once)),
                directions: if self.training { 2 } else { 1 },
                keep: self.training,
                mean: lattice.options.reduction == Reduction::Mean,
                zero_infinity: lattice.options.zero_infinity,
                logits_offset: lattice.logits.offset,
                infinity: f32::INFINITY,
                nan: f32::NAN,
            };
            let bindings = vec![lattice.logits.buffer, norms, sequences, carry, lattice.lattice, losses];
            self.plan.draft.dispatch(variant.clone(), bindings, &params.words());
        }
    }

    fn differentiate_ctc(
        &mut self,
        lattice: &Lattice,
        (first, count): (usize, usize),
        valid: BufferId,
        gradient: BufferId,
    ) {
        let &Lattice { norms, sequences, carry, .. } = lattice;
        let params = CtcGradientParams {
            first,
            count,
            batch: lattice.batch,
            steps: lattice.steps,
            classes: lattice.classes,
            labels: lattice.labels,
            blank: lattice.options.blank as usize,
            mean: lattice.options.reduction == Reduction::Mean,
            zero_infinity: lattice.options.zero_infinity,
            logits_offset: lattice.logits.offset,
            nan: f32::NAN,
            row_groups: (lattice.steps * count).min(1 << 15),
        };
        let bindings = vec![lattice.logits.buffer, norms, sequences, carry, lattice.lattice, valid, gradient];
        self.plan.draft.dispatch(self.variant(Kernel::CtcGradient), bindings, &params.words());
    }
}

/// Steps that one dispatch may take within a limit of loop trips: `ctc_lattice` has one for each, and those of a maximum for every
/// eighth.
fn steps_at_once(tile: Tile, trips: u64) -> usize {
    let trips_of_eight = SCALED_STEPS as u64 + u64::from(tile.lanes.ilog2());
    usize::try_from(trips / trips_of_eight * SCALED_STEPS as u64).unwrap_or(usize::MAX).max(1)
}
