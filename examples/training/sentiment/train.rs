//! Training, and a table of how it went.

use super::baseline::BagOfWords;
use super::common::{Bar, Choice, Line, check_place, interrupt, make_folder, of_file, plot};
use super::data::{Data, Review, UNKNOWN, batches, words};
use super::network::{Reader, Training, model};
use anyhow::{Result, ensure};
use clap::Parser;
use rand_mt::Mt;
use std::collections::HashMap;
use std::fmt::{Display, Formatter};
use std::path::{Path, PathBuf};
use wgrnn::Trainer;

/// Steps between two looks at the loss, each of which waits for the device.
const REPORT: u32 = 25;
/// Reviews that are tested at once.
const TESTED: usize = 64;
/// Steps from one checkpoint to the next.
const SAVED: u32 = 100;

/// Whether film reviews are positive: a GRU beside a bag of words.
#[derive(Parser, Debug)]
pub struct Options {
    /// Where to run.
    #[arg(long, value_enum, default_value = "auto")]
    pub device: Choice,
    /// How often the reviews are read.
    #[arg(long, default_value_t = 3)]
    pub epochs: u32,
    /// Training steps, in place of whole epochs.
    #[arg(long)]
    pub steps: Option<u32>,
    /// Reviews of a step.
    #[arg(long, default_value_t = 32)]
    pub batch: usize,
    /// For the first weights, the order of reviews and dropout.
    #[arg(long, default_value_t = 0)]
    pub seed: u32,
    /// A folder for a picture of the losses.
    #[arg(long, value_name = "FOLDER")]
    pub plot: Option<PathBuf>,
    /// Where to save the training, every 100 steps and at its end; `sentiment.safetensors` if it is interrupted.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Go on from that file, with its seed.
    #[arg(long, requires = "checkpoint")]
    pub resume: bool,
    /// A text to classify after training; may be given more than once.
    #[arg(long)]
    pub text: Vec<String>,
}

/// How it went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Reviews to learn and to be tested with.
    pub reviews: [usize; 2],
    /// Accuracy on the latter.
    pub baseline: f64,
    pub network: f64,
    /// Texts and what the network makes of them.
    pub texts: Vec<String>,
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let [train, test] = self.reviews;
        writeln!(f, "{:<34} accuracy", format!("{train} reviews learnt, {test} tested"))?;
        writeln!(f, "{:<34} {:.1} %", "bag of words, logistic regression", 100.0 * self.baseline)?;
        write!(f, "{:<34} {:.1} %", "GRU", 100.0 * self.network)
    }
}

pub fn run(options: &Options) -> Result<Outcome> {
    let data = Data::new(include_str!("train.tsv"), include_str!("test.tsv"))?;
    run_on(&data, options)
}

/// A text of the caller's as numbers. Of one without a word that the reviews have, nothing could be said; an empty one is
/// told as such.
fn read(data: &Data, text: &str) -> Result<Vec<u32>> {
    let words = data.vocabulary.indices(&words(text));
    let is_known = text.trim().is_empty() || words.iter().any(|&word| word != UNKNOWN);
    ensure!(is_known, "--text '{text}': none of its words is in the reviews learnt");
    Ok(words)
}

/// How many steps are asked for.
fn steps(data: &Data, options: &Options) -> Result<u32> {
    let (batch, most) = (options.batch, data.train.len());
    ensure!((1..=most).contains(&batch), "--batch must be from 1 to {most}, not {batch}");
    let steps = options.steps.unwrap_or(options.epochs.saturating_mul((most / batch) as u32));
    ensure!(steps > 0, "--steps and --epochs must be at least 1");
    Ok(steps)
}

