//! Many-to-one: who speaks? Nine men say the same two vowels, each utterance as long as it is.
//!
//! ```text
//!                      y    ŷ = softmax(V·[h→, h←] + c)     9 speakers
//!                      ↑
//!   h→ → h→ → h→ → … → h→   two GRUs of 32 units read in both directions
//!   h← ← h← ← h← ← … ← h←
//!   ↑    ↑    ↑        ↑
//!   x    x    x        x    12 cepstrum coefficients, 7 to 29 steps
//! ```
//!
//! ```sh
//! cargo run --release --example voice -- --plot pictures
//! ```
//!
//! It learns from 270 utterances and is tested on 370, beside logistic regression on each coefficient's mean and deviation, which
//! knows nothing of their order. All utterances replay one program: their lengths are data.

use anyhow::Result;
use clap::Parser;
use lessons::baselines::{Fit, Logistic};
use lessons::data::voice::{COEFFICIENTS, LONGEST, SPEAKERS, Utterance, load};
use lessons::metrics::{accuracy, largest};
use lessons::plots::{Line, confusion, lines};
use lessons::{Common, Course, Outcome, Reading, adam, batch};
use ndarray::{Array1, Array3, ArrayD};
use wgrnn::plan::Value;
use wgrnn::{
    BatchLengths, Cell, Device, Direction, Lengths, Model, ModelConfig, Output, Reset, RnnCall, RnnConfig, Tape,
    Targets, Tensor,
};

const HIDDEN: usize = 32;
const BATCH: usize = 30;

/// Trains a bidirectional GRU to tell nine speakers from each other.
#[derive(Parser, Debug)]
pub struct Options {
    /// What every lesson can be told.
    #[command(flatten)]
    pub common: Common<300>,
}

/// The network: both directions read the utterance; their last states give a score for each speaker.
fn network(device: &Device, seed: u32) -> wgrnn::Result<Model> {
    let rnn = RnnConfig::new(Cell::Gru(Reset::After), COEFFICIENTS, HIDDEN).direction(Direction::Bidirectional);
    Model::new(device, &ModelConfig::features(rnn, SPEAKERS).dropout(0.3), seed)
}

/// Utterances on the device.
struct Batch {
    /// [T, N, 12], zeros after an utterance's end.
    steps: Tensor,
    lengths: BatchLengths,
    /// \[N\]
    speakers: Targets,
}

impl Batch {
    fn new(model: &Model, size: usize) -> Result<Self> {
        let device = model.rnn().device();
        Ok(Self {
            steps: Tensor::zeros(device, &[LONGEST, size, COEFFICIENTS])?,
            lengths: model.rnn().batch_lengths(LONGEST, size)?,
            speakers: Targets::new(device, &[size], SPEAKERS)?,
        })
    }

    /// Puts in utterances, no more than `most` steps of each.
    fn write(&self, utterances: &[&Utterance], most: usize) -> Result<()> {
        let step = |(t, n, c): (usize, usize, usize)| utterances[n].steps.get(t).map_or(0.0, |step| step[c]);
        self.steps.write(Array3::from_shape_fn((LONGEST, utterances.len(), COEFFICIENTS), step).view())?;
        let lengths = utterances.iter().map(|utterance| utterance.steps.len().min(most));
        self.lengths.write(&lengths.collect::<Vec<_>>())?;
        let speakers = utterances.iter().map(|utterance| utterance.speaker as u32);
        Ok(self.speakers.write(speakers.collect::<Array1<_>>().view())?)
    }

    /// Scores [N, 9] of the utterances, and their loss.
    fn read(&self, tape: &mut Tape, model: &Model) -> Result<Value> {
        let steps = tape.input(&self.steps)?;
        let call = RnnCall::default().lengths(Lengths::PerRun(self.lengths.clone())).output(Output::Last);
        let scores = model.forward(tape, &steps, &model.device_state(steps.shape()[1])?, &call)?;
        let speakers = tape.input(self.speakers.tensor())?;
        tape.cross_entropy(&scores, &speakers)?;
        Ok(scores)
    }
}

/// Trains, and tells the speakers of the utterances held out.
pub fn run(options: &Options) -> Result<Outcome> {
    let common = &options.common;
    let [learned, tested] = load(common.data())?;
    let device = common.start()?;
    let model = network(&device, common.seed)?;

    let size = BATCH.min(learned.len());
    let examples = Batch::new(&model, size)?;
    let mut tape = Tape::training(&device)?;
    examples.read(&mut tape, &model)?;
    let mut trainer = adam(tape, 5e-3, common.seed)?;
    model.name(&mut trainer, "")?;

    let test = Batch::new(&model, tested.len())?;
    let mut tape = Tape::evaluating(&device)?;
    let scores = test.read(&mut tape, &model)?;
    let reading = Reading::new(tape, &scores)?;
    let all: Vec<&Utterance> = tested.iter().collect();
    test.write(&all, LONGEST)?;

    let course = Course::new("voice", "utterances", size).held_out(10, || reading.loss());
    let curves = course.train(common, &mut trainer, |step, seed| {
        let chosen = batch(learned.len(), size, seed, step).into_iter().map(|i| &learned[i]);
        examples.write(&chosen.collect::<Vec<_>>(), LONGEST)
    })?;

    let speakers: Vec<usize> = tested.iter().map(|utterance| utterance.speaker).collect();
    let told = |scores: &ArrayD<f32>| scores.rows().into_iter().map(largest).collect::<Vec<_>>();
    let answers = told(&reading.run()?);
    common.draw("voice_loss.svg", |path| curves.draw(path, "Who speaks?", "cross-entropy"))?;
    common.draw("voice_confusion.svg", |path| {
        confusion(path, "Who is taken for whom", &["1", "2", "3", "4", "5", "6", "7", "8", "9"], &answers, &speakers)
    })?;
    common.draw("voice.svg", |path| {
        let right = |steps: usize| -> Result<(f64, f64)> {
            test.write(&all, steps)?;
            Ok((steps as f64, 100.0 * accuracy(&told(&reading.run()?), &speakers)))
        };
        let points = (1..=LONGEST).map(right).collect::<Result<_>>()?;
        let axes = ["steps heard, of 6.4 ms", "speakers told right, in %"];
        lines(path, "How soon a voice is known", axes, &[Line { name: "GRU", points }])
    })?;
    Ok(Outcome::new(format!("{} utterances held out", tested.len()))
        .percent("right")
        .row("logistic regression on means", &[baseline(&learned, &tested)])
        .row("GRU", &[accuracy(&answers, &speakers)]))
}

/// How many logistic regression on mean and deviation of each coefficient tells right.
fn baseline(learned: &[Utterance], tested: &[Utterance]) -> f64 {
    let examples: Vec<_> = learned.iter().map(|utterance| (utterance.features(), utterance.speaker)).collect();
    let model = Logistic::fit(&examples, [2 * COEFFICIENTS, SPEAKERS], Fit { epochs: 200, rate: 0.5, decay: 1e-4 }, 0);
    let answers = model.classify_all(tested.iter().map(Utterance::features));
    accuracy(&answers, &tested.iter().map(|utterance| utterance.speaker).collect::<Vec<_>>())
}

fn main() -> Result<()> {
    lessons::tell(run(&Options::parse()))
}
