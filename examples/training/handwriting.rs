//! Many-to-many without an alignment: a line of handwritten digits to text. The columns of the picture are the steps; nobody says which of
//! them belong to which digit. The loss (connectionist temporal classification, CTC) sums over all the ways to place them.
//!
//! ```text
//!   ŷ    a digit or the blank, at each step      1 _ 7 7 _ 2  →  1 7 2
//!   ↑
//!   h⃗ h⃖  GRUs that read to the right and left    h⃗ₜ = GRU(vₜ, h⃗ₜ₋₁), h⃖ₜ = GRU(vₜ, h⃖ₜ₊₁)
//!   ↑
//!   v    two convolutions                        v = relu(W₂ ∗ relu(W₁ ∗ x + b₁) + b₂)
//!   ↑
//!   x    columns of 24 pixels; a step is four of them
//! ```
//!
//! ```sh
//! cargo run --release --example handwriting -- --plot pictures --save handwriting.safetensors
//! cargo run --release --example handwriting -- --save handwriting.safetensors --resume --picture mine.png
//! ```
//!
//! It learns from lines of 7,000 digits of MNIST's. Of lines of 1,500 others it reads 4.6 % of the digits wrong, and 82 % of the lines
//! right; who cuts lines at blank columns and looks for the nearest of the 7,000, 24.3 % and 50 %. Seed 0, 3½ minutes on the CPU device.

use anyhow::Result;
use clap::Parser;
use lessons::baselines::Pieces;
use lessons::data::handwriting::{HEIGHT, LONGEST, Line, STRIDE, WIDEST, load, own, text};
use lessons::metrics::rates;
use lessons::plots::aligned;
use lessons::{Common, Course, Labelled, Outcome, Recogniser, initial};
use std::path::PathBuf;
use wgrnn::plan::Value;
use wgrnn::{
    Activation, Cell, Clip, Conv1d, CtcDecoding, CtcOptions, Device, Direction, LearningRate, Lengths, Model,
    ModelConfig, Optimizer, Parameters, Reset, RnnCall, RnnConfig, Tape, Trainer, TrainerOptions,
};

const STEPS: u32 = 4000;
const BATCH: usize = 32;
const DIGITS: usize = 10;
/// Outputs of the two convolutions, and hidden units of each direction.
const CONVOLVED: [usize; 2] = [64, 96];
const HIDDEN: usize = 112;

/// Trains a network to read lines of handwritten digits.
#[derive(Parser, Debug)]
pub struct Options {
    /// What every lesson can be told.
    #[command(flatten)]
    pub common: Common<STEPS>,
    /// Lines to test with.
    #[arg(long, default_value_t = 500)]
    pub tested: usize,
    /// A picture (PNG) of a line of digits to read after training; may be given more than once.
    #[arg(long, value_name = "FILE")]
    pub picture: Vec<PathBuf>,
}

/// The convolutions' weights, and the recurrent layer with the dense one.
pub struct Network(pub Parameters, pub Model);

impl Network {
    /// With random weights.
    pub fn new(device: &Device, seed: u32) -> Result<Self> {
        let [first, second] = CONVOLVED;
        let kernels = [("1.weight", vec![first, HEIGHT, 5]), ("2.weight", vec![second, first, 5])];
        let biases = [("1.bias", vec![first]), ("2.bias", vec![second])];
        let rnn = RnnConfig::new(Cell::Gru(Reset::After), second, HIDDEN).direction(Direction::Bidirectional);
        let model = Model::new(device, &ModelConfig::features(rnn, DIGITS + 1).dropout(0.2), seed)?;
        Ok(Self(initial(device, &[kernels, biases].concat(), seed)?, model))
    }

