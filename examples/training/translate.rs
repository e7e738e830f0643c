//! Many-to-many: dates, amounts and countries out of ten languages into English, by an encoder, a decoder and attention between them.
//!
//! ```text
//!                  y₁        y₂                ŷ = softmax(V·s)     words of English
//!                  ↑         ↑
//!        s₀ ─────→ s₁ ─────→ s₂ ──→ …          s = GRU([y; c], s)   the decoder
//!                  ↑         ↑
//!                 Σ α·h     Σ α·h              c = Σ α·h            attention: α = softmax(v·tanh(W·s + U·h))
//!               ↗  ↑  ↖   ↗  ↑  ↖
//!        h₁ ⇄ h₂ ⇄ h₃ ⇄ …                      h = GRU both ways    the encoder
//!        3    .    M …                         characters of a phrase
//! ```
//!
//! ```sh
//! cargo run --release --example translate -- --compare --plot pictures --text "3. März 2026" "2026年3月3日"
//! ```
//!
//! It learns from 24,000 phrases of CLDR and is tested on 1,000 others. `--compare` trains it without attention too (Cho et al. 2014).

use anyhow::Result;
use clap::{Parser, value_parser};
use lessons::data::translate::Pairs;
use lessons::metrics::translated;
use lessons::{Common, Course, Curves, Decoder, Outcome, Seen, Sequences, layers};
use wgrnn::plan::Value;
use wgrnn::{
    Attention, Cell, Device, Direction, Embedding, Lengths, Linear, Memory, Model, ModelConfig, Output, Reset, Rnn,
    RnnCall, RnnConfig, RnnWeights, Tape,
};

/// Training steps; the learning rate falls along half a cosine over them.
const STEPS: u32 = 2000;
const FEATURES: usize = 32;
const HIDDEN: usize = 128;
const BATCH: usize = 64;

/// Trains a network with attention to translate dates, amounts and countries into English.
#[derive(Parser, Debug)]
pub struct Options {
    /// What every lesson can be told.
    #[command(flatten)]
    pub common: Common<STEPS>,
    /// Train the same network without attention too.
    #[arg(long)]
    pub compare: bool,
    /// Translate so many of the phrases held out, and no more.
    #[arg(long, default_value_t = 1000, value_parser = value_parser!(u32).range(1..))]
    pub tested: u32,
    /// Phrases to translate after training.
    #[arg(long, value_name = "PHRASE", num_args = 1..)]
    pub text: Vec<String>,
}

/// Encoder, attention and decoder, which sees all states of the encoder, or without attention the last one.
struct Network {
    encoder: Model,
    attention: Attention,
    attends: bool,
    words: Embedding,
    decoder: Rnn,
    head: Linear,
}

impl Network {
    fn new(device: &Device, pairs: &Pairs, attends: bool, seed: u32) -> Result<Self> {
        let gru = |inputs, hidden| RnnConfig::new(Cell::Gru(Reset::After), inputs, hidden);
        let reads = gru(FEATURES, HIDDEN / 2).direction(Direction::Bidirectional);
        let writes = gru(FEATURES + HIDDEN, HIDDEN);
        Ok(Self {
            encoder: Model::new(device, &ModelConfig::language(pairs.characters(), reads).outputs(None), seed)?,
            attention: layers::additive(device, [HIDDEN, HIDDEN, HIDDEN / 2], seed.wrapping_add(1))?,
            attends,
            words: layers::embedding(device, [pairs.symbols(), FEATURES], seed.wrapping_add(4))?,
            decoder: Rnn::trainable(device, &writes, &RnnWeights::init(&writes, seed.wrapping_add(5))?)?,
            head: layers::dense(device, [pairs.symbols(), HIDDEN], seed.wrapping_add(6))?,
        })
    }
}

impl Decoder for Network {
    fn layers(&self) -> (&Rnn, &Rnn, &Linear) {
        (self.encoder.rnn(), &self.decoder, &self.head)
    }

