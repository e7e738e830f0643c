//! A plan whose operations are remembered, so that their backward passes can follow.

use crate::cells::Probability;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{CrossEntropyParams, ElementLossParams, FLAT, Kernel, ReduceParams, Variant, row_tile};
use crate::layer::{self, At, DeviceState, Embedding, Linear, Reserve, Rnn, RnnCall};
use crate::parameters::Parameters;
use crate::plan::{BufferId, PlanBuilder, Value};
use crate::tensor::{Element, Tensor};
use std::collections::BTreeMap;

/// A target that counts for nothing: [`Tape::cross_entropy`] leaves its position out of the mean.
pub const IGNORED: u32 = u32::MAX;

/// Something that has a backward pass.
pub(super) enum Operation {
    Embedding {
        embedding: Embedding,
        indices: Value,
        out: Value,
    },
    Linear {
        linear: Linear,
        x: Value,
        out: Value,
    },
    Rnn(Box<Recurrence>),
    Dropout {
        x: Value,
        out: Value,
        probability: f64,
        stream: u32,
    },
    /// A loss, or a gradient given from outside: that of `of`.
    Gradient {
        of: Value,
        gradient: Value,
        /// Whether it was given; else it is memory of the loss's own.
        given: bool,
    },
}

/// A gradient that is to be written to a tensor.
pub(super) struct Wanted {
    pub of: Value,
    pub target: Value,
    /// Operations of the plan when it was asked for.
    pub at: usize,
}

/// A recurrent layer's call.
pub(super) struct Recurrence {
    pub rnn: Rnn,
    pub x: Value,
    pub state: DeviceState,
    pub call: RnnCall,
    pub reserve: Reserve,
    pub out: Value,
}

/// Writes a model's forward pass operation by operation, as a [`PlanBuilder`] does, and remembers the operations.
/// [`Trainer::new`](crate::Trainer::new) then adds the backward pass and the optimiser. [`Tape::evaluation`] makes a
/// program that computes only the loss. One function can therefore describe a model for training and for evaluation,
/// where dropout does nothing.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::{Array2, array};
/// use wgrnn::{Device, LearningRate, Linear, Optimizer, Tape, Tensor, Trainer, TrainerOptions};
/// let device = Device::cpu();
/// let head = Linear::trainable(&device, Array2::zeros((1, 2)).view(), None)?;
/// let x = Tensor::from_array(&device, array![[1., 0.], [0., 1.]].view())?;
/// let t = Tensor::from_array(&device, array![[3.], [-2.]].view())?;
/// let mut tape = Tape::training(&device)?;
/// let (x, t) = (tape.input(&x)?, tape.input(&t)?);
/// let y = tape.linear(&head, &x)?;
/// tape.mean_squared_error(&y, &t)?;
/// let options = TrainerOptions::new(Optimizer::ADAM).learning_rate(LearningRate::Constant(0.1));
/// let mut trainer = Trainer::new(tape, options)?;
/// for _ in 0..200 {
///     trainer.step()?;
/// }
/// assert!(trainer.progress()?.last_loss < 0.01);
/// # Ok(())
/// # }
/// ```
pub struct Tape {
    pub(super) plan: PlanBuilder,
    pub(super) training: bool,
    /// By their places among all operations of the plan.
    pub(super) operations: BTreeMap<usize, Operation>,
    pub(super) wanted: Vec<Wanted>,
    /// Parameters that are not to be trained.
    pub(super) frozen: Vec<Parameters>,
    /// Seed, step, learning rate, corrections, whether weights are unknown, the micro-batch's share, the average's part: see the
    /// kernels that read it.
    pub(super) hyper: Tensor<u32>,
    /// The sum of all losses.
    pub(super) loss: Tensor,
    losses: usize,
    /// For each loss, how many targets it is the mean of.
    pub(super) counts: Vec<BufferId>,
    streams: u32,
}

/// Losses that a tape may have.
const LOSSES: usize = 16;
/// Numbers of one block of a long sum.
const BLOCK: usize = 4096;

impl Tape {
    /// Starts a tape for training.
    ///
    /// # Errors
    /// What allocating memory may give.
    pub fn training(device: &Device) -> Result<Self> {
        Self::new(device, true)
    }

    /// Starts a tape for evaluation: nothing is kept for a backward pass, and dropout does nothing.
    ///
    /// # Errors
    /// What allocating memory may give.
    pub fn evaluating(device: &Device) -> Result<Self> {
        Self::new(device, false)
    }

    fn new(device: &Device, training: bool) -> Result<Self> {
        Ok(Self {
            plan: PlanBuilder::new(device),
            training,
            operations: BTreeMap::new(),
            wanted: Vec::new(),
            frozen: Vec::new(),
            hyper: Tensor::zeros(device, &[8])?,
            loss: Tensor::zeros(device, &[1])?,
            losses: 0,
            counts: Vec::new(),
            streams: 0,
        })
    }

    /// The device.
    pub fn device(&self) -> &Device {
        self.plan.device()
    }

    /// Whether it is a tape for training.
    pub fn is_training(&self) -> bool {
        self.training
    }

