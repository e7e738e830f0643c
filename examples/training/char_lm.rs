//! Text, letter by letter: a network reads a character and says which one comes next. Then it writes by itself.
//!
//! ```text
//!   e    l    l    o     a score for each character
//!   ↑    ↑    ↑    ↑
//!   h →  h →  h →  h →   an LSTM of 128 units
//!   ↑    ↑    ↑    ↑
//!   h    e    l    l     a vector for each character
//! ```
//!
//! The text is read as 32 streams side by side, in windows of 64 characters: the state goes on from window to window, gradients do not
//! (truncated backpropagation through time).
//!
//! ```sh
//! cargo run --release --example char_lm -- --save model.safetensors --plot pictures
//! cargo run --release --example char_lm -- --save model.safetensors --resume --prompt MACBETH.
//! cargo run --release --example char_lm -- mine.txt --cell gru --hidden 256 --steps 2000
//! cargo run --release --example char_lm -- --compare
//! ```
//!
//! Without a file of yours it learns three plays of Shakespeare; the last tenth is held out. The baseline predicts each character from
//! the four before it. The demo page reads and writes the same checkpoints.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use lessons::baselines::Ngrams;
use lessons::data::char_lm::{CellName, Description, Sizes, Streams, Vocabulary, load};
use lessons::{Common, Course, Curves, Outcome, Window, adam, is_asked, settings, write};
use std::f64::consts::LN_2;
use std::path::PathBuf;
use wgrnn::{Cell, Device, Model, ModelConfig, RnnConfig, Sampling, Tape};

const EMBEDDING: usize = 32;

/// Trains a character model, and lets it write.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    /// What every lesson can be told.
    #[command(flatten)]
    pub common: Common<2000>,
    /// The text to learn; three plays of Shakespeare if none is given. Its last tenth is held out.
    pub file: Option<PathBuf>,
    /// What the network is made of.
    #[command(flatten)]
    pub network: Sizes,
    /// Adam's learning rate.
    #[arg(long, default_value_t = 5e-3, allow_negative_numbers = true)]
    pub rate: f64,
    /// What the text begins with that it writes after training; as a line does if nothing is given.
    #[arg(long, default_value = "")]
    pub prompt: String,
    /// Characters to write.
    #[arg(long, default_value_t = 400)]
    pub write: usize,
    /// How daring it writes: scores are divided by it. 0 always takes the best.
    #[arg(long, default_value_t = 0.7, allow_negative_numbers = true)]
    pub temperature: f32,
    /// Trains each cell of the library for so many steps in turn, and prints a table.
    #[arg(long, conflicts_with_all = ["cell", "save"])]
    pub compare: bool,
}

/// The network: a vector for each character, recurrent layers, a score for each character that may come next.
fn network(device: &Device, of: &Description, seed: u32) -> wgrnn::Result<Model> {
    let rnn = RnnConfig::new(of.cell.0, EMBEDDING, of.hidden).layers(of.layers).with_dropout(of.dropout);
    let symbols = Vocabulary::of(&of.characters).len();
    Model::new(device, &ModelConfig::language(symbols, rnn).dropout(of.dropout), seed)
}

/// Trains, tests, and writes a text.
pub fn run(options: &Options) -> Result<Outcome> {
    let text = load(options.file.as_deref())?;
    let vocabulary = Vocabulary::of(&text);
    let prompt = vocabulary.prompt(&options.prompt).context("--prompt")?;
    ensure!(options.temperature >= 0.0, "--temperature must be at least 0, not {}", options.temperature);
    let device = options.common.start()?;
    let mut learned = vocabulary.indices(&text)?;
    let tested = learned.split_off(learned.len() - learned.len() / 10);
    let title = format!("{} characters held out", tested.len());
    let mut outcome = Outcome::new(title).number("bits a character").number("1000 parameters").number("seconds");
    outcome = outcome.row("5-grams", &[Ngrams::bits(&learned, &tested, vocabulary.len(), 5), f64::NAN, f64::NAN]);
    let cells =
        if options.compare { Cell::ALL.map(|cell| Some(CellName(cell))).to_vec() } else { vec![options.network.cell] };
    for cell in cells {
        let sizes = Sizes { cell, ..options.network.clone() };
        let saved = options.common.save.as_deref().filter(|_| options.common.resume);
        let saved = saved.map(|path| settings(path, "char_lm")).transpose()?;
        let description = sizes.describe(&vocabulary, saved.as_deref())?;
        let model = network(&device, &description, options.common.seed)?;
        // As the checkpoint has them, whoever wrote it: the demo page does too.
        let written = saved.map_or_else(|| description.settings(), Ok)?;
        let curves = train(&model, options, (&description, &written), [&learned, &tested])?;
        let parameters = model.parameters().iter().map(|(_, parameters)| parameters.len()).sum::<usize>() as f64;
        let bits = curves.held_out.last().map_or(f64::NAN, |last| last.1);
        outcome = outcome.row(description.cell.to_string(), &[bits, parameters / 1e3, curves.seconds]);
        if !options.compare {
            let sampling =
                |seed: &_| Sampling::new(seed).temperature(options.temperature).top_k(vocabulary.len().min(20));
            let text = write(&model, &prompt, options.write, options.common.seed, sampling)?;
            let text: String = text.into_iter().map(|character| vocabulary.character(character as usize)).collect();
            outcome = outcome.note("").note(text.trim_start());
            let axis = "bits a character";
            options.common.draw("char_lm.svg", |path| curves.draw(path, "A character language model", axis))?;
        }
    }
    Ok(outcome)
}

/// Trains on windows of the text, and looks at what is held out from time to time; losses are in bits.
fn train(
    model: &Model,
    options: &Options,
    (of, written): (&Description, &str),
    [learned, tested]: [&[u32]; 2],
) -> Result<Curves> {
    let learned = Streams::whole(learned.to_vec(), of.batch, of.length)?;
    let tested = Streams::all(tested.to_vec(), of.batch, of.length)?;
    let device = model.rnn().device();
    let window = Window::new(model, [of.length, of.batch])?;
    let mut tape = Tape::training(device)?;
    window.read(&mut tape, model)?;
    let mut trainer = adam(tape, options.rate, options.common.seed)?;
    model.name(&mut trainer, "")?;
    trainer.keep_state("carried", &window.state);

    let test = Window::new(model, [of.length, of.batch])?;
    let mut tape = Tape::evaluating(device)?;
    test.read(&mut tape, model)?;
    let evaluation = tape.evaluation()?;
    let bits = || {
        for window in 0..tested.windows() {
            ensure!(!is_asked(), "interrupted");
            test.write(&tested, window)?;
            evaluation.add()?;
        }
        Ok(f64::from(evaluation.mean()?) / LN_2)
    };
    let course = Course::new("char_lm", "chars", of.batch * of.length).settings(written).held_out(250, bits);
    let mut curves = course
        .train(&options.common, &mut trainer, |step, _| window.write(&learned, step as usize % learned.windows()))?;
    curves.training.iter_mut().for_each(|point| point.1 /= LN_2);
    Ok(curves)
}

fn main() -> Result<()> {
    lessons::tell(run(&Options::parse()))
}