    /// Scores [T, N, 11] of the blank and the digits from columns [4·T, N, 24], and their loss.
    fn read(&self, tape: &mut Tape, lines: &Labelled) -> wgrnn::Result<Value> {
        let mut x = tape.input(&lines.inputs)?;
        for layer in ["1", "2"] {
            let [weight, bias] = ["weight", "bias"].map(|array| tape.parameter(&self.0, &format!("{layer}.{array}")));
            let y = tape.conv1d(&x, &weight?, Some(&bias?), Conv1d::default().stride(2).padding(2, 2))?;
            x = tape.activate(&y, Activation::Relu)?;
        }
        let call = RnnCall::default().lengths(Lengths::PerRun(lines.lengths.clone()));
        let scores = self.1.forward(tape, &x, &self.1.device_state(lines.size())?, &call)?;
        let [digits, steps, counts] = lines.targets(tape)?;
        // A line of ones may have fewer steps than CTC needs: it counts for nothing.
        tape.ctc(&scores, &digits, &steps, &counts, &CtcOptions::default().zero_infinity(true))?;
        Ok(scores)
    }

    fn lines(&self, width: usize, size: usize) -> Result<Labelled> {
        Labelled::new(self.1.rnn(), [width, size, HEIGHT], STRIDE, [DIGITS, LONGEST])
    }

    /// As a program that reads so many lines of at most this width.
    pub fn recogniser(&self, width: usize, size: usize) -> Result<Recogniser> {
        let lines = self.lines(width, size)?;
        let mut tape = Tape::evaluating(self.1.rnn().device())?;
        let scores = self.read(&mut tape, &lines)?;
        Recogniser::new(lines, tape, &scores, CtcDecoding::greedy())
    }
}

/// Trains, and reads lines of digits that training did not see.
pub fn run(options: &Options) -> Result<Outcome> {
    let [learned, tested] = load(options.common.data())?;
    let pictures = options.picture.iter().map(|path| own(path)).collect::<Result<Vec<_>>>()?;
    let device = options.common.start()?;
    let network = Network::new(&device, options.common.seed)?;
    let lines = network.lines(WIDEST, BATCH)?;
    let mut tape = Tape::training(&device)?;
    network.read(&mut tape, &lines)?;
    let rate = LearningRate::Cosine { rate: 4e-3, least: 1e-4, warm_up: 50, steps: STEPS };
    let settings = TrainerOptions::new(Optimizer::ADAM).learning_rate(rate).clip(Clip::Norm(1.0));
    let mut trainer = Trainer::new(tape, settings.seed(options.common.seed))?;
    trainer.name("convolution.", &network.0)?;
    network.1.name(&mut trainer, "")?;

    let test = tested.lines(options.tested, 0, 0);
    let examples: Vec<_> = test.iter().map(Line::example).collect();
    let recogniser = network.recogniser(WIDEST, options.tested.clamp(1, 100))?;
    let course = Course::new("handwriting", "lines", BATCH).held_out(250, || recogniser.loss(&examples));
    let curves = course.train(&options.common, &mut trainer, |step, seed| {
        let made = learned.lines(BATCH, seed, step);
        lines.write(&made.iter().map(Line::example).collect::<Vec<_>>())
    })?;

    let read = recogniser.recognise(&examples)?;
    let pieces = Pieces::fit(&learned);
    let digits = || test.iter().map(|line| line.digits.as_slice());
    let mut outcome = Outcome::new(format!("{} lines of digits held out", test.len()))
        .percent("wrong digits")
        .percent("whole lines right")
        .row("cut at blanks, nearest neighbour", &rates(digits(), |n| pieces.read(&test[n])))
        .row("convolutions, GRUs, CTC", &rates(digits(), |n| read[n].labels.clone()));
    for (path, columns) in options.picture.iter().zip(&pictures) {
        // Blank columns follow, as in training.
        let found = network.recogniser(columns.nrows() + 16, 1)?.recognise(&[(columns.view(), &[])])?;
        outcome = outcome.note(format!("{}: {}", path.display(), text(&found[0].labels)));
    }

    options.common.draw("handwriting_loss.svg", |path| curves.draw(path, "Lines of digits", "CTC loss"))?;
    let long = examples.iter().zip(&read).filter(|(line, _)| line.1.len() > 4).take(8);
    let drawn: Vec<_> = long.map(|(line, read)| read.panel(*line, text)).collect();
    let title = "Lines held out, and how probable each digit is at each step";
    options.common.draw("handwriting.svg", |path| aligned(path, title, [2, 4], &drawn))?;
    Ok(outcome)
}

fn main() -> Result<()> {
    lessons::tell(run(&Options::parse()))
}