    fn read(&self, tape: &mut Tape, phrases: &Sequences) -> Result<Memory> {
        let (characters, lengths) = (tape.input(&phrases.symbols)?, tape.input(&phrases.counts)?);
        let state = self.encoder.device_state(characters.shape()[1])?;
        // Without attention, the memory has one step: the decoder always looks at it.
        let output = if self.attends { Output::All } else { Output::Last };
        let call = RnnCall::default().lengths(Lengths::PerRun(phrases.lengths.clone())).output(output);
        let states = self.encoder.forward(tape, &characters, &state, &call)?;
        let states = if self.attends { states } else { states.insert_axis(0)? };
        Ok(tape.memory(&self.attention, &states, self.attends.then_some(&lengths))?)
    }

    /// From the last word \[N\] and its last output [N, H] to the decoder's next output, and where it looked, [N, S].
    fn step(&self, tape: &mut Tape, seen: &Seen<'_>, word: &Value, output: &Value) -> Result<[Value; 2]> {
        let (context, looked) = seen.memory.attend(tape, output)?;
        let x = [&tape.embedding(&self.words, word)?, &context];
        let x = tape.concat(&x, 1)?.insert_axis(0)?;
        let y = tape.rnn(&self.decoder, &x, seen.state, &RnnCall::default().carry(seen.step > 0))?;
        Ok([y.at(0)?, looked])
    }
}

/// Teaches a network: it is told what it should have written so far.
fn train(pairs: &Pairs, network: &Network, common: &Common<STEPS>) -> Result<Curves> {
    let attention = if network.attends { "attention" } else { "no attention" };
    let course = Course::new("translate", "phrases", BATCH).settings(attention);
    network.learn(course, common, pairs, (BATCH, 5e-3), |trainer| {
        network.encoder.name(trainer, "encoder.")?;
        layers::name_attention(trainer, &network.attention)?;
        layers::name(trainer, &[("words", Some(network.words.parameters()))])
    })
}

/// Trains, and translates what was held out.
pub fn run(options: &Options) -> Result<Outcome> {
    let common = &options.common;
    let pairs = Pairs::load(common.data())?;
    let tested = &pairs.tested[..pairs.tested.len().min(options.tested as usize)];
    let (asked, device) = (pairs.asked(&options.text)?, common.start()?);
    let figures = |answers: &[Vec<u32>]| translated(answers, tested.iter().map(|pair| &pair.target[..]));
    let translate = |network: &Network, sources: &[Vec<u32>]| network.search(pairs.marks(), pairs.longest(), sources);
    let (sources, remembered): (Vec<_>, Vec<_>) =
        tested.iter().map(|pair| (pair.source.clone(), pairs.remember(pair))).unzip();
    let outcome = Outcome::new(format!("{} phrases held out", tested.len())).percent("exact").percent("BLEU");
    let mut outcome = outcome.row("the most similar phrase's translation", &figures(&remembered));
    let network = Network::new(&device, &pairs, true, common.seed)?;
    let mut curves = vec![("with attention", train(&pairs, &network, common)?)];
    if options.compare {
        let without = Network::new(&device, &pairs, false, common.seed)?;
        let unsaved = Common { save: None, resume: false, ..common.clone() };
        curves.push(("without attention", train(&pairs, &without, &unsaved)?));
        outcome = outcome.row("without attention", &figures(&translate(&without, &sources)?));
    }
    outcome = outcome.row("with attention", &figures(&translate(&network, &sources)?));
    common.draw("translate_loss.svg", |path| Curves::compare(path, ["Translation", "loss of a word"], &curves))?;
    for (i, (phrase, found)) in asked.iter().zip(translate(&network, &asked)?).enumerate() {
        outcome = outcome.note(format!("{} → {}", pairs.phrase(phrase), pairs.spell(&found)));
        common.draw(&format!("translate_{}.svg", i + 1), |path| {
            pairs.draw(path, phrase, &found, &network.looks(pairs.marks(), phrase, &found)?)
        })?;
    }
    Ok(outcome)
}

fn main() -> Result<()> {
    lessons::tell(run(&Options::parse()))
}