    /// The plan, for operations that have no backward pass. They may compute what the host reads, or prepare inputs and
    /// targets. [`Trainer::new`](crate::Trainer::new) refuses them between trainable layers and a loss, where the
    /// gradient would be wrong: freeze these layers, or give the gradient by [`Tape::give_gradient`]. Only
    /// [`argmax`](PlanBuilder::argmax), whose derivative is zero, may stand there.
    pub fn plan(&mut self) -> &mut PlanBuilder {
        &mut self.plan
    }

    /// Makes a tensor a value of the tape, to be read or written.
    ///
    /// # Errors
    /// [`OtherDevice`](Error::OtherDevice).
    pub fn input<T: Element>(&mut self, tensor: &Tensor<T>) -> Result<Value> {
        self.plan.tensor(tensor)
    }

    /// Leaves parameters as they are: their gradients are not computed, and the optimiser keeps nothing for them.
    /// Gradients still pass through their layers. Checkpoints hold their values if an operation of the tape uses them.
    /// In evaluation this does nothing.
    ///
    /// # Errors
    /// [`OtherDevice`](Error::OtherDevice).
    pub fn freeze(&mut self, parameters: &Parameters) -> Result<()> {
        if !parameters.device().is(self.device()) {
            return Err(Error::OtherDevice { tensor: "frozen parameters".to_owned() });
        }
        if !self.is_frozen(parameters) {
            self.frozen.push(parameters.clone());
        }
        Ok(())
    }

    pub(super) fn is_frozen(&self, parameters: &Parameters) -> bool {
        self.frozen.iter().any(|frozen| frozen.is(parameters))
    }

    /// Writes the gradient of an input, or of the result of an operation, to a tensor during the backward pass. It is
    /// zeros if no loss depends on the value. The tensor must have no other use on the tape, and the value must not be
    /// overwritten later, which [`Trainer::new`](crate::Trainer::new) checks.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the tensor's is another one, [`Value`](Error::Value) for indices or a tensor that takes
    /// another gradient already, [`Unsupported`](Error::Unsupported) where the tape is for evaluation.
    pub fn want_gradient(&mut self, of: &Value, tensor: &Tensor) -> Result<()> {
        self.expect_training("a gradient wanted")?;
        self.plan.expect(of, "value whose gradient is wanted", false)?;
        let target = self.plan.tensor(tensor)?;
        if target.shape() != of.shape() {
            return Err(Error::shape("gradient wanted", of.shape(), target.shape()));
        }
        if self.wanted.iter().any(|wanted| wanted.target.buffer == target.buffer) {
            return Err(Error::value("tensor for a gradient", "one of its own", "one that takes another gradient"));
        }
        self.wanted.push(Wanted { of: of.clone(), target, at: self.plan.traces.len() });
        Ok(())
    }

    /// Adds a gradient from outside to what comes from losses. It may be computed on the tape by any operation; no
    /// gradient passes through that computation.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where its shape is another one, [`Value`](Error::Value) for indices,
    /// [`Unsupported`](Error::Unsupported) where the tape is for evaluation.
    pub fn give_gradient(&mut self, of: &Value, gradient: &Value) -> Result<()> {
        self.expect_training("a gradient given")?;
        self.plan.expect(of, "value whose gradient is given", false)?;
        self.plan.expect(gradient, "gradient given", false)?;
        if gradient.shape() != of.shape() {
            return Err(Error::shape("gradient given", of.shape(), gradient.shape()));
        }
        self.plan.record("give_gradient", &[of], &[]).beside.push(gradient.into());
        self.remember(Operation::Gradient { of: of.clone(), gradient: gradient.clone(), given: true });
        Ok(())
    }

    fn expect_training(&self, what: &str) -> Result<()> {
        if self.training {
            return Ok(());
        }
        let reason = "nothing computes gradients there; ask Tape::is_training before, or use Tape::training";
        Err(Error::unsupported(format!("{what} on a tape for evaluation"), reason))
    }

    /// Remembers how the last operation of the plan is differentiated.
    fn remember(&mut self, operation: Operation) {
        self.operations.insert(self.plan.traces.len().saturating_sub(1), operation);
    }

    /// Looks up the vectors of symbols: indices [...] give [..., features]. An index beyond the table gives NaN.
    ///
    /// # Errors
    /// [`OtherDevice`](Error::OtherDevice), [`Value`](Error::Value) for numbers instead of indices.
    pub fn embedding(&mut self, embedding: &Embedding, indices: &Value) -> Result<Value> {
        let table = self.plan.parameters(embedding.parameters(), &[embedding.symbols(), embedding.features()])?;
        let out = self.plan.embedding(&table, indices)?;
        if let Some(trace) = self.plan.traces.last_mut() {
            trace.parameters = Some(embedding.parameters().clone());
        }
        self.remember(Operation::Embedding {
            embedding: embedding.clone(),
            indices: indices.clone(),
            out: out.clone(),
        });
        Ok(out)
    }

