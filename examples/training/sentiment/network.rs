//! A GRU that reads a review and scores both classes from its last state. One program is made for the longest review and
//! replayed for every batch: lengths are written like any other input.

use super::common::interrupt;
use super::data::{PADDING, Review, UNKNOWN};
use anyhow::{Context, Result, bail, ensure};
use ndarray::{Array1, Array2};
use rand_mt::Mt;
use wgrnn::{
    BatchLengths, Cell, Clip, Device, Evaluation, IGNORED, Input, LearningRate, Lengths, Model, ModelConfig, Optimizer,
    Output, Reset, RnnCall, RnnConfig, Tape, Targets, Tensor, Trainer, TrainerOptions,
};

/// Features of a word, and hidden units.
const WIDTH: usize = 64;
const CLASSES: usize = 2;
const DROPOUT: f64 = 0.5;
/// Words that training hides, so that unknown ones are nothing new.
const HIDDEN_WORDS: f64 = 0.1;

pub fn model(device: &Device, symbols: usize, seed: u32) -> Result<Model> {
    let rnn = RnnConfig::new(Cell::Gru(Reset::After), WIDTH, WIDTH);
    let config = ModelConfig::features(rnn, CLASSES).input(Input::tokens(symbols, 0.1)).dropout(DROPOUT);
    Ok(Model::new(device, &config, seed)?)
}

/// A batch on the device.
struct Batch {
    words: Tensor<u32>,
    lengths: BatchLengths,
    classes: Targets,
}

impl Batch {
    /// Memory for reviews of at most `longest` words.
    fn new(device: &Device, model: &Model, longest: usize, size: usize) -> Result<Self> {
        Ok(Self {
            words: Tensor::zeros(device, &[longest, size])?,
            lengths: model.rnn().batch_lengths(longest, size)?,
            classes: Targets::new(device, &[size], CLASSES)?,
        })
    }

    /// Scores [N, 2] as a value of the tape, and their loss.
    fn record(&self, model: &Model, tape: &mut Tape) -> Result<wgrnn::plan::Value> {
        let (words, classes) = (tape.input(&self.words)?, tape.input(self.classes.tensor())?);
        let lengths = Lengths::PerRun(self.lengths.clone());
        let call = RnnCall::default().lengths(lengths).output(Output::Last);
        let state = model.device_state(self.words.shape()[1])?;
        let scores = model.forward(tape, &words, &state, &call)?;
        tape.cross_entropy(&scores, &classes)?;
        Ok(scores)
    }

    /// Copies reviews to the device; columns beyond the last one hold one word of padding and count for nothing.
    fn write(&self, reviews: &[&Review], mut hide: impl FnMut() -> bool) -> Result<()> {
        let &[longest, size] = self.words.shape() else { return Ok(()) };
        let mut words = Array2::from_elem((longest, size), PADDING);
        let mut lengths = vec![1; size];
        let mut classes = Array1::from_elem(size, IGNORED);
        for (n, review) in reviews.iter().enumerate() {
            for (t, &word) in review.words.iter().enumerate() {
                words[[t, n]] = if hide() { UNKNOWN } else { word };
            }
            lengths[n] = review.words.len();
            classes[n] = review.positive.into();
        }
        self.words.write(words.view())?;
        self.lengths.write(&lengths)?;
        Ok(self.classes.write(classes.view())?)
    }
}

pub struct Training {
    batch: Batch,
    generator: Mt,
    pub trainer: Trainer,
}

impl Training {
    pub fn new(model: &Model, longest: usize, size: usize, seed: u32) -> Result<Self> {
        let device = model.rnn().device();
        let batch = Batch::new(device, model, longest, size)?;
        let mut tape = Tape::training(device)?;
        batch.record(model, &mut tape)?;
        let options = TrainerOptions::new(Optimizer::ADAM)
            .learning_rate(LearningRate::Constant(2e-3))
            .clip(Clip::Norm(1.0))
            .seed(seed);
        Ok(Self { batch, generator: Mt::new(seed), trainer: Trainer::new(tape, options)? })
    }

    /// Draws what a step would, without taking it: a training that is resumed hides the same words from there on.
    pub fn skip(&mut self, reviews: &[&Review]) {
        let words = reviews.iter().map(|review| review.words.len()).sum();
        (0..words).for_each(|_: usize| {
            self.generator.next_u32();
        });
    }

    pub fn step(&mut self, reviews: &[&Review]) -> Result<()> {
        let most = (HIDDEN_WORDS * 2.0_f64.powi(32)) as u32;
        self.batch.write(reviews, || self.generator.next_u32() < most)?;
        Ok(self.trainer.step()?)
    }
}

/// What the network makes of reviews.
pub struct Reader {
    batch: Batch,
    scores: Tensor,
    evaluation: Evaluation,
}

impl Reader {
    pub fn new(model: &Model, longest: usize, size: usize) -> Result<Self> {
        let device = model.rnn().device();
        let batch = Batch::new(device, model, longest, size)?;
        let scores = Tensor::zeros(device, &[size, CLASSES])?;
        let mut tape = Tape::evaluating(device)?;
        let made = batch.record(model, &mut tape)?;
        let output = tape.input(&scores)?;
        tape.plan().copy(&made, &output)?;
        Ok(Self { batch, scores, evaluation: tape.evaluation()? })
    }

    /// How probable it is that each review is positive, and the mean loss.
    pub fn read(&self, reviews: &[Review]) -> Result<(Vec<f64>, f64)> {
        let &[longest, size] = self.batch.words.shape() else { return Ok(Default::default()) };
        if let Some(review) = reviews.iter().find(|review| review.words.len() > longest) {
            bail!("a text of {} words is too long: at most {longest}", review.words.len());
        }
        // Reviews of like lengths together, so that a batch has no more steps than it needs.
        let mut order: Vec<usize> = (0..reviews.len()).collect();
        order.sort_by_key(|&i| reviews[i].words.len());
        let (mut positive, mut loss) = (vec![0.0; reviews.len()], 0.0);
        for some in order.chunks(size) {
            ensure!(!interrupt::asked(), "interrupted");
            let batch: Vec<_> = some.iter().map(|&i| &reviews[i]).collect();
            self.batch.write(&batch, || false)?;
            loss += f64::from(self.evaluation.run()?) * some.len() as f64;
            let scores = self.scores.read()?.into_dimensionality::<ndarray::Ix2>().context("scores")?;
            for (&i, scores) in some.iter().zip(scores.rows()) {
                positive[i] = 1.0 / (1.0 + f64::from(scores[0] - scores[1]).exp());
            }
        }
        Ok((positive, loss / reviews.len().max(1) as f64))
    }

    /// The part of reviews that it is right about, and the mean loss.
    pub fn test(&self, reviews: &[Review]) -> Result<(f64, f64)> {
        let (positive, loss) = self.read(reviews)?;
        let right = positive.iter().zip(reviews).filter(|(positive, review)| (**positive > 0.5) == review.positive);
        Ok((right.count() as f64 / reviews.len().max(1) as f64, loss))
    }
}
