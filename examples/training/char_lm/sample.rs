//! Writes a text character by character: the state stays on the device, scores come back to be drawn from.

use super::choose::choose;
use super::common::{Choice, of_file};
use super::model::Description;
use anyhow::{Context, Result, ensure};
use clap::Args;
use ndarray::array;
use rand_mt::Mt;
use std::io::Write;
use std::path::PathBuf;
use wgrnn::{Evaluation, Model, RnnCall, Tape, Tensor, Trainer};

#[derive(Args, Debug)]
pub struct Options {
    /// What `train` saved.
    #[arg(long, default_value = "char_lm.safetensors")]
    pub checkpoint: PathBuf,
    /// Where to run.
    #[arg(long, value_enum, default_value = "auto")]
    pub device: Choice,
    /// Characters to write.
    #[arg(long, default_value_t = 500)]
    pub length: usize,
    /// How daring: scores are divided by it. 0 always takes the best.
    #[arg(long, default_value_t = 0.7, allow_negative_numbers = true)]
    pub temperature: f64,
    /// Draws among so many best characters only; 0 for all.
    #[arg(long, default_value_t = 20)]
    pub top_k: usize,
    /// For the draws.
    #[arg(long, default_value_t = 0)]
    pub seed: u32,
    /// What the text begins with.
    #[arg(long, default_value = "")]
    pub prompt: String,
}

pub fn run(options: &Options, out: &mut impl Write) -> Result<()> {
    let Options { temperature, checkpoint, .. } = options;
    ensure!(temperature.is_finite() && *temperature >= 0.0, "the temperature must be at least 0, not {temperature}");
    let notes = of_file(checkpoint, Trainer::notes(checkpoint))?;
    let description = Description::from_notes(&notes).with_context(|| checkpoint.display().to_string())?;
    let vocabulary = description.vocabulary();
    let prompt = vocabulary.indices(&options.prompt)?;

    let device = options.device.device()?;
    let model = description.model(&device, 0)?;
    of_file(checkpoint, model.load(checkpoint, ""))?;
    let writer = Writer::new(&model)?;
    let mut generator = Mt::new(options.seed);
    // A text without a beginning begins as a line does, or with any character.
    let begin = vocabulary.indices("\n").unwrap_or_else(|_| vec![0]);
    let mut scores = Vec::new();
    for &character in if prompt.is_empty() { &begin } else { &prompt } {
        scores = writer.read(character)?;
    }
    write!(out, "{}", options.prompt)?;
    for _ in 0..options.length {
        let uniform = f64::from(generator.next_u32()) / 2.0_f64.powi(32);
        let next = choose(&scores, *temperature, options.top_k, uniform);
        write!(out, "{}", vocabulary.character(next))?;
        out.flush()?;
        scores = writer.read(next as u32)?;
    }
    Ok(())
}

/// A program that reads one character and goes on from the state that it left.
struct Writer {
    x: Tensor<u32>,
    scores: Tensor,
    step: Evaluation,
}

impl Writer {
    fn new(model: &Model) -> Result<Self> {
        let device = model.rnn().device();
        let symbols = model.config().outputs.context("a language model has scores")?;
        let (x, scores) = (Tensor::zeros(device, &[1, 1])?, Tensor::zeros(device, &[1, 1, symbols])?);
        let mut tape = Tape::evaluating(device)?;
        let (input, output) = (tape.input(&x)?, tape.input(&scores)?);
        let call = RnnCall::default().carry(true);
        let logits = model.forward(&mut tape, &input, &model.device_state(1)?, &call)?;
        tape.plan().copy(&logits, &output)?;
        Ok(Self { x, scores, step: tape.evaluation()? })
    }

    /// Scores of what may follow.
    fn read(&self, character: u32) -> Result<Vec<f32>> {
        self.x.write(array![[character]].view())?;
        self.step.program().run()?;
        Ok(self.scores.read()?.into_iter().collect())
    }
}
