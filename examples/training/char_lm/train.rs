//! Learns a text by truncated backpropagation through time: the state goes on from window to window, gradients do not.

use super::common::{Bar, Choice, Line, check_place, interrupt, make_folder, of_file, plot};
use super::model::{CellName, Description};
use super::text::{Streams, Vocabulary};
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::f64::consts::LN_2;
use std::fmt::{Display, Formatter};
use std::path::{Path, PathBuf};
use wgrnn::{
    Clip, Device, DeviceState, Evaluation, IGNORED, LearningRate, Model, Optimizer, RnnCall, Tape, Targets, Tensor,
    Trainer, TrainerOptions,
};

/// Steps between two looks at the loss, each of which waits for the device.
const REPORT: u32 = 20;

#[derive(Args, Debug)]
pub struct Options {
    /// The text to learn; three plays of Shakespeare if none is given. Its last tenth is held out.
    pub file: Option<PathBuf>,
    /// Where to run.
    #[arg(long, value_enum, default_value = "auto")]
    pub device: Choice,
    /// Training steps in all, those before a `--resume` included.
    #[arg(long, default_value_t = 500)]
    pub steps: u32,
    /// For the first weights and for dropout.
    #[arg(long, default_value_t = 0)]
    pub seed: u32,
    /// The recurrent cell, by the library's name.
    #[arg(long, default_value = "lstm")]
    pub cell: CellName,
    /// Hidden units of a layer.
    #[arg(long, default_value_t = 128)]
    pub hidden: usize,
    /// Recurrent layers.
    #[arg(long, default_value_t = 1)]
    pub layers: usize,
    /// Streams that are read side by side.
    #[arg(long, default_value_t = 32)]
    pub batch: usize,
    /// Characters of a stream that are read in a step; gradients go back no further.
    #[arg(long, default_value_t = 64)]
    pub length: usize,
    /// Adam's learning rate.
    #[arg(long, default_value_t = 5e-3, allow_negative_numbers = true)]
    pub rate: f64,
    /// Dropout before, between and after recurrent layers.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub dropout: f64,
    /// Where the model is saved.
    #[arg(long, default_value = "char_lm.safetensors")]
    pub checkpoint: PathBuf,
    /// Steps between two saves, each with a look at the text held out.
    #[arg(long, default_value_t = 250)]
    pub save_every: u32,
    /// Goes on from the checkpoint, with the very losses of a training that never stopped.
    #[arg(long)]
    pub resume: bool,
    /// A folder for a picture of the losses.
    #[arg(long, value_name = "FOLDER")]
    pub plot: Option<PathBuf>,
}

/// How it went.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "tests compare the losses")]
pub struct Summary {
    /// Held-out bits per character before and after.
    pub held_out: [f64; 2],
    /// Steps and the mean training loss since the last of these, in bits per character.
    pub losses: Vec<(f64, f64)>,
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let [first, last] = self.held_out;
        write!(f, "held-out bits per character: {first:.2} -> {last:.2}")
    }
}

fn read(file: Option<&Path>) -> Result<String> {
    match file {
        Some(path) => std::fs::read_to_string(path).with_context(|| path.display().to_string()),
        None => Ok(include_str!("text.txt").to_owned()),
    }
}

pub fn run(options: &Options) -> Result<Summary> {
    ensure!(options.steps > 0, "--steps must be at least 1");
    ensure!(options.save_every > 0, "--save-every must be at least 1");
    make_folder(options.plot.as_deref())?;
    check_place(&options.checkpoint)?;
    let text = read(options.file.as_deref())?;
    let vocabulary = Vocabulary::of(&text);
    let mut learnt = vocabulary.indices(&text)?;
    let held_out = learnt.split_off(learnt.len() - learnt.len() / 10);
    let learnt = Streams::whole(learnt, options.batch, options.length)?;
    let held_out = Streams::all(held_out, options.batch, options.length)?;
    let description = Description {
        cell: options.cell,
        hidden: options.hidden,
        layers: options.layers,
        dropout: options.dropout,
        batch: options.batch,
        length: options.length,
        characters: vocabulary.text(),
    };
    if options.resume {
        check(&options.checkpoint, &description)?;
    }

    let device = options.device.device()?;
    let model = description.model(&device, options.seed)?;
    let mut training = Training::new(&device, &model, options)?;
    if options.resume {
        of_file(&options.checkpoint, training.trainer.load(&options.checkpoint))?;
    }
    let evaluation = HeldOut::new(&device, &model, &held_out, options)?;

    let begin = training.trainer.steps();
    ensure!(begin < options.steps, "the checkpoint has {begin} steps already: ask for more with --steps");
    let mut bits = vec![(f64::from(begin), evaluation.bits()?)];
    let mut losses = Vec::new();
    let bar = Bar::new(options.steps - begin, "chars", options.batch * options.length)?;
    let listening = bar.listen()?;
    let mut place = interrupt::Place { path: &options.checkpoint, is_own: options.resume, is_saved: false };
    for step in begin + 1..=options.steps {
        training.step(&learnt)?;
        let ends = step == options.steps;
        let mut loss = if step % REPORT == 0 { Some(training.trainer.progress()?.mean_loss) } else { None };
        let saves = step % options.save_every == 0 || ends;
        if saves {
            training.trainer.save(&options.checkpoint, &description.notes()?)?;
        }
        (place.is_own, place.is_saved) = (place.is_own || saves, saves);
        if ends && loss.is_none() {
            // Only now: what was saved goes on to the next report, as a training does that never stopped.
            loss = Some(training.trainer.progress()?.mean_loss);
        }
        bar.step(loss);
        losses.extend(loss.map(|loss| (f64::from(step), f64::from(loss) / LN_2)));
        let held_out = if saves { Some(evaluation.bits()) } else { None };
        if interrupt::asked() {
            bar.finish();
            return Err(interrupt::stop(&training.trainer, place, &description.notes()?));
        }
        if let Some(held_out) = held_out {
            bits.push((f64::from(step), held_out?));
            let held_out = bits[bits.len() - 1].1;
            // There is none yet where the first save comes before the first look at the loss.
            let learnt = losses.last().map(|loss| format!("{:.2} in training, ", loss.1)).unwrap_or_default();
            bar.line(&format!("step {step}: bits per character: {learnt}{held_out:.2} held out"));
        }
    }
    bar.finish();
    drop(listening);
    eprintln!("saved: {}", options.checkpoint.display());
    if let Some(folder) = &options.plot {
        let path = folder.join("char_lm_loss.svg");
        let lines =
            [Line { name: "training", points: losses.clone() }, Line { name: "held out", points: bits.clone() }];
        plot(&path, "A character language model", ["step", "bits per character"], &lines)?;
        eprintln!("drew {}", path.display());
    }
    Ok(Summary { held_out: [bits[0].1, bits[bits.len() - 1].1], losses })
}

