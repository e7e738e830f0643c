//! Writes a text character by character: state, scores and draws stay on the device, and each character is the input of the
//! next step. Only characters come back, to be printed.

use super::common::{Choice, of_file};
use super::model::Description;
use anyhow::{Context, Result, ensure};
use clap::Args;
use ndarray::array;
use std::io::Write;
use std::path::PathBuf;
use wgrnn::{Evaluation, Model, RnnCall, Sampling, Tape, Tensor, Trainer};

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
    pub temperature: f32,
    /// Draws among so many best characters only; 0 for all.
    #[arg(long, default_value_t = 20)]
    pub top_k: usize,
    /// Draws among the likeliest characters only, whose probabilities sum to so much.
    #[arg(long, default_value_t = 1.0)]
    pub top_p: f32,
    /// For the draws.
    #[arg(long, default_value_t = 0)]
    pub seed: u32,
    /// What the text begins with.
    #[arg(long, default_value = "")]
    pub prompt: String,
}

pub fn run(options: &Options, out: &mut impl Write) -> Result<()> {
    let Options { temperature, checkpoint, top_k, top_p, .. } = options;
    ensure!(temperature.is_finite() && *temperature >= 0.0, "the temperature must be at least 0, not {temperature}");
    let notes = of_file(checkpoint, Trainer::notes(checkpoint))?;
    let description = Description::from_notes(&notes).with_context(|| checkpoint.display().to_string())?;
    let vocabulary = description.vocabulary();
    let prompt = vocabulary.indices(&options.prompt)?;

    let device = options.device.device()?;
    let model = description.model(&device, 0)?;
    of_file(checkpoint, model.load(checkpoint, ""))?;
    let seed = Tensor::from_array(&device, array![options.seed, 0].view())?;
    let sampling = Sampling::new(&seed).temperature(*temperature).top_p(*top_p);
    let writer = Writer::new(&model, &if *top_k == 0 { sampling } else { sampling.top_k(*top_k) })?;
    // A text without a beginning begins as a line does, or with any character.
    let begin = vocabulary.indices("\n").unwrap_or_else(|_| vec![0]);
    for &character in if prompt.is_empty() { &begin } else { &prompt } {
        writer.character.write(array![[character]].view())?;
        writer.step.program().run()?;
    }
    write!(out, "{}", options.prompt)?;
    for step in 1..=options.length {
        let next = writer.character.read()?[[0, 0]];
        ensure!(next != u32::MAX, "the scores of what follows are not numbers");
        write!(out, "{}", vocabulary.character(next as usize))?;
        out.flush()?;
        seed.write(array![options.seed, step as u32].view())?;
        writer.step.program().run()?;
    }
    Ok(())
}

/// A program that reads one character, goes on from the state that it left, and writes the next character in its place.
struct Writer {
    character: Tensor<u32>,
    step: Evaluation,
}

impl Writer {
    fn new(model: &Model, sampling: &Sampling) -> Result<Self> {
        let device = model.rnn().device();
        let symbols = model.config().outputs.context("a language model has scores")?;
        let character = Tensor::zeros(device, &[1, 1])?;
        let mut tape = Tape::evaluating(device)?;
        let input = tape.input(&character)?;
        let call = RnnCall::default().carry(true);
        let logits = model.forward(&mut tape, &input, &model.device_state(1)?, &call)?;
        tape.plan().sample(&logits.reshape(&[1, symbols])?, &input.reshape(&[1])?, sampling)?;
        Ok(Self { character, step: tape.evaluation()? })
    }
}
