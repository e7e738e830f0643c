//! One-to-one: which digit is this? The textbook's plain network, one hidden layer between a picture and ten probabilities.
//!
//! ```text
//!   y   ŷ = softmax(V·h + c)     10 digits
//!   ↑
//!   h   h = tanh(W·x + b)        128 units
//!   ↑
//!   x   64 pixels
//! ```
//!
//! It is the recurrent network that reads a sequence of one step: from a state of zeros, the recurrent weights count for nothing.
//!
//! ```sh
//! cargo run --release --example digits -- --plot pictures
//! ```
//!
//! It learns from 1,257 digits of scikit-learn's, and is tested on 540 by other hands, beside logistic regression.

use anyhow::Result;
use clap::Parser;
use lessons::baselines::{Features, Fit, Logistic};
use lessons::data::digits::{Digit, SIDE, load};
use lessons::metrics::{accuracy, largest};
use lessons::plots::{Tile, grid};
use lessons::{Common, Course, Outcome, Reading, adam, batch};
use ndarray::{Array1, Array3};
use rand_mt::Mt;
use std::path::Path;
use wgrnn::plan::Value;
use wgrnn::{Activation, Cell, Device, Model, ModelConfig, Output, RnnCall, RnnConfig, Tape, Targets, Tensor};

const HIDDEN: usize = 128;
const BATCH: usize = 64;

/// Trains a network with one hidden layer to read handwritten digits.
#[derive(Parser, Debug)]
pub struct Options {
    /// What every lesson can be told.
    #[command(flatten)]
    pub common: Common<3000>,
}

/// The network: a picture of one step, a hidden layer, a score for each digit.
fn network(device: &Device, seed: u32) -> wgrnn::Result<Model> {
    Model::new(
        device,
        &ModelConfig::features(RnnConfig::new(Cell::Elman(Activation::Tanh), SIDE * SIDE, HIDDEN), 10),
        seed,
    )
}

/// Digits on the device.
struct Batch {
    /// [1, N, 64]
    pictures: Tensor,
    /// \[N\]
    digits: Targets,
}

impl Batch {
    fn new(device: &Device, size: usize) -> Result<Self> {
        let pictures = Tensor::zeros(device, &[1, size, SIDE * SIDE])?;
        Ok(Self { pictures, digits: Targets::new(device, &[size], 10)? })
    }

    /// Puts in digits, each moved by a pixel or not: down and to the right.
    fn write(&self, digits: &[&Digit], mut moved: impl FnMut() -> [i32; 2]) -> Result<()> {
        let size = self.pictures.shape()[1];
        let mut pixels = Vec::with_capacity(size * SIDE * SIDE);
        for digit in digits {
            let [down, right] = moved();
            pixels.extend((0..8).flat_map(|y| (0..8).map(move |x| digit.pixel(y - down, x - right))));
        }
        self.pictures.write(Array3::from_shape_vec((1, size, SIDE * SIDE), pixels)?.view())?;
        Ok(self.digits.write(digits.iter().map(|digit| digit.digit as u32).collect::<Array1<_>>().view())?)
    }

    /// Scores [N, 10] of the pictures, and their loss.
    fn read(&self, tape: &mut Tape, model: &Model) -> Result<Value> {
        let pictures = tape.input(&self.pictures)?;
        let state = model.device_state(self.pictures.shape()[1])?;
        let scores = model.forward(tape, &pictures, &state, &RnnCall::default().output(Output::Last))?;
        let digits = tape.input(self.digits.tensor())?;
        tape.cross_entropy(&scores, &digits)?;
        Ok(scores)
    }
}

/// Trains, and reads the digits held out.
pub fn run(options: &Options) -> Result<Outcome> {
    let common = &options.common;
    let [learned, tested] = load(common.data())?;
    let device = common.start()?;
    let model = network(&device, common.seed)?;

    let examples = Batch::new(&device, BATCH.min(learned.len()))?;
    let mut tape = Tape::training(&device)?;
    examples.read(&mut tape, &model)?;
    let mut trainer = adam(tape, 3e-3, common.seed)?;
    model.name(&mut trainer, "")?;

    let test = Batch::new(&device, tested.len())?;
    test.write(&tested.iter().collect::<Vec<_>>(), || [0, 0])?;
    let mut tape = Tape::evaluating(&device)?;
    let scores = test.read(&mut tape, &model)?;
    let reading = Reading::new(tape, &scores)?;

    let course = Course::new("digits", "digits", BATCH).held_out(50, || reading.loss());
    let curves = course.train(common, &mut trainer, |step, seed| {
        // A digit that stands a pixel aside is the same digit.
        let (mut random, chosen) = (Mt::new_with_key([seed, step]), batch(learned.len(), BATCH, seed, step));
        let mut pixel = || random.next_u32() as i32 % 2;
        examples.write(&chosen.into_iter().map(|i| &learned[i]).collect::<Vec<_>>(), || [pixel(), pixel()])
    })?;

    let answers: Vec<usize> = reading.run()?.rows().into_iter().map(largest).collect();
    let wanted: Vec<usize> = tested.iter().map(|digit| digit.digit).collect();
    common.draw("digits_loss.svg", |path| curves.draw(path, "Handwritten digits", "cross-entropy"))?;
    common.draw("digits.svg", |path| draw(path, &tested, &answers))?;
    Ok(Outcome::new(format!("{} digits held out", tested.len()))
        .percent("right")
        .row("logistic regression", &[baseline(&learned, &tested)])
        .row("one hidden layer", &[accuracy(&answers, &wanted)]))
}

/// How many logistic regression on the pixels reads right.
fn baseline(learned: &[Digit], tested: &[Digit]) -> f64 {
    let features = |digit: &Digit| digit.pixels.iter().copied().enumerate().collect::<Features>();
    let examples: Vec<_> = learned.iter().map(|digit| (features(digit), digit.digit)).collect();
    let model = Logistic::fit(&examples, [SIDE * SIDE, 10], Fit { epochs: 20, rate: 0.5, decay: 1e-4 }, 0);
    let answers: Vec<usize> = tested.iter().map(|digit| model.classify(&features(digit))).collect();
    accuracy(&answers, &tested.iter().map(|digit| digit.digit).collect::<Vec<_>>())
}

/// What was read wrong, then what was read right, 40 digits in all.
fn draw(path: &Path, tested: &[Digit], answers: &[usize]) -> Result<()> {
    let mut order: Vec<usize> = (0..tested.len()).collect();
    order.sort_by_key(|&i| tested[i].digit == answers[i]);
    let tile = |&i: &usize| {
        let Digit { pixels, digit } = &tested[i];
        let pixels = Array3::from_shape_fn((SIDE, SIDE, 3), |(y, x, _)| 1.0 - pixels[y * SIDE + x]);
        Tile::answer(pixels, &answers[i].to_string(), &digit.to_string())
    };
    let tiles: Vec<Tile> = order.iter().take(40).map(tile).collect();
    grid(path, "Digits held out, and what the network reads", 10, 8, &tiles)
}

fn main() -> Result<()> {
    lessons::tell(run(&Options::parse()))
}
