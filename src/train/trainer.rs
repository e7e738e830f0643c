//! Training steps on the device, one submit each.

use super::averages::Averages;
use super::layers::{layers, rnn_of};
use super::learning_rate::LearningRate;
use super::names::is_reserved;
use super::options::{Progress, TrainerOptions};
use super::paths::Paths;
use super::tape::{Operation, Tape};
use super::trained::Trained;
use super::update::STATUS;
use super::{segments, update};
use crate::device::{Device, block_on};
use crate::error::{Error, Result};
use crate::layer::{DeviceState, copy_value};
use crate::parameters::Parameters;
use crate::plan::{Difference, Plan, PlanBuilder, Program};
use crate::tensor::Tensor;

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
    parts: StepParts,
    hyper: Tensor<u32>,
    pub(super) status: Tensor<u32>,
    pub(super) step: u32,
    pub(super) batches: Batches,
    pub(super) averages: Option<Averages>,
}

/// Commands of a step: the forward pass, then gradients cleared, then the backward pass, then the update.
struct StepParts {
    forward: usize,
    cleared: usize,
    backward: usize,
    all: usize,
}

/// Micro-batches whose gradients wait for an update.
pub(super) struct Batches {
    pub count: u32,
    /// The sum of their losses.
    pub loss: Tensor,
    /// Adds a loss to it.
    add: Program,
}

impl Batches {
    fn new(device: &Device, loss: &Tensor) -> Result<Self> {
        let sum = Tensor::zeros(device, &[1])?;
        let mut add = PlanBuilder::new(device);
        let (from, to) = (add.tensor(loss)?, add.tensor(&sum)?);
        copy_value(&mut add, &from, &to, true);
        Ok(Self { count: 0, loss: sum, add: add.build()? })
    }

