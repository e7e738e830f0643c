//! Encoder and decoder: how is a word pronounced? One GRU reads its letters; another goes on from the state of the first, and writes phonemes.
//!
//! ```text
//!                  K    AE   T    .     phonemes, then the end
//!                  ↑    ↑    ↑    ↑
//!   h →  h →  h →  g →  g →  g →  g     two GRUs of 128 units
//!   ↑    ↑    ↑    ↑    ↑    ↑    ↑
//!   c    a    t    .    K    AE   T     letters; then what it wrote
//! ```
//!
//! (Sutskever et al. 2014; Cho et al. 2014.) In training it is told what it should have written; afterwards it reads what it wrote.
//!
//! ```sh
//! cargo run --release --example pronounce -- --word recurrent neural network
//! ```
//!
//! It learns from 12,000 English words and is tested on 1,000. The baseline says what the most similar word known sounds like.

use anyhow::Result;
use clap::Parser;
use lessons::baselines::most_similar;
use lessons::data::pronounce::{LETTERS, Pair, letters, load};
use lessons::metrics::rates;
use lessons::{Common, Course, Lines, Outcome, Sequences, adam, batch, greedy};
use wgrnn::plan::Value;
use wgrnn::{Cell, Device, DeviceState, Lengths, Model, ModelConfig, Output, Reset, RnnCall, RnnConfig, Tape};

const FEATURES: usize = 64;
const HIDDEN: usize = 128;
const BATCH: usize = 64;
/// The longest pronunciation that it writes, with its end.
const LONGEST: usize = 21;

/// Trains an encoder and a decoder to pronounce English words.
#[derive(Parser, Debug)]
pub struct Options {
    /// What every lesson can be told.
    #[command(flatten)]
    pub common: Common<2000>,
    /// Words to pronounce after training.
    #[arg(long, value_name = "WORD", num_args = 1..)]
    pub word: Vec<String>,
}

/// The layers.
struct Network {
    encoder: Model,
    decoder: Model,
}

impl Network {
    fn new(device: &Device, phonemes: usize, seed: u32) -> Result<Self> {
        let gru = RnnConfig::new(Cell::Gru(Reset::After), FEATURES, HIDDEN);
        let encoder = Model::new(device, &ModelConfig::language(LETTERS, gru.clone()).outputs(None), seed)?;
        Ok(Self { encoder, decoder: Model::new(device, &ModelConfig::language(phonemes, gru), seed.wrapping_add(1))? })
    }

    /// Letters, of which each word has as many as it has, to a state.
    fn read(&self, tape: &mut Tape, words: &Sequences) -> Result<DeviceState> {
        let letters = tape.input(&words.symbols)?;
        let state = self.encoder.device_state(letters.shape()[1])?;
        let call = RnnCall::default().lengths(Lengths::PerRun(words.lengths.clone())).output(Output::Last);
        self.encoder.forward(tape, &letters, &state, &call)?;
        Ok(state)
    }

    /// A state and the phonemes before, [T, N], to a score for each phoneme that may come next.
    fn write(&self, tape: &mut Tape, before: &Value, state: &DeviceState) -> Result<Value> {
        Ok(self.decoder.forward(tape, before, state, &RnnCall::default().carry(true))?)
    }
}

/// Trains, and pronounces the words held out, and the caller's.
pub fn run(options: &Options) -> Result<Outcome> {
    let common = &options.common;
    let asked = options.word.iter().map(|word| letters(word)).collect::<Result<Vec<_>>>()?;
    let pairs = load(common.data())?;
    let marks = [pairs.phonemes.start(), pairs.phonemes.end()];
    let device = common.start()?;
    let network = Network::new(&device, pairs.phonemes.symbols(), common.seed)?;

    let most = |of: &dyn Fn(&Pair) -> usize| pairs.learned.iter().map(of).max().unwrap_or(1);
    let size = BATCH.min(pairs.learned.len());
    let words = Sequences::new(network.encoder.rnn(), [most(&|pair| pair.letters.len()), size])?;
    let lines = Lines::new(&device, [most(&|pair| pair.phonemes.len()), size], pairs.phonemes.symbols(), marks)?;
    let mut tape = Tape::training(&device)?;
    let state = network.read(&mut tape, &words)?;
    let (before, wanted) = (tape.input(&lines.told)?, tape.input(lines.wanted.tensor())?);
    let scores = network.write(&mut tape, &before, &state)?;
    tape.cross_entropy(&scores, &wanted)?;
    let mut trainer = adam(tape, 3e-3, common.seed)?;
    network.encoder.name(&mut trainer, "encoder.")?;
    network.decoder.name(&mut trainer, "decoder.")?;

    let curves = Course::new("pronounce", "words", size).train(common, &mut trainer, |step, seed| {
        let chosen: Vec<&Pair> =
            batch(pairs.learned.len(), size, seed, step).into_iter().map(|i| &pairs.learned[i]).collect();
        words.write(&chosen.iter().map(|pair| &pair.letters[..]).collect::<Vec<_>>())?;
        lines.write(&chosen.iter().map(|pair| &pair.phonemes[..]).collect::<Vec<_>>())
    })?;

    let all: Vec<&[u32]> = pairs.tested.iter().map(|pair| &pair.letters).chain(&asked).map(Vec::as_slice).collect();
    let mut answers = pronounce(&device, &network, &all, marks)?;
    let own = answers.split_off(pairs.tested.len());
    let known = || pairs.learned.iter().map(|pair| &pair.letters[..]);
    let similar = |pair: &Pair| most_similar(&pair.letters, known()).map(|i| pairs.learned[i].phonemes.clone());
    let row = |answer: &dyn Fn(usize) -> Vec<u32>| rates(pairs.tested.iter().map(|pair| &pair.phonemes[..]), answer);
    common.draw("pronounce.svg", |path| curves.draw(path, "Letters to phonemes", "cross-entropy of a phoneme"))?;
    let mut outcome = Outcome::new(format!("{} words held out", pairs.tested.len()))
        .percent("wrong phonemes")
        .percent("words right")
        .row("as the most similar word", &row(&|n| similar(&pairs.tested[n]).unwrap_or_default()))
        .row("encoder and decoder", &row(&|n| answers[n].clone()));
    for (pair, answer) in pairs.tested.iter().zip(&answers).take(5) {
        outcome = outcome.note(format!(
            "{}: {} (is {})",
            pair.word,
            pairs.phonemes.spell(answer),
            pairs.phonemes.spell(&pair.phonemes)
        ));
    }
    let notes = options.word.iter().zip(&own).map(|(word, answer)| format!("{word}: {}", pairs.phonemes.spell(answer)));
    Ok(notes.fold(outcome, Outcome::note))
}

/// Writes phonemes for words.
fn pronounce(device: &Device, network: &Network, words: &[&[u32]], marks: [u32; 2]) -> Result<Vec<Vec<u32>>> {
    let longest = words.iter().map(|word| word.len()).max().unwrap_or(1);
    let batch = Sequences::new(network.encoder.rnn(), [longest, words.len()])?;
    batch.write(words)?;
    let mut tape = Tape::evaluating(device)?;
    let state = network.read(&mut tape, &batch)?;
    greedy(tape, marks, [LONGEST, words.len()], |tape, before, _| network.write(tape, before, &state))
}

fn main() -> Result<()> {
    lessons::tell(run(&Options::parse()))
}
