//! Training, and a table of how it went.

use super::baseline::BagOfWords;
use super::common::{Bar, Choice, Line, make_folder, plot};
use super::data::{Data, Review, UNKNOWN, batches, words};
use super::network::{Reader, Training, model};
use anyhow::{Result, ensure};
use clap::Parser;
use rand_mt::Mt;
use std::fmt::{Display, Formatter};
use std::path::PathBuf;

/// Steps between two looks at the loss, each of which waits for the device.
const REPORT: u32 = 25;
/// Reviews that are tested at once.
const TESTED: usize = 64;

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

/// A text of the caller's as numbers. Of one without a word that the reviews have, nothing could be said.
fn read(data: &Data, text: &str) -> Result<Vec<u32>> {
    let words = data.vocabulary.indices(&words(text));
    ensure!(words.iter().any(|&word| word != UNKNOWN), "--text '{text}': none of its words is in the reviews learnt");
    Ok(words)
}

pub fn run_on(data: &Data, options: &Options) -> Result<Outcome> {
    let Options { batch, seed, .. } = *options;
    ensure!((1..=data.train.len()).contains(&batch), "--batch must be from 1 to {}, not {batch}", data.train.len());
    let epoch = (data.train.len() / batch) as u32;
    let steps = options.steps.unwrap_or(options.epochs.saturating_mul(epoch));
    ensure!(steps > 0, "--steps and --epochs must be at least 1");
    // Before training, which what can't be read or written would waste.
    make_folder(options.plot.as_deref())?;
    let texts = options.text.iter().map(|text| read(data, text)).collect::<Result<Vec<_>>>()?;
    let longest = data.longest();
    let longest_text = texts.iter().map(Vec::len).fold(longest, usize::max);

    let baseline = BagOfWords::train(&data.train, data.vocabulary.len(), seed).accuracy(&data.test);
    let device = options.device.device()?;
    let model = model(&device, data.vocabulary.len(), seed)?;
    let mut training = Training::new(&model, longest, batch, seed)?;
    let reader = Reader::new(&model, longest_text, TESTED)?;
    let mut generator = Mt::new(seed);

    let (mut accuracy, loss) = reader.test(&data.test)?;
    let (mut losses, mut tested) = (Vec::new(), vec![(0.0, loss)]);
    let bar = Bar::new(steps, "reviews", batch)?;
    let mut order = Vec::new();
    for step in 1..=steps {
        if order.is_empty() {
            order = batches(&data.train, batch, &mut generator);
        }
        training.step(&order.pop().unwrap_or_default())?;
        let ends = step == steps;
        let loss = if step % REPORT == 0 || ends { Some(training.trainer.progress()?.mean_loss) } else { None };
        bar.step(loss);
        losses.extend(loss.map(|loss| (f64::from(step), f64::from(loss))));
        if order.is_empty() || ends {
            let (right, loss) = reader.test(&data.test)?;
            accuracy = right;
            tested.push((f64::from(step), loss));
            bar.line(&format!("step {step}: test loss {loss:.3}, accuracy {:.1} %", 100.0 * accuracy));
        }
    }
    bar.finish();
    if let Some(folder) = &options.plot {
        let path = folder.join("sentiment_loss.svg");
        let lines = [Line { name: "training", points: losses }, Line { name: "test", points: tested }];
        plot(&path, "Film reviews", ["step", "cross-entropy"], &lines)?;
        eprintln!("drew {}", path.display());
    }

    let texts = texts.into_iter().map(|words| Review { words, positive: true }).collect::<Vec<_>>();
    let (positive, _) = reader.read(&texts)?;
    let answer = |(text, positive): (&String, f64)| {
        let (name, probability) = if positive > 0.5 { ("positive", positive) } else { ("negative", 1.0 - positive) };
        format!("{name} ({:.0} %): {text}", 100.0 * probability)
    };
    Ok(Outcome {
        reviews: [data.train.len(), data.test.len()],
        baseline,
        network: accuracy,
        texts: options.text.iter().zip(positive).map(answer).collect(),
    })
}