    /// Forgets them.
    pub fn clear(&mut self) -> Result<()> {
        if self.count > 0 {
            self.loss.write(ndarray::arr1(&[0.0]).view())?;
        }
        self.count = 0;
        Ok(())
    }
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
        options.validate()?;
        if !tape.training {
            return Err(Error::value("tape", "one made by Tape::training", "one for evaluation"));
        }
        let paths = Paths::new(&tape)?;
        let device = tape.device().clone();
        let trained = blocks(&tape, &options)?;
        segments::validate(&options, &trained)?;
        let (status, batches) = (Tensor::zeros(&device, &[STATUS])?, Batches::new(&device, &tape.loss)?);
        let commands = |tape: &Tape| tape.plan.plan().commands().len();
        let forward = commands(&tape);
        for block in trained.iter().filter(|block| !block.frozen) {
            tape.plan.clear_gradients(&block.parameters)?;
        }
        let cleared = commands(&tape);
        tape.backward(&paths)?;
        let backward = commands(&tape);
        let shared = [tape.plan.tensor(&status)?.buffer, tape.plan.tensor(&batches.loss)?.buffer];
        update::emit(&mut tape, &options, &trained, shared)?;
        let layers = layers(&tape);
        let mut refresh = PlanBuilder::new(&device);
        for layer in &layers {
            if !layer.parameters().is_some_and(|parameters| tape.is_frozen(parameters)) {
                layer.emit_refresh(&mut tape.plan);
            }
            layer.emit_refresh(&mut refresh);
        }
        let averages = Averages::new(&device, &trained, &layers)?;
        let (refresh, hyper) = (refresh.build()?, tape.hyper.clone());
        let mut ends = [forward, cleared, backward];
        let program = tape.plan.build_parts(&mut ends)?;
        let [forward, cleared, backward] = ends;
        let parts = StepParts { forward, cleared, backward, all: program.plan().commands().len() };
        let (states, step) = (Vec::new(), 0);
        let trainer =
            Self { device, options, trained, states, refresh, program, parts, hyper, status, step, batches, averages };
        Ok(trainer)
    }

    /// Names a layer's parameters in checkpoints. `name` stands before the name of each array.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where they are not trained here, the name is another one's, or it begins with `optimizer.`,
    /// `state.` or `average.`, which are the names of other things there.
    pub fn name(&mut self, name: &str, parameters: &Parameters) -> Result<()> {
        if is_reserved(name) {
            let expected = "one that begins with none of 'optimizer.', 'state.' and 'average.'";
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

    /// Takes one step on what the inputs hold now: loss, gradients, weights. On a GPU the work is submitted. After calls of
    /// [`Trainer::accumulate`], what the inputs hold is the last of the step's micro-batches.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu) where wgpu or the driver complain, [`Value`](Error::Value) after 2³² − 2 steps, and while
    /// [`swap_averages`](Self::swap_averages) has put averages in the weights' place. A loss, a gradient
    /// or a new weight that is not finite is no error here: the step is not taken, nor any after it unless
    /// [`TrainerOptions::skip_nonfinite`] says so, and [`Trainer::progress`] reports it.
    pub fn step(&mut self) -> Result<()> {
        self.begin_step()?;
        self.run_until(self.parts.all)?;
        self.end_step()
    }

    /// Adds the gradients of what the inputs hold now, a micro-batch, to those of the step, without changing weights:
    /// [`Trainer::step`] adds those of the last micro-batch and updates the weights with the mean of all. Nothing comes back to
    /// the host between them.
    ///
    /// After k − 1 calls and a step, loss and gradients are the means of those of the k micro-batches. Where losses are means over
    /// as many targets in each of them, that equals one batch k times as large, but for rounding. Where targets are ignored, each
    /// micro-batch still counts the same, whatever its number of valid targets, and so a target of a smaller one counts for more.
    /// Dropout draws other masks for each micro-batch.
    ///
    /// ```
    /// # fn main() -> wgrnn::Result<()> {
    /// # use ndarray::array;
    /// # use wgrnn::{Device, Linear, Optimizer, Tape, Tensor, Trainer, TrainerOptions};
    /// # let device = Device::cpu();
    /// # let linear = Linear::trainable(&device, array![[0.]].view(), None)?;
    /// # let x = Tensor::from_array(&device, array![[1.]].view())?;
    /// # let mut tape = Tape::training(&device)?;
    /// # let (input, target) = (tape.input(&x)?, tape.input(&x)?);
    /// # let y = tape.linear(&linear, &input)?;
    /// # tape.mean_squared_error(&y, &target)?;
    /// # let mut trainer = Trainer::new(tape, TrainerOptions::new(Optimizer::ADAM))?;
    /// for number in [1.0, 2.0, 3.0, 4.0] {
    ///     x.write(array![[number]].view())?;
    ///     if number < 4.0 { trainer.accumulate()? } else { trainer.step()? }
    /// }
    /// assert_eq!(trainer.progress()?.last_loss, 7.5); // (1 + 4 + 9 + 16) / 4
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub fn accumulate(&mut self) -> Result<()> {
        self.begin_step()?;
        self.run_until(self.parts.backward)?;
        self.batches.add.run()?;
        self.batches.count += 1;
        Ok(())
    }

    /// How many micro-batches [`Trainer::accumulate`] has added since the last step.
    pub fn accumulated(&self) -> u32 {
        self.batches.count
    }

    /// Runs the program up to a command; gradients of micro-batches before are not cleared.
    fn run_until(&self, end: usize) -> Result<()> {
        let StepParts { forward, cleared, all, .. } = self.parts;
        match (self.batches.count, end == all) {
            (0, true) => self.program.run(),
            (0, false) => self.program.run_part(0..end),
            _ => {
                self.program.run_part(0..forward)?;
                self.program.run_part(cleared..end)
            }
        }
    }

    /// Takes one step, as [`step`](Self::step) does, and compares each command with its CPU twin.
    ///
    /// # Errors
    /// As [`Trainer::step`] and [`Program::first_difference`]; [`Value`](Error::Value) after [`Trainer::accumulate`].
    pub fn first_difference(&mut self) -> Result<Option<Difference>> {
        block_on(self.first_difference_async())
    }

    /// The asynchronous form of [`Trainer::first_difference`].
    ///
    /// # Errors
    /// As [`Trainer::first_difference`].
    pub async fn first_difference_async(&mut self) -> Result<Option<Difference>> {
        self.expect_no_batches("a step that is compared")?;
        self.begin_step()?;
        let difference = self.program.first_difference_async().await?;
        self.end_step()?;
        Ok(difference)
    }

    /// Refuses what can't stand between the micro-batches of a step.
    pub(super) fn expect_no_batches(&self, what: &str) -> Result<()> {
        match self.batches.count {
            0 => Ok(()),
            count => {
                let got = format!("{count} micro-batches that wait for Trainer::step");
                Err(Error::value(what, "a trainer between two steps", got))
            }
        }
    }

    /// Writes what differs from step to step, and from micro-batch to micro-batch.
    fn begin_step(&self) -> Result<()> {
        if self.step >= LAST_STEP {
            return Err(Error::value("steps of a training", format!("at most {LAST_STEP}"), "one more"));
        }
        if self.averages.as_ref().is_some_and(|averages| averages.are_in) {
            let got = "their averages; call Trainer::swap_averages before";
            return Err(Error::value("weights of a training step", "those that are trained", got));
        }
        let options = &self.options;
        let step = self.step + 1;
        let rate = options.rate(self.step);
        let [first, second] = options.optimizer.corrections(step);
        // Whether somebody else has written weights since the last step, or there was none.
        let mut moved = self.trained.iter().filter(|trained| !trained.frozen);
        let unknown = moved.any(|trained| trained.seen != trained.parameters.version());
        // The guard tries steps with a rate of more than 1,000; it does not know those of groups.
        let unknown = unknown || rate * options.largest_factor() > 1e3;
        // Every micro-batch has masks of its own: the first one those of a step without any other.
        let seed = options.seed.wrapping_add(self.batches.count.wrapping_mul(0x9e37_79b9));
        let share = 1.0 / (self.batches.count as f32 + 1.0);
        let part = options.average.map_or(1.0, |average| average.part(step));
        let numbers = [rate as f32, first, second].map(f32::to_bits);
        let [rate, first, second] = numbers;
        let hyper = [seed, step, rate, first, second, unknown.into(), share.to_bits(), part.to_bits()];
        self.hyper.write(ndarray::ArrayView1::from(&hyper[..]))
    }

    fn end_step(&mut self) -> Result<()> {
        for trained in self.trained.iter_mut().filter(|trained| !trained.frozen) {
            trained.seen = trained.parameters.change();
        }
        self.step += 1;
        self.batches.clear()
    }

    /// The number of steps that were asked for so far.
    pub fn steps(&self) -> u32 {
        self.step
    }

    /// Waits for the last step, and reports how training goes.
    ///
    /// # Errors
    /// [`Diverged`](Error::Diverged) with the first step whose loss, gradients or new weights were not finite and that was not
    /// skipped: the weights are those from before that step. [`Gpu`](Error::Gpu).
    pub fn progress(&mut self) -> Result<Progress> {
        block_on(self.progress_async())
    }

    /// The asynchronous form of [`Trainer::progress`].
    ///
    /// # Errors
    /// As [`Trainer::progress`].
    pub async fn progress_async(&mut self) -> Result<Progress> {
        let status = self.status.read_async().await?;
        let [bad, loss, norm, sum, steps, skipped] = [0, 1, 2, 3, 4, 6].map(|i| status[i]);
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
            skipped,
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

    /// The learning rate of the next step, without the factors of groups.
    pub fn rate(&self) -> f64 {
        self.options.rate(self.step)
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

/// The blocks of a tape.
fn blocks(tape: &Tape, options: &TrainerOptions) -> Result<Vec<Trained>> {
    let blocks: Vec<_> = tape.parameters().into_iter().map(|block| (tape.is_frozen(&block), block)).collect();
    let ends = tape.operations.values().any(|operation| matches!(operation, Operation::Gradient { .. }));
    if blocks.iter().all(|(frozen, _)| *frozen) || !ends {
        return Err(Error::value("tape", "trainable layers that are not frozen, and a loss", "none"));
    }
    let mut trained = Vec::new();
    for (i, (frozen, parameters)) in blocks.into_iter().enumerate() {
        let names = if frozen { &[] } else { options.optimizer.moments() };
        let moments = names.iter().map(|&name| Ok((name, parameters.beside(name)?)));
        let moments = moments.collect::<Result<_>>()?;
        let average = options.average.filter(|_| !frozen).map(|_| parameters.beside("averages")).transpose()?;
        let config = rnn_of(tape, &parameters).map(|rnn| rnn.config().clone());
        trained.push(Trained { name: format!("{i}."), frozen, moments, average, parameters, config, seen: 0 });
    }
    Ok(trained)
}

impl std::fmt::Debug for Trainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer").field("options", &self.options).field("step", &self.step).finish_non_exhaustive()
    }
}