/// Whether a checkpoint is of this network and of a text with these characters.
fn check(path: &Path, description: &Description) -> Result<()> {
    let notes = of_file(path, Trainer::notes(path))?;
    let saved = Description::from_notes(&notes).with_context(|| path.display().to_string())?;
    ensure!(
        saved.characters == description.characters,
        "the checkpoint {} is of a text with other characters",
        path.display()
    );
    let options = |of: &Description| {
        let Description { cell, hidden, layers, dropout, batch, length, .. } = of;
        format!(
            "--cell {cell} --hidden {hidden} --layers {layers} --dropout {dropout} --batch {batch} --length {length}"
        )
    };
    ensure!(
        saved == *description,
        "the checkpoint {} was trained with {}, not with {}",
        path.display(),
        options(&saved),
        options(description)
    );
    Ok(())
}

/// A window of the text on the device, and the state that windows pass on.
struct Window {
    x: Tensor<u32>,
    targets: Targets,
    state: DeviceState,
}

impl Window {
    fn new(device: &Device, model: &Model, options: &Options) -> Result<Self> {
        let shape = [options.length, options.batch];
        let classes = model.config().outputs.context("a language model has scores")?;
        Ok(Self {
            x: Tensor::zeros(device, &shape)?,
            targets: Targets::new(device, &shape, classes)?,
            state: model.device_state(options.batch)?,
        })
    }

    fn record(&self, model: &Model, tape: &mut Tape) -> Result<()> {
        let (x, targets) = (tape.input(&self.x)?, tape.input(self.targets.tensor())?);
        let call = RnnCall::default().carry(true);
        let logits = model.forward(tape, &x, &self.state, &call)?;
        Ok(tape.cross_entropy(&logits, &targets)?)
    }

    /// Reads a window; gives the number of its targets.
    fn write(&self, streams: &Streams, window: usize) -> Result<usize> {
        if window == 0 {
            self.state.reset()?;
        }
        let [x, targets] = streams.window(window);
        self.x.write(x.view())?;
        self.targets.write(targets.view())?;
        Ok(targets.iter().filter(|&&target| target != IGNORED).count())
    }
}

struct Training {
    window: Window,
    trainer: Trainer,
}

impl Training {
    fn new(device: &Device, model: &Model, options: &Options) -> Result<Self> {
        let window = Window::new(device, model, options)?;
        let mut tape = Tape::training(device)?;
        window.record(model, &mut tape)?;
        let trainer_options = TrainerOptions::new(Optimizer::ADAM)
            .learning_rate(LearningRate::Constant(options.rate))
            .clip(Clip::Norm(1.0))
            .seed(options.seed);
        let mut trainer = Trainer::new(tape, trainer_options)?;
        model.name(&mut trainer, "")?;
        trainer.keep_state("carried", &window.state);
        Ok(Self { window, trainer })
    }

    /// The step says which window is next, so that a checkpoint need not.
    fn step(&mut self, streams: &Streams) -> Result<()> {
        self.window.write(streams, self.trainer.steps() as usize % streams.windows())?;
        Ok(self.trainer.step()?)
    }
}

/// The text held out, and a program that reads it.
struct HeldOut<'a> {
    window: Window,
    evaluation: Evaluation,
    streams: &'a Streams,
}

impl<'a> HeldOut<'a> {
    fn new(device: &Device, model: &Model, streams: &'a Streams, options: &Options) -> Result<Self> {
        let window = Window::new(device, model, options)?;
        let mut tape = Tape::evaluating(device)?;
        window.record(model, &mut tape)?;
        Ok(Self { window, evaluation: tape.evaluation()?, streams })
    }

    /// Bits per character of the whole of it.
    fn bits(&self) -> Result<f64> {
        let (mut sum, mut count) = (0.0, 0);
        for window in 0..self.streams.windows() {
            ensure!(!interrupt::asked(), "interrupted");
            let targets = self.window.write(self.streams, window)?;
            sum += f64::from(self.evaluation.run()?) * targets as f64;
            count += targets;
        }
        Ok(sum / count as f64 / LN_2)
    }
}
