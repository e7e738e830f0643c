//! A plan whose operations are remembered, so that their backward passes can follow.

use super::differentiable::Applied;
use crate::cells::Probability;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::layer::{self, DeviceState, Embedding, Linear, Reserve, Rnn, RnnCall};
use crate::parameters::Parameters;
use crate::plan::{BufferId, PlanBuilder, Value};
use crate::tensor::{Element, Tensor};
use std::collections::BTreeMap;

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
    Applied(Box<Applied>),
    /// An array of a block of parameters as a value, from this one of its numbers on.
    Parameters {
        parameters: Parameters,
        offset: usize,
        out: Value,
    },
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
    pub(super) losses: usize,
    /// What losses are multiplied by that are added now.
    pub(super) weight: f32,
    /// For each loss, how many targets it is the mean of.
    pub(super) counts: Vec<BufferId>,
    streams: u32,
}

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
            weight: 1.0,
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
    /// [`argmax`](PlanBuilder::argmax) and [`sample`](PlanBuilder::sample), whose derivative is zero, may stand there.
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
    /// gradient passes through that computation. It adds nothing to the loss that is reported: [`Tape::give_loss`] does.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where its shape is another one, [`Value`](Error::Value) for indices,
    /// [`Unsupported`](Error::Unsupported) where the tape is for evaluation, and within [`Tape::weighted`].
    pub fn give_gradient(&mut self, of: &Value, gradient: &Value) -> Result<()> {
        self.expect_training("a gradient given")?;
        if self.weight != 1.0 {
            let reason = "only losses are multiplied by a weight: multiply the gradient before it is given";
            return Err(Error::unsupported("a gradient given within Tape::weighted", reason));
        }
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
    pub(super) fn remember(&mut self, operation: Operation) {
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
        let x = &self.contiguous(x)?;
        let out = self.plan.linear(linear, x)?;
        self.remember(Operation::Linear { linear: linear.clone(), x: x.clone(), out: out.clone() });
        Ok(out)
    }

    /// Computes x·Wᵀ + b over the last axis of `x` and writes it into part of another value, whose gradient it takes.
    ///
    /// # Errors
    /// As [`Tape::linear`], and where `out` has another shape.
    pub fn linear_into(&mut self, linear: &Linear, x: &Value, out: &Value) -> Result<()> {
        let x = &self.contiguous(x)?;
        self.plan.linear_into(linear, x, out)?;
        self.remember(Operation::Linear { linear: linear.clone(), x: x.clone(), out: out.clone() });
        Ok(())
    }

    /// Runs a recurrent layer over `x`, [T, N, I] or as its configuration says, or [rows, I] of packed sequences
    /// ([`RnnCall::map`](crate::RnnCall::map)), from and to a state on the device. If an earlier layer of the tape left this
    /// state and this one carries it on, gradients pass back to that layer. A state from before the tape passes none,
    /// which is truncated backpropagation through time. [`RnnConfig::dropout`](crate::RnnConfig::dropout) acts between
    /// its layers.
    ///
    /// # Errors
    /// As [`PlanBuilder::rnn`]; [`Value`](Error::Value) where the layer was not made by [`Rnn::trainable`].
    pub fn rnn(&mut self, rnn: &Rnn, x: &Value, state: &DeviceState, call: &RnnCall) -> Result<Value> {
        let x = &self.contiguous(x)?;
        if !self.training {
            return self.plan.rnn(rnn, x, state, call);
        }
        rnn.backward_weights(0)?;
        self.plan.expect(x, "recurrent input", false)?;
        let (steps, batch) = layer::call_sizes(rnn.config(), x.shape(), &call.lengths)?;
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
        self.plan.expect_view(x, "input of dropout", false)?;
        let x = &self.contiguous(x)?;
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
            Self::Parameters { parameters, .. } => Some(parameters),
            Self::Applied(_) | Self::Dropout { .. } | Self::Gradient { .. } => None,
        }
    }
}
