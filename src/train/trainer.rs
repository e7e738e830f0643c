//! Training steps on the device, one submit each.

use super::losses::emit_sum;
use super::names::is_reserved;
use super::optimizer::{Clip, LearningRate, Optimizer};
use super::paths::Paths;
use super::tape::{Operation, Tape};
use crate::config::RnnConfig;
use crate::device::{Device, block_on};
use crate::error::{Error, Result};
use crate::kernels::{ALONE, GuardParams, Kernel, Variant};
use crate::layer::{At, DeviceState, Linear, Rnn};
use crate::parameters::Parameters;
use crate::plan::{Difference, Plan, PlanBuilder, Program};
use crate::storage::Storage;
use crate::tensor::Tensor;

/// How a model is trained.
///
/// ```
/// use wgrnn::{Clip, LearningRate, Optimizer, TrainerOptions};
/// let options = TrainerOptions::new(Optimizer::ADAM_W).learning_rate(LearningRate::Constant(3e-4)).clip(Clip::Norm(1.0));
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrainerOptions {
    /// The optimiser.
    pub optimizer: Optimizer,
    /// The learning rate of each step.
    pub learning_rate: LearningRate,
    /// How gradients that are too large are clipped.
    pub clip: Clip,
    /// The seed of dropout, on the tape and between layers, of recurrent dropout and of zoneout.
    pub seed: u32,
}

impl TrainerOptions {
    /// A learning rate of 0.001, no clipping, seed 0.
    pub const fn new(optimizer: Optimizer) -> Self {
        Self { optimizer, learning_rate: LearningRate::Constant(1e-3), clip: Clip::None, seed: 0 }
    }

    /// Sets the optimiser.
    pub const fn optimizer(self, optimizer: Optimizer) -> Self {
        Self { optimizer, ..self }
    }

    /// Sets the learning rate of each step.
    pub const fn learning_rate(self, learning_rate: LearningRate) -> Self {
        Self { learning_rate, ..self }
    }

    /// Sets how gradients that are too large are clipped.
    pub const fn clip(self, clip: Clip) -> Self {
        Self { clip, ..self }
    }

    /// Sets the seed of everything that training draws.
    pub const fn seed(self, seed: u32) -> Self {
        Self { seed, ..self }
    }
}

/// How training goes, as [`Trainer::progress`] reports it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// The number of steps taken so far.
    pub steps: u32,
    /// The loss of the last step, in nats for cross-entropies: the sum of the tape's losses, each times its weight, and of
    /// numbers given by [`Tape::give_loss`]. A gradient given by [`Tape::give_gradient`] adds nothing to it.
    pub last_loss: f32,
    /// The mean loss of the steps since the last report, in the same unit.
    pub mean_loss: f32,
    /// The norm of all gradients together in the last step, before clipping.
    pub gradient_norm: f32,
}

