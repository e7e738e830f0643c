//! The loop around a training: steps with a progress bar, looks at the loss, checkpoints, Ctrl-C.

use crate::bar::Bar;
use crate::every::of_file;
use crate::interrupt::{self, Place};
use crate::options::Common;
use crate::plots::{Line, lines};
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use wgrnn::Trainer;

/// Steps between two looks at the loss, each of which waits for the device.
const REPORT: u32 = 10;
/// Steps between two checkpoints.
const SAVED: u32 = 100;

/// A training of a lesson.
///
/// ```no_run
/// # fn f(options: &lessons::Common<100>, trainer: &mut wgrnn::Trainer, write: &mut dyn FnMut(u32, u32)) -> anyhow::Result<()> {
/// let curves = lessons::Course::new("digits", "pictures", 64).train(options, trainer, |step, seed| {
///     write(step, seed); // the batch of a step
///     Ok(())
/// })?;
/// # Ok(())
/// # }
/// ```
pub struct Course<'a> {
    name: &'static str,
    unit: &'static str,
    batch: usize,
    settings: String,
    every: u32,
    held_out: Option<Box<dyn FnMut() -> Result<f64> + 'a>>,
}

/// How a training went: steps, and the loss there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// The mean loss since the point before.
    pub training: Vec<(f64, f64)>,
    /// What [`Course::held_out`] gave.
    pub held_out: Vec<(f64, f64)>,
    /// How long it took in seconds.
    pub seconds: f64,
}

impl<'a> Course<'a> {
    /// Of a lesson, whose steps learn from so many units each.
    pub fn new(name: &'static str, unit: &'static str, batch: usize) -> Self {
        Self { name, unit, batch, settings: String::new(), every: 0, held_out: None }
    }

    /// What a training that goes on must have been started with, such as "--cell lstm --hidden 128". Empty: nothing.
    pub fn settings(self, settings: impl Into<String>) -> Self {
        Self { settings: settings.into(), ..self }
    }

    /// Looks at data held out before training, every so many steps, and at the end; `loss` is what the curve shows.
    pub fn held_out(self, every: u32, loss: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self { every: every.max(1), held_out: Some(Box::new(loss)), ..self }
    }

    /// Trains: `write` gets step, from 0, and seed, and writes the batch that the step reads.
    ///
    /// # Errors
    ///
    /// Those of the device and of `write`; a checkpoint that can't be read or written, or is of another lesson; an interruption, for
    /// which [`or_exit`](crate::or_exit) is.
    pub fn train<const STEPS: u32>(
        mut self,
        options: &Common<STEPS>,
        trainer: &mut Trainer,
        mut write: impl FnMut(u32, u32) -> Result<()>,
    ) -> Result<Curves> {
        let notes = self.notes();
        if let Some(path) = options.save.as_ref().filter(|_| options.resume) {
            self.load(trainer, path)?;
        }
        let (begin, end, seed) = (trainer.steps(), options.steps, trainer.options().seed);
        ensure!(begin <= end, "the checkpoint has {begin} steps already: ask for as many or more with --steps");
        let start = std::time::Instant::now();
        let mut curves = Curves::default();
        self.look(begin, &mut curves)?;
        let bar = Bar::new(end - begin, self.unit, self.batch)?;
        let _listening = bar.listen()?;
        let default = PathBuf::from(format!("{}.safetensors", self.name));
        let mut place =
            Place { path: options.save.as_ref().unwrap_or(&default), is_own: options.resume, is_saved: options.resume };
        for step in begin + 1..=end {
            write(step - 1, seed)?;
            trainer.step()?;
            let ends = step == end;
            let mut loss = if step % REPORT == 0 { Some(trainer.progress()?.mean_loss) } else { None };
            place.is_saved = false;
            if let Some(path) = options.save.as_ref().filter(|_| step % SAVED == 0 || ends) {
                of_file(path, trainer.save(path, &notes))?;
                (place.is_own, place.is_saved) = (true, true);
            }
            if ends && loss.is_none() {
                // Only now: what was saved goes on to the next report, as a training does that never stopped.
                loss = Some(trainer.progress()?.mean_loss);
            }
            curves.training.extend(loss.map(|loss| (f64::from(step), f64::from(loss))));
            bar.step(loss);
            let looked =
                if self.every > 0 && (step % self.every == 0 || ends) { self.look(step, &mut curves) } else { Ok(()) };
            if interrupt::is_asked() {
                bar.finish();
                return Err(interrupt::stop(trainer, place, &notes));
            }
            looked?;
        }
        bar.finish();
        curves.seconds = start.elapsed().as_secs_f64();
        if let Some(path) = options.save.as_ref().filter(|_| end > begin) {
            eprintln!("saved {}", path.display());
        }
        Ok(curves)
    }

    /// One note: the lesson's name, and what must be the same to go on.
    fn notes(&self) -> HashMap<String, String> {
        HashMap::from([(self.name.to_owned(), self.settings.clone())])
    }

    /// Goes on from a checkpoint of this lesson with the same settings.
    fn load(&self, trainer: &mut Trainer, path: &Path) -> Result<()> {
        let (saved, wanted, place) = (settings(path, self.name)?, &self.settings, path.display());
        ensure!(saved == *wanted, "{place}: trained with {saved}, not with {wanted}: change the options, or --save");
        of_file(path, trainer.load(path))?;
        eprintln!("resumed at step {}", trainer.steps());
        Ok(())
    }

    fn look(&mut self, step: u32, curves: &mut Curves) -> Result<()> {
        if let Some(loss) = &mut self.held_out {
            curves.held_out.push((step.into(), loss()?));
        }
        Ok(())
    }
}

/// The [settings](Course::settings) of a lesson's checkpoint.
///
/// # Errors
///
/// A file that can't be read, or is no checkpoint of this lesson.
pub fn settings(path: &Path, name: &str) -> Result<String> {
    let mut notes = of_file(path, Trainer::notes(path))?;
    let place = path.display();
    if let Some(settings) = notes.remove(name) {
        return Ok(settings);
    }
    let other = notes.into_keys().min();
    let other = other.with_context(|| format!("{place}: not a checkpoint of a lesson: see --save"))?;
    bail!("{place}: a checkpoint of '{other}', not of the lesson '{name}': see --save")
}

impl Curves {
    /// Draws the training losses of several trainings as lines over the steps.
    ///
    /// # Errors
    ///
    /// A file that can't be written.
    pub fn compare(path: &Path, [title, loss]: [&str; 2], all: &[(&str, Self)]) -> Result<()> {
        let drawn = all.iter().filter(|(_, curves)| !curves.training.is_empty());
        let drawn: Vec<_> = drawn.map(|&(name, ref curves)| Line { name, points: curves.training.clone() }).collect();
        if drawn.is_empty() {
            eprintln!("note: no losses to draw, for the training was complete");
            return Ok(());
        }
        lines(path, title, ["step", loss], &drawn)
    }

    /// Draws the losses as lines over the steps. Of a training that was complete when it was resumed there are none to draw, which is said.
    ///
    /// # Errors
    ///
    /// A file that can't be written.
    pub fn draw(&self, path: &Path, title: &str, loss: &str) -> Result<()> {
        if self.training.is_empty() {
            eprintln!("note: no losses to draw, for the training was complete");
            return Ok(());
        }
        let both = [("training", &self.training), ("held out", &self.held_out)];
        let drawn = both.into_iter().filter(|(_, points)| !points.is_empty());
        let drawn: Vec<_> = drawn.map(|(name, points)| Line { name, points: points.clone() }).collect();
        lines(path, title, ["step", loss], &drawn)
    }
}
