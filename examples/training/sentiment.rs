//! Many-to-one: is a film review positive? A GRU reads it word by word, and its last state decides.
//!
//! ```text
//!                       y    ŷ = softmax(V·h + c)    positive or negative
//!                       ↑
//!   h →  h →  h →  h →  h    a GRU of 64 units
//!   ↑    ↑    ↑    ↑    ↑
//!   a    dull film  but …    a vector for each word
//! ```
//!
//! ```sh
//! cargo run --release --example sentiment -- --plot pictures
//! cargo run --release --example sentiment -- --text "A dull film with a brilliant end"
//! ```
//!
//! The baseline is logistic regression on which words occur, in whatever order. Both say how sure they are. Whether one may believe that is
//! what the calibration error measures (Guo et al. 2017): of the reviews of which a model is 80 % sure, 80 % should be as it says.

use anyhow::{Result, ensure};
use clap::Parser;
use lessons::data::sentiment::{Data, Review, UNKNOWN, hide, load, of_like_lengths};
use lessons::metrics::Calibration;
use lessons::plots::reliability;
use lessons::{Common, Course, Outcome, Reading, Sequences, adam};
use ndarray::Array1;
use wgrnn::plan::Value;
use wgrnn::{
    Cell, Device, IGNORED, Input, Lengths, Model, ModelConfig, Output, Reset, RnnCall, RnnConfig, Tape, Targets,
};

const WIDTH: usize = 64;
const BATCH: usize = 32;

/// Trains a GRU to tell positive film reviews from negative ones.
#[derive(Parser, Debug)]
pub struct Options {
    /// What every lesson can be told.
    #[command(flatten)]
    pub common: Common<750>,
    /// A text to classify after training; may be given more than once.
    #[arg(long)]
    pub text: Vec<String>,
}

/// The network: a vector for each word, a GRU, a score for each class from its last state.
fn network(device: &Device, words: usize, seed: u32) -> wgrnn::Result<Model> {
    let rnn = RnnConfig::new(Cell::Gru(Reset::After), WIDTH, WIDTH);
    Model::new(device, &ModelConfig::features(rnn, 2).input(Input::tokens(words, 0.1)).dropout(0.5), seed)
}

/// Reviews on the device, and their classes \[N\].
struct Batch(Sequences, Targets);

impl Batch {
    fn new(model: &Model, longest: usize, size: usize) -> Result<Self> {
        let classes = Targets::new(model.rnn().device(), &[size], 2)?;
        Ok(Self(Sequences::new(model.rnn(), [longest, size])?, classes))
    }

    /// Scores [N, 2] of the reviews, and their loss.
    fn read(&self, tape: &mut Tape, model: &Model) -> Result<Value> {
        let (words, classes) = (tape.input(&self.0.symbols)?, tape.input(self.1.tensor())?);
        let call = RnnCall::default().lengths(Lengths::PerRun(self.0.lengths.clone())).output(Output::Last);
        let scores = model.forward(tape, &words, &model.device_state(words.shape()[1])?, &call)?;
        tape.cross_entropy(&scores, &classes)?;
        Ok(scores)
    }

    /// Puts in reviews; where there are too few, the rest counts for nothing.
    fn write(&self, reviews: &[&Review]) -> Result<()> {
        self.0.write(&reviews.iter().map(|review| &review.words[..]).collect::<Vec<_>>())?;
        let size = self.1.tensor().shape()[0];
        let class = |n: usize| reviews.get(n).map_or(IGNORED, |review| review.positive.into());
        Ok(self.1.write((0..size).map(class).collect::<Array1<_>>().view())?)
    }
}

/// Trains, and judges the reviews held out, and the caller's texts.
pub fn run(options: &Options) -> Result<Outcome> {
    let common = &options.common;
    let data = load(common.data())?;
    let texts = options.text.iter().map(|text| read(&data, text)).collect::<Result<Vec<_>>>()?;
    let device = common.start()?;
    let model = network(&device, data.vocabulary.symbols(), common.seed)?;

    let size = BATCH.min(data.train.len());
    let examples = Batch::new(&model, data.longest(), size)?;
    let mut tape = Tape::training(&device)?;
    examples.read(&mut tape, &model)?;
    let mut trainer = adam(tape, 2e-3, common.seed)?;
    model.name(&mut trainer, "")?;

    let all: Vec<&Review> = data.test.iter().chain(&texts).collect();
    let longest = all.iter().map(|review| review.words.len()).max().unwrap_or(1);
    let test = Batch::new(&model, longest, all.len())?;
    let mut tape = Tape::evaluating(&device)?;
    let scores = test.read(&mut tape, &model)?;
    let reading = Reading::new(tape, &scores)?;
    test.write(&all)?;

    let course = Course::new("sentiment", "reviews", size).held_out(125, || reading.loss());
    let curves = course.train(common, &mut trainer, |step, seed| {
        // In training one word in ten is unknown, so that unknown ones are nothing new.
        let reviews: Vec<Review> =
            of_like_lengths(&data.train, size, seed, step).iter().map(|review| hide(review, seed, step)).collect();
        examples.write(&reviews.iter().collect::<Vec<_>>())
    })?;

    let sure = |scores: ndarray::ArrayView1<'_, f32>| 1.0 / (1.0 + f64::from(scores[0] - scores[1]).exp());
    let mut positive: Vec<f64> = reading.run()?.rows().into_iter().map(sure).collect();
    let own = positive.split_off(data.test.len());
    let truth: Vec<bool> = data.test.iter().map(|review| review.positive).collect();
    let [network, words] = [positive, data.bag_of_words()].map(|positive| Calibration::new(&positive, &truth));
    common.draw("sentiment_loss.svg", |path| curves.draw(path, "Film reviews", "cross-entropy"))?;
    common.draw("sentiment.svg", |path| reliability(path, &[("bag of words", &words), ("GRU", &network)]))?;
    let outcome =
        Outcome::new(format!("{} reviews held out", data.test.len())).percent("right").percent("calibration error");
    let outcome =
        outcome.row("bag of words", &[words.accuracy, words.error]).row("GRU", &[network.accuracy, network.error]);
    Ok(options.text.iter().zip(own).fold(outcome, |all, (text, positive)| all.note(judged(text, positive))))
}

/// A text of the caller's: of one without a word that the reviews have, nothing could be said.
fn read(data: &Data, text: &str) -> Result<Review> {
    let words = data.vocabulary.indices(text);
    let is_known = text.trim().is_empty() || words.iter().any(|&word| word != UNKNOWN);
    ensure!(is_known, "--text '{text}': none of its words is in the reviews learnt");
    Ok(Review { words, positive: true })
}

fn judged(text: &str, positive: f64) -> String {
    let (name, sure) = if positive > 0.5 { ("positive", positive) } else { ("negative", 1.0 - positive) };
    if text.trim().is_empty() {
        "an empty text: nothing to judge".to_owned()
    } else {
        format!("{name} ({:.0} %): {text}", 100.0 * sure)
    }
}

fn main() -> Result<()> {
    lessons::tell(run(&Options::parse()))
}