/// A block of parameters with its name and what the optimiser keeps for it.
pub(super) struct Trained {
    /// Stands before the names of its arrays.
    pub name: String,
    pub parameters: Parameters,
    /// Whether they stay as they are; then there are no moments.
    pub frozen: bool,
    pub moments: Vec<(&'static str, Storage)>,
    /// Of a recurrent layer's.
    pub config: Option<RnnConfig>,
    /// The version of the parameters that the last step left.
    seen: u32,
}

/// Words of the status: first bad step, bits of the last loss and norm, of Σ losses, steps, whether a number is large.
pub(super) const STATUS: usize = 6;
/// The number of the last step that there can be.
pub(super) const LAST_STEP: u32 = u32::MAX - 1;

/// A model's forward pass, backward pass and optimiser as one program on the device. Nothing comes back to the host
/// until [`Trainer::progress`] asks for it, and nothing is allocated after the first step.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::{Device, Linear, Optimizer, Tape, Tensor, Trainer, TrainerOptions};
/// let device = Device::auto();
/// let linear = Linear::trainable(&device, array![[0.]].view(), None)?;
/// let one = Tensor::from_array(&device, array![[1.]].view())?;
/// let mut tape = Tape::training(&device)?;
/// let (x, t) = (tape.input(&one)?, tape.input(&one)?);
/// let y = tape.linear(&linear, &x)?;
/// tape.mean_squared_error(&y, &t)?;
/// let mut trainer = Trainer::new(tape, TrainerOptions::new(Optimizer::ADAM))?;
/// (0..10).try_for_each(|_| trainer.step())?;
/// let progress = trainer.progress()?;
/// assert!(progress.steps == 10 && progress.last_loss < 1.0);
/// # Ok(())
/// # }
/// ```
pub struct Trainer {
    pub(super) device: Device,
    pub(super) options: TrainerOptions,
    pub(super) trained: Vec<Trained>,
    pub(super) states: Vec<(String, DeviceState)>,
    /// Packs weights that were written from outside.
    refresh: Program,
    program: Program,
    hyper: Tensor<u32>,
    pub(super) status: Tensor<u32>,
    pub(super) step: u32,
}

impl Trainer {
    /// Adds the backward pass and the optimiser to a tape with at least one loss or gradient, and makes a program of
    /// it. Every block of trainable parameters on the tape is trained, unless it was frozen by [`Tape::freeze`]. In
    /// checkpoints the blocks, frozen ones too, are named `0.`, `1.` and so on in the order of their first use;
    /// [`Trainer::name`] gives them better names.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where the tape is for evaluation or has nothing to train, where a block gets no gradient from
    /// any loss, where something that the backward pass reads is overwritten, or an option is out of range.
    /// [`Unsupported`](Error::Unsupported) where an operation without a backward pass, or the targets of a loss, lie between
    /// trained parameters, or a value whose gradient is wanted, and a loss. As [`PlanBuilder::build`].
    pub fn new(mut tape: Tape, options: TrainerOptions) -> Result<Self> {
        options.optimizer.validate()?;
        options.clip.validate()?;
        options.learning_rate.validate()?;
        if !tape.training {
            return Err(Error::value("tape", "one made by Tape::training", "one for evaluation"));
        }
        let paths = Paths::new(&tape)?;
        let blocks: Vec<_> = tape.parameters().into_iter().map(|block| (tape.is_frozen(&block), block)).collect();
        let ends = tape.operations.values().any(|operation| matches!(operation, Operation::Gradient { .. }));
        if blocks.iter().all(|(frozen, _)| *frozen) || !ends {
            return Err(Error::value("tape", "trainable layers that are not frozen, and a loss", "none"));
        }
        let device = tape.device().clone();
        let mut trained = Vec::new();
        for (i, (frozen, parameters)) in blocks.into_iter().enumerate() {
            let names = if frozen { &[] } else { options.optimizer.moments() };
            let moments = names.iter().map(|&name| Ok((name, parameters.beside(name)?)));
            let config = rnn_of(&tape, &parameters).map(|rnn| rnn.config().clone());
            let moments = moments.collect::<Result<_>>()?;
            trained.push(Trained { name: format!("{i}."), frozen, moments, parameters, config, seen: 0 });
        }
        let status = Tensor::zeros(&device, &[STATUS])?;
        tape.backward(&paths)?;
        emit_optimizer(&mut tape, &options, &trained, &status)?;
        let layers = layers(&tape);
        let mut refresh = PlanBuilder::new(&device);
        for layer in &layers {
            if !layer.parameters().is_some_and(|parameters| tape.is_frozen(parameters)) {
                layer.emit_refresh(&mut tape.plan);
            }
            layer.emit_refresh(&mut refresh);
        }
        let refresh = refresh.build()?;
        let hyper = tape.hyper.clone();
        let program = tape.plan.build()?;
        Ok(Self { device, options, trained, states: Vec::new(), refresh, program, hyper, status, step: 0 })
    }

    /// Names a layer's parameters in checkpoints. `name` stands before the name of each array.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where they are not trained here, the name is another one's, or it begins with `optimizer.` or
    /// `state.`, which are the names of other things there.
    pub fn name(&mut self, name: &str, parameters: &Parameters) -> Result<()> {
        if is_reserved(name) {
            let expected = "one that begins with neither 'optimizer.' nor 'state.'";
            return Err(Error::value("name of parameters", expected, name));
        }
        if self.trained.iter().any(|trained| trained.name == name && !trained.parameters.is(parameters)) {
            return Err(Error::value("name of parameters", "one of its own", name));
        }
        let trained = self.trained.iter_mut().find(|trained| trained.parameters.is(parameters));
        let trained = trained.ok_or_else(|| Error::value(name, "parameters of the tape", "others"))?;
        name.clone_into(&mut trained.name);
        Ok(())
    }