    /// Computes x·Wᵀ + b over the last axis of `x`.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where that axis is not W's.
    pub fn linear(&mut self, linear: &Linear, x: &Value) -> Result<Value> {
        let out = self.plan.linear(linear, x)?;
        self.remember(Operation::Linear { linear: linear.clone(), x: x.clone(), out: out.clone() });
        Ok(out)
    }

    /// Computes x·Wᵀ + b over the last axis of `x` and writes it into part of another value, whose gradient it takes.
    ///
    /// # Errors
    /// As [`Tape::linear`], and where `out` has another shape.
    pub fn linear_into(&mut self, linear: &Linear, x: &Value, out: &Value) -> Result<()> {
        self.plan.linear_into(linear, x, out)?;
        self.remember(Operation::Linear { linear: linear.clone(), x: x.clone(), out: out.clone() });
        Ok(())
    }

    /// Runs a recurrent layer over `x`, from and to a state on the device. If an earlier layer of the tape left this
    /// state and this one carries it on, gradients pass back to that layer. A state from before the tape passes none,
    /// which is truncated backpropagation through time. [`RnnConfig::dropout`](crate::RnnConfig::dropout) acts between
    /// its layers.
    ///
    /// # Errors
    /// As [`PlanBuilder::rnn`]; [`Value`](Error::Value) where the layer was not made by [`Rnn::trainable`].
    pub fn rnn(&mut self, rnn: &Rnn, x: &Value, state: &DeviceState, call: &RnnCall) -> Result<Value> {
        if !self.training {
            return self.plan.rnn(rnn, x, state, call);
        }
        rnn.backward_weights(0)?;
        self.plan.expect(x, "recurrent input", false)?;
        let (steps, batch) = layer::sequence_sizes(rnn.config(), x.shape())?;
        let mut reserve = Reserve::new(rnn, steps, batch, call)?;
        reserve.set_seed(&self.hyper, &mut self.streams);
        let out =
            self.plan.fresh("output of a recurrent layer", &layer::output_shape(rnn.config(), x.shape(), call)?)?;
        self.plan.rnn_keeping(rnn, x, state, call, &out, &reserve)?;
        let (x, state, call) = (x.clone(), state.clone(), call.clone());
        let out_value = out.clone();
        let recurrence = Recurrence { rnn: rnn.clone(), x, state, call, reserve, out: out_value };
        self.remember(Operation::Rnn(Box::new(recurrence)));
        Ok(out)
    }

    /// Sets each number to 0 with this probability, and divides the others by 1 − p (Srivastava et al. 2014). The
    /// backward pass uses the same mask. The mask depends only on the trainer's seed, the step and the place on the
    /// tape. In evaluation this gives `x`.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a probability that is not from 0 to less than 1, or for indices.
    pub fn dropout(&mut self, x: &Value, probability: f64) -> Result<Value> {
        Probability::new(probability).check("dropout probability")?;
        self.plan.expect(x, "input of dropout", false)?;
        if !self.training || probability == 0.0 {
            return Ok(x.clone());
        }
        let out = self.plan.copy_of(x)?;
        if let Some(trace) = self.plan.traces.last_mut() {
            trace.name = "dropout";
        }
        let stream = self.streams;
        self.streams += 1;
        let seed = self.plan.tensor(&self.hyper)?;
        layer::emit_dropout(&mut self.plan, seed.buffer, &out, probability, stream);
        self.remember(Operation::Dropout { x: x.clone(), out: out.clone(), probability, stream });
        Ok(out)
    }

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

    /// Memory with each of the losses.
    pub(super) fn all_losses(&mut self) -> BufferId {
        self.plan.workspace("all losses", LOSSES)
    }

    fn add_loss(&mut self, of: &Value, losses: BufferId, count: usize, valid: BufferId, gradient: Value) -> Result<()> {
        let all = self.all_losses();
        self.counts.push(valid);
        let place = At { buffer: all, offset: self.losses };
        emit_sum(&mut self.plan, At::start_of(losses), count, 0, Some(valid), place);
        self.losses += 1;
        let total = self.plan.tensor(&self.loss)?;
        emit_sum(&mut self.plan, At::start_of(all), self.losses, 0, None, At::from(&total));
        self.remember(Operation::Gradient { of: of.clone(), gradient, given: false });
        Ok(())
    }

    /// The blocks of parameters that its operations have, each once.
    pub(super) fn parameters(&self) -> Vec<Parameters> {
        let mut all: Vec<Parameters> = Vec::new();
        for parameters in self.operations.values().filter_map(Operation::parameters) {
            if !all.iter().any(|known| known.is(parameters)) {
                all.push(parameters.clone());
            }
        }
        all
    }
}

impl Operation {
    /// Its trainable weights.
    pub(super) fn parameters(&self) -> Option<&Parameters> {
        match self {
            Self::Embedding { embedding, .. } => Some(embedding.parameters()),
            Self::Linear { linear, .. } => linear.parameters(),
            Self::Rnn(recurrence) => recurrence.rnn.parameters(),
            Self::Dropout { .. } | Self::Gradient { .. } => None,
        }
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