pub fn run_on(data: &Data, options: &Options) -> Result<Outcome> {
    let Options { batch, mut seed, .. } = *options;
    let steps = steps(data, options)?;
    // Before training, which what can't be read or written would waste.
    make_folder(options.plot.as_deref())?;
    options.checkpoint.as_deref().map_or(Ok(()), check_place)?;
    let texts = options.text.iter().map(|text| read(data, text)).collect::<Result<Vec<_>>>()?;
    let longest = data.longest();
    let longest_text = texts.iter().map(Vec::len).fold(longest, usize::max);

    let baseline = BagOfWords::train(&data.train, data.vocabulary.len(), seed).accuracy(&data.test);
    let device = options.device.device()?;
    let model = model(&device, data.vocabulary.len(), seed)?;
    let mut training = Training::new(&model, longest, batch, seed)?;
    let notes = HashMap::from([("batch".to_owned(), batch.to_string())]);
    let mut begin = 0;
    if let Some(path) = options.checkpoint.as_ref().filter(|_| options.resume) {
        resume(&mut training.trainer, path, &notes)?;
        (begin, seed) = (training.trainer.steps(), training.trainer.options().seed);
        ensure!(begin < steps, "the checkpoint has {begin} steps already: ask for more with --steps or --epochs");
    }
    let reader = Reader::new(&model, longest_text, TESTED)?;
    let mut generator = Mt::new(seed);

    let (mut accuracy, loss) = reader.test(&data.test)?;
    let (mut losses, mut tested) = (Vec::new(), vec![(begin.into(), loss)]);
    let bar = Bar::new(steps - begin, "reviews", batch)?;
    let mut order = Vec::new();
    let listening = bar.listen()?;
    let path = options.checkpoint.as_deref();
    let mut place = interrupt::Place {
        path: path.unwrap_or(Path::new("sentiment.safetensors")),
        is_own: options.resume,
        is_saved: false,
    };
    for step in 1..=steps {
        if order.is_empty() {
            order = batches(&data.train, batch, &mut generator);
        }
        let reviews = order.pop().unwrap_or_default();
        if step <= begin {
            training.skip(&reviews);
            continue;
        }
        training.step(&reviews)?;
        let ends = step == steps;
        let mut loss = if step % REPORT == 0 { Some(training.trainer.progress()?.mean_loss) } else { None };
        let saves = step % SAVED == 0 || ends;
        if let Some(path) = path.filter(|_| saves) {
            of_file(path, training.trainer.save(path, &notes))?;
            (place.is_own, place.is_saved) = (true, true);
        }
        if ends && loss.is_none() {
            // Only now: what was saved goes on to the next report, as a training does that never stopped.
            loss = Some(training.trainer.progress()?.mean_loss);
        }
        bar.step(loss);
        losses.extend(loss.map(|loss| (f64::from(step), f64::from(loss))));
        let test = if order.is_empty() || ends { Some(reader.test(&data.test)) } else { None };
        if interrupt::asked() {
            bar.finish();
            return Err(interrupt::stop(&training.trainer, place, &notes));
        }
        place.is_saved = false;
        if let Some(test) = test {
            let (right, loss) = test?;
            accuracy = right;
            tested.push((f64::from(step), loss));
            bar.line(&format!("step {step}: test loss {loss:.3}, accuracy {:.1} %", 100.0 * accuracy));
        }
    }
    bar.finish();
    drop(listening);
    if let Some(folder) = &options.plot {
        draw(folder, losses, tested)?;
    }

    let answers = answers(&reader, &options.text, texts)?;
    Ok(Outcome { reviews: [data.train.len(), data.test.len()], baseline, network: accuracy, texts: answers })
}

/// The losses as a picture.
fn draw(folder: &Path, training: Vec<(f64, f64)>, test: Vec<(f64, f64)>) -> Result<()> {
    let path = folder.join("sentiment_loss.svg");
    let lines = [Line { name: "training", points: training }, Line { name: "test", points: test }];
    plot(&path, "Film reviews", ["step", "cross-entropy"], &lines)?;
    eprintln!("drew {}", path.display());
    Ok(())
}

/// What the network thinks of texts, whose words are these.
fn answers(reader: &Reader, texts: &[String], words: Vec<Vec<u32>>) -> Result<Vec<String>> {
    let reviews = words.into_iter().map(|words| Review { words, positive: true }).collect::<Vec<_>>();
    let (positive, _) = reader.read(&reviews)?;
    let answer = |(text, positive): (&String, f64)| {
        if text.trim().is_empty() {
            return "an empty text: nothing to judge".to_owned();
        }
        let (name, probability) = if positive > 0.5 { ("positive", positive) } else { ("negative", 1.0 - positive) };
        format!("{name} ({:.0} %): {text}", 100.0 * probability)
    };
    Ok(texts.iter().zip(positive).map(answer).collect())
}

/// Goes on from a checkpoint of a training on batches of the same size.
fn resume(trainer: &mut Trainer, path: &Path, notes: &HashMap<String, String>) -> Result<()> {
    let saved = of_file(path, Trainer::notes(path))?;
    let batch = saved.get("batch").map_or("none", String::as_str);
    ensure!(saved == *notes, "the checkpoint {} was trained with --batch {batch}", path.display());
    of_file(path, trainer.load(path))?;
    eprintln!("resumed at step {}", trainer.steps());
    Ok(())
}