    /// Keeps a state that is carried from step to step in checkpoints too. Each state needs a name of its own; a
    /// checkpoint with two states of one name is refused.
    pub fn keep_state(&mut self, name: &str, state: &DeviceState) {
        // The same once more is no second one.
        if !self.states.iter().any(|(known, kept)| known == name && kept.h.is(&state.h)) {
            self.states.push((name.to_owned(), state.clone()));
        }
    }

    /// Takes one step on what the inputs hold now: loss, gradients, weights. On a GPU the work is submitted.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu) where wgpu or the driver complain, [`Value`](Error::Value) after 2³² − 2 steps. A loss, a gradient
    /// or a new weight that is not finite is no error here: the step is not taken, nor any after it, and
    /// [`Trainer::progress`] reports it.
    pub fn step(&mut self) -> Result<()> {
        self.begin_step()?;
        self.program.run()?;
        self.end_step();
        Ok(())
    }

    /// Takes one step, as [`step`](Self::step) does, and compares each command with its CPU twin.
    ///
    /// # Errors
    /// As [`Trainer::step`] and [`Program::first_difference`].
    pub fn first_difference(&mut self) -> Result<Option<Difference>> {
        block_on(self.first_difference_async())
    }

    /// The asynchronous form of [`Trainer::first_difference`].
    ///
    /// # Errors
    /// As [`Trainer::first_difference`].
    pub async fn first_difference_async(&mut self) -> Result<Option<Difference>> {
        self.begin_step()?;
        let difference = self.program.first_difference_async().await?;
        self.end_step();
        Ok(difference)
    }

    /// Writes what differs from step to step.
    fn begin_step(&self) -> Result<()> {
        if self.step >= LAST_STEP {
            return Err(Error::value("steps of a training", format!("at most {LAST_STEP}"), "one more"));
        }
        let step = self.step + 1;
        let rate = self.options.learning_rate.at(self.step) as f32;
        let [first, second] = self.options.optimizer.corrections(step);
        // Whether somebody else has written weights since the last step, or there was none.
        let mut moved = self.trained.iter().filter(|trained| !trained.frozen);
        let unknown = moved.any(|trained| trained.seen != trained.parameters.version());
        let hyper = [self.options.seed, step, rate.to_bits(), first.to_bits(), second.to_bits(), unknown.into()];
        self.hyper.write(ndarray::ArrayView1::from(&hyper[..]))
    }

    fn end_step(&mut self) {
        for trained in self.trained.iter_mut().filter(|trained| !trained.frozen) {
            trained.seen = trained.parameters.change();
        }
        self.step += 1;
    }

    /// The number of steps that were asked for so far.
    pub fn steps(&self) -> u32 {
        self.step
    }

    /// Waits for the last step, and reports how training goes.
    ///
    /// # Errors
    /// [`Diverged`](Error::Diverged) with the first step whose loss, gradients or new weights were not finite: the weights are
    /// those from before that step. [`Gpu`](Error::Gpu).
    pub fn progress(&mut self) -> Result<Progress> {
        block_on(self.progress_async())
    }

    /// The asynchronous form of [`Trainer::progress`].
    ///
    /// # Errors
    /// As [`Trainer::progress`].
    pub async fn progress_async(&mut self) -> Result<Progress> {
        let status = self.status.read_async().await?;
        let [bad, loss, norm, sum, steps] = [0, 1, 2, 3, 4].map(|i| status[i]);
        let [loss, norm, sum] = [loss, norm, sum].map(f32::from_bits);
        if bad != 0 {
            return Err(Error::Diverged { step: bad });
        }
        let mut reset = status;
        (reset[3], reset[4]) = (0, 0);
        self.status.write(reset.view())?;
        Ok(Progress {
            steps: self.step,
            last_loss: loss,
            mean_loss: if steps == 0 { f32::NAN } else { sum / steps as f32 },
            gradient_norm: norm,
        })
    }

    /// Sets another learning rate from the next step on.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where it is not finite or negative.
    pub fn set_learning_rate(&mut self, learning_rate: LearningRate) -> Result<()> {
        learning_rate.validate()?;
        self.options.learning_rate = learning_rate;
        Ok(())
    }

    /// The plan of a step.
    pub fn plan(&self) -> &Plan {
        self.program.plan()
    }

    /// The options.
    pub fn options(&self) -> &TrainerOptions {
        &self.options
    }

    /// Takes over what was written into the layers' parameters from outside of the trainer.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu).
    pub fn refresh(&self) -> Result<()> {
        self.refresh.run()
    }
}

/// A layer whose weights are packed anew after each step.
enum Layer {
    Rnn(Rnn),
    Linear(Linear),
}

impl Layer {
    fn emit_refresh(&self, plan: &mut PlanBuilder) {
        match self {
            Self::Rnn(rnn) => rnn.emit_refresh(plan),
            Self::Linear(linear) => linear.emit_refresh(plan),
        }
    }

    fn parameters(&self) -> Option<&Parameters> {
        match self {
            Self::Rnn(rnn) => rnn.parameters(),
            Self::Linear(linear) => linear.parameters(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rnn(a), Self::Rnn(b)) => a.is(b),
            (Self::Linear(a), Self::Linear(b)) => a.is(b),
            _ => false,
        }
    }
}

/// The recurrent layer on a tape whose parameters these are.
fn rnn_of<'t>(tape: &'t Tape, parameters: &Parameters) -> Option<&'t Rnn> {
    tape.operations.values().find_map(|operation| match operation {
        Operation::Rnn(recurrence) if recurrence.rnn.parameters().is_some_and(|own| own.is(parameters)) => {
            Some(&recurrence.rnn)
        }
        _ => None,
    })
}

/// The layers on a tape, each once.
fn layers(tape: &Tape) -> Vec<Layer> {
    let mut layers: Vec<Layer> = Vec::new();
    let all = tape.operations.values().filter_map(|operation| match operation {
        Operation::Rnn(recurrence) => Some(Layer::Rnn(recurrence.rnn.clone())),
        Operation::Linear { linear, .. } => Some(Layer::Linear(linear.clone())),
        _ => None,
    });
    for layer in all {
        if !layers.iter().any(|known| known.is(&layer)) {
            layers.push(layer);
        }
    }
    layers
}

/// The norm of all gradients, whether the step is taken, and the optimiser.
fn emit_optimizer(tape: &mut Tape, options: &TrainerOptions, trained: &[Trained], status: &Tensor<u32>) -> Result<()> {
    let hyper = tape.plan.tensor(&tape.hyper)?.buffer;
    let loss = tape.plan.tensor(&tape.loss)?.buffer;
    let status = tape.plan.tensor(status)?.buffer;
    let plan = &mut tape.plan;
    let trained: Vec<_> = trained.iter().filter(|block| !block.frozen).collect();
    let gradients: Vec<_> = trained.iter().map(|block| crate::layer::gradient_parts(plan, &block.parameters)).collect();
    let count = gradients.iter().map(|gradients| gradients.all().len()).sum();
    let parts = plan.own("squared norms", count as u64);
    let squares = plan.own("squared norm", 1);
    let control = plan.own("control", 3);
    for (i, part) in gradients.iter().flat_map(|gradients| gradients.all()).enumerate() {
        emit_sum(plan, At::start_of(part.buffer), part.words, 1, None, At { buffer: parts, offset: i });
    }
    emit_sum(plan, At::start_of(parts), count, 0, None, At::start_of(squares));
    let max_norm = if let Clip::Norm(most) = options.clip { most } else { 0.0 };
    let variant = Variant::plain(Kernel::Guard, ALONE, plan.device().panel());
    let params = GuardParams { max_norm, wary: options.optimizer.is_wary(), ..Default::default() };
    plan.draft.dispatch(variant, vec![hyper, loss, squares, status, control], &params.words());
    let mut updates = Vec::new();
    for (block, gradients) in trained.iter().zip(&gradients) {
        let count = block.parameters.len();
        let weights = plan.parts("parameters", block.parameters.values(), count);
        let moments: Vec<_> = block.moments.iter().map(|(name, storage)| plan.parts(name, storage, count)).collect();
        for (i, part) in gradients.all().iter().enumerate() {
            let mut bindings = vec![part.buffer, hyper, control, weights.all()[i].buffer];
            bindings.extend(moments.iter().map(|moment| moment.all()[i].buffer));
            if moments.is_empty() {
                bindings.push(plan.workspace("no momentum", 1));
            }
            bindings.push(status);
            updates.push((bindings, part.words));
        }
    }
    // All blocks are tried before the first one is changed.
    for trial in [true, false] {
        for (bindings, count) in &updates {
            options.optimizer.emit_update(plan, bindings.clone(), *count, options.clip, trial);
        }
    }
    Ok(())
}

impl std::fmt::Debug for Trainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer").field("options", &self.options).field("step", &self.step).finish_non_exhaustive()
    }
}
